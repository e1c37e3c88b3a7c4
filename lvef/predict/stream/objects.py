"""DICOM objects of the clips of an archive: each is there before its clip counts as done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvef.data.names import expanded
from lvef.data.slots import asks_for_a2c
from lvef.errors import ConfigurationError
from lvef.predict.dicom_out import DicomFolders, Written, answer_of
from lvef.predict.pending import Keep
from lvef.predict.stream.inputs import ClipInput, searched_folders
from lvef.predict.stream.merge import tables_of_rows
from lvef.predict.stream.schema import ROWS
from lvef.predict.stream.work import FoundClip

IDENTITY = "objects in these folders name the patient of each clip"
"""What the manifest says of them."""


class Objects:
    """Writes reports of clips once their rows are known, and counts what workers wrote.

    Args:
        folders: Where objects go.
        frames: Frames that the model of EF sees; none where geometry answers.
    """

    def __init__(self, folders: DicomFolders, frames: Sequence[str]) -> None:
        self.folders, self._frames = folders, frames
        self.written = Written()

    def found(self, clip: ClipInput, found: FoundClip) -> None:
        """Count the segmentation of a clip, as its worker returned.

        Raises:
            OutputError: One of before cannot be removed.
        """
        if self.folders.seg is not None:
            reason = found.contours
            if reason is None:
                reason = self.folders.no_contours(clip.path, clip.name, bool(clip.beats))
            self.written.add("seg", reason)

    def before(self, keep: Keep) -> Keep:
        """Return what writes the report of a clip, and keeps the clip then."""

        def kept(clip: ClipInput, rows: list[dict[str, Any]], record: bytes) -> None:
            if self.folders.sr is not None:
                self.written.add("sr", self._report(clip, rows))
            keep(clip, rows, record)

        return kept

    def _report(self, clip: ClipInput, rows: list[dict[str, Any]]) -> str:
        # By the way of the tables, so that a report says what they do.
        table = pd.DataFrame(rows).reindex(columns=ROWS.names).assign(path=str(clip.path))
        (video,) = tables_of_rows(table, self._frames, "")[0].to_dict("records")
        said = {str(name): value for name, value in video.items()}
        return self.folders.report(clip.path, clip.name, answer_of(said, rows))


def check_apart(option: str, folder: Path, where: Sequence[str | Path]) -> None:
    """Refuse a folder in which the next run would take objects for clips.

    Raises:
        ConfigurationError: It lies where clips are looked for.
    """
    place = expanded(folder).resolve()
    for root in searched_folders(where):
        if place.is_relative_to(root.resolve()):
            raise ConfigurationError(
                f"{option} {folder} lies in {root}, where clips are looked for, and what is "
                "written there would be taken for some: give a folder elsewhere"
            )


def check_one_view(frames: Sequence[str]) -> None:
    """Refuse objects of what a model says of two clips: those of one would hide the other.

    Args:
        frames: Frames that the model sees.

    Raises:
        ConfigurationError: They are of two views.
    """
    if asks_for_a2c(frames):
        raise ConfigurationError(
            "--dicom_sr and --dicom_seg are of single clips, and this model of EF sees two views: "
            "do without them, or ask another model"
        )
