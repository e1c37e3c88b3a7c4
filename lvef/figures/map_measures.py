"""Figures of what heat maps are worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lvef.evaluation.map_measures import CURVE_SHARES
from lvef.figures.style import COLORS, HATCHES, LEGEND, LIGHT_GREY, titled_figure


def region_figure(
    shares: Mapping[str, Mapping[str, float]], area: Mapping[str, float], title: str
) -> Figure:
    """Plot the share of heat maps in regions beside the regions' share of the area.

    Args:
        shares: By method, mean share by region.
        area: Mean share of the area by region, of the sector or the picture as `shares` are.
        title: What it is.
    """
    names = list(area)
    figure = titled_figure(7.2, 0.42 * len(names) + 1.6, title)
    axis = figure.subplots()
    bars = {"area": area, **shares}
    height = 0.8 / len(bars)
    places = np.arange(len(names))[::-1]
    colours = [LIGHT_GREY, *COLORS]
    for number, (label, values) in enumerate(bars.items()):
        axis.barh(
            places + 0.4 - (number + 0.5) * height,
            [100 * values[name] for name in names], height,
            color=colours[number], hatch=HATCHES[number % len(HATCHES)],
            edgecolor="white", label=label,
        )  # fmt: skip
    axis.set_yticks(places, [name.replace("_", " ") for name in names])
    axis.set_xlabel("share (%)")
    axis.legend(**LEGEND)
    return figure


def curve_figure(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Figure:
    """Plot deletion and insertion curves.

    Args:
        curves: By method, deletion and insertion at `CURVE_SHARES`.
        title: What it is.
    """
    figure = titled_figure(8.2, 3.9, title)
    for axis, side, words in zip(
        figure.subplots(1, 2), (0, 1), ("deletion: lower is better", "insertion: higher is better"),
        strict=True,
    ):  # fmt: skip
        for (name, pair), colour, marker in zip(curves.items(), COLORS, "os^D", strict=False):
            axis.plot(
                100 * CURVE_SHARES, np.asarray(pair[side]), color=colour, marker=marker,
                markersize=4, label=name,
            )  # fmt: skip
        axis.set(
            title=words, xlabel="pixels, the most salient first (%)", ylabel="score of the answer"
        )
        axis.title.set_fontsize(9)
        axis.legend(**LEGEND)
    return figure
