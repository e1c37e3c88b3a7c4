"""Figures of predictions against truth.

Every function returns a matplotlib figure of its own, for TensorBoard and for files alike.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import as_tensor
from torchmetrics.functional.classification import (
    binary_confusion_matrix,
    binary_precision_recall_curve,
    binary_roc,
)

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.metrics import classification_metrics, regression_metrics
from lvef.figures.style import (
    BLUE,
    DOTS,
    GREY,
    LEGEND,
    ORANGE,
    THRESHOLD,
    square_figure,
    titled_figure,
)

Array = NDArray[np.generic]
_GRID = np.linspace(0, 1, 101)
_RESAMPLES = 300


def predicted_and_true(ef: Array, ef_true: Array, title: str) -> Figure:
    """Plot predicted against true EF with the identity and both 40 % lines.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        title: Which data, split and how many.
    """
    metrics = regression_metrics(ef, ef_true)
    figure, axis = square_figure(4.6, title)
    axis.scatter(ef_true, ef, **DOTS)
    ends = (0.0, 90.0)
    axis.plot(ends, ends, color="black", linewidth=1, label="identity")
    axis.axvline(REDUCED_EF, label="EF 40 %", **THRESHOLD)
    axis.axhline(REDUCED_EF, **THRESHOLD)
    axis.set(xlim=ends, ylim=ends, xlabel="true EF (%)", ylabel="predicted EF (%)", aspect="equal")
    words = f"MAE {metrics['mae']:.1f}, RMSE {metrics['rmse']:.1f}, R² {metrics['r2']:.2f}"
    axis.text(0.97, 0.03, words, transform=axis.transAxes, ha="right", fontsize=9)
    axis.legend(loc="upper left", **LEGEND)
    return figure


def roc_and_pr(p_reduced: Array, reduced_true: Array, threshold: float, title: str) -> Figure:
    """Plot the ROC and the precision-recall curve with bootstrap bands and the operating point.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        threshold: Decision threshold.
        title: Which data, split and how many.
    """
    probability, truth = (
        as_tensor(np.array(p_reduced, float)),
        as_tensor(np.array(reduced_true, int)),
    )
    metrics = classification_metrics(p_reduced, reduced_true, threshold)
    figure = titled_figure(8.2, 4.2, title)
    left, right = figure.subplots(1, 2)
    band = _bands(np.asarray(p_reduced, float), np.asarray(reduced_true, int) > 0)
    for axis, (low, high) in zip((left, right), band, strict=True):
        axis.fill_between(_GRID, low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 %")
    false_positive, true_positive, _ = binary_roc(probability, truth)
    left.plot(false_positive, true_positive, color=BLUE, label=f"AUC {metrics['roc_auc']:.3f}")
    left.plot((0, 1), (0, 1), color=GREY, linestyle=":", label="chance")
    left.scatter(
        1 - metrics["specificity"], metrics["recall"], color=ORANGE, marker="D", zorder=3,
        label=f"threshold {threshold:.2f}",
    )  # fmt: skip
    left.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    precision, recall, _ = binary_precision_recall_curve(probability, truth)
    prevalence = float(truth.double().mean())
    right.plot(recall, precision, color=BLUE, label=f"average precision {metrics['pr_auc']:.3f}")
    right.axhline(
        prevalence, color=GREY, linestyle=":", label=f"chance (prevalence {prevalence:.2f})"
    )
    right.scatter(metrics["recall"], metrics["precision"], color=ORANGE, marker="D", zorder=3)
    right.set(xlabel="sensitivity", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    for axis, corner in ((left, "lower right"), (right, "best")):
        axis.legend(loc=corner, **LEGEND)
    return figure


def confusion_matrix(p_reduced: Array, reduced_true: Array, threshold: float, title: str) -> Figure:
    """Show how many cases of each class were called what.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        threshold: Decision threshold.
        title: Which data, split and how many.
    """
    called = as_tensor(np.asarray(p_reduced, float) >= threshold).long()
    truth = as_tensor(np.array(reduced_true, int))
    counts = binary_confusion_matrix(called, truth).numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = square_figure(4.2, title)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true in range(2):
        for call in range(2):
            axis.text(
                call, true, f"{counts[true, call]}\n{100 * shares[true, call]:.0f} %",
                ha="center", va="center", color="white" if shares[true, call] > 0.5 else "black",
            )  # fmt: skip
    names = ["normal\n(EF > 40 %)", "reduced\n(EF ≤ 40 %)"]
    axis.set_xticks([0, 1], names)
    axis.set_yticks([0, 1], names)
    axis.set(xlabel=f"called (threshold {threshold:.2f})", ylabel="true")
    return figure


def _bands(
    probability: NDArray[np.float64], reduced_true: NDArray[np.bool_]
) -> list[NDArray[np.float64]]:
    """Return 95 % bootstrap bands, `(2, 101)`, of the ROC and of precision against recall."""
    rng = np.random.default_rng(0)
    curves: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, len(reduced_true), len(reduced_true))
        truth = reduced_true[drawn][np.argsort(-probability[drawn], kind="stable")]
        hits, misses = np.cumsum(truth), np.cumsum(~truth)
        if not hits[-1] or not misses[-1]:
            continue
        curves[0].append(np.interp(_GRID, misses / misses[-1], hits / hits[-1]))
        curves[1].append(np.interp(_GRID, hits / hits[-1], hits / (hits + misses)))
    if not curves[0]:
        return [np.full((2, len(_GRID)), np.nan)] * 2
    return [np.quantile(side, (0.025, 0.975), axis=0) for side in curves]
