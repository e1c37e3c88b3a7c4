"""EF in percent: the regression task that gradient descent trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional

from lvef.models.base import Batch, Cases
from lvef.models.options import (
    BackboneOptions,
    HeadOptions,
    OptimizerOptions,
    UncertaintyOptions,
    options,
    plain,
)
from lvef.models.predictor import EFPredictor
from lvef.models.trained import TrainedTask


class EFRegressor(EFPredictor, TrainedTask):
    """Predicts EF in percent from key frames.

    The head works in standard deviations of TRAIN and starts at its mean. Its uncertainty is the
    spread of the residuals on VAL, the same for every case.

    Args:
        frames: Names of the frames of a case; taken from the data module.
        backbone: The shared backbone.
        head: The head.
        optimizer: The optimiser and its schedule.
        loss: huber (linear beyond one standard deviation), mse or mae.
        uncertainty: Level of the stated interval, and what is flagged for review.
    """

    num_outputs = 1

    def __init__(
        self,
        frames: list[str] = ["ESF"],  # noqa: B006
        backbone: BackboneOptions = BackboneOptions(),  # noqa: B008
        head: HeadOptions = HeadOptions(),  # noqa: B008
        optimizer: OptimizerOptions = OptimizerOptions(),  # noqa: B008
        loss: Literal["huber", "mse", "mae"] = "huber",
        uncertainty: UncertaintyOptions = UncertaintyOptions(),  # noqa: B008
    ) -> None:
        super().__init__(
            frames,
            backbone,
            head,
            optimizer,
            loss=loss,
            uncertainty=plain(options(UncertaintyOptions, uncertainty)),
        )
        self.loss = loss
        self.add_population(uncertainty)

    def raw_answer(self, output: Tensor) -> Cases:
        """Return EF in percent, and the spread of TRAIN, which VAL scales to the residuals'."""
        ef = self.ef_mean + self.ef_scale * output[:, 0]
        return {"ef": ef, "raw_std": self.ef_scale.expand_as(ef)}

    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each case in standard deviations of TRAIN."""
        target = (batch["ef_true"] - self.ef_mean) / self.ef_scale
        functions: dict[str, Callable[..., Tensor]] = {
            "huber": functional.smooth_l1_loss,
            "mse": functional.mse_loss,
            "mae": functional.l1_loss,
        }
        return functions[self.loss](output[:, 0], target, reduction="none")
