"""Figures of what is learned from: frames with their EF, and EF in the splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lvef.cardiac import REDUCED_EF, is_reduced
from lvef.figures.style import COLORS, GREY, LEGEND, titled_figure

Array = NDArray[np.generic]


def sample_sheet(frames: Array, names: Sequence[str], ef: Array, title: str) -> Figure:
    """Show cases as columns and their frames as rows, with EF above.

    Args:
        frames: `(n, F, 3, H, W)` uint8, or float in 0..1.
        names: Names of the `F` frames.
        ef: `(n,)` EF in percent.
        title: Title of the figure.
    """
    count, slots = frames.shape[:2]
    figure = titled_figure(1.4 * count + 0.4, 1.5 * slots + 0.7, title)
    axes = figure.subplots(slots, count, squeeze=False)
    for slot in range(slots):
        for case in range(count):
            axis = axes[slot, case]
            picture = np.moveaxis(frames[case, slot], 0, -1)
            axis.imshow(picture)
            axis.set_xticks([])
            axis.set_yticks([])
            if slot == 0:
                axis.set_title(f"EF {ef[case]:.0f} %", fontsize=9)
        axes[slot, 0].set_ylabel(names[slot])
    return figure


def ef_distribution(ef_by_split: Mapping[str, ArrayLike], title: str) -> Figure:
    """Plot how EF is distributed in each split.

    Args:
        ef_by_split: `(n,)` EF in percent by split.
        title: Which data.
    """
    figure = titled_figure(5.6, 3.9, title)
    axis = figure.subplots()
    bins = [5.0 * step for step in range(21)]
    for (split, values), colour, style in zip(
        ef_by_split.items(), COLORS, ("-", "--", ":"), strict=False
    ):
        ef = np.asarray(values, float)
        reduced = 100 * float(is_reduced(ef).mean())
        axis.hist(
            ef, bins=bins, histtype="step", color=colour, linestyle=style, linewidth=1.6,
            weights=np.full(len(ef), 100 / len(ef)),
            label=f"{split}: {len(ef):,} videos, {reduced:.1f} % reduced",
        )  # fmt: skip
    axis.axvline(REDUCED_EF, color=GREY, linewidth=1)
    axis.set(xlabel="EF (%)", ylabel="videos of the split (%)", xlim=(0, 100))
    axis.legend(**LEGEND, loc="upper left")
    return figure
