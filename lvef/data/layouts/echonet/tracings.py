"""`VolumeTracings.csv`: where readers drew the ventricle, and whether that lies in the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import chords_to_polygon, ordered_tracings, polygon_area
from lvef.data.names import match_names, stem
from lvef.data.tables import numbers, read_table


@dataclass(frozen=True)
class Outlines:
    """How the rows of a tracing say an outline.

    Attributes:
        x: The columns of x.
        y: The columns of y.
        polygon: Makes `(k, 2)` x, y of the rows `(n, columns)`.
    """

    x: tuple[str, ...]
    y: tuple[str, ...]
    polygon: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    @property
    def points(self) -> list[str]:
        """The columns, as `polygon` takes them."""
        return [name for pair in zip(self.x, self.y, strict=True) for name in pair]

    def outline(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the outline of the rows of one tracing, `(k, 2)` x, y in pixels."""
        return self.polygon(rows[self.points].to_numpy(np.float64))


def _around_chords(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return chords_to_polygon(rows[1:])


def _as_drawn(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows


CHORDS = Outlines(("X1", "X2"), ("Y1", "Y2"), _around_chords)
"""A long axis, and the chords across it."""
POLYGONS = Outlines(("X",), ("Y",), _as_drawn)
"""The points of the outline, one after the other."""
POINTS = CHORDS.points
MARKED = "marked"
"""Column of what outlines say in place of a frame's number."""
LEAST_AREA = 20.0
"""Square pixels that the smallest ventricle of a picture of 112 x 112 has by far."""
_COLUMNS = {
    "FileName": ("file", "video", "path"), "X1": (), "Y1": (), "X2": (), "Y2": (), "Frame": (),
}  # fmt: skip
_OUTLINE_COLUMNS = {"FileName": _COLUMNS["FileName"], "X": (), "Y": (), "Frame": ()}


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
    return _in_order(_of_videos(cells, videos, CHORDS))


def read_outlines(path: Path, videos: Iterable[str]) -> pd.DataFrame:
    """Read a `VolumeTracings.csv` of outlines, as EchoNet-Pediatric's: a row a point.

    Args:
        path: The file.
        videos: As of `read_tracings`.

    Returns:
        `video`, `X`, `Y` (pixels) and `Frame`, NaN where a cell holds no number, and `marked`,
        what stands in place of a number ("No Systolic"), else empty; sorted by video and frame,
        the points of a frame in the order in which they are written.

    Raises:
        DatasetError: It cannot be read, or a column is missing.
    """
    cells = read_table(path, _OUTLINE_COLUMNS, list(_OUTLINE_COLUMNS), ("FileName", "Frame"))
    frames = numbers(cells["Frame"])
    marked = cells["Frame"].where(frames.isna(), "")
    return _of_videos(cells.assign(**{MARKED: marked}), videos, POLYGONS)


def _of_videos(cells: pd.DataFrame, videos: Iterable[str], form: Outlines) -> pd.DataFrame:
    """Return the rows of tracings by video and frame."""
    names = {written: stem(written).rpartition("/")[2] for written in cells["FileName"].unique()}
    meant = match_names(names.values(), videos)
    names = {written: meant.get(name, name) for written, name in names.items()}
    table = pd.DataFrame({"video": cells["FileName"].map(names)})
    for column in (*form.points, "Frame"):
        table[column] = numbers(cells[column])
    if MARKED in cells:
        table[MARKED] = cells[MARKED]
    table = table.drop_duplicates()  # a list that was appended to itself
    return table.sort_values(["video", "Frame"], kind="stable", ignore_index=True)


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


def key_frames(tracings: pd.DataFrame, form: Outlines = CHORDS) -> pd.DataFrame:
    """Return what the tracings say of each video, whatever the order of their rows.

    Args:
        tracings: As `read_tracings` or `read_outlines` return them.
        form: How their rows say an outline.

    Returns:
        `ed_frame` and `es_frame` (the larger and the smaller area), how many frames were `traced`,
        whether one is `damaged` (a point missing, no area, a frame number that is none), whether
        both enclose the `same` area, and `right` and `bottom`, how far the points reach in pixels
        (infinite where one is negative); by video.
    """
    points = tracings[form.points].to_numpy(np.float64)
    starts, lengths = _groups(tracings)
    areas = [
        polygon_area(form.polygon(points[start : start + length]))
        for start, length in zip(starts, lengths, strict=True)
    ]
    table = tracings.loc[starts, ["video", "Frame"]].rename(columns={"Frame": "frame"})
    table["area"] = np.asarray(areas, dtype=np.float64)
    for side, columns in {"right": list(form.x), "bottom": list(form.y)}.items():
        reach = tracings[columns].max(axis=1)
        reach = reach.where(tracings[columns].min(axis=1) >= 0, np.inf)
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
