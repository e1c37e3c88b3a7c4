"""95 % intervals in closed form: proportions, their mean, areas under the ROC curve, ratios."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import beta, norm, rankdata
from scipy.stats import t as student

Interval = tuple[float, float]
UNKNOWN: Interval = (math.nan, math.nan)
_PRIOR_CASES = 10
"""Cases as many as which Hanley and McNeil's variance counts beside DeLong's."""
CLOPPER_PEARSON = "Clopper-Pearson"
"""What the method of `proportion_interval` is called under a table."""


def proportion_interval(
    successes: float,
    count: float,
    level: float = 0.95,
    method: Literal["clopper-pearson", "wilson"] = "clopper-pearson",
) -> Interval:
    """Return the interval of a proportion, which no proportion makes empty or of width zero.

    Clopper-Pearson (*Biometrika* 1934) covers at least as often as it says; Wilson (JASA 1927) is
    narrower and covers so on average.

    Args:
        successes: How many of the cases; a fraction where `count` is an effective number.
        count: How many cases; see `effective_count` for cases that come in clusters.
        level: Coverage of the interval.
        method: Which of the two.

    Returns:
        Lower and upper end, NaN where there is no case.
    """
    if count <= 0:
        return UNKNOWN
    tail = (1 - level) / 2
    if method == "clopper-pearson":
        failures = count - successes
        lower = float(beta.ppf(tail, successes, failures + 1)) if successes > 0 else 0.0
        upper = float(beta.ppf(1 - tail, successes + 1, failures)) if failures > 0 else 1.0
        return lower, upper
    z, share = float(norm.ppf(1 - tail)), successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    reach = z * spread / (1 + z**2 / count)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def effective_count(success: ArrayLike, clusters: ArrayLike | None = None) -> float:
    """Return how many independent cases tell as much of a proportion as these.

    Korn & Graubard (*Survey Methodology* 24:193-201, 1998): the number of cases over the design
    effect, which is at least 1 here: clusters are not let to promise more than their cases.

    Args:
        success: `(n,)` whether each case is one.
        clusters: `(n,)` what each case belongs to, such as its patient; None where each case
            stands for itself.
    """
    values = np.asarray(success, dtype=np.float64)
    if clusters is None or not len(values):
        return float(len(values))
    _, numbers = np.unique(np.asarray(clusters), return_inverse=True)
    groups, count = int(numbers.max()) + 1, len(values)
    if groups == count:
        return float(count)
    share = values.mean()
    simple = share * (1 - share) / count
    if simple == 0 or groups < 2:  # nothing tells the design effect: a cluster is one case
        return float(groups)
    sums = np.bincount(numbers, values - share, minlength=groups)
    clustered = groups / (groups - 1) * float((sums**2).sum()) / count**2
    return float(max(1.0, count / max(1.0, clustered / simple)))


def mean_of_proportions(one: tuple[float, Interval], other: tuple[float, Interval]) -> Interval:
    """Return the interval of the mean of two independent proportions, as of balanced accuracy.

    By recovery of their variances (MOVER; Zou & Donner, *Statistics in Medicine* 27:1693, 2008).

    Args:
        one: A proportion and its interval.
        other: Another.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = one, other
    centre = (p + q) / 2
    return (
        max(0.0, centre - math.hypot(p - p_low, q - q_low) / 2),
        min(1.0, centre + math.hypot(p_high - p, q_high - q) / 2),
    )


def delong_variances(score: ArrayLike, truth: ArrayLike) -> tuple[float, float]:
    """Return the variance of an area under the ROC curve by what each class adds to it.

    DeLong, DeLong & Clarke-Pearson (*Biometrics* 44:837-845, 1988). The variance is their sum.

    Args:
        score: `(n,)` the more, the likelier positive.
        truth: `(n,)` whether each case is positive.

    Returns:
        What the positive and the negative cases add; NaN for fewer than two cases of a class.
    """
    values, positive = np.asarray(score, np.float64), np.asarray(truth, dtype=bool)
    many, few = int((~positive).sum()), int(positive.sum())
    if min(many, few) < 2:
        return UNKNOWN
    ranks = rankdata(values)
    above = (ranks[positive] - rankdata(values[positive])) / many
    below = 1 - (ranks[~positive] - rankdata(values[~positive])) / few
    return float(above.var(ddof=1)) / few, float(below.var(ddof=1)) / many


def ranked_auc_interval(
    auc: float, score: ArrayLike, truth: ArrayLike, level: float = 0.95
) -> Interval:
    """Return the interval of the area under the ROC curve of scores.

    Newcombe's method 5 with a variance that leans towards DeLong's as there are more cases, and
    with a quantile of Student's t by Welch and Satterthwaite. DeLong's alone is too small at high
    areas, where few cases are out of place; Newcombe's assumes a form of both classes. With m
    cases of the smaller class, the ratio r of the first to the second becomes (m r + 10) / (m +
    10). Simulated (normal classes, 4,000 draws, 12 % positive, areas 0.71 / 0.83 / 0.90 / 0.98):
    it covers 96.0 / 95.3 / 94.5 / 96.0 % at 300 cases and 95.3 / 95.2 / 94.1 / 94.0 % at 1,277,
    where DeLong's on the log odds covers 95.5 / 94.5 / 93.4 / 90.9 and 95.2 / 95.0 / 94.0 / 93.2 %.
    Where the positive class spreads twice as widely it covers 95.0 / 94.1 / 92.5 / 85.1 % and
    95.0 / 95.0 / 94.1 / 92.6 %, DeLong's 95.3 / 94.6 / 93.0 / 80.2 and 94.9 / 95.3 / 94.9 / 92.7 %;
    where it spreads half as widely, up to 98.7 % and 96.7 %.

    Args:
        auc: The area.
        score: `(n,)` the more, the likelier positive.
        truth: `(n,)` whether each case is positive.
        level: Coverage of the interval.

    Returns:
        Lower and upper end; NaN for fewer than two cases of a class, or where nothing varies, as
        at an area of 1: see `auc_interval`.
    """
    of_positive, of_negative = delong_variances(score, truth)
    variance = of_positive + of_negative
    if not (0 < auc < 1 and variance > 0):
        return UNKNOWN
    positive = int(np.asarray(truth, dtype=bool).sum())
    negative = len(np.asarray(truth)) - positive
    ratio = variance / _hanley_mcneil(auc, positive, negative)
    fewer = min(positive, negative)
    scale = (fewer * ratio + _PRIOR_CASES) / (fewer + _PRIOR_CASES)
    freedom = variance**2 / (of_positive**2 / (positive - 1) + of_negative**2 / (negative - 1))
    reach = float(student.ppf((1 + level) / 2, max(freedom, 1.0))) * math.sqrt(scale)
    return _newcombe(auc, positive, negative, reach)


def auc_interval(auc: float, positive: float, negative: float, level: float = 0.95) -> Interval:
    """Return the interval of an area under the ROC curve, which has a width at 1, too.

    Newcombe (*Statistics in Medicine* 25:559-573, 2006), method 5: the variance of Hanley and
    McNeil at the area that is asked about, not at the one that was seen.

    Args:
        auc: The area.
        positive: Cases of the positive class.
        negative: Cases of the other.
        level: Coverage of the interval.
    """
    if not (math.isfinite(auc) and positive > 0 and negative > 0):
        return UNKNOWN
    return _newcombe(auc, positive, negative, float(norm.ppf((1 + level) / 2)))


def _hanley_mcneil(area: float, positive: float, negative: float) -> float:
    half = (positive + negative) / 2 - 1
    spread = 1 + half * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * spread / (positive * negative)


def _newcombe(auc: float, positive: float, negative: float, reach: float) -> Interval:
    """Return the areas from which this one is no more than `reach` standard deviations away."""

    def excess(area: float) -> float:
        return abs(auc - area) - reach * math.sqrt(_hanley_mcneil(area, positive, negative))

    edge = 1e-9  # at 0 and 1 themselves nothing varies
    inside = min(max(auc, edge), 1 - edge)
    lower = float(brentq(excess, edge, inside)) if excess(edge) > 0 > excess(inside) else 0.0
    upper = (
        float(brentq(excess, inside, 1 - edge)) if excess(1 - edge) > 0 > excess(inside) else 1.0
    )
    return lower, upper


def ratio_interval(
    one: tuple[float, float], other: tuple[float, float], level: float = 0.95
) -> tuple[float, Interval]:
    """Return the ratio of two independent proportions and its interval, as of a likelihood ratio.

    Simel et al. (*J Clin Epidemiol* 44:763-770, 1991), on the logarithm; half a case is added to
    every cell where one is empty. A ratio of 0, or an infinite one, is an end itself.

    Args:
        one: Successes and count of the numerator.
        other: Of the denominator.
        level: Coverage of the interval.

    Returns:
        The ratio (NaN or infinite where it is), and its lower and upper end.
    """
    (a, n), (b, m) = one, other
    if n <= 0 or m <= 0:
        return math.nan, UNKNOWN
    plain = (a / n) / (b / m) if b else (math.inf if a else math.nan)
    if 0 in (a, b, n - a, m - b):
        a, n, b, m = a + 0.5, n + 1, b + 0.5, m + 1
    z = float(norm.ppf((1 + level) / 2))
    reach = z * math.sqrt(1 / a - 1 / n + 1 / b - 1 / m)
    ratio = (a / n) / (b / m)
    # As half a case moves the ratio, which must not leave its own interval.
    return plain, (min(ratio * math.exp(-reach), plain), max(ratio * math.exp(reach), plain))
