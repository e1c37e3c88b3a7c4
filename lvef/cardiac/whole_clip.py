"""Which frames of a clip a model of whole clips sees: so many, so many a second, from ED on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac.sampling import CLIP_FPS

CLIP = "CLIP"
"""What a model of whole clips asks for, in place of key frames."""
NOT_BOTH = "a model sees one whole clip or key frames, not both"
_NAME = re.compile(rf"{CLIP}(?:_(\d{{1,4}})_(\d{{1,4}}))?", re.ASCII)


@dataclass(frozen=True)
class WholeClip:
    """Frames at an even rate, `CLIP` or `CLIP_LENGTH_RATE`, such as CLIP_32_50.

    They begin at ED, and hold the systole that follows it; where the clip ends before them, they
    begin as much earlier as is needed. A clip of a lower rate than asked for repeats frames.

    Attributes:
        length: How many.
        rate: How many a second.
    """

    length: int = 16
    rate: float = CLIP_FPS

    @classmethod
    def of(cls, name: str) -> Self | None:
        """Return what a name asks for; None where it is no clip's."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        length, rate = found.groups()
        return cls() if length is None else cls(int(length), float(rate))

    @property
    def words(self) -> str:
        """How long it is, in words."""
        return f"{self.length} frames at {self.rate:g} a second"

    def why_not(self, num_frames: int, fps: float) -> str:
        """Return why a clip has no such frames; empty where it has.

        Args:
            num_frames: Frames of the clip.
            fps: Frames a second of the clip, NaN where they are not known.
        """
        if not fps > 0:
            return f"frame rate not known, and {self.words} are asked for"
        return f"shorter than {self.words}" if num_frames < self._span(fps) else ""

    def frames(
        self, ed_frame: int, num_frames: int, fps: float, start: int | None = None
    ) -> NDArray[np.int64]:
        """Return `(length,)` frame numbers from 0, of a clip that is long enough.

        Args:
            ed_frame: The end-diastolic frame.
            num_frames: Frames of the clip.
            fps: Frames a second of the clip.
            start: Any number, which chooses another first frame than ED.
        """
        last = max(num_frames - self._span(fps), 0)
        first = max(min(ed_frame, last), 0) if start is None else start % (last + 1)
        return first + self._steps(fps)

    def _span(self, fps: float) -> int:
        return int(self._steps(fps)[-1]) + 1

    def _steps(self, fps: float) -> NDArray[np.int64]:
        return np.round(np.arange(self.length) * (fps / self.rate)).astype(np.int64)


def asked_clip(frames: Sequence[str] | None) -> WholeClip | None:
    """Return the clip that a model of these frames sees; None where it sees key frames."""
    return next(filter(None, map(WholeClip.of, frames or ())), None)


def num_pictures(frames: Sequence[str]) -> int:
    """Return how many pictures of a case a model of these frames sees."""
    clip = asked_clip(frames)
    return len(frames) if clip is None else clip.length
