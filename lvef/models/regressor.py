"""EF in percent: the regression task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor
from torch.nn import functional

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.metrics import Metrics, regression_metrics
from lvef.evaluation.summary import Summary, summarise_regression
from lvef.models.base import Batch, Cases, EFTask
from lvef.models.options import BackboneOptions, HeadOptions, OptimizerOptions

_INTERVAL = float(norm.ppf(0.95))
"""Standard deviations on either side that hold 90 % of a normal distribution."""


class EFRegressor(EFTask):
    """Predicts EF in percent from key frames.

    The head works in standard deviations of TRAIN and starts at its mean. Its uncertainty is the
    spread of the residuals on VAL, the same for every case.

    Args:
        frames: Names of the frames of a case; taken from the data module.
        backbone: The shared ResNet-50.
        head: The MLP head.
        optimizer: AdamW and its schedule.
        loss: huber (linear beyond one standard deviation), mse or mae.
    """

    monitor = "val/mae"
    monitor_mode = "min"
    baseline = "always the mean"
    num_outputs = 1
    outputs = ("ef_predicted",)
    ef_mean: Tensor
    ef_scale: Tensor
    residual_std: Tensor

    def __init__(
        self,
        frames: list[str] = ["ESF"],  # noqa: B006
        backbone: BackboneOptions = BackboneOptions(),  # noqa: B008
        head: HeadOptions = HeadOptions(),  # noqa: B008
        optimizer: OptimizerOptions = OptimizerOptions(),  # noqa: B008
        loss: Literal["huber", "mse", "mae"] = "huber",
    ) -> None:
        super().__init__(frames, backbone, head, optimizer, loss=loss)
        self.loss = loss
        self.register_buffer("ef_mean", torch.tensor(50.0))
        self.register_buffer("ef_scale", torch.tensor(1.0))
        self.register_buffer("residual_std", torch.tensor(float("nan")))

    def learn_population(self, ef: NDArray[np.float64], balanced_sampling: bool = False) -> None:
        """Take mean and spread of EF from TRAIN."""
        self.ef_mean.fill_(float(ef.mean()))
        self.ef_scale.fill_(float(ef.std()) if ef.std() > 0 else 1.0)

    def case_outputs(self, output: Tensor) -> Cases:
        """Return EF in percent."""
        return {"ef_predicted": self.ef_mean + self.ef_scale * output[:, 0]}

    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each case in standard deviations of TRAIN."""
        target = (batch["ef"] - self.ef_mean) / self.ef_scale
        functions: dict[str, Callable[..., Tensor]] = {
            "huber": functional.smooth_l1_loss,
            "mse": functional.mse_loss,
            "mae": functional.l1_loss,
        }
        return functions[self.loss](output[:, 0], target, reduction="none")

    def calibrate(self, cases: Cases) -> None:
        """Take the spread of the residuals on VAL."""
        residual = cases["ef_predicted"].double() - cases["ef"].double()
        self.residual_std.fill_(float(residual.square().mean().sqrt()))

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Return EF with its standard deviation, 90 % interval and probability of EF <= 40.

        All are `(B,)` CPU tensors in percent but `p_reduced`; NaN before VAL was ever judged.
        """
        cases = super().predict_step(batch, batch_idx)
        if "ef_predicted" in cases:
            ef = cases.pop("ef_predicted")
            std = self.residual_std.float().cpu().expand_as(ef)
            lower, upper = ef - _INTERVAL * std, ef + _INTERVAL * std
            cases.update(
                ef=ef,
                ef_std=std,
                ef_lower=lower,
                ef_upper=upper,
                p_reduced=torch.special.ndtr((REDUCED_EF - ef) / std),
                reduced=(ef <= REDUCED_EF).float(),
                review=((lower <= REDUCED_EF) & (upper > REDUCED_EF)).float(),
            )
        return cases

    def epoch_metrics(self, cases: Cases) -> Metrics:
        """Return the regression metrics."""
        return regression_metrics(cases["ef_predicted"].numpy(), cases["ef"].numpy())

    def summary(self, cases: Cases) -> Summary:
        """Return the metrics with intervals, beside always answering with the mean of TRAIN."""
        return summarise_regression(
            cases["ef_predicted"].numpy(), cases["ef"].numpy(), float(self.ef_mean)
        )
