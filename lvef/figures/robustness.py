"""Figures of what mistakes cost a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lvef.figures.style import BLUE, LEGEND, numbered_style, titled_figure


def robustness_figure(table: pd.DataFrame, title: str) -> Figure:
    """Plot the cost of key frames picked wrongly, and of each kind of poor picture.

    Args:
        table: A row a condition, the first without any: `condition`, `level`, `unit`, `cost` with
            `cost_lower` and `cost_upper`, and `cost_of`.
        title: Which data, split, how many and which model.
    """
    main = str(table["cost_of"].iloc[0])
    factor, label = (1.0, "more MAE (EF points)") if main == "mae" else (
        100.0, "balanced accuracy lost (points)")  # fmt: skip
    wrong = table[table["condition"].str.endswith("off")]
    others = table[(table["condition"] != "") & ~table["condition"].str.endswith("off")]
    kinds = list(dict.fromkeys(others["condition"]))
    figure = titled_figure(10.5, 6.6, title)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    upper, lower = parts
    axis = upper.subplots()
    for number, (kind, rows) in enumerate(wrong.groupby("condition", sort=False)):
        zero = pd.DataFrame([{"level": 0.0, "cost": 0.0, "cost_lower": 0.0, "cost_upper": 0.0}])
        columns = ["level", "cost", "cost_lower", "cost_upper"]
        curve = pd.concat([rows[columns], zero]).sort_values("level")
        style = numbered_style(number)
        axis.plot(
            curve["level"], factor * curve["cost"], label=str(kind), **style,
        )  # fmt: skip
        axis.fill_between(
            curve["level"], factor * curve["cost_lower"], factor * curve["cost_upper"],
            color=style["color"], alpha=0.15, linewidth=0,
        )  # fmt: skip
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(xlabel="frames picked too early (-) or too late (+)", ylabel=label)
    axis.set_xticks(range(-5, 6))
    if len(wrong):
        axis.legend(**LEGEND)
    axes = np.atleast_1d(lower.subplots(1, len(kinds), sharey=True))
    for panel, kind in zip(axes, kinds, strict=True):
        rows = others[others["condition"] == kind]
        costs = factor * rows[["cost", "cost_lower", "cost_upper"]].to_numpy()
        reach = np.abs(costs[:, 1:] - costs[:, :1]).T
        panel.errorbar(range(len(rows)), costs[:, 0], reach, color=BLUE, marker="o", capsize=2)
        panel.axhline(0, color="black", linewidth=0.8)
        panel.set_xticks(range(len(rows)), [f"{level:g}" for level in rows["level"]])
        panel.set_title(kind, fontsize=9)
        panel.set_xlabel(rows["unit"].iloc[0], fontsize=8)
        panel.margins(x=0.2)
    axes[0].set_ylabel(label)
    return figure
