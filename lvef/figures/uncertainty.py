"""Figures of how true a stated uncertainty is.

Every function returns a matplotlib figure of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lvef.evaluation.intervals import proportion_interval
from lvef.evaluation.review import error_rejection
from lvef.evaluation.uncertainty import LEVELS
from lvef.figures.style import BLUE, GREY, LEGEND, numbered_style, square_figure, titled_figure

_BINS = 10


def coverage(shares: Mapping[str, ArrayLike], title: str) -> Figure:
    """Plot the share of cases inside their intervals against what the intervals promise.

    Args:
        shares: By name, the share inside at each of `LEVELS`.
        title: Which data, split and how many.
    """
    figure, axis = square_figure(4.6, title)
    nominal = 100 * np.array(LEVELS)
    axis.plot((40, 100), (40, 100), color=GREY, linestyle=":", label="as promised")
    for number, (name, share) in enumerate(shares.items()):
        style = numbered_style(number)
        axis.plot(nominal, 100 * np.asarray(share), label=name or None, **style)
    axis.set(xlabel="level of the interval (%)", ylabel="cases inside (%)")
    axis.set_xticks(nominal)
    axis.legend(**LEGEND)
    return figure


def error_rejection_curve(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Figure:
    """Plot the error rate that remains when the most doubtful cases go to a human.

    Args:
        curves: By name, `(n,)` whether each case is wrong and `(n,)` how doubtful it is.
        title: Which data, split and how many.
    """
    figure, axis = square_figure(4.6, title)
    for number, (name, curve) in enumerate(curves.items()):
        style = numbered_style(number)
        rejected, remaining = error_rejection(*curve)
        axis.plot(100 * rejected, 100 * remaining, markersize=4, label=name, **style)
        axis.axhline(100 * remaining[0], color=style["color"], linestyle=":", linewidth=1)
    axis.set(
        xlabel="most doubtful cases sent to a human (%)",
        ylabel="misclassified among the rest (%)",
        ylim=(0, None),
    )
    axis.legend(**LEGEND, title="dotted: sent at random", title_fontsize=8)
    return figure


def reliability(p_reduced: ArrayLike, reduced_true: ArrayLike, title: str) -> Figure:
    """Plot how often EF is reduced against the probability stated, over equal bins.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        title: Which data, split and how many.
    """
    probability, truth = np.asarray(p_reduced, float), np.asarray(reduced_true, float)
    figure = titled_figure(4.6, 5.2, title)
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    filled = np.unique(bins)
    stated = [probability[bins == i].mean() for i in filled]
    seen = np.array([truth[bins == i].mean() for i in filled])
    counts = np.array([(bins == i).sum() for i in filled])
    ends = [
        proportion_interval(share * count, count, method="wilson")
        for share, count in zip(seen, counts, strict=True)
    ]
    spread = np.abs(np.array(ends).T - seen)
    upper.plot((0, 1), (0, 1), color=GREY, linestyle=":", label="as stated")
    upper.errorbar(stated, seen, spread, color=BLUE, marker="o", capsize=2, label="cases (95 %)")
    upper.set(ylabel="EF ≤ 40 % in truth", ylim=(-0.05, 1.05))
    upper.legend(**LEGEND)
    lower.bar((filled + 0.5) / _BINS, counts, width=0.9 / _BINS, color=GREY)
    lower.set(
        xlabel="stated probability of EF ≤ 40 %", ylabel="cases", yscale="log", ylim=(0.7, None)
    )
    return figure
