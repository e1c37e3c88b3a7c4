"""How two ways of measuring EF agree: intraclass correlation, concordance, Bland-Altman."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

WITHIN = (5, 10)
"""Errors, in EF points, within which shares of cases are reported."""
_FOLDED = math.sqrt(math.pi / 2)
"""Standard deviations to a mean absolute deviation of a normal distribution."""

Array = NDArray[np.float64]


def icc(one: ArrayLike, other: ArrayLike) -> float:
    """Return ICC(2,1): absolute agreement of single measurements by two raters taken at random.

    Shrout & Fleiss (*Psychological Bulletin* 86:420-428, 1979).

    Args:
        one: `(n,)` measurements.
        other: `(n,)` of the same cases by the other rater.

    Returns:
        The correlation, NaN for fewer than two cases or where nothing varies.
    """
    both = np.stack([np.asarray(one, np.float64), np.asarray(other, np.float64)], axis=1)
    count, raters = both.shape
    if count < 2:
        return math.nan
    centre, rows, columns = both.mean(), both.mean(axis=1), both.mean(axis=0)
    of_cases = raters * ((rows - centre) ** 2).sum() / (count - 1)
    of_raters = count * ((columns - centre) ** 2).sum() / (raters - 1)
    rest = ((both - rows[:, None] - columns + centre) ** 2).sum() / ((count - 1) * (raters - 1))
    whole = of_cases + (raters - 1) * rest + raters * (of_raters - rest) / count
    return float((of_cases - rest) / whole) if whole > 0 else math.nan


def concordance(one: ArrayLike, other: ArrayLike) -> float:
    """Return Lin's concordance correlation coefficient (*Biometrics* 45:255-268, 1989).

    Args:
        one: `(n,)` measurements.
        other: `(n,)` of the same cases.

    Returns:
        The coefficient, NaN where nothing varies.
    """
    x, y = np.asarray(one, np.float64), np.asarray(other, np.float64)
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / spread) if spread > 0 else math.nan


def bland_altman(ef: ArrayLike, ef_true: ArrayLike, level: float = 0.95) -> dict[str, Any]:
    """Return bias and limits of agreement with their intervals, and whether they hold throughout.

    Bland & Altman (*Lancet* 1986; *Statistical Methods in Medical Research* 8:135-160, 1999): the
    limits that change with EF come from regressions of the difference, and of the absolute
    residuals of that, on the mean of both.

    Args:
        ef: `(n,)` predicted, in percent.
        ef_true: `(n,)` truth in percent.
        level: Share of differences that the limits hold, and coverage of their intervals.

    Returns:
        `bias`, `lower_limit`, `upper_limit` and `slope` (EF points a point of the mean), each with
        `value`, `lower` and `upper`; `limits_at`: by a mean of 30, 50 and 70 % `[lower, upper]`
        of the limits that change with it, where the data reach there.
    """
    predicted, truth = np.asarray(ef, np.float64), np.asarray(ef_true, np.float64)
    difference, mean = predicted - truth, (predicted + truth) / 2
    count, z = len(difference), float(norm.ppf((1 + level) / 2))
    if count < 3:
        return {}
    bias, spread = float(difference.mean()), float(difference.std(ddof=1))
    of_limit = spread * math.sqrt(1 / count + z**2 / (2 * (count - 1)))
    report: dict[str, Any] = {
        "bias": _about(bias, z * spread / math.sqrt(count)),
        "lower_limit": _about(bias - z * spread, z * of_limit),
        "upper_limit": _about(bias + z * spread, z * of_limit),
    }
    if np.ptp(mean) == 0:
        return report
    slope, start, error = _line(mean, difference)
    report["slope"] = _about(slope, z * error)
    widening, base, _ = _line(mean, abs(difference - start - slope * mean))
    report["limits_at"] = {
        str(place): [
            start + slope * place + sign * z * _FOLDED * max(0.0, base + widening * place)
            for sign in (-1, 1)
        ]
        for place in (30, 50, 70)
        if mean.min() <= place <= mean.max()
    }
    return report


def _line(x: Array, y: Array) -> tuple[float, float, float]:
    """Return slope and intercept of a line by least squares, and the slope's standard error."""
    centred = x - x.mean()
    square = float((centred**2).sum())
    slope = float((centred * y).sum()) / square
    start = float(y.mean()) - slope * float(x.mean())
    rest = float(((y - start - slope * x) ** 2).sum()) / (len(x) - 2)
    return slope, start, math.sqrt(rest / square)


def _about(value: float, reach: float) -> dict[str, float]:
    return {"value": value, "lower": value - reach, "upper": value + reach}
