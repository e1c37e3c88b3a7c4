"""Figures of several experiments side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lvef.figures.style import BLUE, GREY, LEGEND, PALE_GREY, numbered_style, titled_figure
from lvef.figures.training import Curve


def forest(
    rows: Sequence[tuple[str, float, float, float]],
    references: Mapping[str, float],
    label: str,
    title: str,
) -> Figure:
    """Plot a metric of several experiments with their intervals, beside reference lines.

    Args:
        rows: Name, value, lower and upper end, from top to bottom.
        references: Vertical lines by name.
        label: Of the axis.
        title: Which data, split and how many.
    """
    figure = titled_figure(7.2, 0.32 * len(rows) + 1.9, title)
    axis: Axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    values = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 3)
    reach = np.abs(values[:, 1:] - values[:, :1]).T
    axis.errorbar(values[:, 0], places, xerr=reach, fmt="o", color=BLUE, capsize=3, markersize=5)
    for (name, value), style in zip(references.items(), ("-", "--", ":", "-."), strict=False):
        axis.axvline(value, color=GREY, linestyle=style, linewidth=1, label=name)
    axis.set_yticks(places, [row[0] for row in rows])
    axis.set(xlabel=label, ylim=(-0.7, len(rows) - 0.3))
    axis.grid(axis="x", color=PALE_GREY, linewidth=0.6)
    axis.set_axisbelow(True)
    if references:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), **LEGEND)
    return figure


def learning_curves(curves: Mapping[str, Curve], label: str, title: str) -> Figure:
    """Plot a metric of VAL over the epochs of several experiments, such as EDF, ESF and MF.

    Args:
        curves: Epochs and values by experiment.
        label: The metric.
        title: Which data.
    """
    figure = titled_figure(5.6, 3.9, title)
    axis = figure.subplots()
    for number, (name, (epochs, values)) in enumerate(curves.items()):
        axis.plot(epochs, values, markersize=4, label=name, **numbered_style(number))
    axis.set(xlabel="epoch", ylabel=label)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(**LEGEND)
    return figure
