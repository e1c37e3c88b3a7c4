"""Times the epochs of a fit. A module of its own: a script that names its own class has two."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.callbacks import Callback


class EpochClock(Callback):
    """Keeps the seconds of the training part of each epoch, and how many cases it had.

    Args:
        path: A file that takes them as JSON; for a fit in a process of its own. Cases are those
            of all processes.
    """

    epochs: ClassVar[list[tuple[float, int]]] = []

    def __init__(self, path: str | None = None) -> None:
        self.path = path

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        """Start."""
        self.started, self.cases = time.perf_counter(), 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Note the time of the batch, which may be the last."""
        self.cases += len(batch["row"]) * trainer.world_size
        self.ended = time.perf_counter()

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        """Keep it."""
        self.epochs.append((self.ended - self.started, self.cases))
        if self.path is not None and trainer.is_global_zero:
            Path(self.path).write_text(json.dumps(self.epochs))
