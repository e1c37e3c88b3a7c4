"""Ends a fit that cannot come to anything, in words."""

from __future__ import annotations

import math

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateFinder

from lvef.errors import ConfigurationError, FitError


class FitGuard(Callback):
    """Refuses a fit that never validates, and stops one whose loss is no number."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what would look for a learning rate and then not use it.

        Raises:
            ConfigurationError: It is asked for.
        """
        if any(isinstance(one, LearningRateFinder) for one in trainer.callbacks):  # type: ignore[attr-defined]
            raise ConfigurationError(
                "LearningRateFinder finds one rate, which the schedules here would not follow: fit "
                "with some values of --model.optimizer.lr (lv_seg: --model.lr) and compare VAL"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a fit whose end comes before its first validation.

        Raises:
            ConfigurationError: It would leave no epoch that was judged.
        """
        first, last = first_validation(trainer), last_batch(trainer)
        if not trainer.global_step and last < first:
            raise ConfigurationError(
                f"the fit ends after {last:g} batches, before its first validation, which comes "
                f"after {first:g}: raise --trainer.max_steps or --trainer.max_epochs, or set "
                "--trainer.val_check_interval and --trainer.check_val_every_n_epoch"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the loss of VAL, before a checkpoint is made of it.

        Raises:
            FitError: It is no finite number.
        """
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            _refuse_broken(trainer, "val/loss")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the mean loss of TRAIN, before the last checkpoint is replaced.

        Raises:
            FitError: It is no finite number.
        """
        _refuse_broken(trainer, "train/loss_epoch")


def first_validation(trainer: Trainer) -> float:
    """Return after how many batches a fit validates first; 0 where the clock says."""
    every, after = trainer.check_val_every_n_epoch, trainer.val_check_batch
    if after is None:
        return 0
    return after if every is None else (every - 1) * trainer.num_training_batches + after


def last_batch(trainer: Trainer) -> float:
    """Return after how many batches a fit ends at the latest."""
    batches, size = trainer.num_training_batches, trainer.accumulate_grad_batches
    ends = [math.inf]
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        ends.append(trainer.max_epochs * batches)
    if trainer.max_steps >= 0:
        epochs, steps = divmod(trainer.max_steps, math.ceil(batches / size))
        ends.append(epochs * batches + min(steps * size, batches))
    return min(ends)


def _refuse_broken(trainer: Trainer, name: str) -> None:
    value = trainer.callback_metrics.get(name)
    broken = value is not None and not bool(torch.isfinite(value))
    if not trainer.strategy.reduce_boolean_decision(broken, all=False):
        return
    raise FitError(
        f"{name.removesuffix('_epoch')} of epoch {trainer.current_epoch} is no finite number, and "
        "nothing more can be learned: the learning rate may be too high (--model.optimizer.lr, "
        "--model.lr), the precision too low (--trainer.precision 32-true) or a value in the data "
        "broken; checkpoints are of the epochs before"
    )
