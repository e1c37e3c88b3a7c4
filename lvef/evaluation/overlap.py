"""How well two masks of a ventricle agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return Dice's coefficient of `(..., H, W)` masks, `(...)`; 1 where both are empty."""
    both = (one & other).sum((-2, -1))
    total = one.sum((-2, -1)) + other.sum((-2, -1))
    return np.asarray(np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0))


def area_error(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the error of the area of `(..., H, W)` masks against `other` in percent, `(...)`."""
    area, truth = one.sum((-2, -1)), other.sum((-2, -1))
    return np.asarray(100.0 * (area - truth) / np.maximum(truth, 1))


def boundary_distance(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the mean distance between the boundaries of two `(H, W)` masks in pixels.

    The average symmetric surface distance: from every boundary pixel of each mask to the nearest
    of the other. The diagonal of the picture where one mask is empty and the other is not.
    """
    if not one.any() or not other.any():
        return 0.0 if one.any() == other.any() else float(np.hypot(*one.shape))
    edges = [mask & ~binary_erosion(mask) for mask in (one, other)]
    away = [distance_transform_edt(~edge) for edge in edges]
    distances = np.concatenate([away[1][edges[0]], away[0][edges[1]]])
    return float(distances.mean())
