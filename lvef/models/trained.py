"""Tasks whose head is trained by gradient descent, with a backbone that may be slower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lvef.errors import CheckpointError, ConfigurationError, PartError
from lvef.models.base import Batch, EFTask
from lvef.models.heads import new_head
from lvef.models.optimizers import (
    cosine,
    new_optimizer,
    new_schedule,
    parameter_groups,
    plateau,
    try_options,
)
from lvef.models.options import (
    BackboneOptions,
    HeadOptions,
    OptimizerOptions,
    options,
    plain,
)
from lvef.models.own_class import in_a_line


class TrainedTask(EFTask):
    """Base of the tasks whose head learns by gradient descent.

    Args:
        frames: Names of the frames of a case, in slot order.
        backbone: The shared backbone.
        head: The head.
        optimizer: The optimiser and its schedule.
        own: Further hyperparameters, plain data.

    Attributes:
        num_outputs: Outputs of the head.
    """

    num_outputs: ClassVar[int]

    def __init__(
        self,
        frames: Sequence[str],
        backbone: BackboneOptions,
        head: HeadOptions,
        optimizer: OptimizerOptions,
        **own: Any,
    ) -> None:
        head, optimizer = options(HeadOptions, head), options(OptimizerOptions, optimizer)
        super().__init__(frames, backbone, head=plain(head), optimizer=plain(optimizer), **own)
        self.optimizer_options = optimizer
        self._judged_epoch = -1
        features = self.backbone.num_features * len(self.frames)
        self.head = new_head(head, features, self.num_outputs)

    def setup(self, stage: str) -> None:
        """Refuse an optimiser that cannot be had, and a backbone that thaws too late for DDP.

        Raises:
            ConfigurationError: It is such.
        """
        if stage == "fit":
            try_options(self.optimizer_options)
        super().setup(stage)
        if stage != "fit":
            return
        strategy = getattr(self.trainer.strategy, "_ddp_kwargs", None)
        thaws = self.backbone.freeze is not True and int(self.backbone.freeze) > 0
        if thaws and strategy is not None and not strategy.get("find_unused_parameters"):
            raise ConfigurationError(
                "model.backbone.freeze is a number of epochs, which several processes can follow "
                "only with --trainer.strategy ddp_find_unused_parameters_true"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a fit that would go on with another optimiser than it began with.

        Raises:
            CheckpointError: It would, or the checkpoint holds another task.
        """
        super().on_load_checkpoint(checkpoint)
        if self._trainer is None or self.trainer.state.fn != "fit":
            return
        before = options(OptimizerOptions, checkpoint["lvef"]["hparams"].get("optimizer"))
        for name in ("name", "schedule"):
            then, now = getattr(before, name), getattr(self.optimizer_options, name)
            if then != now:
                raise CheckpointError(
                    f"the checkpoint was fitted with model.optimizer.{name} {then}, and a fit does "
                    f"not go on with {now}"
                )
        for state in checkpoint.get("optimizer_states", ()):
            sizes = [len(group["params"]) for group in state["param_groups"]]
            if sizes != [len(group["params"]) for group in self._parameter_groups()]:
                raise CheckpointError(
                    "the checkpoint's optimiser has other groups of parameters, as that of an "
                    "earlier version: no fit goes on from it, but a new one may start from its "
                    "backbone (--model.backbone.checkpoint)"
                )

    def on_train_epoch_start(self) -> None:
        """Forget what VAL taught of other weights; thaw the backbone when its time has come."""
        self.calibration.forget()
        freeze = self.backbone.freeze
        if freeze is not True and self.backbone.frozen != (self.current_epoch < int(freeze)):
            self.backbone.set_frozen(self.current_epoch < int(freeze))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean loss of a batch."""
        loss = self.case_loss(self.batch_output(batch), batch).mean()
        self.log("train/loss", loss, on_step=True, on_epoch=True, batch_size=len(batch["row"]))
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser, slower for the backbone, with the schedule of the options."""
        self.compute_features()  # a schedule counts the batches, which features make fewer
        optimizer = new_optimizer(self.optimizer_options, self._parameter_groups())
        if self.optimizer_options.schedule == "constant":
            return optimizer
        schedule, interval = self._schedule(optimizer)
        told: Any = {"scheduler": schedule, "interval": interval, "reduce_on_plateau": False}
        return {"optimizer": optimizer, "lr_scheduler": told}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule, but for that of a plateau, see `on_train_epoch_end`.

        Raises:
            PartError: It does not go on, as one that had its end in a shorter run.
        """
        if isinstance(scheduler, ReduceLROnPlateau):
            return
        try:
            super().lr_scheduler_step(scheduler, metric)
        except ValueError as error:
            raise PartError(
                f"model.optimizer.schedule {self.optimizer_options.schedule}: {in_a_line(error)}"
            ) from error

    def on_train_epoch_end(self) -> None:
        """Tell the schedule of a plateau what VAL says of this epoch.

        Lightning does so after the checkpoint of the epoch is written, from which a fit that goes
        on would miss it.
        """
        schedule, monitored = self.lr_schedulers(), self.trainer.callback_metrics.get(self.monitor)
        judged = self._judged_epoch == self.current_epoch
        if isinstance(schedule, ReduceLROnPlateau) and monitored is not None and judged:
            schedule.step(float(monitored))

    def on_validation_epoch_end(self) -> None:
        """Judge VAL."""
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            self._judged_epoch = self.current_epoch

    def _schedule(self, optimizer: Optimizer) -> tuple[LRScheduler, str]:
        """Return the schedule of the options, and how often it is stepped.

        Raises:
            ConfigurationError: It needs an end, which the run has not.
        """
        chosen = self.optimizer_options
        if chosen.schedule == "plateau":
            return plateau(optimizer, self.monitor_mode, chosen.patience), "epoch"
        if chosen.schedule != "cosine":
            often = chosen.schedule_interval
            ends = self._num_steps() if often == "step" else self.trainer.max_epochs
            total = None if ends is None or ends < 0 else ends
            return new_schedule(chosen, optimizer, self.monitor_mode, total), often
        steps = self._num_steps()
        if steps is None:
            raise ConfigurationError(
                "the cosine schedule needs an end: set --trainer.max_epochs, or choose "
                "--model.optimizer.schedule plateau or constant"
            )
        self.trainer.fit_loop.setup_data()  # steps alone can be told without
        epoch = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        warmup = max(1, min(round(chosen.warmup_epochs * epoch), steps - 1))
        return cosine(optimizer, steps, warmup), "step"

    def _num_steps(self) -> int | None:
        """Return the steps of the whole run, at least one; None where it has no end."""
        steps = self.trainer.estimated_stepping_batches
        return max(int(steps), 1) if np.isfinite(steps) else None

    def _parameter_groups(self) -> list[dict[str, Any]]:
        rate = self.optimizer_options.lr
        slower = rate * self.backbone_options.lr_factor
        return parameter_groups([("backbone", self.backbone, slower), ("head", self.head, rate)])
