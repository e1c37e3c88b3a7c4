"""How well new clips are analysed: phantoms as new clips, beside what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from lvef.analysis import ClipAnalyser, ClipAnalysis
from lvef.analysis.calibration import GeometryCalibration
from lvef.cardiac import ejection_fraction, polygon_mask
from lvef.cardiac.beats import MOST_MISSING
from lvef.data.formats import write_video
from lvef.data.options import default_workers
from lvef.evaluation.overlap import dice
from lvef.evaluation.uncertainty import LEVEL, normal_reach
from lvef.phantom.clip import PhantomClip
from lvef.phantom.pool import PhantomKind
from lvef.phantom.solid import SolidClip
from lvef.pretraining.reader import further_inside

MATCH = 0.12
"""Seconds within which an end-systole that was found counts as a true one."""
KINDS = ("start", "end", "weak", "inner")
_AT_END, _WEAK = 0.1, 0.7
"""Seconds from an end of the clip within which a beat lies there; share of the median stroke."""


@dataclass(frozen=True)
class PhantomCase:
    """What was found in a phantom beside what is true of it.

    Attributes:
        dice: Mean Dice over its frames.
        ed_errors: Frames from each true end-diastole to the one found.
        es_errors: The same for end-systole.
        true_beats: Beats that the clip shows; see `true_beats`.
        wrong_beats: Beats found where there is none.
        ef: True EF in percent, median over its beats.
        found_ef: Geometric EF; NaN where the clip was refused.
        by_motion: Median EF by motion, uncalibrated.
        by_contours: Median EF by contours, uncalibrated.
        contrast: Median contrast of the edge.
        found_std: Standard deviation of `found_ef` that the analysis states.
        found_reach: How many of these its stated interval reaches to either side.
        quality: Quality that the analysis states.
        reason: Why it was refused.
        kinds: Of each true beat; see `kind_of`.
        missed: The kinds of those that were not found.
        hard: What makes the phantom hard, joined by "+".
    """

    dice: float
    ed_errors: tuple[int, ...]
    es_errors: tuple[int, ...]
    true_beats: int
    wrong_beats: int
    ef: float
    found_ef: float
    by_motion: float
    by_contours: float
    quality: float
    reason: str
    kinds: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    contrast: float = 0.0
    found_std: float = float("nan")
    found_reach: float = float(normal_reach(LEVEL))
    hard: str = ""


def compare(clip: PhantomClip | SolidClip, analysis: ClipAnalysis, inset: int = 0) -> PhantomCase:
    """Compare an analysis with the truth of its phantom.

    Args:
        clip: The phantom.
        analysis: What was found in it.
        inset: Pixels by which the reader whom Dice is taken against stays further inside than the
            generator's.
    """
    truth = clip.truth()
    size = analysis.masks.shape[1:]
    drawn = np.stack([polygon_mask(contour, *size) for contour in truth["contour"]])
    masks = further_inside(torch.from_numpy(drawn), inset).numpy()
    fps = clip.patient.fps
    beats = true_beats(truth["ed_frames"], truth["es_frames"])
    reach = MATCH * fps
    volume = truth["volume"]
    strokes = np.array([volume[ed] - volume[es] for ed, es in beats])
    kinds = [
        kind_of(ed, es, float(stroke / np.median(strokes)), len(masks), fps)
        for (ed, es), stroke in zip(beats, strokes, strict=True)
    ]
    matched, missed = [], []
    for (ed, es), kind in zip(beats, kinds, strict=True):
        near = [beat for beat in analysis.beats if abs(beat.es_frame - es) <= reach]
        if near:
            matched.append((near[0].ed_frame - ed, near[0].es_frame - es))
        else:
            missed.append(kind)
    # An end-systole just beyond the clip may be found in its last frame.
    beyond = len(masks) - 1 + MOST_MISSING * fps
    nearly = np.round(clip.end_systoles * fps).astype(int).tolist()
    ends = truth["es_frames"].tolist() + [end for end in nearly if end <= beyond]
    wrong = [b for b in analysis.beats if all(abs(b.es_frame - es) > reach for es in ends)]
    efs = [float(ejection_fraction(volume[ed], volume[es])) for ed, es in beats]
    both = np.array([(b.by_motion, b.by_contours) for b in analysis.beats]).reshape(-1, 2)
    return PhantomCase(
        dice=float(dice(analysis.masks, masks).mean()),
        ed_errors=tuple(int(ed) for ed, _ in matched),
        es_errors=tuple(int(es) for _, es in matched),
        true_beats=len(beats),
        wrong_beats=len(wrong),
        ef=float(np.median(efs)) if efs else float("nan"),
        found_ef=analysis.ef,
        by_motion=float(np.median(both[:, 0])) if len(both) else float("nan"),
        by_contours=float(np.median(both[:, 1])) if len(both) else float("nan"),
        quality=analysis.quality,
        reason=analysis.reason,
        kinds=tuple(kinds),
        missed=tuple(missed),
        contrast=float(np.median([b.contrast for b in analysis.beats] or [0.0])),
        found_std=analysis.ef_std,
        found_reach=analysis.beats[0].ef_reach if analysis.beats else float("nan"),
        hard="+".join(clip.kinds) if isinstance(clip, SolidClip) else clip.kind,
    )


def true_beats(
    ed_frames: NDArray[np.generic], es_frames: NDArray[np.generic]
) -> list[tuple[int, int]]:
    """Return ED and ES of every beat whose systole lies in the clip, its filling or not.

    Args:
        ed_frames: End-diastoles in the clip, in order.
        es_frames: End-systoles in the clip, in order.
    """
    beats = []
    for ed in ed_frames.tolist():
        later = [es for es in es_frames.tolist() if es > ed]
        if later:
            beats.append((ed, later[0]))
    return beats


def kind_of(ed: int, es: int, stroke: float, count: int, fps: float) -> str:
    """Return the kind of a beat, one of `KINDS`.

    Args:
        ed: Its end-diastole.
        es: Its end-systole.
        stroke: Its stroke against the median one of its clip.
        count: Frames in the clip.
        fps: Frames a second.
    """
    if ed < _AT_END * fps:
        return "start"
    if es > count - 1 - _AT_END * fps:
        return "end"
    return "weak" if stroke < _WEAK else "inner"


def analyse_phantoms(
    weights: str | Path,
    kind: PhantomKind,
    indices: Sequence[int],
    calibration: GeometryCalibration | None = None,
    inset: int = 0,
) -> list[PhantomCase]:
    """Analyse phantoms as new clips, on every core, and compare each with its truth.

    Args:
        weights: See `ClipAnalyser`.
        kind: What the phantoms are drawn from.
        indices: Which of them.
        calibration: In place of the one that comes with the weights.
        inset: See `compare`.
    """
    start = (str(weights), calibration)
    with get_context("spawn").Pool(default_workers(), _start_worker, start) as pool:
        done = pool.imap(partial(_analyse_phantom, kind, inset), indices)
        return list(tqdm(done, total=len(indices), desc="phantoms analysed", unit="clip"))


_analyser: ClipAnalyser | None = None


def _start_worker(weights: str, calibration: GeometryCalibration | None) -> None:
    global _analyser
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _analyser = ClipAnalyser(weights, "cpu")  # one of many processes
    _analyser.calibration = calibration or _analyser.calibration


def _analyse_phantom(kind: PhantomKind, inset: int, index: int) -> PhantomCase:
    assert _analyser is not None
    clip = kind.clip(index)
    with TemporaryDirectory() as folder:  # through a codec, as any clip comes
        path = Path(folder) / "clip.avi"
        write_video(path, clip.frames(), clip.patient.fps)
        return compare(clip, _analyser(path), inset)
