"""Is one model better than another on the same cases, or as good: paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
RESAMPLES = 10_000
"""So many that the smallest p of 66 comparisons can be below 0.05 after correction."""
_SIGNIFICANT = 0.05
_AT_A_TIME = 1_000_000


def compare(
    values: Mapping[str, float],
    scores: Mapping[str, Array],
    margin: float,
    lower_is_better: bool,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Say of every two rows whether one is better than the other, or as good.

    Equivalent are rows of which the 90 % interval of the difference lies within the margin: two
    one-sided tests at 5 % (Schuirmann, *J Pharmacokinet Biopharm* 15:657-680, 1987). Otherwise one
    is better where the p-value, corrected for all comparisons made here, is below 0.05; and where
    neither holds it is undecided. All of this is about the drawing of TEST's cases alone: what
    another training would give is not in it.

    Args:
        values: The metric by row.
        scores: The same of bootstrap resamples, `(resamples,)`; see `bootstrap_mae`.
        margin: Difference that matters to nobody.
        lower_is_better: Whether the metric is an error.

    Returns:
        By row and row: `difference`, its 90 and 95 % percentile intervals (`lower_90` ...), `p`,
        `p_holm`, and `verdict` of the first: better, worse, equivalent or undecided.
    """
    p_values = paired_p_values(scores)
    pairs = list(combinations(scores, 2))
    corrected = dict(zip(pairs, holm([p_values[a][b] for a, b in pairs]), strict=True))
    compared: dict[str, dict[str, dict[str, Any]]] = {}
    for one, other in (*pairs, *((b, a) for a, b in pairs)):
        p_holm = float(corrected[(one, other) if (one, other) in corrected else (other, one)])
        difference = values[one] - values[other]
        ends = _ends(scores[one] - scores[other])
        within = -margin < ends["lower_90"] and ends["upper_90"] < margin
        better = (difference < 0) == lower_is_better
        verdict = "undecided"
        if within:
            verdict = "equivalent"
        elif p_holm < _SIGNIFICANT:
            verdict = "better" if better else "worse"
        compared.setdefault(one, {})[other] = {
            "difference": difference, **ends, "p": p_values[one][other], "p_holm": p_holm,
            "verdict": verdict,
        }  # fmt: skip
    return compared


def holm(p_values: ArrayLike) -> Array:
    """Return p-values corrected for their number (Holm, *Scand J Statist* 6:65-70, 1979).

    Args:
        p_values: `(n,)` of all comparisons of a family.

    Returns:
        `(n,)` in the same order, at most 1: the chance of one false finding among all is no
        larger than the level that they are held against.
    """
    plain = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(plain, kind="stable")
    raised = np.maximum.accumulate(plain[order] * np.arange(len(plain), 0, -1))
    corrected = np.empty_like(plain)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def _ends(difference: Array) -> dict[str, float]:
    usable = difference[np.isfinite(difference)]
    if not len(usable):
        usable = np.array([np.nan])
    names, tails = ("lower_95", "lower_90", "upper_90", "upper_95"), (0.025, 0.05, 0.95, 0.975)
    return dict(zip(names, np.quantile(usable, tails).tolist(), strict=True))


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


def resampled(count: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
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
    at_a_time = max(1, _AT_A_TIME // drawn.shape[1])
    parts = [drawn[i : i + at_a_time] for i in range(0, len(drawn), at_a_time)]
    return np.concatenate([_auc(p_reduced[part], reduced_true[part]) for part in parts])


def _auc(p_reduced: Array, reduced_true: Array) -> Array:
    """Return the ROC-AUC of each row, by the ranks of its cases."""
    ranks = rankdata(p_reduced, axis=1)
    positive = reduced_true == 1
    few = positive.sum(axis=1).astype(float)
    rest = positive.shape[1] - few
    above = np.where(positive, ranks, 0.0).sum(axis=1) - few * (few + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / (few * rest))
