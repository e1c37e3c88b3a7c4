"""Contours in the pixels of their picture, whatever pixels they were traced in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE, polygon_area, polygon_mask
from lvef.errors import DatasetError

LEAST_INSIDE = 0.8
"""Share of a ventricle that must lie in the picture: readers draw on where the sector ends."""
_GRID = 256

Size = tuple[float, float]
"""Height and width of a picture in pixels."""
USUAL_SIZE: Size = (float(PICTURE_SIZE), float(PICTURE_SIZE))
"""What EchoNet-Dynamic's tracings are in, where a list states nothing."""


def scale_into(
    contour: NDArray[np.float64], stated: Size | None, picture: Size
) -> tuple[float, float] | None:
    """Return the factors of x and y that bring a contour into the picture's pixels.

    A list may state another size than the picture has, and the contour may be in the pixels of
    either: it is in those of the smaller one that holds it, as no ventricle fills a corner alone.

    Args:
        contour: `(n, 2)` x, y.
        stated: Size that the list states; None where it states none.
        picture: Size that the picture has.

    Returns:
        None where neither holds the contour, or the picture is larger and of another shape, so
        that it shows more than what was traced in.
    """
    if stated is None:
        stated = USUAL_SIZE if min(picture) >= 2 * USUAL_SIZE[0] else picture
    for height, width in sorted([picture, stated], key=np.prod):
        if inside(contour, (height, width)) >= LEAST_INSIDE:
            x, y = picture[1] / width, picture[0] / height
            enlarged = x > 1 or y > 1
            return None if enlarged and abs(x / y - 1) > 0.02 else (x, y)
    return None


def into_picture(
    contour: NDArray[np.float64], stated: Size | None, picture: Size, what: str
) -> NDArray[np.float64]:
    """Return a contour in the picture's pixels; see `scale_into`.

    Args:
        contour: `(n, 2)` x, y.
        stated: Size that the list states; None where it states none.
        picture: Size that the picture has.
        what: Which tracing it is, for the error.

    Raises:
        DatasetError: It does not lie in the picture.
    """
    if stated is not None and tuple(stated) == tuple(picture):
        return contour
    scale = scale_into(contour, stated, picture)
    if scale is None:
        height, width = picture
        raise DatasetError(
            f"{what} lies outside its picture of {height:g} x {width:g} pixels: mend it, or take "
            "the video out of the folder's list"
        )
    return np.asarray(contour * scale)


def stated_size(row: Any) -> Size | None:
    """Return the size that a row states as `frame_height` and `frame_width`, None without."""
    size = (float(row["frame_height"]), float(row["frame_width"]))
    return size if all(1 <= length < np.inf for length in size) else None


def inside(contour: NDArray[np.float64], size: Size) -> float:
    """Return which share of a contour's area lies in a picture, 0 to 1.

    Args:
        contour: `(n, 2)` x, y.
        size: Height and width of the picture, in the same pixels.
    """
    height, width = size
    x, y = contour.T
    if x.min() >= -1 and y.min() >= -1 and x.max() <= width and y.max() <= height:
        return 1.0
    drawn = contour * (_GRID / np.array([width, height]))
    area = polygon_area(drawn)
    if not np.isfinite(area) or area == 0 or np.abs(drawn).max() > 100 * _GRID:
        return 0.0
    return min(float(polygon_mask(drawn, _GRID, _GRID).sum()) / area, 1.0)
