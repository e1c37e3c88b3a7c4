"""Apical four-chamber clips of both generators, what turns them around, and a box of colour."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.clip import PhantomClip
from lvef.phantom.views.place import Clip, Place
from lvef.phantom.views.sliced import SlicedClip
from lvef.streams import Use

_SOLID = 0.4
"""Share of the second generator where a kind shows both."""
_CLINIC = 0.2
"""Share of the population of a clinic among clips of the first one."""
_WIDE = (1.1, 1.5)
"""Ranges of wide clips, relative to the plain ones: as wide as what networks learn to outline."""
_WIDEST = (1.5, 1.75)
"""Ranges of the widest: nothing learned from hearts like these, neither to outline them nor to tell
their view."""


class FourChamber:
    """A beating heart in the apical four-chamber view, without marks.

    Args:
        clip: Of one of the generators.

    Attributes:
        clip: Of one of the generators, which knows what is true of it.
        fps: Frames a second.
        num_frames: Frames in the clip.
        seconds_a_beat: How long a beat takes.
        origin: Where the probe is in the picture, x and y in pixels.
    """

    def __init__(self, clip: PhantomClip | SlicedClip) -> None:
        self.clip = clip
        self.fps, self.num_frames = clip.patient.fps, clip.patient.num_frames
        self.seconds_a_beat = 60 / clip.patient.heart_rate
        self.origin = clip.origin if isinstance(clip, SlicedClip) else clip.scanner.origin

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default."""
        return self.clip.frames(indices)

    def tracing(self, frame: int) -> NDArray[np.float64]:
        """Return a reader's long axis and chords of a frame, `(21, 4)` in pixels."""
        clip = self.clip
        return clip.tracings[frame] if isinstance(clip, SlicedClip) else clip.tracing(frame)


def of_clinic(place: Place) -> FourChamber:
    """Return a clip of the first generator, as frequent as in a clinic."""
    return FourChamber(_first(place, None))


def randomised(place: Place, breadth: float = 1.0) -> FourChamber:
    """Return a domain-randomised clip of the first generator."""
    return FourChamber(_first(place, breadth))


def solid(place: Place) -> FourChamber:
    """Return a clip of the second generator."""
    return FourChamber(SlicedClip("A4C", place))


def wide(place: Place) -> FourChamber:
    """Return a clip of wider ranges than the plain ones, oftener of the wider half of them."""
    rng = place.stream(Use.VIEW_CLIP, 1)
    least, most = _WIDE
    breadth = float(rng.uniform(least, most))
    if rng.random() < 0.5:
        breadth = (breadth + most) / 2
    return randomised(place, breadth)


def widest(place: Place) -> FourChamber:
    """Return a clip of wider ranges than anything that ships was taught on."""
    return randomised(place, float(place.stream(Use.VIEW_CLIP, 1).uniform(*_WIDEST)))


def any_four_chamber(place: Place) -> FourChamber:
    """Return a clip of either generator."""
    chance = place.stream(Use.VIEW_CLIP, 1).random(2)
    if chance[0] < _SOLID:
        return solid(place)
    return of_clinic(place) if chance[1] < _CLINIC else randomised(place)


def _first(place: Place, breadth: float | None) -> PhantomClip:
    seed = int(place.stream(Use.VIEW_CLIP, 2).integers(2**63))
    return PhantomClip(seed, place.index, False, breadth, purpose=place.purpose)


class Flipped:
    """A clip turned upside down, or left to right, or both.

    Args:
        inner: The clip.
        rows: Whether top and bottom change places.
        columns: Whether left and right do.
    """

    def __init__(self, inner: FourChamber, rows: bool, columns: bool) -> None:
        self.inner, self.rows, self.columns = inner, rows, columns
        self.fps, self.num_frames = inner.fps, inner.num_frames
        self.seconds_a_beat = inner.seconds_a_beat
        x, y = inner.origin
        last = PICTURE_SIZE - 1
        self.origin = (last - x if columns else x), (last - y if rows else y)

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default."""
        frames = self.inner.frames(indices)
        frames = frames[:, ::-1] if self.rows else frames
        return np.ascontiguousarray(frames[:, :, ::-1] if self.columns else frames)


def mirrored(place: Place) -> Flipped:
    """Return a four-chamber view with the left ventricle at the left."""
    return Flipped(any_four_chamber(place), rows=False, columns=True)


def apex_down(place: Place) -> Flipped:
    """Return a four-chamber view with the apex below; now and then it is turned, not mirrored."""
    turned = bool(place.stream(Use.VIEW_CLIP, 3).random() < 0.25)
    return Flipped(any_four_chamber(place), rows=True, columns=turned)


class ColourBox:
    """A four-chamber view with flow in colour over a part of it, as its grey copy shows it.

    Args:
        inner: The clip, of which every second or third frame is kept: colour is slow.
        place: Where its random numbers are.
    """

    def __init__(self, inner: FourChamber, place: Place) -> None:
        rng = place.stream(Use.VIEW_CLIP, 3)
        self.inner, self._step = inner, int(rng.integers(2, 4))
        self.fps, self.num_frames = inner.fps / self._step, inner.num_frames // self._step
        self.seconds_a_beat, self.origin = inner.seconds_a_beat, inner.origin
        rows, columns = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE].astype(np.float64)
        x, y = columns - inner.origin[0], rows - inner.origin[1]
        depth, angle = np.hypot(x, y), np.arctan2(x, y)
        top, middle, half = rng.uniform(15, 50), rng.uniform(-0.25, 0.25), rng.uniform(0.18, 0.4)
        self._box = (depth > top) & (depth < top + rng.uniform(40, 62))
        self._box &= np.abs(angle - middle) < half
        edge = cv2.morphologyEx(self._box.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2)))
        self._edge = edge.astype(bool)
        self._outline = int(rng.choice([0, 140, 220]))
        self._fields = np.stack([_smooth(rng, size) for size in (9, 9, 14)])
        self._share, self._loud = rng.uniform(0.4, 0.85), rng.uniform(0.9, 2.0)
        self._start, self._bar = rng.uniform(0, 1), rng.random() < 0.6
        self._place = place

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default."""
        return self._painted(indices)[0]

    def pictures(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames in colour `(n, 112, 112, 3)`, of which `frames` is the luminance."""
        frames, towards, away = self._painted(indices)
        grey = frames.astype(np.float64)
        red, blue = np.minimum(grey / 0.299, 255), np.minimum(grey / 0.114, 255)
        green = np.where(towards, grey - 0.299 * red, grey - 0.114 * blue) / 0.587
        flow = np.stack([red * towards, green, blue * away], -1)
        return np.where((towards | away)[..., None], flow, grey[..., None]).round().astype(np.uint8)

    def _painted(
        self, indices: Iterable[int] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return frames, and where blood is shown that flows to the probe and away from it."""
        wanted = list(range(self.num_frames) if indices is None else indices)
        frames = self.inner.frames([self._step * index for index in wanted]).copy()
        flow = [self._colour(frames[slot], index) for slot, index in enumerate(wanted)]
        towards, away = np.moveaxis(np.array(flow, bool).reshape(-1, 2, *frames.shape[1:]), 1, 0)
        return frames, towards, away

    def _colour(self, frame: NDArray[np.uint8], index: int) -> NDArray[np.bool_]:
        """Lay flow over the darker part of a box, however bright the picture is.

        Returns:
            `(2, 112, 112)` where it flows towards the probe, and away from it.
        """
        phase = 2 * np.pi * (index / self.fps / self.seconds_a_beat + self._start)
        first, second, third = self._fields
        flow = np.cos(phase) * (0.6 + first) + np.sin(phase) * second
        flow = flow + 0.4 * np.cos(2 * phase) * third
        rng = self._place.stream(Use.VIEW_FRAME, 1, index)
        flow = self._loud * flow + 0.12 * rng.normal(size=flow.shape)
        shown = self._box & (np.abs(flow) > 0.35)
        smooth = cv2.GaussianBlur(frame, (0, 0), 1.2)
        shown &= smooth <= np.quantile(smooth[self._box], self._share)
        aliased = np.abs((flow + 1) % 2 - 1) * np.sign(flow)
        speed = np.clip(np.where(np.abs(flow) > 1, aliased, flow), -1, 1)
        # Red to yellow towards the probe, blue to cyan away from it, by their luminance.
        grey = np.where(speed > 0, 60 + 160 * speed, 25 - 140 * speed)
        frame[shown] = grey[shown].astype(np.uint8)
        if self._outline:
            frame[self._edge] = self._outline
        if self._bar:
            scale = np.abs(np.linspace(-1, 1, 26))
            frame[6:32, 104:108] = (40 + 170 * scale)[:, None].astype(np.uint8)
        if self._outline:
            shown &= ~self._edge
        return np.stack([shown & (speed > 0), shown & (speed <= 0)])


def _smooth(rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    """Return a smooth random field `(112, 112)` of variance 1."""
    field = rng.standard_normal((PICTURE_SIZE, PICTURE_SIZE))
    field = cv2.GaussianBlur(field, (0, 0), size, borderType=cv2.BORDER_REFLECT)
    return np.asarray(field / field.std())


def colour_box(place: Place) -> Clip:
    """Return a four-chamber view with a box of colour over it."""
    return ColourBox(any_four_chamber(place), place)
