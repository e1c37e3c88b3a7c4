"""Figures of how predictions of EF err.

Every function returns a matplotlib figure of its own.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, probplot

from lvef.cardiac import REDUCED_EF
from lvef.evaluation import agreement
from lvef.evaluation.metrics import LIMITS_OF_AGREEMENT
from lvef.evaluation.review import EF_BANDS
from lvef.figures.style import (
    BLUE,
    DOTS,
    LEGEND,
    ORANGE,
    PALE_BLUE,
    THRESHOLD,
    titled_figure,
)

Array = NDArray[np.float64]


def bland_altman(ef: ArrayLike, ef_true: ArrayLike, title: str) -> Figure:
    """Plot the difference of predicted and true EF against their mean, with limits of agreement.

    Bland & Altman, *Lancet* 327:307-310 (1986), and the limits that change with EF (*Statistical
    Methods in Medical Research* 8:135-160, 1999).

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        title: Which data, split and how many.
    """
    predicted, truth = np.asarray(ef, float), np.asarray(ef_true, float)
    difference = predicted - truth
    bias = float(difference.mean())
    reach = LIMITS_OF_AGREEMENT * float(difference.std(ddof=1)) if len(truth) > 1 else 0.0
    figure = titled_figure(5.2, 4.4, title)
    axis = figure.subplots()
    axis.scatter((predicted + truth) / 2, difference, **DOTS)
    for level, words, style in (
        (bias, "bias", "-"),
        (bias - reach, "lower limit", "--"),
        (bias + reach, "upper limit", "--"),
    ):  # fmt: skip
        axis.axhline(level, color="black", linestyle=style, linewidth=1)
        axis.annotate(
            f"{words} {level:+.1f}", (1, level), xycoords=("axes fraction", "data"),
            xytext=(-3, 3), textcoords="offset points", ha="right", fontsize=8,
        )  # fmt: skip
    changing = agreement.bland_altman(predicted, truth).get("limits_at", {})
    places = [float(place) for place in changing]
    label = "limits that change with EF"
    for ends in zip(*changing.values(), strict=True):
        axis.plot(places, ends, color=ORANGE, linestyle=":", label=label)
        label = ""
    if len(places) > 1:
        axis.legend(**LEGEND, loc="upper left")
    axis.set(xlabel="mean of predicted and true EF (%)", ylabel="predicted - true EF (points)")
    return figure


def residuals(
    ef: ArrayLike, ef_true: ArrayLike, end_diastolic_volume: ArrayLike | None, title: str
) -> Figure:
    """Plot residuals against true EF, against the end-diastolic volume, and by band of EF.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        end_diastolic_volume: `(n,)` in mL, NaN where unknown; None where none is.
        title: Which data, split and how many.
    """
    truth = np.asarray(ef_true, float)
    error = np.asarray(ef, float) - truth
    volume = None if end_diastolic_volume is None else np.asarray(end_diastolic_volume, float)
    known = volume is not None and bool(np.isfinite(volume).any())
    panels = 3 if known else 2
    figure = titled_figure(4.1 * panels, 3.9, title)
    axes = figure.subplots(1, panels, sharey=True)
    axes[0].scatter(truth, error, **DOTS)
    _trend(axes[0], truth, error)
    axes[0].axvline(REDUCED_EF, label="EF 40 %", **THRESHOLD)
    axes[0].set(xlabel="true EF (%)", ylabel="predicted - true EF (points)")
    axes[0].legend(**LEGEND)
    if known and volume is not None:
        usable = np.isfinite(volume)
        axes[1].scatter(volume[usable], error[usable], **DOTS)
        _trend(axes[1], volume[usable], error[usable])
        axes[1].set(xlabel="end-diastolic volume (mL)")
    bands = [(low, high) for low, high in pairwise(EF_BANDS) if _in_band(truth, low, high).any()]
    groups = [error[_in_band(truth, low, high)] for low, high in bands]
    axes[-1].boxplot(groups, showfliers=False, medianprops={"color": ORANGE, "linewidth": 2})
    names = [f"{low}-{high}\nn={len(g)}" for (low, high), g in zip(bands, groups, strict=True)]
    axes[-1].set_xticks(range(1, len(bands) + 1), names, fontsize=7)
    axes[-1].set(xlabel="band of true EF (%)")
    for axis in axes:
        axis.axhline(0, color="black", linewidth=1)
    return figure


def residual_distribution(ef: ArrayLike, ef_true: ArrayLike, title: str) -> Figure:
    """Plot the histogram of residuals beside a normal distribution, and their Q-Q plot.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        title: Which data, split and how many.
    """
    error = np.asarray(ef, float) - np.asarray(ef_true, float)
    figure = titled_figure(8.2, 3.9, title)
    left, right = figure.subplots(1, 2)
    left.hist(error, bins="auto", density=True, color=PALE_BLUE, edgecolor=BLUE)
    spread = float(error.std(ddof=1)) if len(error) > 1 else 0.0
    if spread > 0:
        x = np.linspace(error.min(), error.max(), 200)
        left.plot(x, norm.pdf(x, error.mean(), spread), color="black", label="normal")
        (theory, ordered), (slope, middle, _) = probplot(error)
        right.scatter(theory, ordered, **DOTS)
        right.plot(theory, slope * theory + middle, color="black", linewidth=1, label="normal")
        for axis in (left, right):
            axis.legend(**LEGEND)
    left.set(xlabel="predicted - true EF (points)", ylabel="density")
    right.set(xlabel="quantile of a standard normal", ylabel="residual (points)")
    return figure


def _in_band(ef_true: Array, low: float, high: float) -> NDArray[np.bool_]:
    return (ef_true > low) & (ef_true <= high) if low else ef_true <= high


def _trend(axis: Axes, x: Array, error: Array) -> None:
    """Draw the mean residual over tenths of the cases."""
    if len(x) < 20:
        return
    groups = np.array_split(np.argsort(x), 10)
    axis.plot(
        [x[g].mean() for g in groups], [error[g].mean() for g in groups], color="black",
        marker="s", markersize=4, linewidth=1, label="mean of tenths",
    )  # fmt: skip
