"""Pictures of frames with heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

import matplotlib
import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Array = NDArray[np.generic]
COLOR_MAP = "inferno"
"""Rises in brightness throughout, so that it reads in black and white too."""
_SHOWN_FROM = 0.15


def overlay_image(saliency: Array, scale: float) -> NDArray[np.uint8]:
    """Return a map as an `(H, W, 4)` uint8 RGBA picture, clear where nothing was found.

    Args:
        saliency: `(H, W)`, not negative.
        scale: What counts as 1, the same for all frames of a case.
    """
    share = np.clip(np.asarray(saliency, float) / max(scale, 1e-12), 0, 1)
    rgba = _colours()(0.25 + 0.75 * share)
    rgba[..., 3] = np.clip((share - _SHOWN_FROM) / (1 - _SHOWN_FROM), 0, 1) ** 0.7 * 0.75
    return np.asarray(255 * rgba, np.uint8)


def heat_map_sheet(
    frames: Array,
    maps: Mapping[str, Array],
    names: Sequence[str],
    title: str,
    sector: NDArray[np.bool_] | None,
) -> Figure:
    """Draw the frames of a case, and below with each kind of heat map and its scale.

    What lies outside the sector is black, and heat maps are blurred there: text that a model was
    shown must be legible in neither.

    Args:
        frames: `(F, 3, H, W)` uint8.
        maps: `(F, H, W)` by method, of one scale for all frames.
        names: Names of the frames.
        title: What it is: split, EF, what was said.
        sector: `(F, H, W)` what may be shown of the frames; None for all.
    """
    if sector is not None:
        frames = frames * sector[:, None]
        maps = {name: _blurred_outside(saliency, sector) for name, saliency in maps.items()}
    count = len(names)
    width = 2.3 * count + 1.2
    # The layout leaves the names of the methods no room beside four frames and more.
    left = 0.05 * count / width
    engine = ConstrainedLayoutEngine(rect=(left, 0, 1 - left, 1))
    figure = Figure(figsize=(width, 2.2 * (1 + len(maps)) + 0.9), layout=engine)
    axes = figure.subplots(1 + len(maps), count, squeeze=False)
    for column, name in enumerate(names):
        axes[0, column].set_title(name, fontsize=9)
        for axis in axes[:, column]:
            axis.imshow(np.moveaxis(frames[column], 0, -1))
            axis.set(xticks=[], yticks=[])
    for row, (method, saliency) in enumerate(maps.items(), start=1):
        scale = float(np.max(saliency)) if np.size(saliency) else 0.0
        for column in range(count):
            axes[row, column].imshow(overlay_image(saliency[column], scale))
        axes[row, 0].set_ylabel(method if scale > 0 else f"{method}\n(nothing found)", fontsize=8)
        bar = matplotlib.cm.ScalarMappable(cmap=_scale_colours())
        label = "share of the case's largest"
        figure.colorbar(bar, ax=axes[row].tolist(), shrink=0.85).set_label(label, fontsize=7)
    lines = [part for line in title.splitlines() for part in wrap(line, round(14 * width))]
    figure.suptitle("\n".join(lines), fontsize=9)
    return figure


def _blurred_outside(maps: Array, sector: NDArray[np.bool_]) -> Array:
    """Return `(F, H, W)` maps in which no letter is legible outside the sector."""
    reach = max(sector.shape[1:]) // 8
    blurred = uniform_filter(np.where(sector, 0, maps), (0, reach, reach), mode="constant")
    return np.asarray(np.where(sector, maps, blurred))


def _colours() -> Colormap:
    return matplotlib.colormaps[COLOR_MAP]


def _scale_colours() -> Colormap:
    shades = _colours()(0.25 + 0.75 * np.linspace(0, 1, 256))
    return matplotlib.colors.ListedColormap(shades)
