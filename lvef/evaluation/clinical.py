"""What a clinician asks of a model: classes of EF, what a call is worth, net benefit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.intervals import (
    CLOPPER_PEARSON,
    effective_count,
    proportion_interval,
    ratio_interval,
)

EF_CLASSES = ("<= 40", "41-49", ">= 50")
"""Reduced, mildly reduced and preserved EF (ESC guideline 2021)."""
PRESERVED_EF = 50
CUTS = (REDUCED_EF, PRESERVED_EF)
"""Cuts of EF at which calls are judged; the classifiers are taught the first alone."""
RISKS = np.round(np.arange(0.02, 0.52, 0.02), 2)
"""Risk thresholds of the decision curve: from which a patient would be sent on."""

Values = dict[str, Any]


def ef_class(ef: ArrayLike) -> NDArray[np.int64]:
    """Return the class of each EF: 0 reduced (<= 40), 1 mildly reduced, 2 preserved (>= 50)."""
    percent = np.asarray(ef, dtype=np.float64)
    return (percent > REDUCED_EF).astype(np.int64) + (percent >= PRESERVED_EF)


def classes_report(ef: ArrayLike, ef_true: ArrayLike) -> Values:
    """Return how often each class of EF is called what, and how far that is beyond chance.

    Args:
        ef: `(n,)` predicted, in percent.
        ef_true: `(n,)` truth in percent.

    Returns:
        `names`, `counts` (a row a true class, a column a predicted one), `accuracy`, and `kappa`,
        weighted by the square of the distance (Cohen, *Psychological Bulletin* 1968).
    """
    called, truth = ef_class(ef), ef_class(ef_true)
    counts = np.zeros((3, 3), np.int64)
    np.add.at(counts, (truth, called), 1)
    return {
        "names": list(EF_CLASSES),
        "counts": counts.tolist(),
        "accuracy": stated_share(called == truth),
        "kappa": weighted_kappa(counts),
    }


def weighted_kappa(counts: ArrayLike) -> float:
    """Return Cohen's kappa with quadratic weights, NaN where one class alone is there.

    Args:
        counts: `(k, k)` cases by true and by predicted class, in order.
    """
    table = np.asarray(counts, dtype=np.float64)
    places = np.arange(len(table))
    weight = (places[:, None] - places) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(table.sum(), 1)
    by_chance = float((weight * expected).sum())
    return 1 - float((weight * table).sum()) / by_chance if by_chance > 0 else math.nan


def diagnostic_report(
    called: ArrayLike, truth: ArrayLike, clusters: ArrayLike | None = None
) -> Values:
    """Return what a call of yes or no is worth.

    Args:
        called: `(n,)` whether each case is called.
        truth: `(n,)` whether it is one.
        clusters: `(n,)` patients, where several cases may be of one.

    Returns:
        `sensitivity`, `specificity`, `ppv` and `npv` (predictive values at the prevalence here),
        `error_rate`, `lr_positive` and `lr_negative` (likelihood ratios), each with `value`,
        `lower`, `upper` and `method`; `prevalence`, and the four `counts` tp, fp, tn, fn.
    """
    yes, is_one = np.asarray(called, dtype=bool), np.asarray(truth, dtype=bool)
    groups = None if clusters is None else np.asarray(clusters)
    right = yes == is_one

    def share(of: NDArray[np.bool_], hit: NDArray[np.bool_]) -> Values:
        return stated_share(hit[of], None if groups is None else groups[of])

    def ratio(hit: NDArray[np.bool_]) -> Values:
        def part(of: NDArray[np.bool_]) -> tuple[float, float]:
            count = effective_count(hit[of], None if groups is None else groups[of])
            return (float(hit[of].mean()) * count if count else 0.0, count)

        value, (lower, upper) = ratio_interval(part(is_one), part(~is_one))
        return {"value": value, "lower": lower, "upper": upper, "method": "Simel, on the logarithm"}

    everyone = np.ones_like(yes)
    return {
        "sensitivity": share(is_one, yes),
        "specificity": share(~is_one, ~yes),
        "ppv": share(yes, is_one),
        "npv": share(~yes, ~is_one),
        "error_rate": share(everyone, ~right),
        "lr_positive": ratio(yes),
        "lr_negative": ratio(~yes),
        "prevalence": float(is_one.mean()) if len(is_one) else math.nan,
        "counts": {
            "tp": int((yes & is_one).sum()), "fp": int((yes & ~is_one).sum()),
            "tn": int((~yes & ~is_one).sum()), "fn": int((~yes & is_one).sum()),
        },
    }  # fmt: skip


def net_benefit(p_reduced: ArrayLike, reduced_true: ArrayLike) -> Values:
    """Return the decision curve: net benefit of sending on whoever is above a risk.

    Vickers & Elkin (*Medical Decision Making* 26:565-574, 2006): true positives a case, less false
    ones weighed by the odds of the risk. Sending on nobody has none.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.

    Returns:
        `risk`, and at each the net benefit of the `model` and of sending on `all`.
    """
    probability = np.asarray(p_reduced, dtype=np.float64)
    truth = np.asarray(reduced_true, dtype=bool)
    sent = probability >= RISKS[:, None]
    odds = RISKS / (1 - RISKS)
    model = (sent & truth).mean(axis=1) - odds * (sent & ~truth).mean(axis=1)
    everyone = truth.mean() - odds * (1 - truth.mean())
    return {"risk": RISKS.tolist(), "model": model.tolist(), "all": everyone.tolist()}


def stated_share(hit: NDArray[np.bool_], clusters: NDArray[Any] | None = None) -> Values:
    """Return a share of cases as `value`, `lower` and `upper` (95 %), with the `method` of these.

    Args:
        hit: `(n,)` whether each case is one.
        clusters: `(n,)` patients, where several cases may be of one.
    """
    count = len(hit)
    effective = effective_count(hit, clusters)
    value = int(hit.sum()) / count if count else math.nan
    lower, upper = proportion_interval(value * effective if count else 0.0, effective)
    return {"value": value, "lower": lower, "upper": upper, "method": CLOPPER_PEARSON}
