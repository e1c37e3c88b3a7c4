"""Is one model better than another on the same cases: paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
_RESAMPLES = 2000


def paired_p_values(scores: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Return two-sided bootstrap p-values of differences between rows.

    Args:
        scores: By row, a metric of the same bootstrap resamples, `(resamples,)`; see
            `bootstrap_mae` and `bootstrap_auc`.

    Returns:
        p by row and row: twice the smaller share of resamples on one side of zero, ties counted
        on both, and never below 2 / (resamples + 1).
    """
    values: dict[str, dict[str, float]] = {}
    for one, mine in scores.items():
        for other, theirs in scores.items():
            if one == other:
                continue
            difference = mine - theirs
            usable = difference[np.isfinite(difference)]
            tail = min(int((usable <= 0).sum()), int((usable >= 0).sum()))
            p = min(1.0, 2 * (tail + 1) / (len(usable) + 1))
            values.setdefault(one, {})[other] = p
    return values


def resampled(count: int, resamples: int = _RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """Return the cases of each bootstrap resample, `(resamples, count)`, the same for all rows."""
    return np.random.default_rng(seed).integers(0, count, (resamples, count))


def bootstrap_mae(ef: Array, ef_true: Array, drawn: NDArray[np.int64]) -> Array:
    """Return the mean absolute error of each resample, `(resamples,)`.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        drawn: See `resampled`.
    """
    return np.asarray(np.abs(ef - ef_true)[drawn].mean(axis=1))


def bootstrap_auc(p_reduced: Array, reduced_true: Array, drawn: NDArray[np.int64]) -> Array:
    """Return the ROC-AUC of each resample, NaN where one class is missing.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        drawn: See `resampled`.
    """
    ranks = rankdata(p_reduced[drawn], axis=1)
    positive = reduced_true[drawn] == 1
    few = positive.sum(axis=1).astype(float)
    rest = positive.shape[1] - few
    above = np.where(positive, ranks, 0.0).sum(axis=1) - few * (few + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / (few * rest))
