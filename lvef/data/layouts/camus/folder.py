"""Contours of the left ventricle from CAMUS's masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import largest_outline
from lvef.data.layouts.camus.patient import FOUR, LOOP, file_of
from lvef.data.layouts.folder import LabelFolder
from lvef.data.names import read_label_map
from lvef.data.pixels import Size
from lvef.errors import DatasetError, VideoError

CAVITY = 1
"""The label of the LV cavity; 2 is the myocardium and 3 the left atrium."""
_FINER = 4
"""An outline goes through the centres of outermost pixels: in finer ones, along their edges."""


@dataclass(frozen=True)
class CamusFolder(LabelFolder):
    """A `LabelFolder` whose contours are those of masks: of ED and ES, else of the loop's own."""

    def _traced(self, video: str, frame: int) -> tuple[NDArray[np.float64], Size | None]:
        path, number = self._mask(video, frame)
        try:
            labels = read_label_map(path, number)
        except (VideoError, OSError) as error:
            raise DatasetError(f"{path}: {error}") from error
        fine = (labels == CAVITY).repeat(_FINER, axis=0).repeat(_FINER, axis=1)
        outline = largest_outline(fine)
        if outline is None:
            raise DatasetError(f"{path}: no left ventricle (label {CAVITY}) in picture {number}")
        return (outline + 0.5) / _FINER - 0.5, (float(labels.shape[0]), float(labels.shape[1]))

    def _mask(self, video: str, frame: int) -> tuple[str, int]:
        """Return the file of a frame's mask, and which picture of it.

        Raises:
            DatasetError: There is none.
        """
        rows = self.table[self.table["video"] == video]
        folder = Path(self.root) / video
        for phase in ("ED", "ES"):
            path = file_of(folder, FOUR, f"{phase}_gt")
            if path and (rows[f"{phase.lower()}_frame"] == frame).any():
                return path, 0
        path = file_of(folder, FOUR, f"{LOOP}_gt")
        if path and len(rows) and 0 <= frame < rows["num_frames"].iloc[0]:
            return path, frame
        raise DatasetError(f"{self.root}: frame {frame} of {video} was not traced")
