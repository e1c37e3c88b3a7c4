"""Times the epochs of a fit. A module of its own: a script that names its own class has two."""

from __future__ import annotations

import time
from typing import ClassVar

from lightning.pytorch.callbacks import Callback


class EpochClock(Callback):
    """Keeps the seconds of the training part of each epoch, and how many cases it had."""

    epochs: ClassVar[list[tuple[float, int]]] = []

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        """Start."""
        self.started, self.cases = time.perf_counter(), 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Note the time of the batch, which may be the last."""
        self.cases += len(batch["row"])
        self.ended = time.perf_counter()

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        """Keep it."""
        self.epochs.append((self.ended - self.started, self.cases))
