"""The grid that tissue is drawn on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

RESOLUTION = 2.0
"""Grid points a millimetre."""
HALF_WIDTH, DEPTH = 115.0, 200.0
"""Extent of the grid in mm: x from -HALF_WIDTH to HALF_WIDTH, y from 0 to DEPTH."""
SHAPE = (int(DEPTH * RESOLUTION), int(2 * HALF_WIDTH * RESOLUTION))
SHIFT = 4


def to_grid(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map `(..., 2)` x, y in mm to column and row of the tissue grid."""
    return np.asarray((points + np.array([HALF_WIDTH, 0.0])) * RESOLUTION)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], correlation: float
) -> NDArray[np.float32]:
    """Return a smooth random field of mean 0 and standard deviation 1.

    Args:
        rng: Source of randomness.
        shape: Rows and columns.
        correlation: Size of its blobs in grid points.
    """
    rows, columns = (max(3, round(n / correlation) + 2) for n in shape)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6))


def fill(canvas: NDArray[np.float32], polygon: NDArray[np.float64], level: float) -> None:
    """Fill an `(n, 2)` polygon in mm."""
    points = np.round(to_grid(polygon) * 2**SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [points], float(level), shift=SHIFT)
