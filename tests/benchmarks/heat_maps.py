"""What do heat maps and a report cost, beside one pass of the model over the same frames?

    python tests/benchmarks/heat_maps.py --ckpt_path RUN/checkpoints/best.ckpt
    python tests/benchmarks/heat_maps.py --ckpt_path RUN/checkpoints/best.ckpt --run TEST_RUN

Without `--run` only the maps are measured. With it, the log folder of a test, its first 400 cases
become a report.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from harness import Line, Measured, by_turns

from lvef.models import EFTask
from lvef.models.attribution import METHOD_NAMES, METHODS, SaliencyMapper
from lvef.models.loading import load_task
from lvef.report import report

CASES, REPEATS, REPORTED = 16, 3, 400


def maps(task: EFTask) -> Iterator[Line]:
    """Yield what each method costs beside the model itself."""
    frames = torch.randint(0, 256, (CASES, len(task.frames), 3, 112, 112), dtype=torch.uint8)
    mapper = SaliencyMapper(task)
    ways = {method: partial(mapper.maps, frames, method) for method in METHODS}
    seconds = by_turns(REPEATS, {**ways, "itself": partial(_answer, task, frames)})
    ms = {name: [1000 * s / CASES for s in took] for name, took in seconds.items()}
    itself = Measured("the model itself", ms["itself"], "ms a case")
    for method in METHODS:
        mine = Measured(METHOD_NAMES[method], ms[method], "ms a case")
        yield Line(f"heat_map_{method}", mine, itself, at_most=True)


@torch.no_grad()
def _answer(task: EFTask, frames: torch.Tensor) -> None:
    task(frames)


def page(run: Path) -> None:
    """Print how long a report takes and how large it is."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "run"
        part.mkdir()
        for name in ("metrics.json", "config.yaml"):
            shutil.copy(run / name, part / name)
        pd.read_csv(run / "cases.csv").head(REPORTED).to_csv(part / "cases.csv", index=False)
        start = time.perf_counter()
        written = report(part, Path(folder) / "report.html")
        took = time.perf_counter() - start
        size = written.stat().st_size / 1e6
        print(f"report of {REPORTED} cases: {took:.1f} s, {size:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt_path", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    arguments = parser.parse_args()
    task = load_task(arguments.ckpt_path)
    assert isinstance(task, EFTask)
    for line in maps(task):
        print(line)
    if arguments.run is not None:
        page(arguments.run)


if __name__ == "__main__":
    main()
