"""Is the stated uncertainty true: conformal intervals, proper scores, calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from scipy.stats import norm

from lvef.evaluation.logistic import calibration_line, observed_to_expected
from lvef.evaluation.resampling import Metrics

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Levels at which coverage is reported."""
LEVEL = 0.9
"""Level of the interval that predictions show."""
EF_RANGE = (0.0, 100.0)
_CALIBRATION_BINS = 10


def normal_reach(level: ArrayLike) -> NDArray[np.float64]:
    """Return the standard deviations on either side of a normal mean that hold a share `level`."""
    return np.asarray(norm.ppf(0.5 + np.asarray(level, dtype=np.float64) / 2))


def conformal_quantile(scores: ArrayLike, level: float) -> float:
    """Return the split-conformal quantile of held-out scores.

    A new score, exchangeable with them, is below it with probability `level` at least (Vovk et
    al., *Algorithmic Learning in a Random World*, 2005; Lei et al., JASA 2018).

    Args:
        scores: `(n,)` of held-out cases, such as residuals in standard deviations.
        level: Coverage wanted, in 0..1.

    Returns:
        The ceil((n + 1) level)-th smallest score; infinity where there are too few.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil((len(ordered) + 1) * level - 1e-9)
    return float(ordered[max(rank, 1) - 1]) if rank <= len(ordered) else math.inf


def interval_metrics(
    ef: ArrayLike,
    ef_std: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    ef_true: ArrayLike,
    levels: Sequence[float] = LEVELS,
) -> Metrics:
    """Measure how true a stated uncertainty of EF is.

    Args:
        ef: `(n,)` in percent.
        ef_std: `(n,)` standard deviation of the prediction.
        lower: `(n, L)` lower ends of the intervals at `levels`.
        upper: `(n, L)` upper ends.
        ef_true: `(n,)` truth in percent.
        levels: Their nominal coverages.

    Returns:
        coverage_50 and so on, width_90 (mean width of that interval in EF points), nlpd
        (negative log predictive density) and crps (continuous ranked probability score, in EF
        points; Gneiting & Raftery, JASA 2007), both of a normal distribution.
    """
    truth = np.asarray(ef_true, dtype=np.float64)
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    inside = (low <= truth[:, None]) & (truth[:, None] <= high)
    metrics = {
        f"coverage_{100 * level:.0f}": float(inside[:, i].mean()) for i, level in enumerate(levels)
    }
    chosen = list(levels).index(LEVEL)
    metrics["width_90"] = float((high - low)[:, chosen].mean())
    mean, std = np.asarray(ef, dtype=np.float64), np.asarray(ef_std, dtype=np.float64)
    z = (truth - mean) / std
    metrics["nlpd"] = float(-norm.logpdf(truth, mean, std).mean())
    crps = std * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi))
    metrics["crps"] = float(crps.mean())
    return metrics


def probability_metrics(p_reduced: ArrayLike, reduced_true: ArrayLike) -> Metrics:
    """Measure how true stated probabilities are.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.

    Returns:
        ece (expected calibration error over ten bins), brier (mean squared error), log_loss,
        calibration_slope, calibration_intercept and observed_expected (see
        `lvef.evaluation.logistic`).
    """
    # Seconds, in every process that analyses clips and needs no more than the level above.
    from torchmetrics.functional.classification import binary_calibration_error

    probability = np.asarray(p_reduced, dtype=np.float64)
    truth = np.asarray(reduced_true, dtype=np.float64)
    safe = np.clip(probability, 1e-12, 1 - 1e-12)
    error = binary_calibration_error(
        torch.as_tensor(probability), torch.as_tensor(truth).long(), n_bins=_CALIBRATION_BINS
    )
    slope, intercept = calibration_line(probability, truth)
    return {
        "ece": float(error),
        "brier": float(((probability - truth) ** 2).mean()),
        "log_loss": float(-(truth * np.log(safe) + (1 - truth) * np.log(1 - safe)).mean()),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "observed_expected": observed_to_expected(probability, truth),
    }


def doubt(p_reduced: ArrayLike, threshold: ArrayLike = 0.5) -> NDArray[np.float64]:
    """Return how near the decision each case is, in 0..1; 1 is a coin toss.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        threshold: Probability from which a case is called reduced, `(n,)` where each has its own.
    """
    probability = np.clip(np.asarray(p_reduced, dtype=np.float64), 1e-9, 1 - 1e-9)
    cut = np.clip(np.asarray(threshold, dtype=np.float64), 1e-9, 1 - 1e-9)
    distance = np.log(probability / (1 - probability)) - np.log(cut / (1 - cut))
    return np.asarray(2 * expit(-np.abs(distance)))
