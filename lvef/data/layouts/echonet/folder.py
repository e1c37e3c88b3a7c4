"""A folder whose tracings lie in one table, chords or outlines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.data.layouts.echonet.filelist import FileList
from lvef.data.layouts.echonet.traced_videos import join_tracings
from lvef.data.layouts.echonet.tracings import CHORDS, MARKED, POINTS, POLYGONS, Outlines
from lvef.data.layouts.folder import LabelFolder
from lvef.data.layouts.lacking import with_mid_frames
from lvef.data.pixels import Size, stated_size
from lvef.errors import DatasetError


@dataclass(frozen=True)
class TracedFolder(LabelFolder):
    """A `LabelFolder` with the tracings of ED and ES of every video.

    Attributes:
        tracings: The rows of `VolumeTracings.csv`, indexed by video, with `frame_height` and
            `frame_width`.
    """

    form: ClassVar[Outlines] = CHORDS
    tracings: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def joined(cls, root: Path, files: FileList, tracings: pd.DataFrame, *notes: str) -> Self:
        """Put a list and its tracings together: rows that cannot be used are set aside."""
        table, tracings, reasons, rescaled = join_tracings(files, tracings, cls.form)
        reasons = _with_marks(reasons, table["video"], tracings)
        told = [*files.notes, *notes]
        if rescaled:
            told.append(
                f"tracings of {rescaled:,} are in pixels of the size that FileList.csv states, not "
                "of the picture: scaled"
            )
        unusable = reasons != ""
        excluded = table.loc[unusable, ["video", "split"]].assign(reason=reasons[unusable])
        return cls(
            root,
            with_mid_frames(_whole_numbers(table[~unusable].reset_index(drop=True))),
            excluded.reset_index(drop=True),
            tuple(told),
            tracings.set_index("video").sort_index(kind="stable"),
        )

    def _traced(self, video: str, frame: int) -> tuple[NDArray[np.float64], Size | None]:
        rows = self._rows(video, frame)
        return self.form.outline(rows), stated_size(rows.iloc[0])

    def _rows(self, video: str, frame: int) -> pd.DataFrame:
        known = video in self.tracings.index
        rows = self.tracings.loc[[video]] if known else self.tracings.iloc[:0]
        rows = rows[rows["Frame"] == frame]
        if rows.empty:
            raise DatasetError(f"{self.root}: frame {frame} of {video} was not traced")
        return rows


@dataclass(frozen=True)
class EchoNetFolder(TracedFolder):
    """A `LabelFolder` with ED and ES of every video traced as a long axis and chords."""

    def tracing(self, video: str, frame: int) -> NDArray[np.float64]:
        """Return the tracing of a frame: `(n, 4)` x1, y1, x2, y2 in pixels, long axis first.

        Raises:
            DatasetError: That frame of that video was not traced.
        """
        return self._rows(video, frame)[POINTS].to_numpy(np.float64)


@dataclass(frozen=True)
class OutlinedFolder(TracedFolder):
    """A `LabelFolder` with ED and ES of every video traced as an outline."""

    form: ClassVar[Outlines] = POLYGONS


def _whole_numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(dict.fromkeys(["num_frames", "ed_frame", "es_frame"], np.int64))


def _with_marks(reasons: pd.Series, videos: pd.Series, tracings: pd.DataFrame) -> pd.Series:
    """Return the reasons with what tracings themselves say of a frame that is missing."""
    if MARKED not in tracings:
        return reasons
    marked = tracings[tracings[MARKED] != ""].drop_duplicates(["video", MARKED])
    said = videos.map(marked.groupby("video")[MARKED].agg(" and ".join))
    untraced = reasons.isin(["no tracing", "not two traced frames"]) & said.notna()
    return reasons.where(~untraced, "a frame was not traced: " + said.astype(str))
