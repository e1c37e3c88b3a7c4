"""What a model is worth where it is used: at chosen sensitivities, and with another VAL."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lvef.evaluation.clinical import diagnostic_report
from lvef.evaluation.metrics import classification_metrics
from lvef.evaluation.thresholds import SENSITIVITIES, redrawn_thresholds, sensitivity_threshold

_CHOSEN = ("recall", "specificity", "balanced_accuracy", "accuracy")
Stated = tuple[ArrayLike, ArrayLike]
"""Probabilities of EF <= 40 and the truth (1 where it is so), `(n,)` each."""


def operating_points(
    val: Stated, test: Stated, clusters: ArrayLike | None = None
) -> list[dict[str, Any]]:
    """Return what calls are worth at thresholds that reach a sensitivity on VAL.

    Args:
        val: Cases that choose the thresholds.
        test: Cases that judge them.
        clusters: Patients of the latter, where several cases may be of one.

    Returns:
        For each of `SENSITIVITIES`: `sensitivity_on_val`, `threshold`, and `diagnostic_report`;
        empty where VAL holds no reduced case.
    """
    probability = np.asarray(test[0], dtype=np.float64)
    points = []
    for sensitivity in SENSITIVITIES:
        threshold = sensitivity_threshold(*val, sensitivity)
        if np.isfinite(threshold):
            report = diagnostic_report(probability >= threshold, test[1], clusters)
            points.append({"sensitivity_on_val": sensitivity, "threshold": threshold, **report})
    return points


def threshold_choice(val: Stated, test: Stated, seed: int = 0) -> dict[str, Any]:
    """Return how far figures at the threshold depend on which VAL happened to choose it.

    VAL and TEST are both drawn anew, each VAL chooses its threshold, and each TEST judges it.

    Args:
        val: Cases that choose the threshold.
        test: Cases that judge it.
        seed: Seed of the drawing.

    Returns:
        `threshold`, `recall`, `specificity`, `balanced_accuracy` and `accuracy`: `[lower, upper]`
        of 95 % of the draws; empty where VAL holds one class.
    """
    thresholds = redrawn_thresholds(*val, seed=seed)
    if not len(thresholds):
        return {}
    probability, truth = np.asarray(test[0], np.float64), np.asarray(test[1], np.int64)
    rng = np.random.default_rng(seed)
    figures: dict[str, list[float]] = {name: [] for name in _CHOSEN}
    for threshold in thresholds:
        rows = rng.integers(0, len(truth), len(truth))
        metrics = classification_metrics(probability[rows], truth[rows], float(threshold))
        for name in _CHOSEN:
            figures[name].append(metrics[name])
    drawn = {
        "threshold": thresholds,
        **{name: np.array(values) for name, values in figures.items()},
    }
    return {
        name: np.nanquantile(values, [0.025, 0.975]).tolist()
        for name, values in drawn.items()
        if np.isfinite(values).any()
    }
