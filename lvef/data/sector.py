"""Find the ultrasound sector of a clip, and blank what machines burn in around it.

Inside the sector speckle moves from frame to frame; text, rulers and logos stand still. What
moves is therefore the sector, and as a sector is convex, the convex hull restores whatever parts
of it were dark. Marks that blink move too, but take two grey levels only, with nothing between.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE, survey

NOT_BLANKED = "text-not-removed"
"""Stands in the name of a picture file in which burned-in text could not be told from tissue."""
SHOWN_LOOKS = 32
"""Frames spread over a clip from which it is found what may be shown of it."""
_MOVES = 12
"""Grey levels between a pixel's brightest and darkest look, from which it moves."""
_FEWEST = 5
_BLINKS = 0.75
"""Share of a pixel's range that a single step between its grey levels takes where a mark blinks."""
_SPECKLE, _RARE = 6, 0.15
"""Grey levels by which speckle varies, and the share of looks at either end that do not count."""
_WIDENED = 0.95
"""Share of the sector's side below which what is left without blinking marks is the sector."""
_BY_CHANCE, _MARKS = 0.18, 0.35
"""Share of tissue that has two grey levels by chance, at most, and of what marks are, at least."""
_PIECE, _LEAST, _MOST = 0.003, 0.03, 0.97
"""Share of the picture of a piece of the sector, of the least sector, and of the largest."""


def find_sector(frames: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the sector of a clip, as models see it.

    Marks that blink beside the sector of a large clip do not count where they would widen it. In
    frames of 112 x 112, which are not cropped, they do: networks learned from such.

    Args:
        frames: `(n, H, W, 3)` uint8 frames spread over the clip (see `lvef.cardiac.survey`).

    Returns:
        `(H, W)` mask, true inside the sector. All true where no sector can be made out, as in a
        clip that does not move or of which under 3 % of the picture do.
    """
    # Not `max(axis=-1)`, which takes ten times as long for three channels.
    grey = np.maximum(np.maximum(frames[..., 0], frames[..., 1]), frames[..., 2])
    height, width = grey.shape[1:]
    everything = np.ones((height, width), dtype=bool)
    if len(grey) < 2:
        return everything
    moving = (grey.max(axis=0).astype(np.int16) - grey.min(axis=0)) > _MOVES
    sector = _hull(moving)
    if sector is None:
        return everything
    if (height, width) == (PICTURE_SIZE, PICTURE_SIZE) or len(grey) < _FEWEST:
        return sector
    blinking = moving & _blinking(np.sort(grey, axis=0))
    steady = _hull(moving & ~blinking)
    if steady is None or _side(steady) >= _WIDENED * _side(sector):
        return sector
    # Few different looks, as at a loop played again, have few grey levels everywhere.
    inside, beyond = blinking[moving & steady], blinking[moving & sector & ~steady]
    marks = inside.mean() <= _BY_CHANCE and beyond.mean() >= _MARKS
    return steady if marks else sector


def shown_sector(frames: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Find what of a clip may be shown: the sector, without whatever might be text beside it.

    Stricter than `find_sector`: what blinks, or changes now and then, is no speckle; pieces that
    lie apart are not joined, as text may stand between them; and the outermost pixels are left
    out. Dark rims of the sector may be lost, and what is written into the sector stays.

    Args:
        frames: `(n, H, W)` or `(n, H, W, 3)` uint8 frames spread over the clip, `SHOWN_LOOKS` of
            them, or all of it.

    Returns:
        `(H, W)` mask. None where no sector can be told from the rest: in a still, a clip of fewer
        than 5 frames, and where nothing or all of the picture moves.
    """
    opened = moving_tissue(frames)
    if opened is None:
        return None
    size = _grain(opened.shape)
    near = cv2.morphologyEx(opened.astype(np.uint8), cv2.MORPH_CLOSE, _disk(2 * size + 1))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=4)
    mask = np.zeros(opened.shape, np.uint8)
    for piece in range(1, count):
        if stats[piece, cv2.CC_STAT_AREA] >= _PIECE * mask.size:
            _fill_hull(mask, (labels == piece) & opened)
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0  # a letter's edge may lie on the rim
    return inner if _LEAST <= inner.mean() <= _MOST else None


def moving_tissue(frames: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Return where speckle moves, `(H, W)`; None in fewer than 5 frames. See `shown_sector`."""
    if len(frames) < _FEWEST:
        return None
    looks = frames[survey(len(frames), SHOWN_LOOKS, each_once=True)]
    levels = np.sort(looks.max(axis=-1) if looks.ndim == 4 else looks, axis=0).astype(np.int16)
    rare = int(_RARE * (len(levels) - 1))
    speckle = (levels[len(levels) - 1 - rare] - levels[rare] >= _SPECKLE) & ~_blinking(levels)
    size = _grain(speckle.shape)
    dense = cv2.boxFilter(
        speckle.astype(np.float32), -1, (size, size), borderType=cv2.BORDER_CONSTANT
    )
    return _open(((dense > 0.5) & speckle).astype(np.uint8), size) > 0


def blank_outside(frames: NDArray[np.uint8], sector: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `(n, H, W, 3)` frames that are black outside the `(H, W)` sector."""
    return frames * sector[None, :, :, None]


def _blinking(levels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where grey levels are of two kinds with nothing between, as text that comes and goes.

    Args:
        levels: `(n, H, W)` grey levels, sorted along the first axis.
    """
    steps = np.diff(levels.astype(np.int16), axis=0).max(axis=0)
    span = levels[-1].astype(np.int16) - levels[0]
    return np.asarray(steps >= _BLINKS * np.maximum(span, 1))


def _hull(moving: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the convex hull of what moves; None where that is too little."""
    height, width = moving.shape
    opened = _open(moving.astype(np.uint8), _grain(moving.shape))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    areas, tops = stats[1:, cv2.CC_STAT_AREA], stats[1:, cv2.CC_STAT_TOP]
    # Scattered tissue counts too; what moves along the bottom edge alone is the ECG.
    tissue = 1 + np.flatnonzero((areas >= _PIECE * height * width) & (tops < 0.85 * height))
    if count < 2 or areas[tissue - 1].sum() < _LEAST * height * width:
        return None
    mask = np.zeros((height, width), np.uint8)
    _fill_hull(mask, np.isin(labels, tissue))
    return mask.astype(bool)


def _side(mask: NDArray[np.bool_]) -> int:
    """Return the side of the square around a mask in pixels."""
    return int(max(np.ptp(np.flatnonzero(mask.any(axis))) + 1 for axis in (0, 1)))


def _fill_hull(mask: NDArray[np.uint8], inside: NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(inside.any(axis=1))
    if len(rows):
        # The first and the last of each row have the hull of all, which takes far longer.
        first = inside[rows].argmax(axis=1)
        last = inside.shape[1] - 1 - inside[rows, ::-1].argmax(axis=1)
        points = np.stack([np.concatenate([first, last]), np.tile(rows, 2)], axis=1)
        cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1)


def _open(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((2, 2), np.uint8))
    return np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, _disk(size)), dtype=np.uint8)


def _disk(size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _grain(shape: tuple[int, ...]) -> int:
    """Return the size in pixels below which what moves is no tissue."""
    return max(3, round(min(shape) / 37) | 1)
