"""The probe: from point scatterers that move with the tissue to grey frames.

A convolution model after COLE (Gao et al., *IEEE Trans UFFC* 56:404 (2009)): scatterers of a slab
around the image plane are weighted by the elevation beam, put as complex amplitudes with the
carrier's phase `exp(-4 pi i r / wavelength)` on a grid of beams and depths, and smeared by a point
spread that varies with depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.solid.pointspread import PointSpread

Array = NDArray[np.float64]
Single = NDArray[np.float32]
SAMPLES, BEAMS = 384, 160
_MARGIN = 0.12
"""Radians beyond the sector's edges that are simulated too, so that nothing wraps around."""
_DETUNED = (1.0, 1.13, 0.88)
"""Relative wavelengths of the looks that are averaged where a machine compounds frequencies."""
_OFF_CENTRE = 5.0
"""Decibels by which a veil is weaker at the ventricle's border than at its own centre, or so."""
_FINE = 2


@dataclass(frozen=True)
class Machine:
    """Acquisition settings; levels in dB are relative to muscle's mean.

    Attributes:
        spread: The point spread.
        depth: Depth of the picture in mm.
        half_angle: Half the opening of the sector in radians.
        origin: Where the probe is in the frame, x and y in pixels.
        pixels_per_mm: Scale of the frame.
        dynamic_range: From black to white in dB.
        grey: Grey level of muscle, 0 to 1.
        curve: Exponent of the grey map.
        blood: Level of blood and of what multiple paths throw into it.
        noise: Level of electronic noise near the probe and at full depth.
        gain_error: Error of the time gain at full depth in dB.
        steering: Exponent of the loss of steered beams.
        side_lobes: Level of the side lobes' amplitude in dB.
        reverberation: Level of the near field's static echoes, and depth in mm where they fade.
        haze: Level of a static veil of multiple echoes.
        haze_place: Its centre (beam, depth) and its size, as shares of the sector.
        shadow: Beam at which it is deepest, its width, both in radians, and its depth in dB.
        looks: Frequencies that are compounded, 1 to 3; more make speckle smoother.
        lung: Radians inside the right edge, depth in mm and dB of the shadow of the lung.
        persistence: Share of the frame before that is left.
        jpeg_quality: Quality of the codec that an archive kept the frames in; 0 for none.
    """

    spread: PointSpread
    depth: float
    half_angle: float
    origin: tuple[float, float]
    pixels_per_mm: float
    dynamic_range: float
    grey: float
    curve: float
    blood: float
    noise: tuple[float, float]
    gain_error: float
    steering: float
    side_lobes: float
    reverberation: tuple[float, float]
    haze: float
    haze_place: tuple[float, float, float]
    shadow: tuple[float, float, float]
    lung: tuple[float, float, float]
    looks: int
    persistence: float
    jpeg_quality: int

    @property
    def contrast(self) -> float:
        """Muscle over blood in dB, as far as the picture shows it."""
        levels = np.array([self.blood, np.mean(self.noise), self.haze - _OFF_CENTRE])
        veil = 10 * np.log10(np.sum(10 ** (levels / 10)))
        return float(np.clip(min(-veil, self.grey * self.dynamic_range), 6.0, 40.0))

    def to_pixels(self, points: Array) -> Array:
        """Map `(..., 2)` x, y in mm to pixels."""
        return np.asarray(points * self.pixels_per_mm + np.array(self.origin))

    def slab(self, depth: Array) -> Array:
        """Return half the thickness in mm of the slab of scatterers at depths in mm."""
        return np.asarray(2.0 * self.spread.elevation(depth) + 2.5)


class Probe:
    """Turns scatterers into frames.

    Args:
        machine: Acquisition settings.
        scatterers: How many were drawn evenly over beams, depths and the slab, blood included.
        rng: Source of randomness for what stays the same during the clip.
    """

    def __init__(self, machine: Machine, scatterers: int, rng: np.random.Generator) -> None:
        self.machine = machine
        self.reach = machine.half_angle + _MARGIN
        self.step, self.turn = machine.depth / SAMPLES, 2 * self.reach / BEAMS
        self.rows: Array = (np.arange(SAMPLES, dtype=np.float64)[:, None] + 0.5) * self.step
        self.angles: Array = (np.arange(BEAMS, dtype=np.float64)[None] + 0.5) * self.turn
        self.angles -= self.reach
        spread = machine.spread
        wide = spread.lateral(self.rows) / (self.rows * self.turn)  # in beams
        wide = np.clip(wide, 0.6, 24)
        waves = 2 * np.pi * fft.fftfreq(BEAMS)[None]
        lobes = 10 ** (machine.side_lobes / 20)
        main = np.exp(-0.5 * (wide * waves) ** 2)
        self._lateral = (main + lobes * np.exp(-0.5 * (7 * wide * waves) ** 2)).astype(np.complex64)
        self._pulse = spread.pulse / self.step
        power = scatterers / (SAMPLES * BEAMS) * self._left(wide)
        elevation = spread.elevation(self.rows) * np.sqrt(np.pi) / (2 * machine.slab(self.rows))
        self._lens = (1 / spread.elevation(self.rows[:, 0])).astype(np.float32)
        self._unit = (1 / np.sqrt(power * elevation)).astype(np.float32)
        self._white = (1 / np.sqrt(2 * self._left(wide))).astype(np.float32)
        self._shade = self._shading().astype(np.float32)
        self._veil = self._static(rng)
        self._map = self._scan_conversion()

    def _left(self, wide: Array) -> Array:
        """Return the power that smearing leaves of white noise of unit power."""
        return np.asarray(1 / (4 * np.pi * wide * self._pulse))

    def _shading(self) -> Array:
        """Return the amplitude that the way through the body leaves of the signal."""
        machine, angle, depth = self.machine, self.angles, self.rows
        loss = machine.gain_error * depth / machine.depth
        centre, width, deep = machine.shadow
        loss = loss + deep * np.exp(-(((angle - centre) / width) ** 4))
        inside, below, dark = machine.lung
        over = 1 / (1 + np.exp(-(angle - (machine.half_angle - inside)) / 0.03))
        loss = loss + dark * over / (1 + np.exp(-(depth - below) / 6))
        steered = np.cos(np.clip(1.15 * angle, -1.5, 1.5)) ** machine.steering
        return np.asarray(10 ** (-loss / 20) * steered)

    def _static(self, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Return echoes that do not move: the near field's and a veil's."""
        machine, angle, depth = self.machine, self.angles, self.rows
        near, fades = machine.reverberation
        amplitude = 10 ** (near / 20) * np.exp(-((depth / fades) ** 1.5))
        layers = rng.normal(size=SAMPLES // 16)
        rings = np.interp(np.arange(SAMPLES), np.arange(len(layers)) * 16, layers)[:, None]
        rings = np.exp(0.35 * rings)
        beam, place, size = machine.haze_place
        off = ((angle / machine.half_angle - beam) / (1.3 * size)) ** 2
        off = off + ((depth / machine.depth - place) / size) ** 2
        veil = 10 ** (machine.haze / 20) * np.exp(-off)
        level = (amplitude * rings + veil).astype(np.float32)
        return np.stack([self._smeared(self._noise(rng) * level) for _ in range(machine.looks)])

    def _noise(self, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Return complex noise that has unit power once it is smeared."""
        drawn = rng.standard_normal((SAMPLES, BEAMS, 2), dtype=np.float32)
        return np.asarray(drawn.view(np.complex64)[..., 0] * self._white)

    def _smeared(self, field: NDArray[np.complex64]) -> NDArray[np.complex64]:
        spectrum = fft.fft(field, axis=1)
        spectrum *= self._lateral
        smeared = np.ascontiguousarray(fft.ifft(spectrum, axis=1))
        parts = smeared.view(np.float32).reshape(SAMPLES, BEAMS, 2)
        parts = cv2.sepFilter2D(parts, -1, np.ones(1), self._axial())
        return np.asarray(parts.view(np.complex64)[..., 0])

    def _axial(self) -> Array:
        reach = int(np.ceil(3.5 * self._pulse))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / self._pulse) ** 2)
        return np.asarray(kernel / kernel.sum())

    def gathered(self, points: Single, amplitude: Single) -> NDArray[np.complex64]:
        """Put scatterers on the grid of beams as complex echoes.

        Args:
            points: `(3, n)` x, y, z in mm.
            amplitude: `(n,)` their strength.

        Returns:
            `(looks, SAMPLES, BEAMS)` complex64.
        """
        x, y, z = points
        flat = np.sqrt(x * x + y * y)
        depth = np.sqrt(flat * flat + z * z)
        row = (flat / np.float32(self.step)).astype(np.int32)
        beam = (np.arctan2(x, y) + np.float32(self.reach)) / np.float32(self.turn)
        seen = (row < SAMPLES) & (beam >= 0) & (beam < BEAMS)
        row = np.minimum(row, SAMPLES - 1)
        cell = np.where(seen, row * BEAMS + beam.astype(np.int32), SAMPLES * BEAMS)
        weight = amplitude * np.exp(-0.5 * (z * self._lens[row]) ** 2)
        looks = []
        for detuned in _DETUNED[: self.machine.looks]:
            carrier = -4 * np.pi / (detuned * self.machine.spread.wavelength)
            phase = depth * np.float32(carrier)
            real = np.bincount(cell, weight * np.cos(phase), SAMPLES * BEAMS + 1)[:-1]
            imaginary = np.bincount(cell, weight * np.sin(phase), SAMPLES * BEAMS + 1)[:-1]
            looks.append((real + 1j * imaginary).astype(np.complex64).reshape(SAMPLES, BEAMS))
        return np.stack(looks)

    def envelope(
        self, points: Single, amplitude: Single, rng: np.random.Generator | None = None
    ) -> Single:
        """Return the amplitude of the echo `(SAMPLES, BEAMS)`; 1 is muscle's mean power.

        Args:
            points: `(3, n)` x, y, z of scatterers in mm.
            amplitude: `(n,)` their strength.
            rng: Source of this frame's noise; without it there is the tissue's echo alone.
        """
        machine = self.machine
        near, far = machine.noise
        noise = 10 ** ((near + (far - near) * self.rows / machine.depth) / 20)
        blood = np.float32(10 ** (machine.blood / 20))
        power = np.zeros((SAMPLES, BEAMS), np.float32)
        for echo, veil in zip(self.gathered(points, amplitude), self._veil, strict=True):
            signal = echo * self._unit
            if rng is None:
                signal = self._smeared(signal)
            else:
                signal = self._smeared(signal + blood * self._noise(rng)) * self._shade
                signal += self._electronic(rng) * noise.astype(np.float32) + veil
            power += signal.real**2 + signal.imag**2
        return np.sqrt(power / machine.looks)

    def _electronic(self, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Return noise of unit power that is alike along the pulse, and other in every beam."""
        drawn = rng.standard_normal((SAMPLES, BEAMS, 2), dtype=np.float32)
        drawn *= np.float32(np.sqrt(np.sqrt(np.pi) * self._pulse))
        smeared = cv2.sepFilter2D(drawn, -1, np.ones(1), self._axial())
        return np.asarray(smeared.view(np.complex64)[..., 0])

    def _scan_conversion(self) -> tuple[Single, Single, NDArray[np.bool_]]:
        machine = self.machine
        y, x = np.mgrid[: PICTURE_SIZE * _FINE, : PICTURE_SIZE * _FINE]
        x, y = (x + 0.5) / _FINE - 0.5, (y + 0.5) / _FINE - 0.5
        x, y = (
            (p - o) / machine.pixels_per_mm for p, o in zip((x, y), machine.origin, strict=True)
        )
        depth, angle = np.hypot(x, y), np.arctan2(x, y)
        inside = (depth < machine.depth) & (np.abs(angle) < machine.half_angle) & (depth > 1.5)
        row = (depth / self.step - 0.5).astype(np.float32)
        beam = ((angle + self.reach) / self.turn - 0.5).astype(np.float32)
        return row, beam, inside

    def picture(self, envelope: Single) -> NDArray[np.uint8]:
        """Return an envelope as a `(112, 112)` grey frame."""
        machine = self.machine
        decibels = 20 * np.log10(np.maximum(envelope, 1e-5))
        grey = np.clip(decibels / machine.dynamic_range + machine.grey, 0, 1) ** machine.curve
        row, beam, inside = self._map
        sector = cv2.remap(grey.astype(np.float32), beam, row, cv2.INTER_LINEAR) * inside
        small = cv2.resize(sector, (PICTURE_SIZE, PICTURE_SIZE), interpolation=cv2.INTER_AREA)
        return np.asarray(np.round(255 * small), np.uint8)
