"""What every task shares: its monitor, and what a checkpoint says of itself."""

from __future__ import annotations

from typing import Any, ClassVar

from lightning import LightningModule

from lvef.errors import CheckpointError, ConfigurationError


class Task(LightningModule):
    """Base of all tasks.

    Attributes:
        monitor: The VAL metric that chooses the best checkpoint.
        monitor_mode: Whether it is best when `max` or `min`.
        smallest_batch: Cases that a batch of training needs; batch norm learns nothing from one.
        trained_on: "phantoms" when they taught the checkpoint that was loaded, the weights that
            training started from, or any member of an ensemble, else empty.
        patients: Whether clips of patients, or what nobody knows, took part in teaching what was
            loaded.
    """

    monitor: ClassVar[str]
    monitor_mode: ClassVar[str]
    smallest_batch: ClassVar[int] = 2
    trained_on: str = ""
    patients: bool = False

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

    def _datamodule(self) -> Any:
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None:
            raise ConfigurationError("a task of this package is trained with an EchoNetDataModule")
        return datamodule
