"""Find the ultrasound sector of a clip, and blank what machines burn in around it.

Inside the sector speckle moves from frame to frame; text, rulers and logos stand still. What
moves is therefore the sector, and as a sector is convex, the convex hull restores whatever parts
of it were dark.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LOOKS = 10
"""Frames spread over a clip that the sector is found from."""


def sector_probe(last: int) -> list[int]:
    """Return the frame numbers, up to `last`, from which a sector is found."""
    return sorted(set(np.linspace(0, max(last, 0), _LOOKS).round().astype(int).tolist()))


def find_sector(frames: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the sector of a clip.

    Args:
        frames: `(n, H, W, 3)` uint8 frames spread over the clip (see `sector_probe`).

    Returns:
        `(H, W)` mask, true inside the sector. All true where no sector can be made out, as in a
        clip that does not move or of which under 3 % of the picture do.
    """
    grey = frames.max(axis=-1)
    height, width = grey.shape[1:]
    everything = np.ones((height, width), dtype=bool)
    if len(grey) < 2:
        return everything
    moving = (grey.max(axis=0).astype(np.int16) - grey.min(axis=0)) > 12
    opened = _open(moving.astype(np.uint8), max(3, round(min(height, width) / 37) | 1))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    areas, tops = stats[1:, cv2.CC_STAT_AREA], stats[1:, cv2.CC_STAT_TOP]
    # Scattered tissue counts too; what moves along the bottom edge alone is the ECG.
    tissue = 1 + np.flatnonzero((areas >= 0.003 * height * width) & (tops < 0.85 * height))
    if count < 2 or areas[tissue - 1].sum() < 0.03 * height * width:
        return everything
    points = np.argwhere(np.isin(labels, tissue))[:, ::-1].astype(np.int32)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(points), 1)
    return mask.astype(bool)


def blank_outside(frames: NDArray[np.uint8], sector: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `(n, H, W, 3)` frames that are black outside the `(H, W)` sector."""
    return frames * sector[None, :, :, None]


def _open(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((2, 2), np.uint8))
    return np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, kernel), dtype=np.uint8)
