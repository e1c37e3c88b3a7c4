"""Tasks whose head is an MLP trained by gradient descent: AdamW and its schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lvef.errors import ConfigurationError
from lvef.models.base import Batch, EFTask
from lvef.models.mlp import MLPHead
from lvef.models.options import BackboneOptions, HeadOptions, OptimizerOptions, options, plain


class TrainedTask(EFTask):
    """Base of the tasks with an MLP head.

    Args:
        frames: Names of the frames of a case, in slot order.
        backbone: The shared backbone.
        head: The MLP head.
        optimizer: AdamW and its schedule.
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
        self.head = MLPHead(features, self.num_outputs, **plain(head))

    def setup(self, stage: str) -> None:
        """Refuse a backbone that thaws later than distributed training can follow.

        Raises:
            ConfigurationError: It does.
        """
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
        """Return AdamW, slower for the backbone, with the schedule of the options."""
        self.compute_features()  # a schedule counts the batches, which features make fewer
        chosen = self.optimizer_options
        optimizer = torch.optim.AdamW(self._parameter_groups(), lr=chosen.lr)
        if chosen.schedule == "constant":
            return optimizer
        if chosen.schedule == "plateau":
            plateau = ReduceLROnPlateau(
                optimizer,
                mode=self.monitor_mode,  # type: ignore[arg-type]
                factor=0.2,
                patience=chosen.patience,
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "reduce_on_plateau": False},
            }
        if not np.isfinite(self.trainer.estimated_stepping_batches):
            raise ConfigurationError(
                "the cosine schedule needs an end: set --trainer.max_epochs, or choose "
                "--model.optimizer.schedule plateau or constant"
            )
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        self.trainer.fit_loop.setup_data()  # steps alone can be told without
        epoch = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        warmup = max(1, min(round(chosen.warmup_epochs * epoch), steps - 1))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
            return 0.5 * (1 + float(np.cos(np.pi * progress)))

        cosine = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule, but for that of a plateau, see `on_train_epoch_end`."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_end(self) -> None:
        """Tell the schedule of a plateau what VAL says of this epoch.

        Lightning does so after the checkpoint of the epoch is written, from which a fit that goes
        on would miss it.
        """
        plateau, monitored = self.lr_schedulers(), self.trainer.callback_metrics.get(self.monitor)
        judged = self._judged_epoch == self.current_epoch
        if isinstance(plateau, ReduceLROnPlateau) and monitored is not None and judged:
            plateau.step(float(monitored))

    def on_validation_epoch_end(self) -> None:
        """Judge VAL."""
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            self._judged_epoch = self.current_epoch

    def _parameter_groups(self) -> list[dict[str, Any]]:
        chosen = self.optimizer_options
        groups = []
        for part, module, lr in (
            ("backbone", self.backbone, chosen.lr * self.backbone_options.lr_factor),
            ("head", self.head, chosen.lr),
        ):
            for decays in (True, False):
                parameters = [
                    p for p in module.parameters() if p.requires_grad and (p.ndim > 1) == decays
                ]
                decay = chosen.weight_decay if decays else 0.0
                if parameters:
                    name = part if decays else f"{part}_norm_and_bias"
                    groups.append(
                        {"params": parameters, "lr": lr, "weight_decay": decay, "name": name}
                    )
        return groups
