"""What is known of the ventricle in a case's clip: contours and the area over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.data.layouts import LabelFolder
from lvef.data.phantom_folder import PhantomTruth
from lvef.data.slots import A2C, view_of
from lvef.errors import DatasetError
from lvef.predict.record import ClipRecord
from lvef.report.case import CaseCurve

_OF_PHANTOM = "true {} of the phantom"
_FOUND = "found by the LV segmenter"


@dataclass(frozen=True)
class Known:
    """What is known of one clip.

    Attributes:
        video: Its name in the table.
        folder: The folder it is of, where that is one of a data set.
        truth: What its phantom is.
        record: What the LV segmenter found.
    """

    video: str
    folder: LabelFolder | None
    truth: PhantomTruth | None
    record: ClipRecord | None

    def contour(self, name: str, frame: int) -> tuple[NDArray[np.float64] | None, str]:
        """Return a contour `(k, 2)` in pixels of the clip's own frames, and who drew it.

        Args:
            name: Any of `lvef.data.slots.FRAME_COLUMNS`.
            frame: Which frame of the clip.
        """
        if view_of(name) == A2C:
            return None, ""  # what is known is of the four-chamber clip
        if self.truth is not None:
            contours, source = self.truth.contour, _OF_PHANTOM.format("contour")
            return (contours[frame] if frame < len(contours) else None), source
        traced = self._tracing(name, frame)
        if traced is not None:
            return traced, "traced by a reader"
        if self.record is not None and frame in self.record.contours:
            return self.record.contours[frame], _FOUND
        return None, ""

    def _tracing(self, name: str, frame: int) -> NDArray[np.float64] | None:
        if self.folder is None or name == "MF":
            return None
        try:
            return self.folder.contour(self.video, frame)
        except DatasetError:
            return None

    def curve(self, fps: float) -> CaseCurve | None:
        """Return the LV area over time, where it is known.

        Args:
            fps: Frames a second that the folder states, for phantoms.
        """
        if self.truth is not None and np.isfinite(fps) and fps > 0:
            truth, source = self.truth, _OF_PHANTOM.format("area")
            return CaseCurve(fps, _plain(truth.area), source, truth.ed_frames, truth.es_frames)
        if self.record is not None:
            record = self.record
            ed, es = (record.beats[:, column].astype(int).tolist() for column in (0, 1))
            return CaseCurve(record.fps, _plain(record.area), _FOUND, ed, es)
        return None


def _plain(values: NDArray[np.floating]) -> list[float | None]:
    return [None if not np.isfinite(v) else round(float(v), 1) for v in values]
