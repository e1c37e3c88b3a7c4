"""Figures of how true a stated uncertainty is; readable in black and white.

Every function returns a matplotlib figure of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from lvef.evaluation.review import error_rejection
from lvef.evaluation.uncertainty import LEVELS

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe & Ito
_MARKERS = ["o", "s", "^", "D", "v", "P"]
_GREY = "#777777"
_BINS = 10


def coverage(shares: Mapping[str, ArrayLike], title: str) -> Figure:
    """Plot the share of cases inside their intervals against what the intervals promise.

    Args:
        shares: By name, the share inside at each of `LEVELS`.
        title: Which data, split and how many.
    """
    figure, axis = _one_axis(title)
    nominal = 100 * np.array(LEVELS)
    axis.plot((40, 100), (40, 100), color=_GREY, linestyle=":", label="as promised")
    for (name, share), color, marker in zip(shares.items(), *_styles(len(shares)), strict=True):
        axis.plot(nominal, 100 * np.asarray(share), color=color, marker=marker, label=name or None)
    axis.set(xlabel="level of the interval (%)", ylabel="cases inside (%)")
    axis.set_xticks(nominal)
    axis.legend(fontsize=8, frameon=False)
    return figure


def error_rejection_curve(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Figure:
    """Plot the error rate that remains when the most doubtful cases go to a human.

    Args:
        curves: By name, `(n,)` whether each case is wrong and `(n,)` how doubtful it is.
        title: Which data, split and how many.
    """
    figure, axis = _one_axis(title)
    for (name, curve), color, marker in zip(curves.items(), *_styles(len(curves)), strict=True):
        rejected, remaining = error_rejection(*curve)
        axis.plot(
            100 * rejected, 100 * remaining, color=color, marker=marker, markersize=4, label=name
        )
        axis.axhline(100 * remaining[0], color=color, linestyle=":", linewidth=1)
    axis.set(
        xlabel="most doubtful cases sent to a human (%)",
        ylabel="misclassified among the rest (%)",
        ylim=(0, None),
    )
    axis.legend(fontsize=8, frameon=False, title="dotted: sent at random", title_fontsize=8)
    return figure


def reliability(p_reduced: ArrayLike, reduced_true: ArrayLike, title: str) -> Figure:
    """Plot how often EF is reduced against the probability stated, over equal bins.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        title: Which data, split and how many.
    """
    probability, truth = np.asarray(p_reduced, float), np.asarray(reduced_true, float)
    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    figure.suptitle(title, fontsize=10)
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    filled = np.unique(bins)
    stated = [probability[bins == i].mean() for i in filled]
    seen = np.array([truth[bins == i].mean() for i in filled])
    counts = np.array([(bins == i).sum() for i in filled])
    spread = np.abs(_wilson(seen, counts) - seen)
    upper.plot((0, 1), (0, 1), color=_GREY, linestyle=":", label="as stated")
    upper.errorbar(
        stated, seen, spread, color=COLORS[0], marker="o", capsize=2, label="cases (95 %)"
    )
    upper.set(ylabel="EF ≤ 40 % in truth", ylim=(-0.05, 1.05))
    upper.legend(fontsize=8, frameon=False)
    lower.bar((filled + 0.5) / _BINS, counts, width=0.9 / _BINS, color=_GREY)
    lower.set(
        xlabel="stated probability of EF ≤ 40 %", ylabel="cases", yscale="log", ylim=(0.7, None)
    )
    return figure


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
    figure = Figure(figsize=(7.2, 0.32 * len(rows) + 1.9), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axis: Axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    values = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 3)
    reach = np.abs(values[:, 1:] - values[:, :1]).T
    axis.errorbar(
        values[:, 0], places, xerr=reach, fmt="o", color=COLORS[0], capsize=3, markersize=5
    )
    for (name, value), style in zip(references.items(), ("-", "--", ":", "-."), strict=False):
        axis.axvline(value, color=_GREY, linestyle=style, linewidth=1, label=name)
    axis.set_yticks(places, [row[0] for row in rows])
    axis.set(xlabel=label, ylim=(-0.7, len(rows) - 0.3))
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    if references:
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def _wilson(share: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the ends of 95 % intervals of shares, `(2, n)` (Wilson, JASA 1927)."""
    z = norm.ppf(0.975)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    variance = share * (1 - share) / count + z**2 / (4 * count**2)
    reach = z * np.sqrt(variance) / (1 + z**2 / count)
    return np.stack([centre - reach, centre + reach])


def _styles(count: int) -> tuple[list[str], list[str]]:
    return (
        [COLORS[i % len(COLORS)] for i in range(count)],
        [_MARKERS[i % len(_MARKERS)] for i in range(count)],
    )


def _one_axis(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure, figure.subplots()
