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
    normal_reach,
    regression_metrics,
)
from lvef.evaluation.uncertainty import LEVELS, interval_metrics, probability_metrics

NOT_FOR_DIAGNOSIS = "Research use only, not for diagnosis."
Summary = dict[str, dict[str, Any]]


def summarise_classification(
    p_reduced: ArrayLike,
    reduced_true: ArrayLike,
    threshold: float,
    majority: int = 0,
    prevalence: float | None = None,
) -> Summary:
    """Summarise a classifier beside always answering with the majority class of TRAIN.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        threshold: Decision threshold, chosen on VAL.
        majority: The class most frequent in TRAIN.
        prevalence: Share of reduced EF in TRAIN, which the trivial answer states as the
            probability of every case; by default it states 0 or 1.

    Returns:
        By metric: `value`, `lower` and `upper` (95 % bootstrap), `baseline`.
    """

    def metric(probability: ArrayLike, truth: ArrayLike) -> Metrics:
        called = classification_metrics(probability, truth, threshold)
        return {**called, **probability_metrics(probability, truth)}

    constant = np.full(len(np.asarray(reduced_true)), float(majority))
    stated = constant if prevalence is None else np.full_like(constant, prevalence)
    baseline = classification_metrics(constant, reduced_true) | probability_metrics(
        stated, reduced_true
    )
    return _beside(metric, (p_reduced, reduced_true), baseline)


def summarise_regression(
    ef: ArrayLike,
    ef_true: ArrayLike,
    train_mean: float,
    train_std: float | None = None,
    spread: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
) -> Summary:
    """Summarise a regressor beside always answering with the mean EF of TRAIN.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        train_mean: Mean EF of the training split in percent.
        train_std: Its standard deviation, for the intervals of the constant answer.
        spread: Standard deviations `(n,)` and both ends of the intervals at `LEVELS`,
            `(n, L)` each, of the predictions.

    Returns:
        As `summarise_classification`.
    """
    count = len(np.asarray(ef_true))
    constant = np.full(count, train_mean)
    baseline = regression_metrics(constant, ef_true)
    if spread is None or train_std is None:
        return _beside(regression_metrics, (ef, ef_true), baseline)

    def metric(
        predicted: ArrayLike, truth: ArrayLike, std: ArrayLike, low: ArrayLike, high: ArrayLike
    ) -> Metrics:
        of_intervals = interval_metrics(predicted, std, low, high, truth)
        return {**regression_metrics(predicted, truth), **of_intervals}

    reach = train_std * normal_reach(LEVELS)
    low, high = (np.tile(train_mean + sign * reach, (count, 1)) for sign in (-1, 1))
    baseline |= interval_metrics(constant, np.full(count, train_std), low, high, ef_true)
    return _beside(metric, (ef, ef_true, *spread), baseline)


def format_summary(summary: Summary, title: str, baseline: str, note: str = "") -> str:
    """Return a summary as a text table.

    Args:
        summary: See `summarise_classification`.
        title: First line.
        baseline: What the baseline is, heading its column.
        note: Lines to add below.
    """
    width = max(len(baseline), 10)
    lines = [title, f"{'':20s}{'value':>9s}  {'95 % interval':>18s}  {baseline:>{width}s}"]
    for name, row in summary.items():
        interval = f"[{_number(row['lower'])}, {_number(row['upper'])}]"
        lines.append(
            f"{name:20s}{_number(row['value']):>9s}  {interval:>18s}  "
            f"{_number(row['baseline']):>{width}s}"
        )
    return "\n".join([*lines, *filter(None, [note]), NOT_FOR_DIAGNOSIS])


def _beside(
    metric: Callable[..., Metrics], columns: tuple[ArrayLike, ...], baseline: Metrics
) -> Summary:
    values = metric(*columns)
    intervals = bootstrap_interval(metric, *columns)
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
