"""Tasks that no gradient descent trains: one epoch, in which nothing moves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lvef.models.base import Batch
from lvef.models.predictor import EFPredictor

_SHORT = {"limit_train_batches": 1, "check_val_every_n_epoch": 1, "val_check_interval": 1.0}


class FittedTask(EFPredictor):
    """Base of the tasks that are fitted, or put together, before the first validation.

    Their run is one batch, one validation and one checkpoint, whatever the trainer was told.
    """

    smallest_batch = 1

    def on_fit_start(self) -> None:
        """Shorten the run, also that of a trainer whose epochs are all spent."""
        super().on_fit_start()
        trainer, loop = self.trainer, self.trainer.fit_loop
        self._found = {name: getattr(trainer, name) for name in _SHORT}, loop.max_epochs
        for name, value in _SHORT.items():
            setattr(trainer, name, value)
        loop.max_epochs = 1
        loop.epoch_progress.reset()

    def on_fit_end(self) -> None:
        """Leave the trainer as it was found, for whatever it fits next."""
        held, self.trainer.fit_loop.max_epochs = self._found
        for name, value in held.items():
            setattr(self.trainer, name, value)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return zero, which reaches every parameter, as DDP wants."""
        return 0 * torch.stack([parameter.sum() for parameter in self._trainable()]).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return an optimiser that moves nothing, as mixed precision wants one."""
        return torch.optim.SGD(self._trainable(), lr=0.0)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse another task's checkpoint; a fit that resumes begins its one epoch anew."""
        super().on_load_checkpoint(checkpoint)
        checkpoint.pop("loops", None)
        checkpoint.pop("callbacks", None)  # or the best of before would keep this one from disk

    def _trainable(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]
