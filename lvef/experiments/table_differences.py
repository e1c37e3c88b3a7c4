"""Which rows of the table differ: paired differences, verdicts and p-values over TEST's cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.evaluation.comparison import (
    RESAMPLES,
    Counts,
    bootstrap_auc,
    bootstrap_mae,
    compare,
    resampled,
)
from lvef.evaluation.metrics import classification_metrics
from lvef.experiments.table_markdown import header, line, number, p_value
from lvef.experiments.table_rows import clusters_of

Array = NDArray[np.float64]
Differences = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""By metric, row and row: see `compare`."""


@dataclass(frozen=True)
class Compared:
    """A metric by which rows are compared.

    Attributes:
        name: Of the metric.
        answer: Column of `cases.csv` that it judges.
        truth: Column of the truth.
        lower_is_better: Whether it is an error.
        bootstrap: See `bootstrap_mae`.
    """

    name: str
    answer: str
    truth: str
    lower_is_better: bool
    bootstrap: Callable[[Array, Array, Counts], Array]

    def value(self, answer: Array, truth: Array) -> float:
        """Return the metric of some cases."""
        if self.name == "mae":
            return float(np.abs(answer - truth).mean())
        return classification_metrics(answer, truth)["roc_auc"]


MAE = Compared("mae", "ef", "ef_true", True, bootstrap_mae)
ROC_AUC = Compared("roc_auc", "p_reduced", "reduced_true", False, bootstrap_auc)


def scored(
    metric: Compared, cases: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, float], dict[str, Array]]:
    """Return the metric of each row, and of its resamples, over the cases that all of them have.

    Args:
        metric: The metric.
        cases: The cases of each row; with `patient`, patients are drawn in place of clips.
    """
    indexed = {name: frame.set_index("video") for name, frame in cases.items()}
    common = sorted(set.intersection(*(set(frame.index) for frame in indexed.values())))
    clusters = clusters_of(next(iter(indexed.values())).loc[common].reset_index())
    drawn = resampled(len(common), clusters)
    values, scores = {}, {}
    for name, frame in indexed.items():
        row = frame.loc[common]
        answer, truth = row[metric.answer].to_numpy(float), row[metric.truth].to_numpy(float)
        values[name] = metric.value(answer, truth)
        scores[name] = metric.bootstrap(answer, truth, drawn)
    return values, scores


def differences_of(
    metric: Compared, cases: Mapping[str, pd.DataFrame], margin: float
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what `compare` says of the rows; nothing where there are fewer than two."""
    if len(cases) < 2:
        return {}
    values, scores = scored(metric, cases)
    return compare(values, scores, margin, metric.lower_is_better)


def format_differences(differences: Differences, margins: dict[str, float], data: str) -> list[str]:
    """Return for each metric the differences with verdicts, and the p-values."""
    lines: list[str] = []
    for metric, matrix in differences.items():
        if not matrix:
            continue
        names = list(matrix)
        lines += [f"## {data}Differences of {metric}, TEST: row minus column", ""]
        lines += _lower_half(names, lambda a, b, m=matrix: _difference(m[a][b]))  # type: ignore[misc]
        lines += ["", f"Paired bootstrap p-values of {metric}: uncorrected / after Holm", ""]
        lines += _lower_half(names, lambda a, b, m=matrix: _both(m[a][b]))  # type: ignore[misc]
        count = len(names) * (len(names) - 1) // 2
        unit = "EF points" if metric == "mae" else "of ROC-AUC"
        lines += ["", _note(count, margins[metric], unit), ""]
    return lines[:-1]


def _note(count: int, margin: float, unit: str) -> str:
    how_many = "this is one comparison" if count == 1 else f"these are {count} comparisons"
    return (
        f"In brackets the 90 % interval of the difference ({RESAMPLES:,} paired bootstrap "
        "resamples of cases, by patient where one has several). Equivalent: that interval lies "
        f"within ± {margin:g} {unit} "
        "(two one-sided tests at 5 %). Better or worse: not equivalent, and p after Holm below "
        "0.05. "
        f"Undecided: neither. The first p-value is uncorrected, and {how_many}. The "
        "second is corrected for all of them (Holm). All of this covers the drawing of TEST's "
        "cases only, not what another training would give: see `--seeds`."
    )


def _lower_half(names: list[str], text: Callable[[str, str], str]) -> list[str]:
    lines = header(["", *(f"`{name}`" for name in names[:-1])])
    for place, one in enumerate(names[1:], start=1):
        cells = [text(one, other) for other in names[:place]]
        lines.append(line([f"`{one}`", *cells, *[""] * (len(names) - 1 - place)]))
    return lines


def _difference(row: dict[str, Any]) -> str:
    ends = f"[{number(row['lower_90'])}, {number(row['upper_90'])}]"
    return f"{number(row['difference'])} {ends} {row['verdict']}"


def _both(row: dict[str, Any]) -> str:
    return f"{p_value(row['p'])} / {p_value(row['p_holm'])}"
