"""Two processes with a thread each (DDP) against one with two, by a fit of `edf_esf_mlp`.

Cases a second from the second epoch on, as many cases a step on both sides. Both train on frames
from the cache; two processes have the gradients of 24.6 million numbers to share at every step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import given
import harness
from harness import Line, Measured, Settings

CLIPS, QUICK_CLIPS, EPOCHS, BATCH = 290, 116, 3, 32
KINDS = {
    "one": (2, 1, [], "one process, two threads"),
    "two": (1, 2, ["--trainer.strategy", "ddp"], "two processes (DDP, gloo), one thread each"),
}


def fitted(root: Path, folder: Path, kept: Path, kind: str) -> list[float]:
    """Return the milliseconds a case of every epoch of a fit but the first."""
    threads, processes, more, _ = KINDS[kind]
    told = folder / f"{kind}.json"
    words = given.fit_words(
        root, folder / kind, "--trainer.max_epochs", str(EPOCHS), "--data.frame_cache", str(kept),
        "--data.batch_size", str(BATCH // processes), "--data.num_workers", "0",
        "--trainer.devices", str(processes), *more,
        "--trainer.callbacks+=epoch_clock.EpochClock", "--trainer.callbacks.path", str(told),
    )  # fmt: skip
    here = {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": str(threads)}
    subprocess.run(
        [sys.executable, "-m", "lvef", *words],
        check=True, capture_output=True, env={**os.environ, **here},
    )  # fmt: skip
    return [1000 * seconds / cases for seconds, cases in json.loads(told.read_text())[1:]]


def claims(settings: Settings) -> Iterator[Line]:
    """Yield the line."""
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = given.phantoms(folder, settings.of(CLIPS, QUICK_CLIPS))
        for number in range(settings.of(3, 1)):
            for kind in list(KINDS)[:: -1 if number % 2 else 1]:
                runs = folder / str(number)
                runs.mkdir(exist_ok=True)
                taken[kind] += fitted(root, runs, folder / "kept", kind)
    ways = {
        kind: Measured(what, taken[kind], "ms a case") for kind, (*_, what) in KINDS.items()
    }  # fmt: skip
    yield Line("two_processes", ways["two"], ways["one"])


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
