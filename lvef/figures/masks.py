"""Pictures of a ventricle with its contour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvef.figures.style import FOUND_CONTOUR, TRUE_CONTOUR


def mask_sheet(
    frames: NDArray[np.uint8],
    probability: NDArray[np.floating],
    truth: NDArray[np.bool_],
    captions: Sequence[str],
    title: str,
) -> Figure:
    """Draw frames in a row or two with the found contour (solid) and the true one (dashed).

    Args:
        frames: `(n, H, W)` grey frames.
        probability: `(n, H, W)` probability of the ventricle.
        truth: `(n, H, W)` true masks.
        captions: What stands above each.
        title: What it is, on which split, how many cases.
    """
    columns = min(len(frames), 4)
    rows = -(-len(frames) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.35 * rows + 0.5), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, frame, map_, mask, caption in zip(
        axes, frames, probability, truth, captions, strict=False
    ):
        axis.imshow(frame, cmap="gray", vmin=0, vmax=255)
        _contour(axis, map_, FOUND_CONTOUR, "solid")
        _contour(axis, mask.astype(float), TRUE_CONTOUR, "dashed")
        axis.set_title(caption, fontsize=8)
    figure.suptitle(f"{title}\nfound: solid orange, traced: dashed blue", fontsize=9)
    return figure


def _contour(axis: object, map_: NDArray[np.floating], colour: str, style: str) -> None:
    if map_.max() > 0.5 > map_.min():
        axis.contour(map_, levels=[0.5], colors=colour, linestyles=style, linewidths=1.2)  # type: ignore[attr-defined]
