"""A fit that counts steps goes on with the epoch that comes next."""

from __future__ import annotations

from lightning import Callback, LightningModule, Trainer


class StepsOfResumedFit(Callback):
    """Lets Lightning see that a checkpoint is from the end of an epoch, also with `max_steps`.

    With `max_steps` it takes every checkpoint for one from amid an epoch, and passes over the next
    one without training. So the limit is out of its sight while progress is restored.
    """

    def __init__(self) -> None:
        self._asked: int | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the limit away, once the schedules have seen it."""
        if trainer.ckpt_path:
            self._asked = trainer.fit_loop.epoch_loop.max_steps
            trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set it again, before the first batch."""
        if self._asked is not None:
            trainer.fit_loop.epoch_loop.max_steps, self._asked = self._asked, None
