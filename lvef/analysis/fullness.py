"""How full the ventricle is in each frame, by its area and by the grey levels around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from lvef.cardiac import grey_components, shared_curve

_WALLS = 6
"""Pixels of a prepared frame by which the ventricle is widened to hold its walls too."""


def areas(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the area of each of `(T, H, W)` masks in pixels, `(T,)`; NaN where there is none."""
    area = np.asarray(masks.sum((1, 2)), np.float64)
    return np.where(area > 0, area, np.nan)


def filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with those that are not known interpolated from their neighbours."""
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), known, values[known]) if len(known) else values


def fullness(
    frames: NDArray[np.uint8], fps: float, masks: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], float]:
    """Return the curve that beats are found in, and how well its two sources agree, 0 to 1.

    The curve is the area, steadied by what the grey levels around the ventricle tell of it.

    Args:
        frames: `(T, H, W)` grey frames.
        fps: Frames a second.
        masks: `(T, H, W)` the ventricle in each of them.

    Returns:
        `(T,)`, in pixels; NaN where hardly any ventricle is found.
    """
    area = areas(masks)
    region = binary_dilation(masks.mean(0) > 0.3, iterations=_WALLS)
    if np.isfinite(area).sum() < 4 or not region.any():
        return np.full(len(area), np.nan), 0.0
    return shared_curve(filled(area), grey_components(frames, region, fps), fps)
