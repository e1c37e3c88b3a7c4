"""A folder of labelled clips as one validated table, whatever layout it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import NO_FRAME, mid_frame, no_mid_frame
from lvef.columns import OWN, SPLITS, is_own
from lvef.data.phantom_folder import is_phantom, other_generator, read_truth
from lvef.data.pixels import Size, into_picture
from lvef.errors import DatasetError

MAX_EXCLUDED = 0.05
"""Share of a folder's rows that may be unusable before it is refused, where nothing is said."""

_MOST_NAMED = 10


def nothing_aside() -> pd.DataFrame:
    """Return the table of rows that are set aside, where none is."""
    return pd.DataFrame(columns=["video", "split", "reason"], dtype=object)


@dataclass(frozen=True)
class LabelFolder:
    """What a folder of labelled clips holds; a layout with tracings has a subclass of its own.

    Attributes:
        root: The folder.
        table: One row a usable video: `video` (name without extension), `path`, `split`, `ef_true`
            (percent), `edv`, `esv` (mL, NaN where not measured), `fps`, `num_frames`,
            `frame_height` and `frame_width` (pixels that the tracings are in, NaN where not
            known), `ed_frame`, `es_frame`, `mid_frame` (`NO_FRAME` where there is none, see
            `with_mid_frames`). Columns of the user's own begin with `lvef.columns.OWN`. The index
            counts from 0; it is the `row` of a batch.
        excluded: `video`, `split`, `reason` of every row that cannot be used.
        lacking: The same of those that are set aside for what they lack alone, and are no fault.
        left_out: The same of what is no case at all: clips of other views, studies without a label.
        notes: What was taken otherwise than it is written, and what a human should look at.
    """

    root: Path
    table: pd.DataFrame
    excluded: pd.DataFrame
    notes: tuple[str, ...] = ()
    lacking: pd.DataFrame = field(default_factory=nothing_aside, kw_only=True)
    left_out: pd.DataFrame = field(default_factory=nothing_aside, kw_only=True)

    @property
    def is_phantom(self) -> bool:
        """Whether the folder holds phantoms, of which no figure says anything about patients."""
        return is_phantom(self.root)

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
        contour, stated = self._traced(video, frame)
        if picture is None:
            return contour
        return into_picture(contour, stated, picture, f"{video}: the tracing of frame {frame}")

    def contours(self, video: str, frames: set[int]) -> dict[int, NDArray[np.float64]]:
        """Return the LV contours that are known of a video by frame, as they were traced.

        Args:
            video: Name of the video.
            frames: Its traced frames; of a phantom, every frame is known.

        Raises:
            DatasetError: A frame was not traced, or a phantom's truth is damaged.
        """
        truth = read_truth(self.root, video)
        if truth is not None:
            return dict(enumerate(truth.contour))
        return {frame: self.contour(video, frame) for frame in frames}

    def for_frames(self, frames: Sequence[str]) -> LabelFolder:
        """Return the folder as models of these frames see it: without cases that lack one.

        Those are no fault of the folder, and do not count against `max_excluded`.

        Args:
            frames: Any of EDF, ESF, MF.
        """
        without = self.table["mid_frame"] == NO_FRAME
        if "MF" not in frames or not without.any():
            return self
        rows = self.table[without]
        aside = rows[["video", "split"]].assign(reason=_told(rows))
        return replace(
            self,
            table=self.table[~without].reset_index(drop=True),
            lacking=pd.concat([self.lacking, aside], ignore_index=True),
        )

    @property
    def set_aside(self) -> pd.DataFrame:
        """`video`, `split`, `reason` of every row that is not in the table."""
        return pd.concat([self.excluded, self.lacking, self.left_out], ignore_index=True)

    def summary(self) -> str:
        """Return how many videos are usable and why the others are not, in a few lines."""
        splits = self.table["split"].value_counts()
        counts = " / ".join(f"{splits.get(split, 0):,} {split}" for split in SPLITS)
        lines = [f"{self.root}: {len(self.table):,} usable videos ({counts})"]
        lines += [f"  {note}" for note in self.notes]
        if own := [name.removeprefix(OWN) for name in map(str, self.table) if is_own(name)]:
            more = ", ..." if len(own) > _MOST_NAMED else ""
            lines.append(f"  further columns: {', '.join(own[:_MOST_NAMED])}{more}")
        if told := other_generator(self.root):
            lines.append(f"  {told}: no figures to put beside those of its documents")
        for aside, told in ((self.excluded, "set aside"), (self.left_out, "left out, as no cases")):
            if len(aside):
                kinds = aside["reason"].str.split(":").str[0].value_counts()
                lines.append(f"  {len(aside):,} {told}:")
                lines += [f"    {count:,} {reason}" for reason, count in kinds.items()]
        return "\n".join([*lines, *self._without_mid_frames()])

    def _without_mid_frames(self) -> list[str]:
        """Return how many have no mid frame, and what that means for them."""
        kept = self.table[self.table["mid_frame"] == NO_FRAME]
        reasons = pd.concat([self.lacking["reason"], _told(kept)])
        if not len(reasons):
            return []
        share = 100 * len(reasons) / (len(self.table) + len(self.lacking))
        meant = "kept, as MF is not asked for" if len(kept) else "left out, as MF is asked for"
        kinds = reasons.value_counts().items()
        return [
            f"  {len(reasons):,} ({share:.1f} %) have no mid frame: {meant}",
            *(f"    {count:,} {reason}" for reason, count in kinds),
        ]

    def _traced(self, video: str, frame: int) -> tuple[NDArray[np.float64], Size | None]:
        """Return the contour of a frame as it was traced, and the size of that picture if stated.

        Raises:
            DatasetError: That frame of that video was not traced, as none is of a mere list.
        """
        raise DatasetError(f"{self.root}: frame {frame} of {video} was not traced")


def with_mid_frames(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with `mid_frame`, half-way between ED and ES where these are of one beat.

    Args:
        table: Whole numbers `ed_frame` and `es_frame`, and `fps`, NaN where it is not known.
    """
    told = _why_no_mid_frame(table)
    middles = [
        NO_FRAME if why else mid_frame(ed, es)
        for ed, es, why in zip(table["ed_frame"], table["es_frame"], told, strict=True)
    ]
    return table.assign(mid_frame=np.array(middles, dtype=np.int64))


def _why_no_mid_frame(table: pd.DataFrame) -> pd.Series:
    """Return why each row has no mid frame, as far as its frames tell; empty where it has one."""
    ed, es = table["ed_frame"], table["es_frame"]
    seconds = (es - ed) / table["fps"].where(table["fps"] > 0)
    told = [no_mid_frame(*each) for each in zip(ed, es, seconds, strict=True)]
    return pd.Series(told, index=table.index, dtype=object)


def _told(lacking: pd.DataFrame) -> pd.Series:
    """Return why rows without a mid frame have none; a layout may know what frames do not tell."""
    return _why_no_mid_frame(lacking).replace("", "no mid frame")


class ExcludedError(DatasetError):
    """Too much of a folder is unusable.

    Attributes:
        folder: The folder, with what was set aside.
    """

    def __init__(self, message: str, folder: LabelFolder) -> None:
        super().__init__(message)
        self.folder = folder


def check_excluded(folder: LabelFolder, max_excluded: float) -> LabelFolder:
    """Return a folder of which enough is usable.

    Args:
        folder: The folder.
        max_excluded: Share of rows that may be unusable.

    Raises:
        ExcludedError: More is unusable, or there is nothing in the folder; it carries the folder.
    """
    count = len(folder.table) + len(folder.excluded)
    if count == 0:
        raise ExcludedError(f"{folder.root}: its list names no video", folder)
    if len(folder.excluded) > max_excluded * count:
        raise ExcludedError(
            f"{folder.summary()}\n{folder.root}: {100 * len(folder.excluded) / count:.1f} % of the "
            f"videos cannot be used, more than max_excluded = {100 * max_excluded:g} %; mend the "
            "folder or raise --data.max_excluded",
            folder,
        )
    return folder
