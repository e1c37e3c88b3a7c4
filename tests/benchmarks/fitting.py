"""`fit` of `edf_esf_mlp` from its second epoch on, against a bare loop on tensors in memory.

`fit` reads its frames from the cache, augments them on the device, logs, and steps its schedule;
the time of an epoch is from its start to the end of its last batch, without the validation that
follows. The loop has the same network, batch size and optimiser, and nothing else.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import given
import harness
import torch
from epoch_clock import EpochClock
from harness import Line, Measured, Settings
from torch import Tensor

from lvef.cli.lightning_cli import run
from lvef.data.dataset import KeyFrameDataset, collate
from lvef.data.layouts import read_labels
from lvef.models import EFRegressor
from lvef.models.options import BackboneOptions
from lvef.precision import cpu_precision

CLIPS, QUICK_CLIPS, EPOCHS, BATCH = 290, 116, 3, 32
FRAMES = ["EDF", "ESF"]
TARGET = 0.95


def fitted(root: Path, folder: Path, kept: Path, *more: str) -> list[float]:
    """Return the seconds a case of every epoch of a fit but the first."""
    EpochClock.epochs.clear()
    words = given.fit_words(
        root, folder, "--trainer.max_epochs", str(EPOCHS), "--data.frame_cache", str(kept),
        "--data.batch_size", str(BATCH), "--trainer.callbacks+=epoch_clock.EpochClock", *more,
    )  # fmt: skip
    run(words)
    return [seconds / cases for seconds, cases in EpochClock.epochs[1:]]


def bare(frames: Tensor, ef: Tensor) -> list[float]:
    """Return the seconds a case of every epoch of the loop but the first."""
    low = cpu_precision() != "32-true"
    task = EFRegressor(FRAMES, backbone=BackboneOptions(weights=None)).train()
    optimizer = torch.optim.AdamW(task.parameters(), 1e-4)
    taken = []
    for _ in range(EPOCHS):
        start, cases = time.perf_counter(), 0
        order = torch.randperm(len(ef))
        for chosen in order[: len(ef) // BATCH * BATCH].split(BATCH):
            batch = {"frames": frames[chosen], "ef_true": ef[chosen]}
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                loss = task.case_loss(task.batch_output(batch), batch).mean()
            loss.backward()
            optimizer.step()
            cases += len(chosen)
        taken.append((time.perf_counter() - start) / cases)
    return taken[1:]


def claims(settings: Settings) -> Iterator[Line]:
    """Yield the line, and the same without augmentation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = given.phantoms(folder, settings.of(CLIPS, QUICK_CLIPS))
        table = read_labels(root).table
        train = KeyFrameDataset(table[table["split"] == "TRAIN"], FRAMES)
        memory = collate([train[item] for item in range(len(train))])
        ours: list[float] = []
        plain: list[float] = []
        theirs: list[float] = []
        for number in range(settings.of(3, 1)):
            runs = folder / f"runs_{number}"
            ours += fitted(root, runs, folder / "kept")
            theirs += bare(memory["frames"], memory["ef_true"])
            more = ("--data.augmentation", "null")
            plain += fitted(root, runs, folder / "kept", *more)
    other = Measured(
        f"bare PyTorch loop, {settings.threads} threads, same network and optimiser",
        [1000 * s for s in theirs], "ms a case",
    )  # fmt: skip
    mine = Measured("fit, frames from the cache, augmented", [1000 * s for s in ours], "ms a case")
    yield Line("fit_against_bare_loop", mine, other, TARGET)
    as_they_are = Measured("the same, not augmented", [1000 * s for s in plain], "ms a case")
    yield Line("fit_unaugmented_against_bare_loop", as_they_are, other)


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
