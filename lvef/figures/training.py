"""Figures of how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lvef.evaluation.metrics import metric_name
from lvef.figures.style import BLUE, ORANGE, titled_figure

Curve = tuple[Sequence[float], Sequence[float]]
_STYLES = {"train": ":", "val": "-"}


def training_curves(curves: Mapping[str, Curve], title: str) -> Figure:
    """Plot a run's metrics over its epochs, TRAIN dotted and VAL solid, a panel a metric.

    Args:
        curves: Epochs and values by name, such as `train/loss` and `val/mae`.
        title: Which run.
    """
    metrics = list(dict.fromkeys(name.split("/", 1)[1] for name in curves))
    columns = min(len(metrics), 3) or 1
    rows = -(-len(metrics) // columns) or 1
    figure = titled_figure(3.3 * columns, 2.7 * rows + 0.4, title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(metrics) :]:
        axis.axis("off")
    for axis, metric in zip(axes, metrics, strict=False):
        for stage, colour in zip(_STYLES, (ORANGE, BLUE), strict=True):
            if f"{stage}/{metric}" in curves:
                epochs, values = curves[f"{stage}/{metric}"]
                axis.plot(
                    epochs, values, _STYLES[stage], color=colour, marker="." if len(epochs) < 30
                    else None, label=stage.upper(),
                )  # fmt: skip
        axis.set(xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(metric_name(metric), fontsize=9)
        axis.legend(fontsize=7, frameon=False)
    return figure
