"""The figures of a study of robustness, and its table in Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor

from lvef.cardiac import is_reduced
from lvef.evaluation.intervals import CLOPPER_PEARSON
from lvef.evaluation.metrics import classification_metrics, regression_metrics
from lvef.evaluation.resampling import Metrics, bootstrap_interval
from lvef.experiments.conditions import Condition
from lvef.experiments.shares import share_of
from lvef.experiments.table_markdown import header, line
from lvef.models import EFTask
from lvef.notice import NOT_FOR_DIAGNOSIS

_CLASSIFICATION = ("roc_auc", "balanced_accuracy", "recall", "specificity")
_REGRESSION = ("mae", "rmse", "bias", "roc_auc")
_RESAMPLES = 200
_WITHIN = 10.0
"""EF points within which an answer counts as right."""


def measure(
    task: EFTask,
    answers: list[dict[str, Tensor]],
    conditions: list[Condition],
    rows: pd.DataFrame,
    refused: int = 0,
) -> pd.DataFrame:
    """Return a row a condition: metrics and what the condition costs, each with its interval.

    Args:
        task: The model.
        answers: What it said under each condition, columns `(n,)`.
        conditions: These.
        rows: Labels of the cases, `(n,)`.
        refused: How many more cases could not be read.

    Returns:
        Metrics as `NAME`, `NAME_lower` and `NAME_upper`; `right` is the share within 10 EF points,
        or called right, and `right_all` the same with what could not be read counted as failed.
    """
    ef = rows["ef_true"].to_numpy(float)
    classifier = task.kind == "classification"
    threshold = 0.5 if task.decision_threshold is None else task.decision_threshold
    truth = is_reduced(ef).astype(int) if classifier else ef
    name = "p_reduced" if classifier else "ef"
    predicted = [cases[name].double().numpy() for cases in answers]
    main, sign = ("balanced_accuracy", -1) if classifier else ("mae", 1)
    shown = _CLASSIFICATION if classifier else _REGRESSION

    def metric(answer: ArrayLike, known: ArrayLike) -> Metrics:
        if classifier:
            return classification_metrics(answer, known, threshold)
        return regression_metrics(answer, known)

    def both(changed: ArrayLike, first: ArrayLike, known: ArrayLike) -> Metrics:
        of_changed = metric(changed, known)
        cost = sign * (of_changed[main] - metric(first, known)[main])
        return {**{each: of_changed[each] for each in shown}, "cost": cost}

    measured = []
    for condition, answer, cases in zip(conditions, predicted, answers, strict=True):
        values = both(answer, predicted[0], truth)
        ends = bootstrap_interval(both, answer, predicted[0], truth, resamples=_RESAMPLES)
        if not condition.kind:
            ends["cost"] = (0.0, 0.0)
        found = {key: (value, *ends[key]) for key, value in values.items()}
        right = (answer >= threshold) == truth if classifier else abs(answer - truth) <= _WITHIN
        for key, share in (
            ("flagged", share_of(cases["review"].numpy() > 0)),
            ("right", share_of(right)),
            ("right_all", share_of(right, refused)),
        ):
            found[key] = share["value"], share["lower"], share["upper"]
        row: dict[str, Any] = {
            "condition": condition.kind, "level": condition.level, "unit": condition.unit,
            "words": condition.words, "cost_of": main, "refused": refused,
        }  # fmt: skip
        for key, (value, lower, upper) in found.items():
            row |= {key: value, f"{key}_lower": lower, f"{key}_upper": upper}
        measured.append(row)
    return pd.DataFrame(measured)


def format_robustness(table: pd.DataFrame, title: str, phantom: bool) -> str:
    """Return the table of `measure` as Markdown."""
    shown = [name for name in dict.fromkeys((*_REGRESSION, *_CLASSIFICATION)) if name in table]
    main, refused = str(table["cost_of"].iloc[0]), int(table["refused"].iloc[0])
    regressor = main == "mae"
    words = "MAE, EF points" if regressor else "balanced accuracy lost, points of 100"
    factor = 1.0 if regressor else 100.0
    right = f"within {_WITHIN:g} EF points" if regressor else "called right"
    shares = {"right": right}
    if refused:
        shares["right_all"] = f"{right}, of all clips"
    heads = ["", *shown, *shares.values(), "flagged", f"cost ({words})"]
    lines = [
        f"## {'PHANTOM: ' if phantom else ''}what mistakes cost", "",
        f"{title}. {NOT_FOR_DIAGNOSIS}", "", *header(heads),
    ]  # fmt: skip
    for row in table.to_dict(orient="records"):
        cells = [_cell(row, name, 2 if name in ("mae", "rmse", "bias") else 3) for name in shown]
        cells += [_share(row, name) for name in shares]
        cost = ""
        if row["condition"]:
            low, high = factor * row["cost_lower"], factor * row["cost_upper"]
            cost = f"{factor * row['cost']:+.2f} [{low:+.2f}, {high:+.2f}]"
        lines.append(line([str(row["words"]), *cells, _share(row, "flagged"), cost]))
    worst = table.iloc[1:].nlargest(1, "cost").iloc[0]
    lines += ["", f"Costliest: {worst['words']}, {factor * worst['cost']:+.1f} ({words}).", ""]
    note = (
        f"Intervals of 95 %: of shares {CLOPPER_PEARSON}, of the others BCa bootstrap with "
        f"{_RESAMPLES} resamples of cases."
    )
    if refused:
        note += (
            f" Clips that could not be read: {refused}. They are in no metric but the share of all "
            "clips, where they count as failed."
        )
    return "\n".join([*lines, note]) + "\n"


def _cell(row: dict[Any, Any], name: str, digits: int) -> str:
    value, lower, upper = (float(row[name + part]) for part in ("", "_lower", "_upper"))
    if np.isnan(value):
        return "-"
    return f"{value:.{digits}f} [{lower:.{digits}f}, {upper:.{digits}f}]"


def _share(row: dict[Any, Any], name: str) -> str:
    value, lower, upper = (100 * float(row[name + part]) for part in ("", "_lower", "_upper"))
    return f"{value:.0f} % [{lower:.0f}, {upper:.0f}]"
