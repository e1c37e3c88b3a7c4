"""An EchoNet-Dynamic folder: what tells it, its table, and its tracings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import chords_to_polygon
from lvef.data.layouts.base import Layout, register
from lvef.data.layouts.echonet.filelist import read_filelist
from lvef.data.layouts.echonet.traced_videos import join_tracings
from lvef.data.layouts.echonet.tracings import POINTS, read_tracings
from lvef.data.layouts.folder import LabelFolder, check_excluded, with_mid_frames
from lvef.data.names import alike, match_names
from lvef.data.pixels import Size, stated_size
from lvef.errors import DatasetError

HOME_PAGE = "https://echonet.github.io/dynamic/"
FILE_LIST, TRACINGS, VIDEOS = "FileList.csv", "VolumeTracings.csv", "Videos"
_PEDIATRIC = ("A4C", "PSAX")


@dataclass(frozen=True)
class EchoNetFolder(LabelFolder):
    """A `LabelFolder` with ED and ES of every video traced as a long axis and chords.

    Attributes:
        tracings: The rows of `VolumeTracings.csv`, indexed by video, with `frame_height` and
            `frame_width`.
    """

    tracings: pd.DataFrame = field(default_factory=pd.DataFrame)

    def tracing(self, video: str, frame: int) -> NDArray[np.float64]:
        """Return the tracing of a frame: `(n, 4)` x1, y1, x2, y2 in pixels, long axis first.

        Raises:
            DatasetError: That frame of that video was not traced.
        """
        return self._rows(video, frame)[POINTS].to_numpy(np.float64)

    def _traced(self, video: str, frame: int) -> tuple[NDArray[np.float64], Size | None]:
        rows = self._rows(video, frame)
        contour = chords_to_polygon(rows[POINTS].to_numpy(np.float64)[1:])
        return contour, stated_size(rows.iloc[0])

    def _rows(self, video: str, frame: int) -> pd.DataFrame:
        known = video in self.tracings.index
        rows = self.tracings.loc[[video]] if known else self.tracings.iloc[:0]
        rows = rows[rows["Frame"] == frame]
        if rows.empty:
            raise DatasetError(f"{self.root}: frame {frame} of {video} was not traced")
        return rows


class EchoNetDynamic(Layout):
    """The layout of EchoNet-Dynamic and of phantoms: one list, one file of tracings, one folder.

    File names may have an extension or not, folders before them, and other capitals; further
    columns are kept as they are written. ED is the traced frame with the larger area. Unusable
    rows are set aside with a reason.
    """

    name = "echonet-dynamic"

    def recognises(self, root: Path) -> bool:
        """Tell a folder by any of its three parts, whatever its capitals."""
        parts = {alike(part) for part in (FILE_LIST, TRACINGS, VIDEOS)}
        return any(alike(path.name) in parts for path in root.iterdir())

    def label_files(self, root: Path) -> list[Path]:
        """Return the list and the tracings."""
        return [root / FILE_LIST, root / TRACINGS]

    def video_folders(self, root: Path) -> list[Path]:
        """Return the one folder of videos."""
        return [root / VIDEOS]

    def advice(self, root: Path) -> str:
        """Return what such a folder holds, or what the folder seems to be in its place."""
        return _advice(root)

    def read(self, root: Path, max_excluded: float) -> LabelFolder:
        """Read and check a folder; see `Layout.read`."""
        list_file, tracing_file, videos = _parts(root)
        try:
            files = read_filelist(list_file, videos)
            tracings, unordered = read_tracings(tracing_file, files.table["video"])
        except DatasetError as error:
            advice = _advice_on_tables(root, str(error))
            raise DatasetError(f"{error}. {advice}" if advice else str(error)) from error
        table, tracings, reasons, rescaled = join_tracings(files, tracings)
        notes = list(files.notes)
        if unordered:
            notes.append(f"{unordered:,} tracings had their rows out of order: put in order")
        if rescaled:
            notes.append(
                f"tracings of {rescaled:,} are in pixels of the size that FileList.csv states, not "
                "of the picture: scaled"
            )
        unusable = reasons != ""
        excluded = table.loc[unusable, ["video", "split"]].assign(reason=reasons[unusable])
        folder = EchoNetFolder(
            root,
            with_mid_frames(_whole_numbers(table[~unusable].reset_index(drop=True))),
            excluded.reset_index(drop=True),
            tuple(notes),
            tracings.set_index("video").sort_index(kind="stable"),
        )
        return check_excluded(folder, max_excluded)


register(EchoNetDynamic())


def _whole_numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(dict.fromkeys(["num_frames", "ed_frame", "es_frame"], np.int64))


def _parts(root: Path) -> list[Path]:
    """Return where the parts of a folder are.

    Raises:
        DatasetError: One is missing.
    """
    names = [path.name for path in root.iterdir()]
    paths = [root / part for part in (FILE_LIST, TRACINGS, VIDEOS)]
    for path in paths:
        if not (path.is_dir() if path.name == VIDEOS else path.is_file()):
            other = match_names([path.name], names).get(path.name, path.name)
            advice = _advice(root) if other == path.name else f"Rename {other} to {path.name}"
            raise DatasetError(f"{path} not found. {advice}")
    return paths


def _advice(root: Path) -> str:
    """Return what to do with a folder in which a part is missing."""
    below = _folders_below(root)
    if any(folder.name in _PEDIATRIC for folder in (root, *below)):
        return _is_pediatric(root)
    if below:
        return f"There is one in {below[0]}: give that folder"
    return _needs(root)


def _advice_on_tables(root: Path, error: str) -> str:
    """Return what to do with a folder whose tables are not as they should be, empty if unknown."""
    pediatric = any(folder.name in _PEDIATRIC for folder in (root, *_folders_below(root)))
    if pediatric or " Sex, Age" in error or "FileName, X, Y, Frame" in error:
        return _is_pediatric(root)
    return _needs(root) if "not found among" in error else ""


def _folders_below(root: Path) -> list[Path]:
    return [path.parent for path in sorted(root.glob(f"*/{FILE_LIST}"))]


def _is_pediatric(root: Path) -> str:
    return (
        f"{root} is laid out as EchoNet-Pediatric (A4C/, PSAX/, folds as splits, outlines as "
        "X, Y), which is not read yet: it needs FileList.csv with FPS, NumberOfFrames and "
        "TRAIN / VAL / TEST, and VolumeTracings.csv with long axis and chords as X1, Y1, X2, Y2"
    )


def _needs(root: Path) -> str:
    return (
        f"An EchoNet-Dynamic folder holds FileList.csv, VolumeTracings.csv and Videos/; get the "
        f"data from {HOME_PAGE}, or make a phantom: python -m lvef phantom --root {root}"
    )
