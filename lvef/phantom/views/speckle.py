"""Pictures of tissue in a plane, of any probe: a curved, a straight or a phased array.

Scatterers are drawn on a grid of beams and depths, moved with the tissue, smeared and compressed.
It is what shows organs that are no heart, and costs a millisecond a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE

Array = NDArray[np.float64]
Single = NDArray[np.float32]
BEAMS, SAMPLES = 128, 224
Scene = Callable[[Array, Array], Array]
"""Amplitude of tissue at x and y in mm, at rest; 1 is bright, 0 is fluid."""
Motion = Callable[[Array, Array, float], tuple[Array, Array]]
"""By how many mm what is at x and y came from its place at rest, at a time in seconds."""


@dataclass(frozen=True)
class Array2D:
    """A probe and its settings.

    Attributes:
        shape: `convex`, `linear` or `phased`.
        depth: Of the picture in mm.
        radius: Of the curved array in mm; 0 of a phased one.
        half_angle: Half the opening in radians; of a linear one, half its width over its depth.
        dynamic_range: In dB.
        grey: Grey level of amplitude 1.
        noise: Level of noise in dB.
        loss: dB lost from the top to the bottom.
        smear: Standard deviation of the point spread along and across beams, in grid points.
        top: Row of the picture where it begins.
    """

    shape: str
    depth: float
    radius: float
    half_angle: float
    dynamic_range: float
    grey: float
    noise: float
    loss: float
    smear: tuple[float, float]
    top: float

    def grid(self) -> tuple[Array, Array]:
        """Return x and y in mm of beams and depths, `(SAMPLES, BEAMS)`."""
        beam = np.linspace(-1, 1, BEAMS)[None] * self.half_angle
        depth = np.linspace(0, self.depth, SAMPLES)[:, None]
        if self.shape == "linear":
            return np.broadcast_arrays(beam * self.depth, depth)  # type: ignore[return-value]
        reach = self.radius + depth
        return reach * np.sin(beam), reach * np.cos(beam) - self.radius

    def scan(self) -> tuple[Single, Single]:
        """Return beam and sample of every pixel, `(112, 112)` each; far outside where none is."""
        rows, columns = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE].astype(np.float64)
        scale = (PICTURE_SIZE - 3 - self.top) / self.depth
        x, y = (columns - (PICTURE_SIZE - 1) / 2) / scale, (rows - self.top) / scale
        if self.shape == "linear":
            beam, sample = x / (self.half_angle * self.depth), y
        else:
            sample = np.hypot(x, y + self.radius) - self.radius
            beam = np.arctan2(x, y + self.radius) / self.half_angle
        outside = (np.abs(beam) > 1) | (sample < 0.5) | (sample > self.depth)
        column = np.where(outside, -99, (beam + 1) / 2 * (BEAMS - 1))
        row = np.where(outside, -99, sample / self.depth * (SAMPLES - 1))
        return column.astype(np.float32), row.astype(np.float32)


def sample_array(shape: str, rng: np.random.Generator) -> Array2D:
    """Draw a probe and how it is set."""
    depth = {"convex": (110, 190), "linear": (32, 55), "phased": (120, 180)}[shape]
    angle = {"convex": (28, 36), "linear": (24, 30), "phased": (36, 46)}[shape]
    return Array2D(
        shape=shape,
        depth=float(rng.uniform(*depth)),
        radius=float(rng.uniform(40, 62)) if shape == "convex" else 0.0,
        half_angle=float(np.deg2rad(rng.uniform(*angle))),
        dynamic_range=float(rng.uniform(38, 60)),
        grey=float(rng.uniform(0.55, 0.85)),
        noise=float(rng.uniform(-55, -30)),
        loss=float(rng.uniform(-4, 10)),
        smear=(float(rng.uniform(0.8, 1.6)), float(rng.uniform(0.9, 2.2))),
        top=float(rng.uniform(2, 9)),
    )


class Tissue:
    """Tissue that a probe shows.

    Args:
        array: The probe.
        scene: What is where at rest.
        motion: How it moves.
        rng: Source of randomness of the scatterers.
    """

    def __init__(
        self, array: Array2D, scene: Scene, motion: Motion, rng: np.random.Generator
    ) -> None:
        self.array, self.motion = array, motion
        self._x, self._y = array.grid()
        # Wider than what is seen, so that tissue may move into the picture.
        self._step = array.depth / SAMPLES
        half, deep = np.abs(self._x).max() + 12, array.depth + 12
        self._corner = -half, min(float(self._y.min()), 0.0) - 12
        columns = int(2 * half / self._step) + 1
        rows = int((deep - self._corner[1]) / self._step) + 1
        x, y = np.meshgrid(
            self._corner[0] + self._step * np.arange(columns),
            self._corner[1] + self._step * np.arange(rows),
        )
        drawn = rng.standard_normal((rows, columns, 2), dtype=np.float32)
        self._field = drawn * scene(x, y)[..., None].astype(np.float32)
        self._map = array.scan()

    def frame(self, seconds: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return a frame `(112, 112)` at a time; `rng` is the source of its noise."""
        array = self.array
        right, down = self.motion(self._x, self._y, seconds)
        column = (self._x - right - self._corner[0]) / self._step
        row = (self._y - down - self._corner[1]) / self._step
        signal = cv2.remap(
            self._field, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR
        )
        noise = rng.standard_normal(signal.shape, dtype=np.float32)
        signal += np.float32(10 ** (array.noise / 20)) * noise
        along, across = array.smear
        signal = cv2.GaussianBlur(signal, (0, 0), sigmaX=across, sigmaY=along)
        power = cv2.GaussianBlur((signal**2).sum(-1), (0, 0), 0.6)
        unit = 4 * np.pi * along * across / 2
        decibels = 10 * np.log10(power * unit + 1e-9)
        decibels -= array.loss * (np.linspace(0, 1, SAMPLES) - 0.5)[:, None]
        grey = np.clip(array.grey + decibels / array.dynamic_range, 0, 1).astype(np.float32)
        picture = cv2.remap(grey, *self._map, cv2.INTER_LINEAR, borderValue=0)
        return np.asarray(np.round(255 * picture), np.uint8)
