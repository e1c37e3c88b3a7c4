"""A folder of labelled clips as one validated table, whatever layout it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.columns import SPLITS
from lvef.data.phantom_folder import is_phantom, other_generator, read_truth
from lvef.data.pixels import Size, into_picture
from lvef.errors import DatasetError

MAX_EXCLUDED = 0.05
"""Share of a folder's rows that may be unusable before it is refused, where nothing is said."""


@dataclass(frozen=True)
class LabelFolder:
    """What a folder of labelled clips holds; a layout with tracings has a subclass of its own.

    Attributes:
        root: The folder.
        table: One row a usable video: `video` (name without extension), `path`, `split`, `ef_true`
            (percent), `edv`, `esv` (mL, NaN where not measured), `fps`, `num_frames`,
            `frame_height` and `frame_width` (pixels that the tracings are in, NaN where not
            known), `ed_frame`, `es_frame`, `mid_frame`. The index counts from 0; it is the `row`
            of a batch.
        excluded: `video`, `split`, `reason` of every row that cannot be used.
        notes: What was taken otherwise than it is written, and what a human should look at.
    """

    root: Path
    table: pd.DataFrame
    excluded: pd.DataFrame
    notes: tuple[str, ...] = ()

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

    def summary(self) -> str:
        """Return how many videos are usable and why the others are not, in a few lines."""
        splits = self.table["split"].value_counts()
        counts = " / ".join(f"{splits.get(split, 0):,} {split}" for split in SPLITS)
        lines = [f"{self.root}: {len(self.table):,} usable videos ({counts})"]
        lines += [f"  {note}" for note in self.notes]
        if told := other_generator(self.root):
            lines.append(f"  {told}: no figures to put beside those of its documents")
        if len(self.excluded):
            kinds = self.excluded["reason"].str.split(":").str[0].value_counts()
            lines.append(f"  {len(self.excluded):,} set aside:")
            lines += [f"    {count:,} {reason}" for reason, count in kinds.items()]
        return "\n".join(lines)

    def _traced(self, video: str, frame: int) -> tuple[NDArray[np.float64], Size | None]:
        """Return the contour of a frame as it was traced, and the size of that picture if stated.

        Raises:
            DatasetError: That frame of that video was not traced, as none is of a mere list.
        """
        raise DatasetError(f"{self.root}: frame {frame} of {video} was not traced")


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
