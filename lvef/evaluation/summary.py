"""The result of a test run: every metric with its interval and the trivial answer beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvef.cardiac import is_reduced
from lvef.evaluation.agreement import WITHIN
from lvef.evaluation.intervals import (
    CLOPPER_PEARSON,
    Interval,
    auc_interval,
    effective_count,
    mean_of_proportions,
    proportion_interval,
    ranked_auc_interval,
)
from lvef.evaluation.metrics import (
    classification_metrics,
    metric_name,
    regression_metrics,
)
from lvef.evaluation.resampling import BCA, Metrics, bootstrap_interval
from lvef.evaluation.uncertainty import (
    LEVELS,
    interval_metrics,
    normal_reach,
    probability_metrics,
)
from lvef.notice import NOT_FOR_DIAGNOSIS

MOVER = "MOVER of sensitivity and specificity"
RANKED = "Newcombe with DeLong's variance"
NEWCOMBE = "Newcombe's fifth"
BCA_OF_PATIENTS = f"{BCA} of patients"
METHODS = (CLOPPER_PEARSON, MOVER, RANKED, NEWCOMBE, BCA, BCA_OF_PATIENTS)
"""What methods of intervals are called in `metrics.json`."""
Summary = dict[str, dict[str, Any]]
_Hits = Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""By metric that is a proportion: which cases it is of, and which of all cases are hits."""


def summarise_classification(
    p_reduced: ArrayLike,
    reduced_true: ArrayLike,
    threshold: float,
    majority: ArrayLike = 0,
    prevalence: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    reduced: ArrayLike | None = None,
) -> Summary:
    """Summarise a classifier beside always answering with the majority class of TRAIN.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        threshold: Decision threshold, chosen on VAL.
        majority: The class most frequent in TRAIN; `(n,)` where the cases are judged by models of
            several TRAINs.
        prevalence: Share of reduced EF in TRAIN, likewise, which the trivial answer states as the
            probability of every case; by default it states 0 or 1.
        clusters: `(n,)` patients, where several cases may be of one.
        reduced: `(n,)` 1 where a case is called reduced, where not one threshold called them all.

    Returns:
        By metric: `value`, `lower` and `upper` (95 %), the `method` of these, and `baseline`.
    """

    def metric(probability: ArrayLike, truth: ArrayLike, *called: ArrayLike) -> Metrics:
        of_calls = classification_metrics(probability, truth, threshold, *called)
        return {**of_calls, **probability_metrics(probability, truth)}

    constant = np.full(len(np.asarray(reduced_true)), majority, dtype=np.float64)
    stated = constant if prevalence is None else np.full_like(constant, prevalence)
    baseline = classification_metrics(constant, reduced_true) | probability_metrics(
        stated, reduced_true
    )
    truth = np.asarray(reduced_true, dtype=bool)
    called = np.asarray(p_reduced, dtype=np.float64) >= threshold
    calls = () if reduced is None else (np.asarray(reduced, dtype=bool),)
    if calls:
        called = calls[0]
    hits = {
        "accuracy": (np.ones_like(truth), called == truth),
        "recall": (truth, called),
        "specificity": (~truth, ~called),
        "precision": (called, truth),
        "npv": (~called, ~truth),
    }
    scored = np.asarray(p_reduced, dtype=np.float64), truth
    return _beside(metric, (p_reduced, reduced_true, *calls), baseline, hits, scored, clusters)


def summarise_regression(
    ef: ArrayLike,
    ef_true: ArrayLike,
    train_mean: ArrayLike,
    train_std: ArrayLike | None = None,
    spread: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    probability: tuple[ArrayLike, ArrayLike] | None = None,
    clusters: ArrayLike | None = None,
) -> Summary:
    """Summarise a regressor beside always answering with the mean EF of TRAIN.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        train_mean: Mean EF of the training split in percent; `(n,)` where the cases are judged by
            models of several TRAINs.
        train_std: Its standard deviation, likewise, for the intervals of the constant answer.
        spread: Standard deviations `(n,)` and both ends of the intervals at `LEVELS`,
            `(n, L)` each, of the predictions.
        probability: Stated probability of EF <= 40, and whether it is so, `(n,)` each.
        clusters: `(n,)` patients, where several cases may be of one.

    Returns:
        As `summarise_classification`.
    """
    truth = np.asarray(ef_true, dtype=np.float64)
    constant = np.full(len(truth), train_mean, dtype=np.float64)
    baseline = regression_metrics(constant, truth)
    everyone = np.ones(len(truth), dtype=bool)
    error = abs(np.asarray(ef, dtype=np.float64) - truth)
    hits = {f"within_{points}": (everyone, error <= points) for points in WITHIN}
    scored = -np.asarray(ef, dtype=np.float64), np.asarray(is_reduced(truth))
    if spread is None or train_std is None:
        return _beside(regression_metrics, (ef, truth), baseline, hits, scored, clusters)
    risk = () if probability is None else probability

    def metric(
        predicted: ArrayLike, true: ArrayLike, std: ArrayLike, low: ArrayLike, high: ArrayLike,
        *stated: ArrayLike,
    ) -> Metrics:  # fmt: skip
        of_intervals = interval_metrics(predicted, std, low, high, true)
        of_risk = probability_metrics(*stated) if stated else {}
        return {**regression_metrics(predicted, true), **of_intervals, **of_risk}

    std = np.full(len(truth), train_std, dtype=np.float64)
    low, high = constant_intervals(constant, std)
    baseline |= interval_metrics(constant, std, low, high, truth)
    if probability is not None:
        prevalence = float(np.asarray(probability[1], dtype=np.float64).mean())
        baseline |= probability_metrics(np.full(len(truth), prevalence), probability[1])
    low, high = (np.asarray(end, dtype=np.float64) for end in spread[1:])
    inside = (low <= truth[:, None]) & (truth[:, None] <= high)
    hits |= {
        f"coverage_{100 * level:.0f}": (everyone, inside[:, i]) for i, level in enumerate(LEVELS)
    }
    return _beside(metric, (ef, truth, *spread, *risk), baseline, hits, scored, clusters)


def constant_intervals(
    mean: NDArray[np.float64], std: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of the normal intervals at `LEVELS`, `(n, L)` each.

    Args:
        mean: `(n,)` in percent.
        std: `(n,)` standard deviations in EF points.
    """
    reach = std[:, None] * normal_reach(LEVELS)
    return mean[:, None] - reach, mean[:, None] + reach


def format_summary(summary: Summary, title: str, baseline: str, note: str = "") -> str:
    """Return a summary as a text table.

    Args:
        summary: See `summarise_classification`.
        title: First line.
        baseline: What the baseline is, heading its column.
        note: Lines to add below.
    """
    width = max(len(baseline), 10)
    lines = [title, f"{'':21s}{'value':>9s}  {'95 % interval':>18s}  {baseline:>{width}s}"]
    for name, row in summary.items():
        interval = f"[{_number(row['lower'])}, {_number(row['upper'])}]"
        lines.append(
            f"{name:21s}{_number(row['value']):>9s}  {interval:>18s}  "
            f"{_number(row['baseline']):>{width}s}"
        )
    notes = [how_intervals_are_made(summary), note]
    return "\n".join([*lines, *filter(None, notes), NOT_FOR_DIAGNOSIS])


def how_intervals_are_made(summary: Summary, in_words: bool = False) -> str:
    """Return the methods of a summary's intervals in one line, the metrics of the rarer ones named.

    Args:
        summary: See `summarise_classification`; rows of earlier versions name no method.
        in_words: Whether metrics are called as a reader knows them, and not as metrics.json has
            them.
    """
    names: dict[str, list[str]] = {}
    for name, row in summary.items():
        if row.get("method"):
            names.setdefault(str(row["method"]), []).append(name)
    if not names:
        return ""
    commonest = max(names, key=lambda method: len(names[method]))
    if in_words:
        parts = [
            f"{' / '.join(map(metric_name, of))}: {method}"
            for method, of in names.items()
            if method != commonest
        ]
        rest = f"{'all others' if parts else 'all'}: {commonest}"
        return f"How the 95 % intervals were calculated. {'; '.join([*parts, rest])}."
    others = [f"{method} ({', '.join(of)})" for method, of in names.items() if method != commonest]
    return f"Intervals: {'; '.join([*others, commonest])}."


def area_interval(
    area: float, score: NDArray[np.float64], truth: NDArray[np.bool_]
) -> tuple[Interval, str]:
    """Return the interval of an area under the ROC curve, and by which method.

    Args:
        area: The area.
        score: `(n,)` the more, the likelier positive.
        truth: `(n,)` whether each case is positive.
    """
    ends = ranked_auc_interval(area, score, truth)
    if not math.isnan(ends[0]):
        return ends, RANKED
    positive = int(truth.sum())  # where it is 1, for one
    return auc_interval(area, positive, len(truth) - positive), NEWCOMBE


def _beside(
    metric: Callable[..., Metrics],
    columns: tuple[ArrayLike, ...],
    baseline: Metrics,
    hits: _Hits,
    scored: tuple[NDArray[np.float64], NDArray[np.bool_]],
    clusters: ArrayLike | None,
) -> Summary:
    """Return metrics with the interval that suits each."""
    values = metric(*columns)
    intervals = bootstrap_interval(metric, *columns, clusters=clusters)
    method = BCA if clusters is None else BCA_OF_PATIENTS
    rows: Summary = {
        name: {
            "value": value,
            "lower": intervals[name][0],
            "upper": intervals[name][1],
            "method": method,
            "baseline": baseline[name],
        }
        for name, value in values.items()
    }
    groups = None if clusters is None else np.asarray(clusters)
    for name, (of, hit) in hits.items():
        count = effective_count(hit[of], None if groups is None else groups[of])
        share = float(hit[of].mean()) if of.any() else 0.0
        lower, upper = proportion_interval(share * count, count)
        rows[name].update(lower=lower, upper=upper, method=CLOPPER_PEARSON)
    if "balanced_accuracy" in rows:
        parts = [
            (rows[name]["value"], (rows[name]["lower"], rows[name]["upper"]))
            for name in ("recall", "specificity")
        ]
        lower, upper = mean_of_proportions(*parts)
        rows["balanced_accuracy"].update(lower=lower, upper=upper, method=MOVER)
    if clusters is None or math.isnan(rows["roc_auc"]["lower"]):
        ends, method = area_interval(values["roc_auc"], *scored)
        rows["roc_auc"].update(lower=ends[0], upper=ends[1], method=method)
    return rows


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"
