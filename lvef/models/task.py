"""What every task shares: its monitor, and what a checkpoint says of itself."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lvef.errors import CheckpointError, ConfigurationError


class Task(LightningModule):
    """Base of all tasks.

    Attributes:
        monitor: The VAL metric that chooses the best checkpoint; see `watch`.
        monitor_mode: Whether it is best when `max` or `min`.
        source: Where the weights come from: a checkpoint, or a fit; empty where nobody taught them.
        smallest_batch: Cases that a batch of training needs; batch norm learns nothing from one.
        trained_on: "phantoms" when they taught the checkpoint that was loaded, the weights that
            training started from, or any member of an ensemble, else empty.
        patients: Whether clips of patients, or what nobody knows, took part in teaching what was
            loaded.
    """

    monitor: str
    monitor_mode: str
    source: str = ""
    smallest_batch: ClassVar[int] = 2
    finds_beats: ClassVar[bool] = False
    trained_on: str = ""
    patients: bool = False

    def watch(self, monitor: str, mode: Literal["min", "max"]) -> None:
        """Let another metric of VAL choose the best epoch of this fit, and end it.

        Args:
            monitor: The metric.
            mode: Whether it is best when `max` or `min`.
        """
        for callback in getattr(self.trainer, "callbacks", []):
            if getattr(callback, "monitor", None) != self.monitor:
                continue
            worst = torch.tensor(torch.inf if mode == "min" else -torch.inf)
            if isinstance(callback, ModelCheckpoint):
                callback.monitor, callback.mode, callback.kth_value = monitor, mode, worst
            if isinstance(callback, EarlyStopping):
                callback.monitor, callback.mode, callback.best_score = monitor, mode, worst
                callback.min_delta = abs(callback.min_delta) * (1 if mode == "max" else -1)
        self.monitor, self.monitor_mode = monitor, mode

    def on_train_end(self) -> None:
        """Know that somebody taught the weights."""
        self.source = "a fit in the same process"

    def on_test_start(self) -> None:
        """Refuse to judge what nobody taught."""
        self._refuse_untaught()

    def on_predict_start(self) -> None:
        """Refuse to predict by what nobody taught."""
        self._refuse_untaught()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint what it is a checkpoint of."""
        datamodule = getattr(self.trainer, "datamodule", None)
        seen = ("frames", "image_size", "remove_artifacts", "is_phantom")
        checkpoint["lvef"] = {
            "task": type(self).__name__,
            "hparams": dict(self.hparams),
            "data": {name: getattr(datamodule, name) for name in seen if datamodule is not None},
            # Also where a later fit, on patients, went on from what phantoms taught.
            "trained_on": self.trained_on,
            "patients": self.patients or not getattr(datamodule, "is_phantom", False),
            # How it was judged on VAL, so that this can be tried again.
            "figures": {
                name: float(value)
                for name, value in self.trainer.callback_metrics.items()
                if name.startswith("val/")
            },
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
        about = checkpoint["lvef"]
        if about["data"].get("is_phantom"):
            self.trained_on = "phantoms"
        elif about.get("trained_on"):
            self.trained_on = about["trained_on"]
        self.patients = about.get("patients", not about["data"].get("is_phantom"))
        path = getattr(self._trainer, "ckpt_path", None)
        self.source = str(path or self.source or "a checkpoint")

    def _refuse_untaught(self) -> None:
        """Raise where no checkpoint was loaded and nothing was fitted.

        Raises:
            CheckpointError: So it is.
        """
        if not self.source:
            raise CheckpointError(
                f"this {type(self).__name__} has the weights that it was made with: give a "
                "checkpoint with --ckpt_path, or fit it first"
            )

    def _datamodule(self) -> Any:
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None:
            raise ConfigurationError("a task of this package is trained with an EchoNetDataModule")
        return datamodule
