"""What a data set as large as EchoNet-Dynamic takes: seconds and peak memory by number of clips.

Each stage is a command in a process of its own, its start included: making the phantoms, a fit of
one epoch on features that a frozen backbone extracts first, and a table of all experiments of one
epoch. It takes long and much disk, and is no part of `bench.py`:

    python tests/benchmarks/whole.py [--quick] [--stages made features] [--folder DIR]

Memory is that of the command's largest process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path

import given
import harness
from harness import Line, Measured, Settings, exponent

SIZES, QUICK_SIZES = (1000, 3000, 10_030), (50, 100, 200)
TABLES, QUICK_TABLES = (1000, 3000), (50, 100)
STAGES = ("made", "features", "table")
TARGET = 1.05


def command(*words: str) -> tuple[float, float]:
    """Run a command of lvef; return its seconds and the GiB of its largest process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lvef", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    complaint = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(words)}: {complaint[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024**2


def features(root: Path, runs: Path) -> tuple[float, float]:
    """Extract the features of all clips, and train a head on them for an epoch."""
    more = ("--model.backbone.freeze", "true", "--trainer.max_epochs", "1")
    return command(*given.fit_words(root, runs, *more))


def table(root: Path, runs: Path) -> tuple[float, float]:
    """Fit and test all experiments, an epoch each, from random weights."""
    weights = runs.parent / "random.safetensors"
    if not weights.is_file():
        writing = get_context("spawn").Process(target=_random_weights, args=(weights,))
        writing.start()  # in a process of its own: a command's peak is never below its parent's
        writing.join()
    return command(
        "table", "--root", str(root), "--output", str(runs), "--max_epochs", "1",
        "--weights", str(weights),
    )  # fmt: skip


def _random_weights(path: Path) -> None:
    import torch

    from lvef.files import write_tensors
    from lvef.models import ResNet50Backbone

    torch.manual_seed(0)
    write_tensors(path, dict(ResNet50Backbone(None).network.state_dict()), {})


def claims(folder: Path, stages: Sequence[str], settings: Settings) -> Iterator[Line]:
    """Yield two lines a stage: how time and memory grow."""
    tables = QUICK_TABLES if settings.quick else TABLES
    sizes = QUICK_SIZES if settings.quick else SIZES
    sizes = tables if set(stages) == {"table"} else sizes
    taken: dict[str, dict[int, tuple[float, float]]] = {stage: {} for stage in ("made", *stages)}
    for size in sizes:
        root = folder / f"phantoms_{size}"
        making = ("phantom", "--root", str(root), "--num_videos", str(size), "--seed", "3")
        jobs = {"made": lambda making=making: command(*making)}
        if "features" in stages:
            jobs["features"] = lambda root=root: features(root, folder / f"features_{root.name}")
        if "table" in stages and size in tables:
            jobs["table"] = lambda root=root: table(root, folder / f"table_{root.name}")
        for stage, job in jobs.items():
            seconds, memory = taken[stage][size] = job()
            print(f"{stage}, {size} clips: {seconds:.0f} s, {memory:.2f} GiB", file=sys.stderr)
        shutil.rmtree(root)
    for stage, by_size in taken.items():
        for kind, unit, column in (("time", "s", 0), ("memory", "GiB", 1)):
            values = [each[column] for each in by_size.values()]
            each = ", ".join(
                f"{value:.3g} {unit} of {size}" for size, value in zip(by_size, values, strict=True)
            )
            grown = Measured(f"{stage}: {each}", [exponent(list(by_size), values)], "")
            target = TARGET if kind == "time" and stage != "table" else None
            yield Line(f"whole_{stage}_{kind}", grown, target=target, at_most=True)


def main(words: list[str] | None = None) -> None:
    """Measure."""
    options = harness.parser(__doc__)
    options.add_argument("--folder", type=Path, help="where it is done (a temporary folder)")
    options.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="all")
    asked = options.parse_args(words)
    settings = harness.settings_of(asked)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        harness.tell(claims(Path(name), asked.stages, settings), settings, asked.json)


if __name__ == "__main__":
    main()
