"""A folder of labelled clips as one validated table, whatever layout it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.columns import OWN, SPLITS, is_own
from lvef.data.layouts.lacking import lacks_of
from lvef.data.phantom_folder import is_phantom, other_generator, read_truth
from lvef.data.pixels import Size, into_picture
from lvef.data.slots import A2C, NO_A2C, asks_for_a2c
from lvef.errors import DatasetError

MAX_EXCLUDED = 0.05
"""Share of a folder's rows that may be unusable before it is refused, where nothing is said."""

_MOST_NAMED = 10
_SET_ASIDE = ["video", "split", "reason"]


def nothing_aside() -> pd.DataFrame:
    """Return the table of rows that are set aside, where none is."""
    return pd.DataFrame(columns=_SET_ASIDE, dtype=object)


@dataclass(frozen=True)
class LabelFolder:
    """What a folder of labelled clips holds; a layout with tracings has a subclass of its own.

    Attributes:
        root: The folder.
        table: One row a usable video: `video` (name without extension), `path`, `split`, `ef_true`
            (percent), `edv`, `esv` (mL, NaN where not measured), `fps`, `num_frames`,
            `frame_height` and `frame_width` (pixels that the tracings are in, NaN where not
            known), `ed_frame`, `es_frame`, `mid_frame` (`NO_FRAME` where there is none, see
            `with_mid_frames`). Where a layout knows A2Cs, the same of these, see
            `with_two_chamber_views`. Columns of the user's own begin with `lvef.columns.OWN`. The
            index counts from 0; it is the `row` of a batch.
        excluded: `video`, `split`, `reason` of every row that cannot be used.
        lacking: The same of those that are set aside for what they lack alone, and are no fault;
            `lacks` is what that is.
        left_out: The same of what is no case at all: clips of other views, studies without a label.
        notes: What was taken otherwise than it is written, and what a human should look at.
    """

    root: Path
    table: pd.DataFrame
    excluded: pd.DataFrame
    notes: tuple[str, ...] = ()
    lacking: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[*_SET_ASIDE, "lacks"], dtype=object),
        kw_only=True,
    )
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
            frames: Any of `lvef.data.slots.FRAME_COLUMNS`.

        Raises:
            DatasetError: The two-chamber view is asked for, and no case has one.
        """
        self.check_views(frames)
        folder = self
        for lack in lacks_of(self.table):
            if lack.is_asked(frames):
                reasons = lack.reasons(folder.table, frames)
                without = reasons != ""
                aside = folder.table.loc[without, ["video", "split"]].assign(
                    reason=reasons[without], lacks=lack.what
                )
                folder = replace(
                    folder,
                    table=folder.table[~without].reset_index(drop=True),
                    lacking=pd.concat([folder.lacking, aside], ignore_index=True),
                )
        return folder

    def check_views(self, frames: Sequence[str]) -> None:
        """Refuse a folder that has none of a view that a model sees.

        Raises:
            DatasetError: It has none.
        """
        if not asks_for_a2c(frames):
            return
        wanted = f"{self.root}: {', '.join(frames)} are asked for, "
        if A2C.column("path") not in self.table:
            raise DatasetError(
                f"{wanted}but it has no two-chamber views: they are known of a CAMUS folder, and "
                f"of a list of clips with a column {A2C.column('path')}"
            )
        reasons = self.table[A2C.column("reason")]
        if len(reasons) and (reasons != "").all():
            count, why = len(reasons), reasons[reasons != NO_A2C].tolist()
            raise DatasetError(
                f"{wanted}but none of {count:,} cases has a two-chamber view that can be used"
                + (f", the first as: {why[0]}" if why else "")
            )

    @property
    def set_aside(self) -> pd.DataFrame:
        """`video`, `split`, `reason` of every row that is not in the table."""
        parts = [self.excluded, self.lacking[_SET_ASIDE], self.left_out]
        return pd.concat(parts, ignore_index=True)

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
        return "\n".join([*lines, *self._without()])

    def _without(self) -> list[str]:
        """Return how many cases lack what a run may ask for, and what that means for them."""
        lines = []
        for lack in lacks_of(self.table):
            kept, told = lack.reasons(self.table, ()), self.lacking["lacks"] == lack.what
            kept = kept[kept != ""] if lack.told or told.any() else kept.iloc[:0]
            reasons = pd.concat([self.lacking.loc[told, "reason"], kept])
            if len(reasons):
                share = 100 * len(reasons) / (len(self.table) + len(self.lacking))
                meant = "kept, as {} not asked for" if len(kept) else "left out, as {} asked for"
                lines.append(
                    f"  {len(reasons):,} ({share:.1f} %) have no {lack.what}: "
                    f"{meant.format(lack.asked)}"
                )
                kinds = reasons.value_counts().items()
                lines += [f"    {count:,} {reason}" for reason, count in kinds]
        return lines

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
