"""Clips whose frames are not in the order of a beating heart, or begin in the dark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.views.place import Clip, Place
from lvef.phantom.views.rendered import sample_timing
from lvef.streams import Use


class BeatingClip(Clip, Protocol):
    """A clip that knows how long a beat takes."""

    @property
    def seconds_a_beat(self) -> float:
        """How long a beat takes."""
        ...


class Rearranged:
    """Frames of a clip in another order.

    Args:
        inner: The clip.
        order: `(T,)` which of its frames comes when.

    Attributes:
        inner: The clip.
        order: See above.
        fps: Frames a second.
        num_frames: Frames in this clip.
    """

    def __init__(self, inner: Clip, order: NDArray[np.int64]) -> None:
        self.inner, self.order = inner, order
        self.fps, self.num_frames = inner.fps, len(order)

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default; each is made once."""
        wanted = range(self.num_frames) if indices is None else list(indices)
        kept, places = np.unique(self.order[np.asarray(wanted, np.int64)], return_inverse=True)
        return self.inner.frames([int(frame) for frame in kept])[places]


def still(inner: Clip, place: Place) -> Rearranged:
    """Return one frame for as long as a clip lasts."""
    rng = place.stream(Use.VIEW_CLIP, 4)
    count = sample_timing(rng).num_frames
    return Rearranged(inner, np.full(count, rng.integers(inner.num_frames), np.int64))


def shuffled(inner: Clip, place: Place) -> Rearranged:
    """Return all frames of a clip in random order."""
    return Rearranged(inner, place.stream(Use.VIEW_CLIP, 4).permutation(inner.num_frames))


def backwards(inner: Clip) -> Rearranged:
    """Return a clip from its end to its beginning."""
    return Rearranged(inner, np.arange(inner.num_frames)[::-1])


def one_loop(inner: BeatingClip, place: Place) -> Rearranged:
    """Return a piece of a clip, no whole number of beats, over and over: it jumps at every seam."""
    rng = place.stream(Use.VIEW_CLIP, 4)
    share = rng.uniform(0.4, 0.85) if rng.random() < 0.6 else rng.uniform(1.15, 1.6)
    length = int(np.clip(round(share * inner.seconds_a_beat * inner.fps), 4, inner.num_frames - 1))
    start = int(rng.integers(inner.num_frames - length + 1))
    times = max(3, round(rng.uniform(1.5, 4.0) * inner.fps / length))
    return Rearranged(inner, start + np.tile(np.arange(length), times))


class FadedIn:
    """A clip before which, or over the beginning of which, the picture is dark.

    Args:
        inner: The clip.
        black: Black frames before it.
        fade: Frames over which it then grows bright.
    """

    def __init__(self, inner: Clip, black: int, fade: int) -> None:
        self.inner, self.black, self.fade = inner, black, fade
        self.fps, self.num_frames = inner.fps, inner.num_frames + black

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default."""
        wanted = np.asarray(range(self.num_frames) if indices is None else list(indices), np.int64)
        shown = self.inner.frames([int(i) for i in np.maximum(wanted - self.black, 0)])
        level = np.clip((wanted - self.black + 1) / (self.fade + 1), 0, 1)
        return np.asarray(shown * level[:, None, None], np.uint8)


def faded_in(inner: Clip, place: Place) -> FadedIn:
    """Return a clip after a black frame or more, or one that fades in."""
    rng = place.stream(Use.VIEW_CLIP, 4)
    return FadedIn(inner, int(rng.integers(1, 5)), int(rng.integers(2, 9)) * int(rng.integers(2)))
