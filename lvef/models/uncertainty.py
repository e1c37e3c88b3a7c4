"""What VAL teaches about a model's mistakes, in buffers that travel with the checkpoint."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from lvef.cardiac import is_reduced, straddles_reduced
from lvef.evaluation.uncertainty import EF_RANGE, LEVEL, conformal_quantile, temperature
from lvef.models.buffers import FittedBuffers


class TaskCalibration(FittedBuffers):
    """What held-out cases taught."""

    def forget(self) -> None:
        """Know nothing, as before any fit."""
        for name in self.fitted_buffers:
            setattr(self, name, getattr(self, name).new_empty(0))


class EFCalibration(TaskCalibration):
    """Scales the standard deviations of EF and makes split-conformal intervals of them.

    Args:
        review_share: Share of VAL, the most uncertain by standard deviation, above which a case
            is flagged for review.
        level: Coverage of the interval that predictions state.
    """

    fitted_buffers = ("scores",)
    std_factor: Tensor
    review_std: Tensor
    scores: Tensor
    rmse: Tensor
    later_buffers = MappingProxyType({"rmse": float("nan")})

    def __init__(self, review_share: float, level: float = LEVEL) -> None:
        super().__init__()
        self.review_share = review_share
        self.level = level
        self.register_buffer("std_factor", torch.tensor(float("nan")))
        self.register_buffer("review_std", torch.tensor(float("inf")))
        self.register_buffer("scores", torch.empty(0))
        self.register_buffer("rmse", torch.tensor(float("nan")))

    @torch.inference_mode(False)  # or the buffers could never be written to again
    def fit(self, ef: Tensor, raw_std: Tensor, ef_true: Tensor) -> None:
        """Learn from held-out cases, all `(n,)` in percent.

        The factor is the one with the best predictive density; the conformal scores are the
        residuals in standard deviations.
        """
        residual = (ef.double() - ef_true.double()).abs()
        raw = raw_std.double()
        factor = (residual / raw).square().mean().sqrt().clamp(min=1e-6)
        self.std_factor.fill_(float(factor))
        self.rmse.fill_(float(residual.square().mean().sqrt()))
        std = raw * factor
        self.scores = (residual / std).sort().values.float().to(self.std_factor.device)
        self.review_std.fill_(float(torch.quantile(std, 1 - self.review_share)))

    def forget(self) -> None:
        """Know nothing, as before any fit."""
        super().forget()
        self.std_factor.fill_(float("nan"))
        self.rmse.fill_(float("nan"))
        self.review_std.fill_(float("inf"))

    def std(self, raw_std: Tensor) -> Tensor:
        """Return standard deviations that fit the held-out residuals; NaN before any fit."""
        return raw_std * self.std_factor.to(raw_std)

    def interval(
        self, ef: Tensor, std: Tensor, level: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the ends of conformal intervals, `(n,)` each, within 0..100."""
        if not bool(torch.isfinite(self.std_factor)):
            nothing = torch.full_like(ef, float("nan"))
            return nothing, nothing
        reach = conformal_quantile(self.scores.cpu().numpy(), level or self.level)
        lower, upper = ef - reach * std, ef + reach * std
        return lower.clamp(*EF_RANGE), upper.clamp(*EF_RANGE)

    def review(self, lower: Tensor, upper: Tensor, std: Tensor) -> Tensor:
        """Return 1 where the interval straddles EF 40 or the spread is among VAL's largest."""
        straddles: Tensor = straddles_reduced(lower, upper)
        # A rounding apart is not larger: a constant spread flags nobody.
        large = std > self.review_std.to(std) * (1 + 1e-5)
        return (straddles | large | ~torch.isfinite(std)).float()


class ClassCalibration(TaskCalibration):
    """Temperature of the log odds, and class-conditional conformal sets of classes."""

    fitted_buffers = ("normal_scores", "reduced_scores")
    temperature: Tensor
    normal_scores: Tensor
    reduced_scores: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("normal_scores", torch.empty(0))
        self.register_buffer("reduced_scores", torch.empty(0))

    @torch.inference_mode(False)
    def fit(self, log_odds: Tensor, reduced_true: Tensor) -> None:
        """Learn from held-out cases: log odds of EF <= 40 and classes, `(n,)` each."""
        self.temperature.fill_(temperature(log_odds.numpy(), reduced_true.numpy()))
        probability = self.probability(log_odds)
        truth = reduced_true.bool()
        device = self.temperature.device
        self.normal_scores = probability[~truth].sort().values.float().to(device)
        self.reduced_scores = (1 - probability[truth]).sort().values.float().to(device)

    def forget(self) -> None:
        """Know nothing, as before any fit."""
        super().forget()
        self.temperature.fill_(1.0)

    def probability(self, log_odds: Tensor) -> Tensor:
        """Return the calibrated probability of EF <= 40, `(n,)`."""
        return torch.sigmoid(log_odds / self.temperature.to(log_odds))

    def review(self, probability: Tensor, level: float = LEVEL) -> Tensor:
        """Return 1 where not exactly one class is plausible at a level (Vovk, ML 2013)."""
        as_normal = conformal_quantile(self.normal_scores.cpu().numpy(), level)
        as_reduced = conformal_quantile(self.reduced_scores.cpu().numpy(), level)
        plausible = (probability <= as_normal).int() + (1 - probability <= as_reduced).int()
        return (plausible != 1).float()


def reduced_calls(ef: Tensor) -> Tensor:
    """Return 1 where a predicted EF is reduced, `(n,)` float."""
    return torch.as_tensor(np.asarray(is_reduced(ef.cpu().numpy()), dtype=np.float32))
