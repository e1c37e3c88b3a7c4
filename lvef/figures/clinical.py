"""Figures of what a clinician asks: net benefit, and how risks are spread in each class.

Every function returns a matplotlib figure of its own.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lvef.evaluation.clinical import net_benefit
from lvef.figures.style import BLUE, GREY, LEGEND, ORANGE, THRESHOLD, square_figure, titled_figure

_BINS = np.linspace(0, 1, 26)


def decision_curve(p_reduced: ArrayLike, reduced_true: ArrayLike, title: str) -> Figure:
    """Plot the net benefit of sending on whoever is above a risk, beside everyone and no one.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        title: Which data, split and how many.
    """
    curve = net_benefit(p_reduced, reduced_true)
    figure, axis = square_figure(4.6, title)
    risk = 100 * np.asarray(curve["risk"])
    axis.plot(risk, curve["model"], color=BLUE, label="by the model")
    axis.plot(risk, curve["all"], color=ORANGE, linestyle="--", label="everyone")
    axis.axhline(0, color=GREY, linestyle=":", label="no one")
    highest = max(*curve["model"], *curve["all"], 1e-3)
    axis.set(
        xlabel="risk of EF ≤ 40 % from which one is sent on (%)",
        ylabel="net benefit (true positives a case)",
        ylim=(-0.35 * highest, 1.1 * highest),
    )
    axis.legend(**LEGEND)
    return figure


def risk_distribution(
    p_reduced: ArrayLike, reduced_true: ArrayLike, threshold: float, title: str
) -> Figure:
    """Plot how the stated risks are spread among cases of either class.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        threshold: Probability from which a case is called reduced.
        title: Which data, split and how many.
    """
    probability, reduced = np.asarray(p_reduced, float), np.asarray(reduced_true, bool)
    figure = titled_figure(4.6, 4.8, title)
    axes = figure.subplots(2, 1, sharex=True)
    for axis, of, words, color in (
        (axes[0], ~reduced, "EF > 40 % in truth", BLUE),
        (axes[1], reduced, "EF ≤ 40 % in truth", ORANGE),
    ):
        counts, _ = np.histogram(probability[of], _BINS)
        axis.stairs(100 * counts / max(int(of.sum()), 1), _BINS, fill=True, color=color)
        axis.axvline(threshold, **THRESHOLD)
        axis.set(ylabel="of these (%)", title=f"{words}, {int(of.sum())} cases")
        axis.title.set_fontsize(9)
    axes[1].set(xlabel="stated probability of EF ≤ 40 %")
    return figure
