"""Shares and means of cases with their intervals, refused clips counted as failed or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from lvef.evaluation.metrics import bootstrap_interval

CLOPPER_PEARSON = "Clopper-Pearson"
"""What the method of `share_of` is called under a table."""


def share_of(hits: ArrayLike, refused: int = 0) -> dict[str, Any]:
    """Return the share of cases that are hits, with its 95 % interval.

    Args:
        hits: `(n,)` whether each case is one.
        refused: How many more cases got no answer, which are no hits: a method that refuses what
            is hard must not look better for it.

    Returns:
        `value`, `lower`, `upper` (NaN where there is no case), `cases` and `method`.
    """
    of_cases = np.asarray(hits, dtype=bool)
    count, value, ends = len(of_cases) + refused, float("nan"), (float("nan"), float("nan"))
    if count:
        value = int(of_cases.sum()) / count
        low, high = binomtest(int(of_cases.sum()), count).proportion_ci(method="exact")
        ends = float(low), float(high)
    return {
        "value": value, "lower": ends[0], "upper": ends[1], "cases": count,
        "method": CLOPPER_PEARSON,
    }  # fmt: skip


def mean_of(values: ArrayLike) -> dict[str, Any]:
    """Return the mean of what is known of the cases, with its 95 % bootstrap interval.

    Args:
        values: `(n,)`, NaN where a case has none.

    Returns:
        `value`, `lower`, `upper` (NaN where no case has one) and `cases`.
    """
    found = np.asarray(values, dtype=np.float64)
    known = found[np.isfinite(found)]
    if not len(known):
        return {"value": float("nan"), "lower": float("nan"), "upper": float("nan"), "cases": 0}

    def mean(sample: Any) -> dict[str, float]:
        return {"mean": float(np.mean(sample))}

    lower, upper = bootstrap_interval(mean, known)["mean"]
    return {"value": float(known.mean()), "lower": lower, "upper": upper, "cases": len(known)}
