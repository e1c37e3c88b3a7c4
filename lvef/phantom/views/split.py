"""Screens that show several pictures at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.views.four_chamber import any_four_chamber, colour_box
from lvef.phantom.views.place import Clip, Place
from lvef.phantom.views.sliced import SlicedClip
from lvef.streams import Use

_PARTS: tuple[Callable[[Place], Clip], ...] = (
    any_four_chamber,
    any_four_chamber,
    colour_box,
    lambda place: SlicedClip("A2C", place),
    lambda place: SlicedClip("A3C", place),
    lambda place: SlicedClip("PLAX", place),
    lambda place: SlicedClip("PSAX", place),
)
"""What stands on such screens; nothing of a kind that is held out."""


class SplitScreen:
    """Two or four clips in one picture.

    Args:
        parts: The clips.
        boxes: Left, top and side in pixels of each.
    """

    def __init__(self, parts: list[Clip], boxes: list[tuple[int, int, int]]) -> None:
        self.parts, self.boxes = parts, boxes
        self.fps, self.num_frames = parts[0].fps, min(part.num_frames for part in parts)

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default."""
        wanted = list(range(self.num_frames) if indices is None else indices)
        frames = np.zeros((len(wanted), PICTURE_SIZE, PICTURE_SIZE), np.uint8)
        for part, (left, top, side) in zip(self.parts, self.boxes, strict=True):
            for frame, shown in zip(frames, part.frames(wanted), strict=True):
                small = cv2.resize(shown, (side, side), interpolation=cv2.INTER_AREA)
                frame[top : top + side, left : left + side] = small
        return frames


def split_screen(place: Place) -> SplitScreen:
    """Return a screen of two clips side by side, or of four."""
    rng = place.stream(Use.VIEW_CLIP)
    if rng.random() < 0.7:
        side = int(rng.integers(50, 57))
        top = int(rng.integers(4, PICTURE_SIZE - side - 3))
        boxes = [(56 - side, top, side), (56, top, side)]
    else:
        side = int(rng.integers(48, 57))
        boxes = [(x, y, side) for y in (56 - side, 56) for x in (56 - side, 56)]
    chosen = rng.integers(0, len(_PARTS), len(boxes))
    parts = [
        _PARTS[int(which)](replace(place, part=number + 1)) for number, which in enumerate(chosen)
    ]
    return SplitScreen(parts, boxes)
