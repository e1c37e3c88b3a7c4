"""Shares and means of cases with their intervals, refused clips counted as failed or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lvef.evaluation.intervals import CLOPPER_PEARSON, effective_count, proportion_interval
from lvef.evaluation.resampling import bootstrap_interval


def share_of(
    hits: ArrayLike, refused: int = 0, clusters: ArrayLike | None = None
) -> dict[str, Any]:
    """Return the share of cases that are hits, with its 95 % interval.

    Args:
        hits: `(n,)` whether each case is one.
        refused: How many more cases got no answer, which are no hits: a method that refuses what
            is hard must not look better for it.
        clusters: `(n,)` patients, where several cases may be of one: the interval is then of as
            many cases as these are worth (see `effective_count`).

    Returns:
        `value`, `lower`, `upper` (NaN where there is no case), `cases` and `method`.
    """
    of_cases = np.asarray(hits, dtype=bool)
    successes, count = int(of_cases.sum()), len(of_cases) + refused
    independent = effective_count(of_cases, clusters) + refused
    share = successes / count if count else float("nan")
    lower, upper = proportion_interval(share * independent, independent)
    return {
        "value": share,
        "lower": lower, "upper": upper, "cases": count,
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
