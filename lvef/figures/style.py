"""What all figures share: colours and signs that tell apart in grey and to the colour-blind."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe & Ito
BLUE, ORANGE, GREY = COLORS[0], COLORS[1], "#777777"
PALE_BLUE, PALE_GREY, LIGHT_GREY = "#bcd6ea", "#dddddd", "#bbbbbb"
MARKERS = ["o", "s", "^", "D", "v", "P"]
FOUND_CONTOUR, TRUE_CONTOUR = "#ffb000", "#40b0ff"
"""Of a ventricle on grey frames: orange and blue."""
HATCHES = ["", "//", "..", "xx"]
DOTS: dict[str, Any] = {"s": 10, "color": BLUE, "alpha": 0.5, "linewidths": 0}
"""Of a scatter plot with a dot a case."""
LEGEND: dict[str, Any] = {"fontsize": 8, "frameon": False}
THRESHOLD: dict[str, Any] = {"color": ORANGE, "linestyle": "--", "linewidth": 1}
"""Of a line at the EF up to which it is called reduced."""


def titled_figure(width: float, height: float, title: str) -> Figure:
    """Return an empty figure with its title, sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure


def square_figure(side: float, title: str) -> tuple[Figure, Axes]:
    """Return a square figure with its title and one pair of axes, the side in inches."""
    figure = titled_figure(side, side, title)
    return figure, figure.subplots()


def numbered_style(number: int) -> dict[str, Any]:
    """Return the colour and marker of the curve of this number; they come again after six."""
    return {"color": COLORS[number % len(COLORS)], "marker": MARKERS[number % len(MARKERS)]}
