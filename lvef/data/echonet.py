"""An EchoNet-Dynamic folder as one validated table, a row a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import chords_to_polygon, mid_frame
from lvef.data.filelist import SPLITS, read_filelist
from lvef.data.names import expanded, match
from lvef.data.traced_videos import join_tracings
from lvef.data.tracings import POINTS, into_picture, read_tracings, stated_size
from lvef.errors import DatasetError

__all__ = ["SPLITS", "EchoNetFolder", "ExcludedError", "check_excluded", "read_echonet"]

HOME_PAGE = "https://echonet.github.io/dynamic/"
_PARTS = ("FileList.csv", "VolumeTracings.csv", "Videos")
_PEDIATRIC = ("A4C", "PSAX")


@dataclass(frozen=True)
class EchoNetFolder:
    """What a folder holds.

    Attributes:
        root: The folder.
        table: One row a usable video: `video` (name without extension), `path`, `split`, `ef`
            (percent), `edv`, `esv` (mL, NaN where not measured), `fps`, `num_frames`,
            `frame_height` and `frame_width` (pixels that the tracings are in, NaN where not
            known), `ed_frame`, `es_frame`, `mid_frame`. The index counts from 0; it is the `row`
            of a batch.
        excluded: `video`, `split`, `reason` of every row that cannot be used.
        tracings: The rows of `VolumeTracings.csv`, indexed by video, with `frame_height` and
            `frame_width`.
        notes: What was taken otherwise than it is written, and what a human should look at.
    """

    root: Path
    table: pd.DataFrame
    excluded: pd.DataFrame
    tracings: pd.DataFrame
    notes: tuple[str, ...] = ()

    def tracing(self, video: str, frame: int) -> NDArray[np.float64]:
        """Return the tracing of a frame: `(n, 4)` x1, y1, x2, y2 in pixels, long axis first.

        Raises:
            DatasetError: That frame of that video was not traced.
        """
        return self._rows(video, frame)[POINTS].to_numpy(np.float64)

    def contour(
        self, video: str, frame: int, picture: tuple[int, int] | None = None
    ) -> NDArray[np.float64]:
        """Return the traced LV contour of a frame, `(n, 2)` x, y in pixels.

        Args:
            video: Name of the video.
            frame: Number of the frame.
            picture: Height and width of the decoded picture, where they are known: the contour is
                brought into its pixels if it was traced in others.

        Raises:
            DatasetError: That frame was not traced, or the tracing lies outside the picture.
        """
        rows = self._rows(video, frame)
        contour = chords_to_polygon(rows[POINTS].to_numpy(np.float64)[1:])
        if picture is None:
            return contour
        what = f"{video}: the tracing of frame {frame}"
        return into_picture(contour, stated_size(rows.iloc[0]), picture, what)

    def summary(self) -> str:
        """Return how many videos are usable and why the others are not, in a few lines."""
        splits = self.table["split"].value_counts()
        counts = " / ".join(f"{splits.get(split, 0):,} {split}" for split in SPLITS)
        lines = [f"{self.root}: {len(self.table):,} usable videos ({counts})"]
        lines += [f"  {note}" for note in self.notes]
        if len(self.excluded):
            kinds = self.excluded["reason"].str.split(":").str[0].value_counts()
            lines.append(f"  {len(self.excluded):,} set aside:")
            lines += [f"    {count:,} {reason}" for reason, count in kinds.items()]
        return "\n".join(lines)

    def _rows(self, video: str, frame: int) -> pd.DataFrame:
        known = video in self.tracings.index
        rows = self.tracings.loc[[video]] if known else self.tracings.iloc[:0]
        rows = rows[rows["Frame"] == frame]
        if rows.empty:
            raise DatasetError(f"{self.root}: frame {frame} of {video} was not traced")
        return rows


class ExcludedError(DatasetError):
    """Too much of a folder is unusable.

    Attributes:
        folder: The folder, with what was set aside.
    """

    def __init__(self, message: str, folder: EchoNetFolder) -> None:
        super().__init__(message)
        self.folder = folder


def read_echonet(root: Path | str, max_excluded: float = 0.05) -> EchoNetFolder:
    """Read and check an EchoNet-Dynamic folder.

    File names may have an extension or not, folders before them, and other capitals; further
    columns are ignored. ED is the traced frame with the larger area. Unusable rows are set aside
    with a reason.

    Args:
        root: Folder with `FileList.csv`, `VolumeTracings.csv` and `Videos/`.
        max_excluded: Share of rows that may be unusable before the folder is refused.

    Raises:
        DatasetError: Something is missing, or cannot be read.
        ExcludedError: More than `max_excluded` is unusable.
    """
    root = expanded(root)
    list_file, tracing_file, videos = _parts(root)
    try:
        files = read_filelist(list_file, videos)
        tracings, unordered = read_tracings(tracing_file, files.table["video"])
    except DatasetError as error:
        way_on = _way_on(root, str(error))
        raise DatasetError(f"{error}. {way_on}" if way_on else str(error)) from error
    table, tracings, reasons, rescaled = join_tracings(files, tracings)
    notes = list(files.notes)
    if unordered:
        notes.append(f"{unordered:,} tracings had their rows out of order: put in order")
    if rescaled:
        notes.append(
            f"tracings of {rescaled:,} are in pixels of the size that FileList.csv states, not of "
            "the picture: scaled"
        )
    unusable = reasons != ""
    excluded = table.loc[unusable, ["video", "split"]].assign(reason=reasons[unusable])
    usable = table[~unusable].reset_index(drop=True)
    usable = usable.astype(dict.fromkeys(["num_frames", "ed_frame", "es_frame"], np.int64))
    usable["mid_frame"] = [
        mid_frame(ed, es) for ed, es in zip(usable["ed_frame"], usable["es_frame"], strict=True)
    ]
    by_video = tracings.set_index("video").sort_index(kind="stable")
    folder = EchoNetFolder(root, usable, excluded.reset_index(drop=True), by_video, tuple(notes))
    return check_excluded(folder, max_excluded)


def check_excluded(folder: EchoNetFolder, max_excluded: float) -> EchoNetFolder:
    """Return a folder of which enough is usable.

    Args:
        folder: The folder.
        max_excluded: Share of rows that may be unusable.

    Raises:
        ExcludedError: More is unusable, or there is nothing in the folder; it carries the folder.
    """
    count = len(folder.table) + len(folder.excluded)
    if count == 0:
        raise ExcludedError(f"{folder.root / 'FileList.csv'} lists no video", folder)
    if len(folder.excluded) > max_excluded * count:
        raise ExcludedError(
            f"{folder.summary()}\n{folder.root}: {100 * len(folder.excluded) / count:.1f} % of the "
            f"videos cannot be used, more than max_excluded = {100 * max_excluded:g} %; mend the "
            "folder or raise --data.max_excluded",
            folder,
        )
    return folder


def _parts(root: Path) -> list[Path]:
    """Return where the parts of a folder are.

    Raises:
        DatasetError: One is missing.
    """
    try:
        held = [path.name for path in root.iterdir()] if root.is_dir() else None
    except OSError as error:
        raise DatasetError(f"{root} cannot be read: {error.strerror or error}") from error
    if held is None:
        raise DatasetError(f"{root} not found. {_ways_on(root)}")
    paths = [root / part for part in _PARTS]
    for path in paths:
        if not (path.is_dir() if path.name == "Videos" else path.is_file()):
            other = match([path.name], held).get(path.name, path.name)
            way_on = _way_on(root) if other == path.name else f"Rename {other} to {path.name}"
            raise DatasetError(f"{path} not found. {way_on}")
    return paths


def _way_on(root: Path, error: str = "") -> str:
    """Return what to do with a folder in which something is missing, empty if it is no layout.

    Args:
        root: The folder.
        error: What was wrong with its tables; empty where one of them is not there.
    """
    below = [path.parent for path in sorted(root.glob("*/FileList.csv"))]
    pediatric = any(folder.name in _PEDIATRIC for folder in (root, *below))
    if pediatric or " Sex, Age" in error or "FileName, X, Y, Frame" in error:
        return (
            f"{root} is laid out as EchoNet-Pediatric (A4C/, PSAX/, folds as splits, outlines as "
            "X, Y), which is not read yet: it needs FileList.csv with FPS, NumberOfFrames and "
            "TRAIN / VAL / TEST, and VolumeTracings.csv with long axis and chords as X1, Y1, X2, Y2"
        )
    if below and not error:
        return f"There is one in {below[0]}: give that folder"
    return _ways_on(root) if not error or "not found among" in error else ""


def _ways_on(root: Path) -> str:
    return (
        f"An EchoNet-Dynamic folder holds FileList.csv, VolumeTracings.csv and Videos/; get the "
        f"data from {HOME_PAGE}, or make a phantom: python -m lvef phantom --root {root}"
    )
