"""Figures of a model at another place, before and after it was recalibrated there."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lvef.figures.style import GREY, LEGEND, numbered_style, titled_figure

_PANELS = {
    "regression": {
        "mae": "MAE (EF points)", "bias": "bias (EF points)",
        "coverage": "coverage of the {} interval", "width": "width of the interval (EF points)",
    },
    "classification": {
        "balanced_accuracy": "balanced accuracy", "ece": "expected calibration error",
        "observed_expected": "observed : expected", "flagged": "flagged for review",
    },
}  # fmt: skip
_APART = 0.18


def external_figure(table: pd.DataFrame, kind: str, title: str, level: float | None) -> Figure:
    """Plot what recalibration on k local clips gives: a dot a drawing, and their means.

    Args:
        table: A row for every `k`, `drawing` and way that is `said`, the first of these the model
            as it is, with measures.
        kind: Of the task.
        title: Which data, how many and which model.
        level: The coverage that intervals promise, in 0..1; None where none are stated.
    """
    panels = _PANELS[kind]
    figure = titled_figure(10.0, 6.2, title)
    counts = sorted(table["k"].unique())
    ways = list(dict.fromkeys(table["said"]))
    promised = "stated" if level is None else f"{100 * level:g} %"
    targets = {"bias": 0.0, "observed_expected": 1.0, "coverage": level}
    for axis, (name, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for number, way in enumerate(ways):
            aside = (number - (len(ways) - 1) / 2) * _APART
            # Of no local clips there is the model as it is alone, with nothing to stand beside.
            at = {count: place + aside * (count > 0) for place, count in enumerate(counts)}
            _dots(axis, table[table["said"] == way], name, at, numbered_style(number), way)
        target = targets.get(name)
        if target is not None:
            axis.axhline(target, color=GREY, linestyle=":", linewidth=1)
        axis.set_xticks(range(len(counts)), [str(count) for count in counts])
        axis.set(xlabel="local clips", ylabel=label.format(promised))
        axis.set_xlim(-0.5, len(counts) - 0.5)
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(ways), **LEGEND)
    return figure


def _dots(
    axis: Axes, own: pd.DataFrame, name: str, at: dict[int, float], style: dict[str, Any], way: str
) -> None:
    axis.scatter(own["k"].map(at), own[name], s=7, color=style["color"], alpha=0.35, linewidths=0)
    means = own.groupby("k")[name].mean()
    axis.plot(means.index.map(at), means, label=way, linewidth=1, markersize=6, **style)
