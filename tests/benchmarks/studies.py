"""EF of whole studies, pooled over clips, against the best clip, on PHANTOM studies.

    python tests/benchmarks/studies.py [--studies 40] [--a4c 3] [--a2c 2] [--processes 2]
    python tests/benchmarks/studies.py --true_only --studies 400

Of each heart (second generator, `ViewStudy`) several loops of both apical views, the probe held
anew for each; the truth is the whole cavity's EF. Rows of studies are those of `studies.csv`.
Found contours are those of the labelled beat and what is around it.

With `--true_only` nothing is rendered: the contours are what a reader would draw at ED and ES,
with the interval that the shipped segmenter states, so that what is left is what the planes of
one heart do not tell, and what its loops share of that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lvef.analysis import ClipAnalyser
from lvef.analysis.biplane import BeatDisks, beat_disks
from lvef.analysis.calibration import GeometryCalibration
from lvef.cardiac import Disks, ejection_fraction
from lvef.data.prepare import prepare_frames
from lvef.evaluation.resampling import bootstrap_interval
from lvef.phantom.views import ViewStudy
from lvef.predict.stream.merge import tables_of
from lvef.predict.stream.schema import ROWS, StoredClip
from lvef.predict.stream.study_table import StudyTable

SEED, SECONDS, BEFORE, AFTER = 22, 1.5, 0.1, 0.5


def main() -> None:
    """Print errors and coverage of each way, with BCa intervals over studies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--a4c", type=int, default=3, help="loops of the four-chamber view")
    parser.add_argument("--a2c", type=int, default=2, help="loops of the two-chamber view")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rows", type=Path, help="where rows are kept; what is there is not done")
    parser.add_argument("--true_only", action="store_true", help="render nothing")
    asked = parser.parse_args()
    work = drawn if asked.true_only else measured
    there = asked.rows is not None and asked.rows.exists()
    done = [json.loads(line) for line in asked.rows.read_text().splitlines()] if there else []
    left = sorted(set(range(asked.studies)) - {study["index"] for study in done})
    with get_context("spawn").Pool(asked.processes) as pool:
        for study in pool.imap_unordered(partial(work, a4c=asked.a4c, a2c=asked.a2c), left):
            done.append(study)
            if asked.rows is not None:
                with asked.rows.open("a") as file:
                    file.write(json.dumps(study) + "\n")
    report(done)


def measured(index: int, a4c: int, a2c: int) -> dict[str, Any]:
    """Return the truth of a study, and the rows of its clips."""
    torch.set_num_threads(1)
    study, analyser = ViewStudy(SEED, index), ClipAnalyser("shipped", "cpu")
    rows: list[dict[str, Any]] = []
    for number in range(a4c + a2c):
        view = "A4C" if number < a4c else "A2C"
        loop = study.loop(number, view)
        start = max(0, loop.ed_frame - round(BEFORE * loop.fps))
        stop = max(start + round(SECONDS * loop.fps), loop.es_frame + round(AFTER * loop.fps))
        clip = prepare_frames(loop.frames(range(start, min(stop, loop.num_frames))), loop.fps)
        scale = 1 / loop.drawn.machine.pixels_per_mm
        found = analyser(replace(clip, millimetres_per_pixel=scale))
        own = {"video": f"{view} {number}", "study": study.name, "apical_view": view,
               "quality": float(found.quality), "reason": found.reason}  # fmt: skip
        beats = [
            {**own, "beat": n, "ef_geometric": float(beat.ef), "ef_geometric_std": beat.ef_std,
             "ef_geometric_reach": beat.ef_reach, "beat_quality": float(beat.quality),
             "disks": None if disks is None else [float(value) for value in disks.packed()]}
            for n, (beat, disks) in enumerate(zip(found.beats, beat_disks(found), strict=True))
        ]  # fmt: skip
        rows += [beats or [own]]
    return {
        "index": index,
        "ef": study.patient.ef,
        "edv": study.end_diastolic_volume,
        "clips": rows,
    }


def drawn(index: int, a4c: int, a2c: int) -> dict[str, Any]:
    """Return the same by true contours, a beat a loop."""
    study, worth = ViewStudy(SEED, index), shipped()
    rows = []
    for number in range(a4c + a2c):
        view = "A4C" if number < a4c else "A2C"
        ends = study.loop(number, view).drawn.section.tracings(np.array([0.0, 1.0]))
        ed, es = (Disks.of(end) for end in ends)
        row = {"video": f"{view} {number}", "study": study.name, "apical_view": view,
               "quality": 1.0, "reason": "", "beat": 0, "ef_geometric_std": worth.std,
               "ef_geometric": float(ejection_fraction(ed.volume, es.volume)),
               "ef_geometric_reach": worth.reach, "beat_quality": 1.0,
               "disks": [float(value) for value in BeatDisks(ed, es, True).packed()]}  # fmt: skip
        rows.append([row])
    return {"index": index, "ef": study.patient.ef, "edv": study.end_diastolic_volume,
            "clips": rows}  # fmt: skip


@cache
def shipped() -> GeometryCalibration:
    """Return what the shipped segmenter's geometry is worth."""
    return ClipAnalyser("shipped", "cpu").calibration


def table_of(studies: list[dict[str, Any]], kept: Callable[[int, str], bool]) -> pd.DataFrame:
    """Return the rows of studies of those of their clips that are kept, with the truth.

    Args:
        studies: As `measured` returned them.
        kept: Whether a clip is, by its number among those of its view and by that view.
    """
    table, count = StudyTable(False), 0
    clips = []
    for study in studies:
        seen = {"A4C": 0, "A2C": 0}
        for rows in study["clips"]:
            view = rows[0]["apical_view"]
            seen[view] += 1
            if kept(seen[view] - 1, view):
                count += 1
                path = b"%06d" % count
                whole = [{**dict.fromkeys(ROWS.names), **row, "path": path} for row in rows]
                clips.append(StoredClip(path, b"", whole))
    for videos, _ in tables_of(table.watched(iter(clips)), [], "", "list"):
        table.told(videos)
    truth = [
        {"study": study["clips"][0][0]["study"], "ef_true": study["ef"], "edv_true": study["edv"]}
        for study in studies
    ]
    return table.table().merge(pd.DataFrame(truth), on="study")


def report(studies: list[dict[str, Any]]) -> None:
    """Print what one clip, all clips of the view and both views are worth."""
    print(f"PHANTOM studies: {len(studies)}")
    one = table_of(studies, lambda number, view: number == 0 and view == "A4C")
    all_four = table_of(studies, lambda _, view: view == "A4C")
    pair = table_of(studies, lambda number, _: number == 0)
    everything = table_of(studies, lambda *_: True)
    known = set.intersection(
        *(
            set(table.loc[table["ef"].notna(), "study"])
            for table in (one, all_four, pair, everything)
        )
    )
    for name, table in {
        "the first A4C clip": one, "all A4C clips": all_four,
        "one clip of each view": pair, "all clips of both views": everything,
    }.items():  # fmt: skip
        own = table[table["study"].isin(known)]
        error = (own["ef"] - own["ef_true"]).to_numpy(float)
        low, high = bootstrap_interval(lambda drawn: {"it": np.mean(np.abs(drawn))}, error)["it"]
        inside = own["ef_true"].between(own["ef_lower"], own["ef_upper"]).mean()
        width = (own["ef_upper"] - own["ef_lower"]).mean()
        print(f"  {name}: n {len(own)}, MAE {np.abs(error).mean():.2f} [{low:.2f}, {high:.2f}], "
              f"bias {error.mean():+.2f}, SD {error.std(ddof=1):.2f}; the 90 % interval, "
              f"{width:.1f} points wide, holds {100 * inside:.0f} %")  # fmt: skip
        narrow = own["ef_std"] / np.sqrt(own["num_a4c"].clip(lower=1).astype(float))
        reach = (own["ef_upper"] - own["ef_lower"]) / 2 / own["ef_std"]
        share = (np.abs(error) <= (narrow * reach).to_numpy(float)).mean()
        print(
            f"    divided by the root of the number of A4C clips it would hold {100 * share:.0f} %"
        )


if __name__ == "__main__":
    main()
