"""The method of disks on masks and contours that nobody traced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac.contour import polygon_mask
from lvef.cardiac.long_axis import long_axis
from lvef.cardiac.volume import method_of_disks

_DISKS = 20
_FEWEST_PIXELS = 40
_FINENESS = 4


def mask_tracing(mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the tracing that a mask amounts to, as a reader would have drawn it.

    The long axis lies along `long_axis`, from the apex to the base; the chords are perpendicular
    to it, as wide as the mask.

    Args:
        mask: `(H, W)` mask of one ventricle, or a finer one.

    Returns:
        `(21, 4)` x1, y1, x2, y2 in pixels as `method_of_disks` takes it: the long axis, then 20
        chords from apex to base, their left ends first. None for a mask of under 40 pixels.
    """
    y, x = np.nonzero(mask)
    found = long_axis(mask) if len(x) >= _FEWEST_PIXELS else None
    if found is None:
        return None
    points = np.stack([x, y], axis=1).astype(np.float64)
    centre = points.mean(0)
    offset = points - centre
    axis = found.direction
    across = np.array([axis[1], -axis[0]])  # to the right of the picture
    along, aside = offset @ axis, offset @ across
    top, bottom = along.min() - 0.5, along.max() + 0.5
    thickness = (bottom - top) / _DISKS
    disk = np.minimum(((along - top) / thickness).astype(np.int64), _DISKS - 1)
    count = np.bincount(disk, minlength=_DISKS)
    middle = np.bincount(disk, aside, minlength=_DISKS) / np.maximum(count, 1)
    half = count / thickness / 2
    level = centre + (top + (np.arange(_DISKS) + 0.5) * thickness)[:, None] * axis
    left = level + (middle - half)[:, None] * across
    right = level + (middle + half)[:, None] * across
    ends = np.concatenate([
        centre + top * axis + middle[0] * across, centre + bottom * axis + middle[-1] * across
    ])  # fmt: skip
    # The axis leans where the ends are not centred; volumes want its length along the disks.
    ends[2:] = ends[:2] + (bottom - top) * axis
    return np.concatenate([ends[None], np.concatenate([left, right], axis=1)])


def mask_volume(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return volume and long axis of a mask by the method of disks, in (cubic) pixels.

    NaN for a mask of under 40 pixels.
    """
    tracing = mask_tracing(mask)
    if tracing is None:
        return float("nan"), float("nan")
    length = float(np.hypot(*(tracing[0, 2:] - tracing[0, :2])))
    return method_of_disks(tracing), length


def contour_tracing(contour: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Return the tracing that a contour `(n, 2)` amounts to; see `mask_tracing`.

    The contour is drawn four times as fine as the pixels, so that it may move by parts of one.
    None for a contour of nothing.
    """
    points = np.asarray(contour, dtype=np.float64)
    start = np.floor(points.min(0)) - 1
    width, height = (np.ceil(points.max(0) - start).astype(int) + 2) * _FINENESS
    mask = polygon_mask((points - start) * _FINENESS, int(height), int(width))
    tracing = mask_tracing(mask)
    return None if tracing is None else tracing / _FINENESS + np.tile(start, 2)


def contour_volume(contour: NDArray[np.floating]) -> float:
    """Return the volume inside a contour `(n, 2)` by the method of disks, in cubic pixels."""
    tracing = contour_tracing(contour)
    return float("nan") if tracing is None else method_of_disks(tracing)
