"""How well the inner edge of the ventricle is seen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_NEAREST, _WALL, _BLOOD = 1, 4, 3
"""Pixels beyond the outline at which the wall begins and ends to be looked at, and how far within
it the blood is."""


def edge_contrast(frame: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Return how much brighter the wall is than the blood beside it.

    Optical flow follows what is seen: where haze lies over the edge, it moves less than the wall.

    Args:
        frame: `(H, W)` uint8 grey frame.
        mask: `(H, W)` bool, the ventricle in it.

    Returns:
        Mean grey level within 3 pixels outside of the outline less that within 3 pixels inside, as
        a share of white, -1 to 1; 0 where there is no ventricle.
    """
    smooth = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.0)
    inside, square = mask.astype(np.uint8), np.ones((3, 3), np.uint8)
    near, far = (cv2.dilate(inside, square, iterations=n) for n in (_NEAREST, _WALL))
    wall, blood = far - near, inside - cv2.erode(inside, square, iterations=_BLOOD)
    if not wall.any() or not blood.any():
        return 0.0
    return float(smooth[wall > 0].mean() - smooth[blood > 0].mean()) / 255
