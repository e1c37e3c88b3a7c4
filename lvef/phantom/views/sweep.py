"""M-mode and Doppler: pictures of time, written column by column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.views.four_chamber import any_four_chamber
from lvef.phantom.views.place import Place
from lvef.phantom.views.rendered import Rendered, Timing, sample_timing
from lvef.phantom.views.sliced import SlicedClip
from lvef.streams import Use

Array = NDArray[np.float64]
_CONTRACTION = np.array(
    [(0, 0), (0.1, 0.25), (0.35, 1), (0.42, 0.95), (0.55, 0.35), (0.8, 0.25), (0.9, 0.1), (1, 0)]
)
"""How far walls have moved at shares of a beat from end-diastole on."""


class Sweep:
    """A strip that is written while time goes on, under a small picture or alone.

    Args:
        strip: `(height, n)` uint8, all columns of the clip and of the window before it.
        window: Columns that are shown.
        speed: Columns a second.
        scrolls: Whether the strip moves; else a gap moves over it.
        inset: Small picture `(h, w)` above the strip, or None.
    """

    def __init__(
        self,
        strip: NDArray[np.uint8],
        window: int,
        speed: float,
        scrolls: bool,
        inset: NDArray[np.uint8] | None,
    ) -> None:
        self._strip, self._window, self._speed = strip, window, speed
        self._scrolls, self._inset = scrolls, inset

    def draw(self, seconds: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the frame `(112, 112)` at a time."""
        now = self._window + int(seconds * self._speed)
        columns = np.arange(now - self._window, now)
        if not self._scrolls:
            columns = np.roll(columns, now % self._window)
        part = self._strip[:, columns % self._strip.shape[1]]
        if not self._scrolls:
            gap = (now + np.arange(3)) % self._window
            part[:, gap] = 0
        frame = np.zeros((PICTURE_SIZE, PICTURE_SIZE), np.uint8)
        left = (PICTURE_SIZE - self._window) // 2
        frame[-len(part) - 2 : -2, left : left + self._window] = part
        if self._inset is not None:
            height, width = self._inset.shape
            start = (PICTURE_SIZE - width) // 2
            frame[1 : 1 + height, start : start + width] = self._inset
        return frame


def _beats(phase_of: Array, rng: np.random.Generator) -> tuple[Array, NDArray[np.intp]]:
    """Return the phase in its beat, 0 to 1, and a number of the beat, at seconds `(n,)`."""
    length = rng.uniform(0.55, 1.1)
    count = int(phase_of.max() / length) + 3
    onsets = np.cumsum(length * (1 + 0.03 * rng.normal(size=count))) - length * rng.uniform(1, 2)
    beat = np.clip(np.searchsorted(onsets, phase_of) - 1, 0, count - 2)
    phase = (phase_of - onsets[beat]) / (onsets[beat + 1] - onsets[beat])
    return phase % 1.0, beat


def _screen(
    place: Place,
    rng: np.random.Generator,
    strip_of: Callable[[int, Array, np.random.Generator], NDArray[np.uint8]],
    inset: NDArray[np.uint8] | None,
) -> Rendered:
    timing: Timing = sample_timing(rng)
    window, shown = int(rng.integers(92, 111)), rng.uniform(1.5, 4.5)
    height = PICTURE_SIZE - 6 - (0 if inset is None else len(inset) + 2)
    speed = window / shown
    seconds = np.arange(int(window + speed * timing.num_frames / timing.fps) + 2) / speed
    strip = strip_of(height, seconds, rng)
    sweep = Sweep(strip, window, speed, bool(rng.random() < 0.5), inset)
    return Rendered(place, timing, sweep.draw)


def m_mode(place: Place) -> Rendered:
    """Return a screen with motion along one beam over time."""
    rng = place.stream(Use.VIEW_CLIP)
    inset = None
    if rng.random() < 0.6:
        picture = SlicedClip("PLAX", replace(place, part=1)).frames([0])[0]
        inset = _inset(picture, rng, dotted=True)
    return _screen(place, rng, _layers, inset)


def doppler(place: Place) -> Rendered:
    """Return a screen with the velocities of blood or tissue over time."""
    rng = place.stream(Use.VIEW_CLIP)
    inset = None
    if rng.random() < 0.6:
        picture = any_four_chamber(replace(place, part=1)).frames([0])[0]
        inset = _inset(picture, rng, dotted=bool(rng.random() < 0.7))
    return _screen(place, rng, _spectrum, inset)


def _inset(picture: NDArray[np.uint8], rng: np.random.Generator, dotted: bool) -> NDArray[np.uint8]:
    """Return a picture made small, with the beam that was looked along."""
    side = int(rng.integers(30, 52))
    small = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    if dotted:
        lower = (round(side * rng.uniform(0.3, 0.7)), side - 2)
        cv2.line(small, (side // 2, 2), lower, int(rng.integers(120, 230)), 1)
        gate = round(side * rng.uniform(0.4, 0.7))
        cv2.line(small, (side // 2 - 3, gate), (side // 2 + 3, gate), 220, 1)
    return small


def _layers(height: int, seconds: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return tissue at depths that moves with the beat, `(height, n)`."""
    phase, _ = _beats(seconds, rng)
    moved = np.interp(phase, *_CONTRACTION.T)
    depth = np.linspace(0, 1, height)[:, None]
    kind = str(rng.choice(["ventricle", "ventricle", "mitral", "aorta", "annulus"]))
    amplitude = np.full((height, len(seconds)), 0.04) * np.ones_like(depth)
    amplitude = np.where(depth < rng.uniform(0.08, 0.14), 0.8, amplitude)
    for middle, thick, level, reach in _walls(kind, rng):
        line = middle + reach * moved[None]
        wall = np.abs(depth - line) < thick * (1 + 0.3 * moved[None] * (thick > 0.03)) / 2
        amplitude = np.where(wall, level, amplitude)
    for line, level in _valve(kind, phase, moved, rng):
        amplitude = np.where(np.abs(depth - line[None]) < 0.012, level, amplitude)
    noise = rng.standard_normal((height, len(seconds), 2)) * amplitude[..., None]
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=rng.uniform(0.8, 2.0), sigmaY=0.7)
    decibels = 10 * np.log10((noise**2).sum(-1) * 6 + 10 ** (-rng.uniform(3.0, 5.0)))
    grey = np.clip(rng.uniform(0.6, 0.85) + decibels / rng.uniform(36, 52), 0, 1)
    return np.asarray(np.round(255 * grey), np.uint8)


def _walls(kind: str, rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """Return middle, thickness, amplitude and motion of walls, as shares of the depth."""
    shift, reach = rng.normal(0, 0.03), rng.uniform(0.4, 1.3)
    if kind == "annulus":
        return [
            (0.55 + shift, rng.uniform(0.08, 0.2), 1.3, -0.16 * reach),
            (0.75 + shift, rng.uniform(0.03, 0.1), 0.7, -0.14 * reach),
            (0.95, 0.06, 0.6, -0.05),
        ]
    if kind == "aorta":
        return [
            (0.2, 0.04, 0.7, 0.02),
            (0.38 + shift, 0.035, 1.5, -0.07 * reach),
            (0.6 + shift, 0.035, 1.5, -0.07 * reach),
            (0.88, 0.05, 1.6, -0.02),
            (0.96, 0.09, 0.7, 0.0),
        ]
    cavity = rng.uniform(0.26, 0.4)
    return [
        (0.2, 0.05, 0.7, 0.04),
        (0.38 + shift, rng.uniform(0.06, 0.11), 1.0, 0.06 * reach),
        (0.42 + cavity + shift, rng.uniform(0.06, 0.11), 1.0, -0.11 * reach),
        (0.49 + cavity + shift, 0.022, 2.4, -0.08 * reach),
        (0.97, 0.14, 0.35, 0.0),
    ]


def _valve(
    kind: str, phase: Array, moved: Array, rng: np.random.Generator
) -> list[tuple[Array, float]]:
    """Return lines of leaflets, as shares of the depth, and their amplitude."""
    if kind == "mitral":
        early = np.exp(-(((phase - 0.52) / 0.05) ** 2))
        late = rng.uniform(0.3, 0.8) * np.exp(-(((phase - 0.9) / 0.035) ** 2))
        opened = np.clip(early + late + 0.25 * ((phase > 0.5) & (phase < 0.95)), 0, 1)
        return [(0.6 - 0.14 * opened, 1.4), (0.62 + 0.07 * opened, 1.0)]
    if kind == "aorta":
        opened = ((phase > 0.06) & (phase < 0.36)).astype(np.float64)
        middle = 0.49 - 0.06 * moved
        return [(middle - 0.075 * opened, 1.2), (middle + 0.075 * opened, 1.2)]
    return []


def _spectrum(height: int, seconds: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return velocities, `(height, n)`: how much blood or tissue has each, up and down."""
    phase, beat = _beats(seconds, rng)
    kind = str(rng.choice(["inflow", "outflow", "regurgitation", "tissue", "stenosis"]))
    base = rng.uniform(0.3, 0.75) if kind in ("inflow", "tissue") else rng.uniform(0.12, 0.4)
    waves, width, fill = _velocities(kind, phase, rng)
    waves = waves * (1 + 0.06 * rng.normal(size=beat.max() + 1))[beat]
    room = base if kind in ("inflow", "tissue") else 1 - base
    up = 1.0 if kind in ("inflow", "tissue") else -1.0
    envelope = (up * waves * room * rng.uniform(0.6, 0.92))[None]
    velocity = base - np.linspace(0, 1, height)[:, None]
    same = velocity * envelope > 0
    short = np.abs(envelope) - np.abs(velocity)
    edge = np.exp(-((short / width) ** 2)) * same * (np.abs(envelope) > 0.03)
    amplitude = np.where(same & (short > 0), np.maximum(fill, edge), edge * (short > -2 * width))
    grain = rng.standard_normal((height, len(seconds))) ** 2
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=0.7, sigmaY=0.6)
    noise = rng.uniform(0.0, 0.14) * cv2.GaussianBlur(
        rng.standard_normal((height, len(seconds))) ** 2, (0, 0), 0.6
    )
    grey = np.clip(rng.uniform(0.7, 1.1) * amplitude * (0.45 + 0.55 * grain) + noise, 0, 1)
    strip = np.asarray(np.round(255 * grey), np.uint8)
    row = int(base * (height - 1))
    strip[max(row - 1, 0) : row + 1] = int(rng.integers(60, 220))
    return strip


def _velocities(kind: str, phase: Array, rng: np.random.Generator) -> tuple[Array, float, float]:
    """Return the envelope `(n,)`, 0 to 1 (below 0 the other way), its width and what fills it."""
    systole = np.clip(np.sin(np.pi * (phase - 0.04) / 0.34), 0, 1) * (phase < 0.38)
    early = np.exp(-(((phase - 0.55) / 0.06) ** 2))
    late = np.exp(-(((phase - 0.9) / 0.04) ** 2))
    ratio = rng.uniform(0.4, 1.5)
    if kind == "tissue":
        waves = 0.8 * early + 0.8 * ratio * late - 0.75 * systole**0.7
        return np.asarray(-waves if rng.random() < 0.5 else waves), 0.05, 0.25
    if kind == "inflow":
        return np.asarray((early + ratio * late) / max(1.0, ratio)), 0.05, rng.uniform(0.1, 0.5)
    if kind == "outflow":
        return np.asarray(systole), 0.05, rng.uniform(0.05, 0.3)
    return np.asarray(systole**0.6), 0.04, rng.uniform(0.5, 0.9)
