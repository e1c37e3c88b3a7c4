"""Contours of the left ventricle: polygons, their area, and masks drawn from them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def chords_to_polygon(chords: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn the disk chords of a tracing into a closed LV contour.

    Args:
        chords: `(n, 4)` array of `x1, y1, x2, y2` in pixels, one chord a row, **without** the
            long axis that precedes them in a tracing.

    Returns:
        `(2 n, 2)` polygon of x, y in pixels: first ends in order, then second ends reversed.
        Source: the layout of the EchoNet-Dynamic tracings (Ouyang et al., Nature 2020).
    """
    chords = np.asarray(chords, dtype=np.float64)
    return np.concatenate([chords[:, :2], chords[::-1, 2:]])


def polygon_area(polygon: NDArray[np.floating]) -> float:
    """Return the area enclosed by a simple polygon, in squared units of its coordinates.

    Args:
        polygon: `(n, 2)` array of x, y; fewer than three points enclose no area.

    Returns:
        The absolute area by the shoelace formula; orientation does not matter.
    """
    x, y = np.asarray(polygon, dtype=np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def polygon_mask(polygon: NDArray[np.floating], height: int, width: int) -> NDArray[np.bool_]:
    """Rasterise a polygon.

    Args:
        polygon: `(n, 2)` array of x, y in pixels; pixel centres lie on whole numbers.
        height: Height of the mask in pixels.
        width: Width of the mask in pixels.

    Returns:
        `(height, width)` boolean mask, true where at least half of a pixel lies inside.
    """
    shift, fine = 4, 4
    # OpenCV fills the border too, half a pixel too much: a fourth of that on a finer grid.
    points = (np.asarray(polygon, dtype=np.float64) + 0.5) * fine - 0.5
    canvas = np.zeros((height * fine, width * fine), dtype=np.uint8)
    cv2.fillPoly(canvas, [np.round(points * 2**shift).astype(np.int32)], 255, shift=shift)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 127 + 255 // (2 * fine))


def largest_outline(mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the outline of a mask, through the centres of its outermost pixels.

    Args:
        mask: `(H, W)` mask; of several pieces the largest counts.

    Returns:
        `(n, 2)` x, y in pixels, or None for an empty mask.
    """
    outlines, _ = cv2.findContours(
        np.ascontiguousarray(mask, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not outlines:
        return None
    outline = max(outlines, key=lambda points: (cv2.contourArea(points), len(points)))
    return np.asarray(outline[:, 0], dtype=np.float64)
