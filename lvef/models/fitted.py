"""Tasks that no gradient descent trains: one epoch, in which nothing moves."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lvef.evaluation.sharpness import STRETCHED
from lvef.models.base import Batch
from lvef.models.predictor import EFPredictor


class FittedTask(EFPredictor):
    """Base of the tasks that are fitted, or put together, before the first validation.

    Their run is one batch, one validation and one checkpoint: `trainer_arguments` say so. With a
    trainer that was made otherwise more batches do nothing, and the first epoch is the last.
    """

    learns = False
    smallest_batch = 1
    trainer_arguments = MappingProxyType(
        {
            "max_epochs": 1,
            "max_steps": -1,
            "limit_train_batches": 1,
            "check_val_every_n_epoch": 1,
            "val_check_interval": 1.0,
        }
    )

    def on_train_epoch_end(self) -> None:
        """End the run: nothing will be better."""
        self.trainer.should_stop = True

    def on_fit_end(self) -> None:
        """Say where VAL had to stretch the standard deviations."""
        super().on_fit_end()
        factor = float(self.calibration.std_factor)
        if factor > STRETCHED:
            rank_zero_warn(
                f"VAL stretches the standard deviations of this {type(self).__name__} by "
                f"{factor:.1f}: by itself it is surer than it may be, as where a backbone was "
                "taught by the same cases of TRAIN. Its intervals are calibrated, but which case "
                "is more certain than another may mean little; fit backbone and Gaussian process "
                "on different folds (--data.without_fold 1/2 for the one, --data.train_fold 1/2 "
                "for the other)"
            )

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
