"""How an archive keeps a clip: the machine's marks, its grey levels, its place in the picture.

Every kind goes through it, the four-chamber views as all others, so that nothing of it tells
one from another.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.draw import Draw
from lvef.phantom.marks import Marks, marks_at
from lvef.phantom.views.place import Clip, Place
from lvef.streams import Use

_CENTRE = (PICTURE_SIZE - 1) / 2


class Dressed:
    """A clip as an archive keeps it.

    Args:
        inner: The clip.
        place: Where its random numbers are.
        marks: Whether a machine's marks may stand beside the picture.
        breadth: How wide the ranges are, see `Draw`.

    Attributes:
        inner: The clip.
        fps: Frames a second.
        num_frames: Frames in the clip.
        seconds_a_beat: How long a beat takes; 0.8 where nothing beats, for the ECG.
    """

    def __init__(self, inner: Clip, place: Place, marks: bool = True, breadth: float = 1.0) -> None:
        self.inner, self.fps, self.num_frames = inner, inner.fps, inner.num_frames
        self.seconds_a_beat: float = getattr(inner, "seconds_a_beat", 0.8)
        rng = place.stream(Use.VIEW_DRESS)
        draw = Draw(rng, breadth)
        self._scale = draw(0.88, 1.1) if draw.chance(0.5) else 1.0
        self._shift = (draw(-6, 6), draw(-5, 5)) if draw.chance(0.5) else (0.0, 0.0)
        graded = draw.chance(0.6)
        self._gain = (draw(0.8, 1.25), draw(-0.06, 0.06)) if graded else (1.0, 0.0)
        self._gamma = draw(0.75, 1.35, least=0.4) if graded else 1.0
        self._time_gain = draw(-0.25, 0.25) if draw.chance(0.4) else 0.0
        self._side = round(draw(68, 110, least=48)) if draw.chance(0.25) else PICTURE_SIZE
        self._quality = min(round(draw(40, 95, least=20)), 100) if draw.chance(0.4) else 0
        self._marks = self._sampled(rng) if marks and draw.chance(0.7) else None

    def _sampled(self, rng: np.random.Generator) -> Marks:
        origin = getattr(self.inner, "origin", (56.0, 5.0))
        origin = float(np.clip(origin[0], 30, 82)), float(np.clip(origin[1], 0, 30))
        return marks_at(origin, self.seconds_a_beat * self.fps, rng)

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default."""
        wanted = list(range(self.num_frames) if indices is None else indices)
        shown = self.inner.frames(wanted)
        frames = np.empty(shown.shape, np.uint8)
        for slot, index in enumerate(wanted):
            frames[slot] = self._kept(self._graded(self._placed(shown[slot])), index)
        return frames

    def placed(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points `(n, 2)` x, y of the inner clip's pictures lie in this one's."""
        return np.asarray(
            self._scale * points + ((1 - self._scale) * _CENTRE + np.array(self._shift))
        )

    def _placed(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._scale == 1 and self._shift == (0, 0):
            return frame
        x, y = self.placed(np.zeros((1, 2)))[0]
        to = np.array([[self._scale, 0, x], [0, self._scale, y]])
        size = (PICTURE_SIZE, PICTURE_SIZE)
        return np.asarray(cv2.warpAffine(frame, to, size, flags=cv2.INTER_LINEAR), np.uint8)

    def _graded(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._side < PICTURE_SIZE:
            small = cv2.resize(frame, (self._side,) * 2, interpolation=cv2.INTER_AREA)
            frame = np.asarray(cv2.resize(small, (PICTURE_SIZE,) * 2), np.uint8)
        if (self._gamma, self._gain, self._time_gain) == (1.0, (1.0, 0.0), 0.0):
            return frame
        rows = 1 + self._time_gain * np.linspace(-1, 1, PICTURE_SIZE)[:, None]
        times, plus = self._gain
        grey = (frame / 255) ** self._gamma * times * rows
        grey = np.where(frame > 0, grey + plus, 0)  # outside of the sector it stays black
        return np.asarray(np.round(255 * np.clip(grey, 0, 1)), np.uint8)

    def _kept(self, frame: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        if self._marks is not None:
            frame = self._marks.burn(frame, index)
        if not self._quality:
            return frame
        _, kept = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        return np.asarray(cv2.imdecode(kept, cv2.IMREAD_GRAYSCALE), np.uint8)
