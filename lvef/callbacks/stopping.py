"""Early stopping that knows of an interruption."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import early_stopping
from lightning.pytorch.utilities import rank_zero_info

from lvef.errors import ConfigurationError


class EarlyStopping(early_stopping.EarlyStopping):
    """Lightning's, but for a fit that goes on.

    The patience is the one that is asked for, not the checkpoint's; a fit that had come to its end
    is not trained any further; and the end of an epoch that was judged before the interruption is
    not judged again.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take how long it has waited, and for what."""
        asked = self.patience
        super().load_state_dict(state_dict)
        self.patience = asked

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once where the checkpoint is of a fit that had stopped."""
        if self.wait_count and self.wait_count >= self.patience:
            rank_zero_info(
                f"{self.monitor} had not become better for {self.wait_count} validations, and the "
                "fit had stopped: give a larger --early_stopping.patience to go on"
            )
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge what VAL says."""
        if self._is_there(trainer):
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge what the epoch says."""
        if self._is_there(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def _is_there(self, trainer: Trainer) -> bool:
        """Return whether the metric is; it is not yet where a fit has only just gone on.

        Raises:
            ConfigurationError: There is no such metric.
        """
        known = trainer.callback_metrics
        validated = any(name.startswith("val/") for name in known)
        if self.strict and self.monitor not in known and validated and not trainer.sanity_checking:
            names = ", ".join(sorted(name for name in known if "/" in name))
            raise ConfigurationError(
                f"early_stopping.monitor is {self.monitor}, but a fit of this task logs {names}"
            )
        return self.monitor in known
