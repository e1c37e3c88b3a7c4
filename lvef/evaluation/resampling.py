"""Bootstrap intervals of any metric: BCa, by case or by patient."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from lvef.evaluation.intervals import UNKNOWN, Interval

RESAMPLES = 1000
"""How often cases are drawn anew for an interval."""
BCA = f"BCa bootstrap, {RESAMPLES:,} resamples"
"""What the method of `bootstrap_interval` is called under a table."""
_MOST_LEFT_OUT = 400
"""Parts of the jackknife: beyond so many cases, several are left out at a time."""

Metrics = dict[str, float]
Indices = NDArray[np.int64]


def bootstrap_interval(
    metric: Callable[..., Metrics],
    *columns: ArrayLike,
    clusters: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return bootstrap intervals of metrics, bias-corrected and accelerated (BCa).

    Efron (JASA 82:171-185, 1987).

    Args:
        metric: Takes the columns, returns metrics by name.
        *columns: Arrays `(n, ...)` with a row a case.
        clusters: `(n,)` what cases are drawn in, such as their patients.
        resamples: How many times the cases are drawn anew.
        level: Coverage of the interval.
        seed: Seed of the drawing.

    Returns:
        Lower and upper end by name. Resamples without an answer (NaN) are passed over; where most
        have none, or all have the same, nothing can be told and the ends are NaN.
    """
    arrays = [np.asarray(column) for column in columns]
    count = len(arrays[0])

    def of(rows: Indices) -> Metrics:
        return metric(*(array[rows] for array in arrays))

    here = of(np.arange(count))
    units = _units(count, clusters)
    rng = np.random.default_rng(seed)
    drawn = [
        of(np.concatenate([units[i] for i in rng.integers(0, len(units), len(units))]))
        for _ in range(resamples)
    ]
    parts = min(len(units), _MOST_LEFT_OUT)
    left_out = [
        of(np.concatenate([unit for i, unit in enumerate(units) if i % parts != part]))
        for part in range(parts if len(units) > 1 else 0)
    ]
    return {
        name: _bca(
            value,
            np.array([each[name] for each in drawn]),
            np.array([each[name] for each in left_out]),
            level,
        )
        for name, value in here.items()
    }


def _units(count: int, clusters: ArrayLike | None) -> list[Indices]:
    """Return the rows of each unit that is drawn: of a case, or of a cluster."""
    if clusters is None:
        return list(np.arange(count)[:, None])
    _, numbers = np.unique(np.asarray(clusters), return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers))[:-1])


def _bca(
    value: float, drawn: NDArray[np.float64], left_out: NDArray[np.float64], level: float
) -> Interval:
    """Return the ends of an interval from resamples and jackknife."""
    usable = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or len(usable) < len(drawn) / 2 or not len(usable):
        return UNKNOWN
    if np.ptp(usable) <= 1e-9 * abs(value):
        return UNKNOWN
    below = float((usable < value).mean() + (usable == value).mean() / 2)
    edge = 1 / (2 * len(usable))
    bias = float(norm.ppf(min(max(below, edge), 1 - edge)))
    acceleration = _acceleration(left_out[np.isfinite(left_out)])
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + float(norm.ppf(tail))
        scaled = 1 - acceleration * z
        place = float(norm.cdf(bias + z / scaled)) if scaled > 0 else float(z > 0)
        ends.append(float(np.quantile(usable, place)))
    return ends[0], ends[1]


def _acceleration(left_out: NDArray[np.float64]) -> float:
    """Return the skewness of the jackknife's influences, over 6."""
    influence = left_out.mean() - left_out if len(left_out) else np.zeros(0)
    squares = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
