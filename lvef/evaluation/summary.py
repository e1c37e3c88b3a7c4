"""The result of a test run: every metric with its interval and the trivial answer beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lvef.evaluation.metrics import (
    Metrics,
    bootstrap_interval,
    classification_metrics,
    regression_metrics,
)

NOT_FOR_DIAGNOSIS = "Research use only, not for diagnosis."
Summary = dict[str, dict[str, Any]]


def summarise_classification(
    p_reduced: ArrayLike, reduced: ArrayLike, threshold: float, majority: int = 0
) -> Summary:
    """Summarise a classifier beside always answering with the majority class of TRAIN.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced: `(n,)` 1 where EF <= 40, 0 elsewhere.
        threshold: Decision threshold, chosen on VAL.
        majority: The class most frequent in TRAIN.

    Returns:
        By metric: `value`, `lower` and `upper` (95 % bootstrap), `baseline`.
    """

    def metric(probability: ArrayLike, truth: ArrayLike) -> Metrics:
        return classification_metrics(probability, truth, threshold)

    constant = np.full(len(np.asarray(reduced)), float(majority))
    return _beside(metric, p_reduced, reduced, classification_metrics(constant, reduced))


def summarise_regression(ef_predicted: ArrayLike, ef: ArrayLike, train_mean: float) -> Summary:
    """Summarise a regressor beside always answering with the mean EF of TRAIN.

    Args:
        ef_predicted: `(n,)` in percent.
        ef: `(n,)` truth in percent.
        train_mean: Mean EF of the training split in percent.

    Returns:
        As `summarise_classification`.
    """
    constant = np.full(len(np.asarray(ef)), train_mean)
    return _beside(regression_metrics, ef_predicted, ef, regression_metrics(constant, ef))


def format_summary(summary: Summary, title: str, baseline: str) -> str:
    """Return a summary as a text table.

    Args:
        summary: See `summarise_classification`.
        title: First line.
        baseline: What the baseline is, heading its column.
    """
    width = max(len(baseline), 10)
    lines = [title, f"{'':20s}{'value':>9s}  {'95 % interval':>18s}  {baseline:>{width}s}"]
    for name, row in summary.items():
        interval = f"[{_number(row['lower'])}, {_number(row['upper'])}]"
        lines.append(
            f"{name:20s}{_number(row['value']):>9s}  {interval:>18s}  "
            f"{_number(row['baseline']):>{width}s}"
        )
    return "\n".join([*lines, NOT_FOR_DIAGNOSIS])


def _beside(
    metric: Callable[..., Metrics], predicted: ArrayLike, truth: ArrayLike, baseline: Metrics
) -> Summary:
    values = metric(predicted, truth)
    intervals = bootstrap_interval(metric, predicted, truth)
    return {
        name: {
            "value": value,
            "lower": intervals[name][0],
            "upper": intervals[name][1],
            "baseline": baseline[name],
        }
        for name, value in values.items()
    }


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"
