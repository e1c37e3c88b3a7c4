"""Which cases a human should look at, and whether flagging them pays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import fisher_exact

from lvef.evaluation.intervals import proportion_interval

SIGNIFICANT = 0.05
"""Above such a p-value the flag may be worth nothing."""
EF_BANDS = (0, 30, 35, 40, 45, 50, 55, 60, 100)
"""Limits of the bands of true EF; a band holds its upper limit, as EF <= 40 is reduced."""
BORDERLINE = (35, 45)
_CURVE_POINTS = 21


def review_report(
    wrong: ArrayLike,
    review: ArrayLike,
    doubt: ArrayLike,
    ef_true: ArrayLike,
    absolute_error: ArrayLike | None = None,
    nearness: ArrayLike | None = None,
) -> dict[str, Any]:
    """Say what the review flag is worth, and where the misclassifications lie.

    Args:
        wrong: `(n,)` whether the call at EF 40 is wrong.
        review: `(n,)` whether the case is flagged.
        doubt: `(n,)` the more, the less certain.
        ef_true: `(n,)` true EF in percent.
        absolute_error: `(n,)` in EF points, for regressors.
        nearness: `(n,)` the more, the nearer an answer is to the cut, without any uncertainty;
            `doubt` by default.

    Returns:
        `share_flagged`, `flagged` and `unflagged` (number of cases, error rate and its interval,
        MAE), `error_rate_ratio`, `p_value` (one-sided, Fisher's exact test: flagged cases are no
        more often wrong than the others), `baseline` (the two groups where as many cases are
        flagged by their nearness to the cut), `bands`, `borderline` and `error_rejection`.
    """
    mistakes = np.asarray(wrong, dtype=bool)
    flags, truth = np.asarray(review, dtype=bool), np.asarray(ef_true, dtype=np.float64)
    error = None if absolute_error is None else np.asarray(absolute_error, dtype=np.float64)
    groups = _groups(flags, mistakes, error)
    near = np.asarray(doubt if nearness is None else nearness, dtype=np.float64)
    nearest = np.zeros(len(flags), dtype=bool)
    nearest[np.argsort(-near, kind="stable")[: int(flags.sum())]] = True
    of_flagged, of_rest = groups["flagged"]["error_rate"], groups["unflagged"]["error_rate"]
    ratio = of_flagged / of_rest if of_rest and of_flagged is not None else None
    rejected, remaining = error_rejection(mistakes, doubt)
    return {
        "share_flagged": float(flags.mean()),
        **groups,
        "error_rate_ratio": ratio,
        "p_value": _no_more_often(groups),
        "baseline": _groups(nearest, mistakes, error),
        "bands": errors_by_band(mistakes, truth),
        "borderline": _share_in(mistakes, truth, *BORDERLINE),
        "error_rejection": {"rejected": rejected.tolist(), "error_rate": remaining.tolist()},
    }


def format_review(report: dict[str, Any]) -> list[str]:
    """Return what `review_report` found, in a few lines; of an earlier version's too."""
    flagged, rest, zone = report["flagged"], report["unflagged"], report["borderline"]
    lines = [
        f"flagged for review: {flagged['cases']} ({100 * report['share_flagged']:.0f} %)"
        f", misclassified {_rate(flagged)} of them and {_rate(rest)} of the others"
    ]
    baseline = report.get("baseline")
    if baseline is not None and flagged["cases"] and rest["cases"]:
        nearest, others = baseline["flagged"], baseline["unflagged"]
        lines.append(
            f"flagging as many by nearness to the cut alone: {_percent(nearest['error_rate'])} of "
            f"them and {_percent(others['error_rate'])} of the others"
        )
    p_value = report.get("p_value")
    if p_value is not None and p_value > SIGNIFICANT:
        lines.append(
            "the flag carries nothing that these cases could show: flagged ones are not wrong more "
            f"often than others (p = {p_value:.2f})"
        )
    if zone["share_of_mistakes"] is not None:
        lines.append(
            f"EF {zone['zone']}: {_percent(zone['share_of_cases'])} of the cases, "
            f"{_percent(zone['share_of_mistakes'])} of the misclassifications"
        )
    return lines


def error_rejection(
    wrong: ArrayLike, doubt: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the error rate that remains when the most doubtful cases go to a human.

    Args:
        wrong: `(n,)` an error of each case: whether it is wrong, or by how much.
        doubt: `(n,)` the more, the less certain.

    Returns:
        Shares of cases rejected, 0 to 0.95, and the mean error of the others.
    """
    order = np.argsort(-np.asarray(doubt, dtype=np.float64), kind="stable")
    mistakes = np.asarray(wrong, dtype=np.float64)[order]
    shares = np.linspace(0, 0.95, _CURVE_POINTS - 1)
    first = [min(round(share * len(mistakes)), len(mistakes) - 1) for share in shares]
    return shares, np.array([mistakes[start:].mean() for start in first])


def errors_by_band(wrong: ArrayLike, ef_true: ArrayLike) -> list[dict[str, Any]]:
    """Return for each band of true EF its cases, its mistakes and its error rate."""
    mistakes, truth = np.asarray(wrong, dtype=bool), np.asarray(ef_true, dtype=np.float64)
    bands = []
    for low, high in pairwise(EF_BANDS):
        inside = (truth > low) & (truth <= high)
        if low == EF_BANDS[0]:
            inside |= truth <= low  # an EF of 0 is in a band, too
        count, bad = int(inside.sum()), int(mistakes[inside].sum())
        bands.append(
            {
                "band": f"{low}-{high}",
                "cases": count,
                "mistakes": bad,
                "error_rate": bad / count if count else None,
            }
        )
    return bands


def _groups(
    flags: NDArray[np.bool_], wrong: NDArray[np.bool_], error: NDArray[np.float64] | None
) -> dict[str, Any]:
    return {
        name: _group(wrong[chosen], None if error is None else error[chosen])
        for name, chosen in (("flagged", flags), ("unflagged", ~flags))
    }


def _no_more_often(groups: dict[str, Any]) -> float | None:
    """Return how likely so many mistakes among the flagged are by chance; None without both."""
    table = [
        [group["mistakes"], group["cases"] - group["mistakes"]]
        for group in (groups["flagged"], groups["unflagged"])
    ]
    if not all(map(sum, table)):
        return None
    return float(fisher_exact(table, alternative="greater").pvalue)


def _rate(group: dict[str, Any]) -> str:
    ends = group.get("lower"), group.get("upper")
    if group["error_rate"] is None or None in ends:
        return _percent(group["error_rate"])
    lower, upper = (100 * float(end) for end in ends if end is not None)
    return f"{_percent(group['error_rate'])} [{lower:.1f}, {upper:.1f}]"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _share_in(
    wrong: NDArray[np.bool_], ef_true: NDArray[np.float64], low: float, high: float
) -> dict[str, Any]:
    inside = (ef_true > low) & (ef_true <= high)
    return {
        "zone": f"{low}-{high}",
        "share_of_cases": float(inside.mean()),
        "share_of_mistakes": float(inside[wrong].mean()) if wrong.any() else None,
        "error_rate": float(wrong[inside].mean()) if inside.any() else None,
    }


def _group(wrong: NDArray[np.bool_], error: NDArray[np.float64] | None) -> dict[str, Any]:
    group: dict[str, Any] = {
        "cases": len(wrong),
        "mistakes": int(wrong.sum()),
        "error_rate": float(wrong.mean()) if len(wrong) else None,
    }
    ends = proportion_interval(int(wrong.sum()), len(wrong))
    group["lower"], group["upper"] = ends if len(wrong) else (None, None)
    if error is not None:
        group["mae"] = float(error.mean()) if len(error) else None
    return group
