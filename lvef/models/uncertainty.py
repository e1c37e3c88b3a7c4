"""What VAL teaches about a model's mistakes, in buffers that travel with the checkpoint."""

from __future__ import annotations

from abc import abstractmethod
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvef.cardiac import REDUCED_EF, is_reduced, straddles_reduced
from lvef.evaluation.correction import Kind, learn_correction, out_of_fold, scores_of_both
from lvef.evaluation.logistic import recalibration
from lvef.evaluation.uncertainty import EF_RANGE, LEVEL, conformal_quantile, doubt
from lvef.models.buffers import LEAST, FittedBuffers, check_constant

MOST_FLAGGED = 0.5
"""Share of VAL above which a flag tells nobody where to look."""


class TaskCalibration(FittedBuffers):
    """What held-out cases taught."""

    def forget(self) -> None:
        """Know nothing, as before any fit."""
        for name in self.fitted_buffers:
            setattr(self, name, getattr(self, name).new_empty(0))

    @abstractmethod
    def held_out(self) -> tuple[Tensor, Tensor]:
        """Return the probabilities of EF <= 40 on VAL and the truth, `(n,)` each.

        Ordered by class; empty before any fit, and of regressors of version 0.1 at first.
        """

    def facts(self) -> dict[str, float]:
        """Return what was learned, by what it is in words."""
        return {}

    @abstractmethod
    def check(self) -> None:
        """Refuse what no fit leaves.

        Raises:
            DamagedError: A constant is none.
        """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.check()


class EFCalibration(TaskCalibration):
    """Scales the standard deviations of EF and makes split-conformal intervals of them.

    Where a model was recalibrated at another place it may also move the EF itself, by a straight
    line; a fit never does.

    Args:
        review_share: Share of VAL, the most uncertain by standard deviation, above which a case
            is flagged for review.
        level: Coverage of the interval that predictions state.
    """

    fitted_buffers = ("scores", "normal_risks", "reduced_risks")
    later_buffers = MappingProxyType(
        {"normal_risks": (), "reduced_risks": (), "rmse": float("nan"), "slope": 1.0, "offset": 0.0}
    )
    slope: Tensor
    offset: Tensor
    normal_risks: Tensor
    reduced_risks: Tensor
    std_factor: Tensor
    review_std: Tensor
    scores: Tensor
    rmse: Tensor

    def __init__(self, review_share: float, level: float = LEVEL) -> None:
        super().__init__()
        self.review_share = review_share
        self.level = level
        self.register_buffer("std_factor", torch.tensor(float("nan")))
        self.register_buffer("review_std", torch.tensor(float("inf")))
        self.register_buffer("rmse", torch.tensor(float("nan")))
        self.register_buffer("slope", torch.tensor(1.0))
        self.register_buffer("offset", torch.tensor(0.0))
        for name in self.fitted_buffers:
            self.register_buffer(name, torch.empty(0))

    @torch.inference_mode(False)  # or the buffers could never be written to again
    def fit(
        self,
        ef: Tensor,
        raw_std: Tensor,
        ef_true: Tensor,
        correction: Kind = "none",
        spread: Tensor | None = None,
        beat: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Learn from held-out cases, all `(n,)` in percent.

        The factor is the one with the best predictive density; the conformal scores are the
        residuals in standard deviations. With a correction both are of residuals that other cases
        corrected.

        Args:
            ef: Answers of the model itself; of clips with several beats their median.
            raw_std: Its own standard deviations, likewise.
            ef_true: The truth.
            correction: How the answers may be moved; see `learn_correction`.
            spread: Standard deviation of EF between the beats of each clip, which its stated
                standard deviation holds besides.
            beat: EF and standard deviation of one beat of each clip: then intervals hold of single
                beats, too.
        """
        truth = ef_true.double()
        learned = learn_correction(ef.numpy(), truth.numpy(), correction)
        self.slope.fill_(learned.slope)
        self.offset.fill_(learned.offset)
        said = torch.as_tensor(out_of_fold(ef.numpy(), truth.numpy(), correction))
        residual = (possible(said) - truth).abs()
        raw = raw_std.double()
        factor = (residual / raw).square().mean().sqrt().clamp(min=1e-6)
        self.std_factor.fill_(float(factor))
        self.rmse.fill_(float(residual.square().mean().sqrt()))
        std = raw * factor
        scores = residual / (std if spread is None else torch.hypot(std, spread.double()))
        if beat is not None:
            own = possible(said + learned.slope * (beat[0] - ef).double()) - truth
            scores = torch.as_tensor(scores_of_both(scores, own.abs() / (factor * beat[1])))
        self.scores = scores.sort().values.float().to(self.std_factor.device)
        self.review_std.fill_(float(torch.quantile(std, 1 - self.review_share)))
        risks = self.risk(possible(said).to(ef), std.to(ef)).to(self.scores.device)
        reduced = torch.as_tensor(is_reduced(ef_true.cpu().numpy())).to(risks.device)
        self.normal_risks, self.reduced_risks = risks[~reduced], risks[reduced]

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Return the probabilities of EF <= 40 on VAL and the truth, `(n,)` each."""
        return _by_class(self.normal_risks, self.reduced_risks)

    def facts(self) -> dict[str, float]:
        """Return what was learned, by what it is in words."""
        return {
            "factor of the standard deviation": float(self.std_factor),
            "reach of the interval, standard deviations": conformal_quantile(
                self.scores.cpu().numpy(), self.level
            ),
            "EF times": float(self.slope),
            "EF plus": float(self.offset),
        }

    def check(self) -> None:
        """Refuse what no fit leaves.

        Raises:
            DamagedError: A constant is none.
        """
        check_constant("slope of EF", self.slope)
        check_constant("shift of EF", self.offset)
        check_constant("conformal scores", self.scores, 0)
        check_constant("risks on VAL", self.held_out()[0], 0, 1)
        if len(self.scores):  # before any fit they are unknown
            check_constant("factor of the standard deviation", self.std_factor, LEAST)
            check_constant("cut of the review flag", self.review_std, 0)
        if not bool(torch.isnan(self.rmse)):  # version 0.1 did not know it
            check_constant("RMSE on VAL", self.rmse, 0)

    def forget(self) -> None:
        """Know nothing, as before any fit."""
        super().forget()
        self.std_factor.fill_(float("nan"))
        self.rmse.fill_(float("nan"))
        self.slope.fill_(1.0)
        self.offset.fill_(0.0)
        self.review_std.fill_(float("inf"))

    def corrected(self, ef: Tensor) -> Tensor:
        """Return EF as it is said, `(n,)` in percent, of what the model itself answers."""
        return self.slope.to(ef) * ef + self.offset.to(ef)

    def std(self, raw_std: Tensor) -> Tensor:
        """Return standard deviations that fit the held-out residuals; NaN before any fit."""
        return raw_std * self.std_factor.to(raw_std)

    def risk(self, ef: Tensor, std: Tensor) -> Tensor:
        """Return the probability of EF <= 40 of a normal distribution, `(n,)`."""
        risk: Tensor = torch.special.ndtr((REDUCED_EF - ef) / std)
        return risk

    def interval(
        self, ef: Tensor, std: Tensor, level: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the ends of conformal intervals, `(n,)` each, within 0..100.

        Args:
            ef: `(n,)` in percent, within 0..100: see `possible`.
            std: `(n,)` in percent.
            level: Coverage; that of `self` by default.
        """
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
    """Temperature and intercept of the log odds, and class-conditional conformal sets of classes.

    Args:
        review_share: Share of VAL, the most doubtful, that is flagged where the conformal sets
            would flag more than half of it.
        level: Coverage of the sets.
    """

    fitted_buffers = ("normal_scores", "reduced_scores")
    later_buffers = MappingProxyType({"intercept": 0.0, "review_doubt": float("nan")})
    temperature: Tensor
    intercept: Tensor
    review_doubt: Tensor
    normal_scores: Tensor
    reduced_scores: Tensor

    def __init__(self, review_share: float, level: float = LEVEL) -> None:
        super().__init__()
        self.review_share = review_share
        self.level = level
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("intercept", torch.tensor(0.0))
        self.register_buffer("review_doubt", torch.tensor(float("nan")))
        self.register_buffer("normal_scores", torch.empty(0))
        self.register_buffer("reduced_scores", torch.empty(0))

    @torch.inference_mode(False)
    def fit(self, log_odds: Tensor, reduced_true: Tensor) -> None:
        """Learn from held-out cases: log odds of EF <= 40 and classes, `(n,)` each."""
        temperature, intercept = recalibration(log_odds.numpy(), reduced_true.numpy())
        self.temperature.fill_(temperature)
        self.intercept.fill_(intercept)
        probability = self.probability(log_odds)
        truth = reduced_true.bool()
        device = self.temperature.device
        self.normal_scores = probability[~truth].sort().values.float().to(device)
        self.reduced_scores = (1 - probability[truth]).sort().values.float().to(device)

    @torch.inference_mode(False)
    def choose_review(self, threshold: float) -> float:
        """Choose what is flagged, once VAL has chosen the threshold.

        Returns:
            The share of VAL that the conformal sets flag. Above `MOST_FLAGGED` they tell nobody
            where to look, and `review_share` of VAL, the most doubtful, are flagged in their place.
        """
        self.review_doubt.fill_(float("nan"))
        probability, _ = self.held_out()
        share = float(self.review(probability, threshold).mean())
        if share > MOST_FLAGGED:
            doubts = doubt(probability.numpy(), threshold)
            self.review_doubt.fill_(float(np.quantile(doubts, 1 - self.review_share)))
        return share

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Return the probabilities of EF <= 40 on VAL and the truth, `(n,)` each."""
        return _by_class(self.normal_scores, 1 - self.reduced_scores)

    def facts(self) -> dict[str, float]:
        """Return what was learned, by what it is in words."""
        return {"temperature": float(self.temperature), "intercept": float(self.intercept)}

    def check(self) -> None:
        """Refuse what no fit leaves.

        Raises:
            DamagedError: A constant is none.
        """
        check_constant("temperature", self.temperature, LEAST)
        check_constant("intercept", self.intercept)
        check_constant("conformal scores", self.normal_scores, 0, 1)
        check_constant("conformal scores", self.reduced_scores, 0, 1)
        if not bool(torch.isnan(self.review_doubt)):  # where sets of classes flag
            check_constant("cut of the review flag", self.review_doubt, 0)

    def forget(self) -> None:
        """Know nothing, as before any fit."""
        super().forget()
        self.temperature.fill_(1.0)
        self.intercept.fill_(0.0)
        self.review_doubt.fill_(float("nan"))

    def probability(self, log_odds: Tensor) -> Tensor:
        """Return the calibrated probability of EF <= 40, `(n,)`."""
        scaled = log_odds / self.temperature.to(log_odds)
        return torch.sigmoid(scaled + self.intercept.to(log_odds))

    def log_odds(self, probability: float) -> float:
        """Return the log odds that have a calibrated probability."""
        odds = float(torch.logit(torch.tensor(probability, dtype=torch.float64)))
        return (odds - float(self.intercept)) * float(self.temperature)

    def review(self, probability: Tensor, threshold: float) -> Tensor:
        """Return 1 where a human should look, `(n,)`.

        That is where the class that is called is not the only plausible one (Vovk, ML 2013), or,
        where that would be most cases, where the call is most doubtful.

        Args:
            probability: `(n,)` probability of EF <= 40.
            threshold: Probability from which a case is called reduced.
        """
        if bool(torch.isfinite(self.review_doubt)):
            doubts = torch.as_tensor(doubt(probability.numpy(), threshold))
            # A rounding apart is not more doubtful: where all are alike, nobody is flagged.
            return (doubts > float(self.review_doubt) * (1 + 1e-5)).float()
        as_normal = conformal_quantile(self.normal_scores.cpu().numpy(), self.level)
        as_reduced = conformal_quantile(self.reduced_scores.cpu().numpy(), self.level)
        normal, reduced = probability <= as_normal, 1 - probability <= as_reduced
        called = probability >= threshold
        return ((reduced != called) | (normal == called)).float()


def possible(ef: Tensor) -> Tensor:
    """Return the nearest EF that there can be, `(n,)`, within 0..100.

    No truth lies beyond, so that it is never farther from the truth, and an interval around it
    holds the truth whenever one as wide around the other does.
    """
    return ef.clamp(*EF_RANGE)


def reduced_calls(ef: Tensor) -> Tensor:
    """Return 1 where a predicted EF is reduced, `(n,)` float."""
    return torch.as_tensor(np.asarray(is_reduced(ef.cpu().numpy()), dtype=np.float32))


def _by_class(normal: Tensor, reduced: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities of both classes one after the other, and 1 where reduced."""
    truth = torch.cat([torch.zeros(len(normal)), torch.ones(len(reduced))])
    return torch.cat([normal, reduced]).cpu(), truth
