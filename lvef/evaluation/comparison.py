"""Is one model better than another on the same cases, or as good: paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.uint16]
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


def resampled(
    count: int, clusters: ArrayLike | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Counts:
    """Return how often each bootstrap resample holds each case, the same for all rows.

    Args:
        count: Cases.
        clusters: `(count,)` what cases are drawn in, such as their patients.
        resamples: How many times they are drawn anew.
        seed: Seed of the drawing.

    Returns:
        `(resamples, count)`.
    """
    of_case = np.arange(count)
    if clusters is not None:
        _, of_case = np.unique(np.asarray(clusters), return_inverse=True)
    units, rng = int(of_case.max(initial=-1)) + 1, np.random.default_rng(seed)
    drawn = np.empty((resamples, count), np.uint16)
    for rows in _parts(resamples, units):
        chosen = rng.integers(0, units, (rows.stop - rows.start, units))
        chosen += units * np.arange(len(chosen))[:, None]
        often = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape)
        drawn[rows] = often[:, of_case]
    return drawn


def bootstrap_mae(ef: Array, ef_true: Array, drawn: Counts) -> Array:
    """Return the mean absolute error of each resample, `(resamples,)`.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        drawn: See `resampled`.
    """
    error = np.abs(ef - ef_true)
    return np.concatenate(
        [drawn[rows] @ error / drawn[rows].sum(axis=1) for rows in _parts(*drawn.shape)]
    )


def bootstrap_auc(p_reduced: Array, reduced_true: Array, drawn: Counts) -> Array:
    """Return the ROC-AUC of each resample, NaN where one class is missing.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        drawn: See `resampled`.
    """
    order = np.argsort(p_reduced, kind="stable")
    positive = reduced_true[order] == 1
    _, first = np.unique(p_reduced[order], return_index=True)  # cases of one score tie
    return np.concatenate(
        [_auc(drawn[rows][:, order], positive, first) for rows in _parts(*drawn.shape)]
    )


def _auc(drawn: Counts, positive: NDArray[np.bool_], first: NDArray[np.int64]) -> Array:
    """Return the ROC-AUC of resamples of cases in the order of their scores.

    Args:
        drawn: How often each holds each case, `(resamples, n)`.
        positive: `(n,)`.
        first: The first case of each score.
    """
    few, rest = (
        np.add.reduceat(np.where(of, drawn, 0).astype(np.float64), first, axis=1)
        for of in (positive, ~positive)
    )
    above = (few * (rest.cumsum(axis=1) - rest / 2)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / (few.sum(axis=1) * rest.sum(axis=1)))


def _parts(resamples: int, width: int) -> list[slice]:
    """Return which resamples are worked on together, for the memory's sake."""
    at_a_time = max(1, _AT_A_TIME // max(width, 1))
    return [slice(i, min(i + at_a_time, resamples)) for i in range(0, resamples, at_a_time)]
