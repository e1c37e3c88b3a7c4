"""Figures of how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lvef.evaluation.metrics import METRIC_NAMES
from lvef.figures.uncertainty import COLORS

Curve = tuple[Sequence[float], Sequence[float]]
_STYLES = {"train": ":", "val": "-"}
_MARKERS = ["o", "s", "^", "D", "v", "P"]


def training_curves(curves: Mapping[str, Curve], title: str) -> Figure:
    """Plot a run's metrics over its epochs, TRAIN dotted and VAL solid, a panel a metric.

    Args:
        curves: Epochs and values by name, such as `train/loss` and `val/mae`.
        title: Which run.
    """
    metrics = list(dict.fromkeys(name.split("/", 1)[1] for name in curves))
    columns = min(len(metrics), 3) or 1
    rows = -(-len(metrics) // columns) or 1
    figure = Figure(figsize=(3.3 * columns, 2.7 * rows + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(metrics) :]:
        axis.axis("off")
    for axis, metric in zip(axes, metrics, strict=False):
        for stage, colour in zip(_STYLES, (COLORS[1], COLORS[0]), strict=True):
            if f"{stage}/{metric}" in curves:
                epochs, values = curves[f"{stage}/{metric}"]
                axis.plot(
                    epochs, values, _STYLES[stage], color=colour, marker="." if len(epochs) < 30
                    else None, label=stage.upper(),
                )  # fmt: skip
        axis.set(xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(METRIC_NAMES.get(metric, metric.replace("_", " ")), fontsize=9)
        axis.legend(fontsize=7, frameon=False)
    return figure


def learning_curves(curves: Mapping[str, Curve], label: str, title: str) -> Figure:
    """Plot a metric of VAL over the epochs of several experiments, such as EDF, ESF and MF.

    Args:
        curves: Epochs and values by experiment.
        label: The metric.
        title: Which data.
    """
    figure = Figure(figsize=(5.6, 3.9), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axis = figure.subplots()
    for number, (name, (epochs, values)) in enumerate(curves.items()):
        axis.plot(
            epochs, values, color=COLORS[number % len(COLORS)], marker=_MARKERS[number % 6],
            markersize=4, label=name,
        )  # fmt: skip
    axis.set(xlabel="epoch", ylabel=label)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(fontsize=8, frameon=False)
    return figure
