"""`VolumeTracings.csv`: where readers drew the ventricle, and whether that lies in the picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import chords_to_polygon, ordered_tracings, polygon_area, polygon_mask
from lvef.data.names import match, stem
from lvef.data.tables import numbers, read_table
from lvef.errors import DatasetError

POINTS = ["X1", "Y1", "X2", "Y2"]
LEAST_AREA = 20.0
"""Square pixels that the smallest ventricle of a picture of 112 x 112 has by far."""
LEAST_INSIDE = 0.8
"""Share of a ventricle that must lie in the picture: readers draw on where the sector ends."""
_COLUMNS = {
    "FileName": ("file", "video", "path"), "X1": (), "Y1": (), "X2": (), "Y2": (), "Frame": (),
}  # fmt: skip
_GRID = 256

Size = tuple[float, float]
"""Height and width of a picture in pixels."""
USUAL_SIZE: Size = (112.0, 112.0)
"""What EchoNet-Dynamic's tracings are in, where a list states nothing."""


def read_tracings(path: Path, videos: Iterable[str]) -> tuple[pd.DataFrame, int]:
    """Read `VolumeTracings.csv`.

    Args:
        path: The file.
        videos: Names of the videos, without extension; folders and capitals may differ from them.

    Returns:
        `video` (one of `videos`, or else the name as written), `X1`, `Y1`, `X2`, `Y2` (pixels)
        and `Frame`, NaN where a cell holds no number; sorted by video and frame, the long axis of
        each tracing first and its chords in order. And how many tracings were out of order.

    Raises:
        DatasetError: It cannot be read, or a column is missing.
    """
    cells = read_table(path, _COLUMNS, list(_COLUMNS), ("FileName",))
    names = {written: stem(written).rpartition("/")[2] for written in cells["FileName"].unique()}
    meant = match(names.values(), videos)
    names = {written: meant.get(name, name) for written, name in names.items()}
    table = pd.DataFrame({"video": cells["FileName"].map(names)})
    for column in (*POINTS, "Frame"):
        table[column] = numbers(cells[column])
    table = table.drop_duplicates()  # a list that was appended to itself
    table = table.sort_values(["video", "Frame"], kind="stable", ignore_index=True)
    return _in_order(table)


def _in_order(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    points = table[POINTS].to_numpy(np.float64, copy=True)
    starts, lengths = _groups(table)
    changed = 0
    for length in np.unique(lengths):
        rows = starts[lengths == length][:, None] + np.arange(length)
        ordered = ordered_tracings(points[rows])
        differs = ordered != points[rows]
        changed += int((differs & ~np.isnan(ordered)).any(axis=(1, 2)).sum())
        points[rows] = ordered
    return table.assign(**dict(zip(POINTS, points.T, strict=True))), changed


def _groups(table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each tracing begins in a sorted table, and how many rows it has."""
    if table.empty:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first = ~table.duplicated(["video", "Frame"]).to_numpy()
    starts = np.flatnonzero(first)
    return starts, np.diff(np.r_[starts, len(table)])


def key_frames(tracings: pd.DataFrame) -> pd.DataFrame:
    """Return what the tracings say of each video, whatever the order of their rows.

    Args:
        tracings: As `read_tracings` returns them.

    Returns:
        `ed_frame` and `es_frame` (the larger and the smaller area), how many frames were `traced`,
        whether one is `damaged` (a point missing, no area, a frame number that is none), whether
        both enclose the `same` area, and `right` and `bottom`, how far the points reach in pixels
        (infinite where one is negative); by video.
    """
    points = tracings[POINTS].to_numpy(np.float64)
    starts, lengths = _groups(tracings)
    areas = [
        polygon_area(chords_to_polygon(points[start + 1 : start + length]))
        for start, length in zip(starts, lengths, strict=True)
    ]
    table = tracings.loc[starts, ["video", "Frame"]].rename(columns={"Frame": "frame"})
    table["area"] = np.asarray(areas, dtype=np.float64)
    for side, (one, other) in {"right": ("X1", "X2"), "bottom": ("Y1", "Y2")}.items():
        reach = tracings[[one, other]].max(axis=1)
        reach = reach.where(tracings[[one, other]].min(axis=1) >= 0, np.inf)
        table[side] = np.maximum.reduceat(reach.to_numpy(), starts) if len(starts) else []
    table = table[table["frame"].notna()].sort_values(["video", "area"], kind="stable")
    damaged = ~(table["area"] >= LEAST_AREA) | (table["frame"] % 1 != 0)
    by_video = table.groupby("video")
    smallest, largest = by_video["area"].min(), by_video["area"].max()
    return pd.DataFrame(
        {
            "ed_frame": by_video["frame"].last(),
            "es_frame": by_video["frame"].first(),
            "traced": by_video.size(),
            "damaged": damaged.groupby(table["video"]).any(),
            "same": smallest == largest,
            "right": by_video["right"].max(),
            "bottom": by_video["bottom"].max(),
        }
    )


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
            "the video out of FileList.csv"
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
