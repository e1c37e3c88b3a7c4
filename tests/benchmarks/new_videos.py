"""How well beats, contours and EF of new clips are found, and how fast.

    python tests/benchmarks/new_videos.py [--clips 200] [--breadth 1.25] [--real DIR]

Phantoms have a seed of their own and wider ranges than those of training, or with `--breadth
standard` are those of the standard population. `--real` is a folder of `ID.avi`,
`ID.mask.npz` (`mask`, bits packed along the last axis, of shape `(T, 112, 112)`) and `labels.csv`
(`video, ef, fps`): reference masks of real clips, which are measured with and nothing else.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from harness import Line, Measured, by_turns
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from lvef.analysis import ClipAnalyser
from lvef.analysis.segment import segment
from lvef.evaluation.overlap import dice
from lvef.phantom import PhantomClip
from lvef.phantom.pool import PhantomKind
from lvef.pretraining.phantom_cases import analyse_phantoms
from lvef.pretraining.phantom_figures import summary


def reference_events(area: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Return peaks (ED) and troughs (ES) of a smoothed area curve."""
    curve = gaussian_filter1d(area.astype(float), 0.05 * fps)
    swing = np.subtract(*np.percentile(curve, [95, 5]))
    rules = {"prominence": 0.3 * swing, "distance": 0.3 * fps}
    return find_peaks(curve, **rules)[0], find_peaks(-curve, **rules)[0]


def real_clips(analyser: ClipAnalyser, folder: Path) -> pd.DataFrame:
    """Compare analyses with the reference masks of a folder; one row a clip."""
    rows = []
    for _, label in pd.read_csv(folder / "labels.csv").iterrows():
        analysis = analyser(folder / label["video"])
        packed = np.load((folder / label["video"]).with_suffix(".mask.npz"))
        masks = np.unpackbits(packed["mask"], axis=-1)[..., :112].astype(bool)
        ed, es = reference_events(masks.sum((1, 2)), label["fps"])
        found_ed = [beat.ed_frame for beat in analysis.beats]
        found_es = [beat.es_frame for beat in analysis.beats]
        errors = [nearest(found_ed, frame) for frame in ed] + [
            nearest(found_es, frame) for frame in es
        ]
        reach = 0.2 * label["fps"]
        matched = [error for error in errors if error <= reach]
        # A beat is its ED and its ES: of one that lies beyond the clip, the other is never told.
        paired = np.concatenate([ed < es.max(initial=-1), es > ed.min(initial=len(masks))])
        rows.append({
            "video": Path(label["video"]).stem[-6:], "label": label["ef"], "ef": analysis.ef,
            "std": analysis.ef_std, "quality": analysis.quality, "reason": analysis.reason,
            "dice": dice(analysis.lv_masks, masks).mean(), "events": len(errors),
            "matched": len(matched), "paired": paired.sum(),
            "paired_matched": (np.array(errors)[paired] <= reach).sum(),
            "median_error": np.median(matched) if matched else np.nan,
            "by_motion": np.median([b.by_motion for b in analysis.beats] or [np.nan]),
            "by_contours": np.median([b.by_contours for b in analysis.beats] or [np.nan]),
            "area_ratio": analysis.masks.sum() / masks.sum(), "errors": errors,
        })  # fmt: skip
    return pd.DataFrame(rows)


def nearest(found: list[int], frame: int) -> int:
    return min((abs(int(one) - int(frame)) for one in found), default=10_000)


def speed(analyser: ClipAnalyser) -> Line:
    """Time the analysis of one clip of 176 frames, warm, beside the network in it alone."""
    clip = PhantomClip(7, 0)
    frames = np.concatenate([clip.frames()] * 4)[:176]
    ways = {
        "ours": lambda: analyser(frames, 50.0),
        "alone": lambda: segment(analyser.net, frames, 50.0),
    }
    seconds = by_turns(3, ways)
    whole = Measured(f"176 frames analysed, {torch.get_num_threads()} threads", seconds["ours"])
    alone = Measured("one look of the network at them", seconds["alone"])
    return Line("clip_analysed", whole, alone, at_most=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=4000)
    parser.add_argument("--breadth", default="1.25", help="or standard, or solid")
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--real", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    analyser = ClipAnalyser(options.weights)
    print(speed(analyser))
    if options.real is not None:
        table = real_clips(analyser, options.real)
        print(table.round(2).to_string())
        print(
            f"real clips: mean Dice {table['dice'].mean():.3f}; "
            f"{table['matched'].sum()} of {table['events'].sum()} events found, and of those whose "
            f"other end is in the clip {table['paired_matched'].sum()} of {table['paired'].sum()}"
        )
    if options.clips:
        breadth = None if options.breadth in ("standard", "solid") else float(options.breadth)
        phantoms = PhantomKind(options.seed, breadth, solid=options.breadth == "solid")
        cases = analyse_phantoms(options.weights, phantoms, range(options.clips))
        kind = options.breadth if breadth is None else f"ranges {breadth:g} x training's"
        print(f"PHANTOM, seed {options.seed}, {kind}:")
        for name, value in summary(cases).items():
            print(f"  {name:32s}{value:10.3f}")


if __name__ == "__main__":
    main()
