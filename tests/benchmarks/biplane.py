"""EF by disks in two planes against one, on PHANTOM studies whose planes differ.

    python tests/benchmarks/biplane.py [--studies 200] [--processes 2] [--true_only] [--rows FILE]

A four-chamber and a two-chamber view of one solid heart each (second generator); the truth is the
whole cavity's EF. True contours: what a reader would draw at ED and ES. Found ones: what
`lvef.analyse_clip` finds in the labelled beat and what is around it, two seconds at most.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lvef.analysis import BiplaneResult, ClipAnalyser, ClipAnalysis, biplane
from lvef.cardiac import (
    Disks,
    biplane_ejection_fraction,
    biplane_volume,
    ejection_fraction,
    lengths_apart,
)
from lvef.data.prepare import prepare_frames
from lvef.evaluation.resampling import bootstrap_interval
from lvef.phantom.solid import SolidStudy
from lvef.phantom.solid.clip import SolidView

SEED, SECONDS, BEFORE, AFTER = 20, 2.0, 0.1, 0.35
WAYS = ("A4C", "A2C", "biplane")


def main() -> None:
    """Print the mean absolute error of each way, with BCa intervals over studies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--true_only", action="store_true", help="render nothing")
    parser.add_argument("--rows", type=Path, help="where rows are kept; what is there is not done")
    asked = parser.parse_args()
    rows = [] if asked.rows is None or not asked.rows.exists() else read(asked.rows)
    left = sorted(set(range(asked.studies)) - {row["study"] for row in rows})
    with get_context("spawn").Pool(asked.processes) as pool:
        for row in pool.imap_unordered(partial(measured, found=not asked.true_only), left):
            rows.append(row)
            if asked.rows is not None:
                with asked.rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    report(pd.DataFrame(rows))


def read(path: Path) -> list[dict[str, float]]:
    """Return rows that were kept."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def report(table: pd.DataFrame) -> None:
    """Print errors of EF, and of volumes by true contours."""
    differ = (table["true A4C"] - table["true A2C"]).abs()
    print(f"PHANTOM studies: {len(table)}; planes' EFs differ by {differ.mean():.2f} points on "
          f"average, by more than 10 in {(differ > 10).sum()}")  # fmt: skip
    for contours in ("true", "found"):
        if f"{contours} biplane" not in table:
            continue
        known = table.dropna(subset=[f"{contours} {way}" for way in WAYS])
        print(f"{contours} contours: {len(known)} studies with an EF of both views")
        for way in WAYS:
            error = (known[f"{contours} {way}"] - known["ef"]).to_numpy()
            told(f"  EF, {way}", error, "points")
        if contours == "true":
            for way in WAYS:
                share = 100 * (known[f"EDV {way}"] / known["EDV"] - 1)
                told(f"  EDV, {way}", share.to_numpy(), "% of it")
        gain = (known[f"{contours} A4C"] - known["ef"]).abs()
        gain = (gain - (known[f"{contours} biplane"] - known["ef"]).abs()).to_numpy()
        low, high = interval(np.mean, gain)
        print(f"  gain over A4C: {gain.mean():.2f} [{low:.2f}, {high:.2f}] points")
        if contours == "found":
            inside = ((known["found biplane"] - known["ef"]).abs() <= known["reach"]).mean()
            print(f"  the stated 90 % interval of biplane EF holds {100 * inside:.0f} %")


def interval(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a statistic of studies."""
    return bootstrap_interval(lambda drawn: {"it": statistic(drawn)}, values)["it"]


def told(name: str, error: np.ndarray, unit: str) -> None:
    """Print mean absolute error with its interval, and bias."""
    low, high = interval(lambda drawn: np.mean(np.abs(drawn)), error)
    print(f"{name}: MAE {np.abs(error).mean():.2f} [{low:.2f}, {high:.2f}] {unit}, "
          f"bias {error.mean():+.2f}, SD {error.std(ddof=1):.2f}")  # fmt: skip


def measured(index: int, found: bool) -> dict[str, float]:
    """Return the EFs of one study by all ways."""
    torch.set_num_threads(1)
    study = SolidStudy(SEED, index)
    ends = {}
    for name, view in (("A4C", study.a4c), ("A2C", study.a2c)):
        drawn = view.drawn.section.tracings(np.array([0.0, 1.0]))
        ends[name] = (Disks.of(drawn[0]), Disks.of(drawn[1]))
    four, two = ends["A4C"], ends["A2C"]
    row: dict[str, float] = {
        "study": index, "ef": study.patient.ef, "EDV": study.end_diastolic_volume,
        "apart": lengths_apart(four[0], two[0]),
        "true biplane": biplane_ejection_fraction(four, two),
        "EDV biplane": biplane_volume(four[0], two[0]) / 1000,
    }  # fmt: skip
    for name, (ed, es) in ends.items():
        row[f"true {name}"] = float(ejection_fraction(ed.volume, es.volume))
        row[f"EDV {name}"] = ed.volume / 1000
    if found:
        row.update(found_in(study))
    return row


def found_in(study: SolidStudy) -> dict[str, float]:
    """Return the EFs that are found in the pictures; NaN where a view is refused."""
    analyser = ClipAnalyser("shipped", "cpu")
    four, two = (analysed(analyser, view) for view in (study.a4c, study.a2c))
    nan = float("nan")
    try:
        result = biplane(four, two)
    except ValueError:
        result = BiplaneResult(nan, nan, nan, nan, nan)
    reach = four.beats[0].ef_reach if four.beats else nan
    return {
        "found A4C": four.ef, "found A2C": two.ef, "found biplane": result.ef,
        "reach": reach * result.ef_std, "found EDV": result.edv,
        "found apart": result.lengths_apart,
    }  # fmt: skip


def analysed(analyser: ClipAnalyser, view: SolidView) -> ClipAnalysis:
    """Analyse the labelled beat of a view, and what is around it."""
    fps, last = view.patient.fps, view.patient.num_frames
    start = max(0, view.ed_frame - round(BEFORE * fps))
    stop = max(start + round(SECONDS * fps), view.es_frame + round(AFTER * fps))
    frames = view.frames(range(start, min(stop, last)))
    clip = prepare_frames(frames, fps)
    return analyser(replace(clip, millimetres_per_pixel=1 / view.drawn.machine.pixels_per_mm))


if __name__ == "__main__":
    main()
