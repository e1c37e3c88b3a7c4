"""The figures beside the table of experiments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef.evaluation.metrics import METRIC_NAMES
from lvef.evaluation.uncertainty import LEVELS, doubt
from lvef.experiments.table_bounds import MAJORITY, MEAN, Bounds
from lvef.experiments.table_rows import Rows, best_on_val
from lvef.figures import uncertainty as figures
from lvef.figures.comparison import forest, learning_curves
from lvef.files import write_figure
from lvef.report.history import read_history

COVERAGES = [f"coverage_{100 * level:.0f}" for level in LEVELS]


def draw_table(
    output: Path,
    classifiers: Rows,
    regressors: Rows,
    cases: dict[str, pd.DataFrame],
    bounds: Bounds,
    data: str,
) -> list[Path]:
    """Draw what the table says, and return the pictures' paths.

    Args:
        output: Folder.
        classifiers: Rows of classifiers.
        regressors: Rows of the others.
        cases: The cases of each row.
        bounds: What the rows stand beside.
        data: What the headings begin with: `PHANTOM: `, or nothing.
    """
    drawn = {}
    for key, rows, label in (
        ("mae", regressors, "mean absolute error (EF points)"),
        ("roc_auc", classifiers, "ROC-AUC"),
    ):
        if not rows:
            continue
        count = next(iter(rows.values()))["num_cases"]
        title = f"{data}TEST, {count} videos, 95 % intervals"
        points = [_point(name, row["metrics"][key]) for name, row in rows.items()]
        drawn[key] = forest(points, _lines(bounds, key), label, title)
    if regressors:
        best = best_on_val(regressors)
        shown = {
            name: [row["metrics"][column]["value"] for column in COVERAGES]
            for name, row in regressors.items()
            if name in (best, "esf_mlp", "esf_gpr", "edf_esf_mlp", "edf_esf_gpr")
        }
        title = f"{data}TEST, {regressors[best]['num_cases']} videos"
        drawn["coverage"] = figures.coverage(shown, title)
        drawn["error_rejection"] = figures.error_rejection_curve(
            {name: _mistakes(cases[name]) for name in shown}, title
        )
    for metric, rows in (("mae", regressors), ("roc_auc", classifiers)):
        curves = _learning(rows, metric)
        if curves:
            drawn[f"learning_{metric}"] = learning_curves(
                curves,
                f"{METRIC_NAMES[metric]}, on VAL",
                f"{data}VAL over the epochs of each experiment",
            )
    for name, figure in drawn.items():
        write_figure(output / f"{name}.png", figure, dpi=120)
    return [output / f"{name}.png" for name in drawn]


def _lines(bounds: Bounds, metric: str) -> dict[str, float]:
    """Return the bounds that a plot of a metric shows: for the MAE, those that are best by it."""
    kind = "regression" if metric == "mae" else "classification"
    lines = {}
    for name, bound in bounds.items():
        if bound["kind"] == kind and "mean of EF" not in name and name not in (MEAN, MAJORITY):
            lines[re.split("[:,]", name)[0]] = float(bound["metrics"][metric]["value"])
    return lines


def _learning(rows: Rows, metric: str) -> dict[str, Any]:
    """Return the curves of the experiments that were trained for more than one epoch.

    Of folds it is their mean, as far as all of them went.
    """
    curves = {}
    for name, row in rows.items():
        each = [
            read_history(Path(checkpoint).parent.parent).get(f"val/{metric}", ([], []))
            for checkpoint in row.get("checkpoints", [row.get("checkpoint")])
        ]
        epochs = sorted(set.intersection(*(set(curve[0]) for curve in each)))
        of_epoch = [dict(zip(*curve, strict=True)) for curve in each]
        if len(epochs) > 1:
            curves[name] = epochs, [np.mean([v[epoch] for v in of_epoch]) for epoch in epochs]
    return curves


def _mistakes(cases: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    wrong = (cases["reduced"] != cases["reduced_true"]).to_numpy()
    return wrong, doubt(cases["p_reduced"])


def _point(name: str, row: dict[str, float | None]) -> tuple[str, float, float, float]:
    value, lower, upper = (
        float("nan") if row[part] is None else float(row[part])  # type: ignore[arg-type]
        for part in ("value", "lower", "upper")
    )
    return name, value, lower, upper
