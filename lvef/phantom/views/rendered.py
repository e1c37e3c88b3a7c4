"""Clips that one function of time draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.views.place import Place
from lvef.streams import Use

_FPS = (50.0, 50.0, 50.0, 25.0, 30.0, 30.0, 40.0, 60.0, 75.0)
_SECONDS = (1.5, 4.0)


@dataclass(frozen=True)
class Timing:
    """How long a clip is.

    Attributes:
        fps: Frames a second.
        num_frames: Frames in the clip.
    """

    fps: float
    num_frames: int


def sample_timing(rng: np.random.Generator) -> Timing:
    """Draw a frame rate and a length, as those of clips of hearts."""
    fps = float(rng.choice(_FPS))
    return Timing(fps, round(fps * rng.uniform(*_SECONDS)))


class Rendered:
    """A clip.

    Args:
        place: Where its random numbers are.
        timing: Its rate and length.
        draw: Draws a frame `(112, 112)` uint8 from seconds since the first one, and a source of
            what is random in that frame alone.

    Attributes:
        fps: Frames a second.
        num_frames: Frames in the clip.
    """

    def __init__(
        self,
        place: Place,
        timing: Timing,
        draw: Callable[[float, np.random.Generator], NDArray[np.uint8]],
    ) -> None:
        self._place, self._draw = place, draw
        self.fps, self.num_frames = timing.fps, timing.num_frames

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default; none depends on which others are asked."""
        wanted = list(range(self.num_frames) if indices is None else indices)
        frames = np.empty((len(wanted), PICTURE_SIZE, PICTURE_SIZE), np.uint8)
        for slot, index in enumerate(wanted):
            frames[slot] = self._draw(index / self.fps, self._place.stream(Use.VIEW_FRAME, index))
        return frames
