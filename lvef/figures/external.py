"""Figures of a model at another place, before and after it was recalibrated there."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lvef.figures.style import GREY, LEGEND, numbered_style, titled_figure

_PANELS = {
    "regression": {
        "mae": "MAE (EF points)", "bias": "bias (EF points)",
        "coverage": "coverage of the stated interval", "width": "its width (EF points)",
    },
    "classification": {
        "balanced_accuracy": "balanced accuracy", "ece": "expected calibration error",
        "observed_expected": "observed : expected", "flagged": "flagged for review",
    },
}  # fmt: skip
_APART = 0.18


def external_figure(table: pd.DataFrame, kind: str, title: str) -> Figure:
    """Plot what recalibration on k local clips gives: a dot a drawing, and their means.

    Args:
        table: A row for every `k`, `drawing` and way that is `said`, the first of these the model
            as it is, with measures.
        kind: Of the task.
        title: Which data, how many and which model.
    """
    panels = _PANELS[kind]
    figure = titled_figure(10.0, 6.2, title)
    counts = sorted(table["k"].unique())
    ways = list(dict.fromkeys(table["said"]))
    for axis, (name, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for number, way in enumerate(ways):
            own = table[table["said"] == way]
            _dots(axis, own, name, counts, (number - (len(ways) - 1) / 2) * _APART, number, way)
        target = {"bias": 0.0, "observed_expected": 1.0}.get(name)
        if target is not None:
            axis.axhline(target, color=GREY, linestyle=":", linewidth=1)
        axis.set_xticks(range(len(counts)), [str(count) for count in counts])
        axis.set(xlabel="local clips", ylabel=label)
    figure.axes[0].legend(**LEGEND)
    return figure


def _dots(
    axis: Any, own: pd.DataFrame, name: str, counts: list[int], aside: float, number: int, way: str
) -> None:
    style = numbered_style(number)
    places = own["k"].map({count: place + aside for place, count in enumerate(counts)})
    axis.scatter(places, own[name], s=7, color=style["color"], alpha=0.35, linewidths=0)
    means = own.groupby("k")[name].mean()
    at = [counts.index(count) + aside for count in means.index]
    axis.plot(at, means, label=way, linewidth=1, markersize=6, **style)
