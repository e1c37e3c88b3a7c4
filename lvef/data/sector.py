"""Find the ultrasound sector of a clip, and blank what machines burn in around it.

Inside the sector speckle moves from frame to frame; text, rulers and logos stand still. The
largest moving region is therefore the sector, and as a sector is convex, its convex hull restores
whatever parts of it were dark.
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
        clip that does not move or whose largest moving region is under 5 % of the picture.
    """
    grey = frames.max(axis=-1)
    height, width = grey.shape[1:]
    everything = np.ones((height, width), dtype=bool)
    if len(grey) < 2:
        return everything
    moving = (grey.max(axis=0).astype(np.int16) - grey.min(axis=0)) > 12
    opened = _open(moving.astype(np.uint8), max(3, round(min(height, width) / 37) | 1))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if count < 2:
        return everything
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[largest, cv2.CC_STAT_AREA] < 0.05 * height * width:
        return everything
    points = np.argwhere(labels == largest)[:, ::-1].astype(np.int32)
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
