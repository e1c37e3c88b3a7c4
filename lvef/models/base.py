"""What every EF task shares: backbone, optimiser, the loop, and what a checkpoint says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn

from lvef.errors import CheckpointError, ConfigurationError
from lvef.evaluation.metrics import Metrics
from lvef.evaluation.summary import Summary
from lvef.models.backbone import NUM_FEATURES, ResNet50Backbone
from lvef.models.cases import CaseStore
from lvef.models.mlp import MLPHead
from lvef.models.options import BackboneOptions, HeadOptions, OptimizerOptions, options, plain

Batch = dict[str, Tensor]
Cases = dict[str, Tensor]


class EFTask(LightningModule):
    """Base of the tasks that predict from key frames.

    A subclass says what its head puts out (`num_outputs`), what that means for a case
    (`case_outputs`), its loss (`case_loss`), and how a set of cases is judged (`epoch_metrics`,
    `summary`).

    Args:
        frames: Names of the frames of a case, in slot order; taken from the data module.
        backbone: The shared ResNet-50.
        head: The MLP head.
        optimizer: AdamW and its schedule.

    Attributes:
        monitor: The VAL metric that chooses the best checkpoint.
        monitor_mode: Whether it is best when `max` or `min`.
        baseline: What the trivial answer of `summary` is, in words.
        num_outputs: Outputs of the head.
        cases: After an epoch of evaluation, what was said of every case (CPU tensors `(n,)`).
        trained_on: "phantoms" when the checkpoint that was loaded says so, else empty.
    """

    monitor: ClassVar[str]
    monitor_mode: ClassVar[str]
    baseline: ClassVar[str]
    num_outputs: ClassVar[int]
    outputs: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        frames: Sequence[str],
        backbone: BackboneOptions,
        head: HeadOptions,
        optimizer: OptimizerOptions,
        **own: Any,
    ) -> None:
        super().__init__()
        self.backbone_options = options(BackboneOptions, backbone)
        self.head_options = options(HeadOptions, head)
        self.optimizer_options = options(OptimizerOptions, optimizer)
        self.frames = list(frames)
        self.save_hyperparameters(
            {
                "frames": self.frames,
                "backbone": plain(self.backbone_options),
                "head": plain(self.head_options),
                "optimizer": plain(self.optimizer_options),
                **own,
            },
            logger=False,
        )
        # Weights are loaded when training starts: a checkpoint brings its own.
        self.backbone = ResNet50Backbone(None, self.backbone_options.freeze)
        self.head = self.make_head(NUM_FEATURES * len(self.frames))
        self.store = CaseStore("ef", "reduced", "loss", *self.outputs)
        self.cases: Cases = {}
        self.trained_on = ""

    def make_head(self, num_features: int) -> nn.Module:
        """Return the head for `num_features` features a case."""
        return MLPHead(num_features, self.num_outputs, **plain(self.head_options))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the head's raw output `(B, num_outputs)` for frames `(B, F, 3, H, W)`."""
        if frames.shape[1] != len(self.frames):
            raise ConfigurationError(
                f"the batch has {frames.shape[1]} frames a case, but the model takes "
                f"{len(self.frames)}: {', '.join(self.frames)}"
            )
        output: Tensor = self.head(self.backbone(frames))
        return output

    @abstractmethod
    def learn_population(self, ef: NDArray[np.float64], balanced_sampling: bool = False) -> None:
        """Take what is needed of TRAIN into buffers.

        Args:
            ef: `(n,)` EF in percent.
            balanced_sampling: Whether batches hold both classes alike.
        """

    @abstractmethod
    def case_outputs(self, output: Tensor) -> Cases:
        """Return what the head's raw output says of each case, `(B,)` float32 a name."""

    @abstractmethod
    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each case, `(B,)`."""

    @abstractmethod
    def epoch_metrics(self, cases: Cases) -> Metrics:
        """Return the metrics of a set of cases."""

    @abstractmethod
    def summary(self, cases: Cases) -> Summary:
        """Return the metrics with intervals and baseline."""

    def calibrate(self, cases: Cases) -> None:
        """Choose on VAL what is chosen on VAL; kept in buffers, so that checkpoints carry it."""

    def setup(self, stage: str) -> None:
        """Load the backbone's weights and look at TRAIN before training.

        Raises:
            WeightsError: The weights cannot be had.
            ConfigurationError: The backbone thaws later than distributed training can follow.
        """
        if stage != "fit":
            return
        if self.backbone_options.weights is not None:
            self.backbone.load(self.backbone_options.weights)
        datamodule = self._datamodule()
        ef = datamodule.split("TRAIN")["ef"].to_numpy(np.float64)
        self.learn_population(ef, datamodule.balanced)
        strategy = getattr(self.trainer.strategy, "_ddp_kwargs", None)
        thaws = self.backbone.freeze is not True and int(self.backbone.freeze) > 0
        if thaws and strategy is not None and not strategy.get("find_unused_parameters"):
            raise ConfigurationError(
                "model.backbone.freeze is a number of epochs, which several processes can follow "
                "only with --trainer.strategy ddp_find_unused_parameters_true"
            )

    def on_train_epoch_start(self) -> None:
        """Thaw the backbone when its time has come."""
        freeze = self.backbone.freeze
        if freeze is not True and self.backbone.frozen != (self.current_epoch < int(freeze)):
            self.backbone.set_frozen(self.current_epoch < int(freeze))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean loss of a batch."""
        loss = self.case_loss(self(batch["frames"]), batch).mean()
        self.log("train/loss", loss, on_step=True, on_epoch=True, batch_size=len(batch["row"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the cases of a batch."""
        self._collect(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the cases of a batch."""
        self._collect(batch)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Return `row` and the outputs of each case as CPU tensors, and the `failures`."""
        cases: dict[str, Any] = {"failures": batch.get("failures", [])}
        if "frames" in batch:
            said = {"row": batch["row"], **self.case_outputs(self(batch["frames"]))}
            cases.update({name: value.float().cpu() for name, value in said.items()})
            cases["row"] = batch["row"].cpu()
        return cases

    def on_validation_epoch_end(self) -> None:
        """Judge VAL, after choosing on it what is chosen on it."""
        self.cases = self._gather()
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.calibrate(self.cases)
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Judge TEST."""
        self.cases = self._gather()
        self._log_metrics("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint what it is a checkpoint of."""
        datamodule = getattr(self.trainer, "datamodule", None)
        seen = ("frames", "image_size", "remove_artifacts", "is_phantom")
        checkpoint["lvef"] = {
            "task": type(self).__name__,
            "hparams": dict(self.hparams),
            "data": {name: getattr(datamodule, name) for name in seen if datamodule is not None},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another task.

        Raises:
            CheckpointError: It holds another task.
        """
        held = checkpoint.get("lvef", {}).get("task")
        if held != type(self).__name__:
            raise CheckpointError(
                f"the checkpoint holds a {held or 'model of another package'}, not a "
                f"{type(self).__name__}"
            )
        if checkpoint["lvef"]["data"].get("is_phantom"):
            self.trained_on = "phantoms"

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW, slower for the backbone, with the schedule of the options."""
        chosen = self.optimizer_options
        optimizer = torch.optim.AdamW(self._parameter_groups(), lr=chosen.lr)
        if chosen.schedule == "constant":
            return optimizer
        if chosen.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer,
                mode=self.monitor_mode,  # type: ignore[arg-type]
                factor=0.2,
                patience=chosen.patience,
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "monitor": self.monitor},
            }
        if not np.isfinite(self.trainer.estimated_stepping_batches):
            raise ConfigurationError(
                "the cosine schedule needs an end: set --trainer.max_epochs, or choose "
                "--model.optimizer.schedule plateau or constant"
            )
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        epochs = max(self.trainer.max_epochs or 1, 1)
        warmup = max(1, min(round(chosen.warmup_epochs * steps / epochs), steps - 1))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
            return 0.5 * (1 + float(np.cos(np.pi * progress)))

        cosine = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

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

    def _collect(self, batch: Batch) -> None:
        output = self(batch["frames"])
        self.store.update(
            row=batch["row"],
            ef=batch["ef"],
            reduced=batch["reduced"],
            loss=self.case_loss(output, batch),
            **self.case_outputs(output),
        )

    def _gather(self) -> Cases:
        cases = self.store.cases()
        self.store.reset()
        return cases

    def _log_metrics(self, stage: str) -> None:
        metrics = {"loss": float(self.cases["loss"].double().mean())}
        metrics.update(self.epoch_metrics(self.cases))
        # Every process holds every case, so that there is nothing left to synchronise.
        self.log_dict(
            {f"{stage}/{name}": value for name, value in metrics.items()},
            prog_bar=False,
            sync_dist=False,
            batch_size=len(self.cases["row"]),
        )
        self.log(
            f"{stage}_monitor", metrics[self.monitor.split("/")[1]], prog_bar=True, logger=False
        )

    def _datamodule(self) -> Any:
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None:
            raise ConfigurationError("an EF task is trained with an EchoNetDataModule")
        return datamodule
