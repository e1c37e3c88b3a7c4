"""The ultrasound machine: from moving tissue to grey frames.

Scatterers are looked up on a polar grid of beams and samples, blurred by the point spread
function (short along the beam, wide across it), and turned into an envelope; gain, dropout,
shadow and log compression follow, and scan conversion makes the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.anatomy import Anatomy, Contraction, mean_contraction
from lvef.phantom.echogenicity import Echogenicity, Span
from lvef.phantom.grid import smooth_noise, to_grid
from lvef.phantom.outlines import annulus_points, tricuspid_points
from lvef.phantom.tissue import draw_tissue

_BEAMS, _SAMPLES = 104, 176
_COARSE = (14, 23)
_HAZE_FIELDS = (256, 256)
_LEAFLET = np.linspace(0, 1, 8)[:, None]
VALVES = (0.5, 1.6)
"""Range of the echo strength of leaflets in the standard benchmark."""


@dataclass(frozen=True)
class Scanner:
    """Acquisition settings of one clip.

    Attributes:
        origin: Transducer in the picture, x and y in pixels.
        half_angle: Half the opening angle of the sector in radians.
        radius: Depth of the picture in pixels.
        pixels_per_mm: Scale of the picture.
        haze: Echo strength of blood.
        noise: Electronic noise, growing with depth.
        gain: Gain in decibels.
        dynamic_range: Decibels between black and white.
        attenuation: Loss of gain from the top to the bottom of the picture in decibels.
        axial: Point spread along the beam in samples.
        lateral: Point spread across beams.
        noise_profile: Noise at the top and at the bottom of the picture, relative to `noise`.
        near_field: Strongest clutter under the transducer, and its depth relative to the radius.
        haze_variation: How unevenly haze lies in the picture, in natural logarithms.
        side_lobes: Share of strong echoes smeared across the beams.
        decorrelation: How far speckle has changed at end-systole, by motion out of the plane.
        sharpening: Edge enhancement.
        resolution: Pixels that the picture was made of before it became 112.
        persistence: Share of the frame before that is left in a frame.
        drift: Slow motion of the probe in mm.
        jpeg_quality: Quality at which an archive kept the frames, 1 to 100; 0 without loss.
    """

    origin: tuple[float, float]
    half_angle: float
    radius: float
    pixels_per_mm: float
    haze: float
    noise: float
    gain: float
    dynamic_range: float
    attenuation: float
    axial: float
    lateral: float
    noise_profile: tuple[float, float] = (0.3, 1.7)
    near_field: tuple[float, float] = (0.5, 0.07)
    haze_variation: float = 0.0
    side_lobes: float = 0.0
    decorrelation: float = 0.0
    sharpening: float = 0.0
    resolution: int = PICTURE_SIZE
    persistence: float = 0.0
    drift: float = 0.0
    jpeg_quality: int = 0


def sample_scanner(length: float, rng: np.random.Generator) -> Scanner:
    """Draw the settings a sonographer might choose for a ventricle `length` mm long.

    Depth follows the size of the heart only weakly, as in practice, so that size stays visible.
    """
    depth = 130.0 * (length / 85.0) ** 0.2 * float(np.exp(0.04 * rng.normal()))
    radius = rng.uniform(104.0, 124.0)
    return Scanner(
        origin=(56 + rng.normal(0, 1.5), rng.uniform(2.0, 9.0)),
        half_angle=float(np.deg2rad(rng.uniform(40, 47))),
        radius=radius,
        pixels_per_mm=radius / depth,
        haze=float(np.exp(rng.normal(np.log(0.028), 0.6))),
        noise=float(np.exp(rng.normal(np.log(0.009), 0.5))),
        gain=rng.uniform(-7.0, 2.0),
        dynamic_range=rng.uniform(34.0, 46.0),
        attenuation=rng.normal(3.0, 4.0),
        axial=rng.uniform(0.8, 1.3),
        lateral=rng.uniform(0.7, 1.3),
    )


class Renderer:
    """Renders frames of one heart seen by one scanner.

    Args:
        anatomy: The heart.
        scanner: Acquisition settings.
        rng: Source of randomness for everything that is fixed within the clip.
        echo: How strongly tissue reflects.
        valves: Range of the strength of the leaflets.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        scanner: Scanner,
        rng: np.random.Generator,
        echo: Echogenicity | None = None,
        valves: Span = VALVES,
    ) -> None:
        self.anatomy = anatomy
        self.scanner = scanner
        self.tissue = draw_tissue(anatomy, rng, echo)
        self.valve_strength = rng.uniform(*valves)
        haze = rng.standard_normal((*_HAZE_FIELDS, 2), dtype=np.float32)
        self._haze = np.ascontiguousarray(np.moveaxis(haze, -1, 0))
        self._drift = rng.uniform(-2, 2, 2) / 2 * scanner.drift
        radius = np.linspace(0, 1, _SAMPLES, dtype=np.float32)[:, None]
        gain = scanner.gain - scanner.attenuation * radius
        gain = gain + 4.0 * smooth_noise(rng, (1, _BEAMS), 20)
        gain = gain + 2.5 * smooth_noise(rng, (_SAMPLES, _BEAMS), 45)
        gain = gain - _dropout(rng) - _edge_fade(rng)
        self._gain = gain.astype(np.float32)
        near, far = scanner.noise_profile
        noise = (scanner.noise * (near + (far - near) * radius)).astype(np.float32)
        clutter = rng.uniform(0, scanner.near_field[0]) * np.exp(-radius / scanner.near_field[1])
        self._noise = noise + clutter.astype(np.float32)
        self._curve = rng.uniform(0.9, 1.25)
        self._hinges = _hinges(anatomy)
        self._coarse_mm = self._polar_points()
        self._scan_maps = self._scan_conversion()
        self._haze_level = np.float32(scanner.haze)
        if scanner.haze_variation:
            uneven = np.exp(scanner.haze_variation * smooth_noise(rng, (_SAMPLES, _BEAMS), 60))
            self._haze_level = (scanner.haze * uneven).astype(np.float32)
        self._later = self.tissue[..., :2]
        if scanner.decorrelation:
            # The same reflectivity with other scatterers: flipped, speckle no longer matches.
            amplitude = cv2.blur(np.hypot(*np.moveaxis(self.tissue[..., :2], -1, 0)), (5, 5))
            other = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32)
            self._later = other * amplitude[..., None] * np.float32(0.8)

    def shift(self, seconds: float) -> NDArray[np.float64]:
        """Return how far the probe has drifted at a time, x and y in mm."""
        return np.asarray(self._drift * np.sin(2 * np.pi * seconds / 4.0))

    def frame(
        self,
        contraction: Contraction,
        mitral: float,
        rng: np.random.Generator,
        shift: NDArray[np.float64] | float = 0.0,
    ) -> NDArray[np.uint8]:
        """Render one frame.

        Args:
            contraction: 0 at end-diastole, 1 at end-systole; or septal and lateral apart.
            mitral: Openness of the mitral valve, 0 to 1.
            rng: Source of the randomness of this frame (blood and noise).
            shift: How far the heart has moved in the picture, x and y in mm.

        Returns:
            `(112, 112)` uint8 grey frame.
        """
        then = to_grid(self.anatomy.reference(self._coarse_mm - shift, contraction))
        coarse = then.reshape(*_COARSE, 2).astype(np.float32)
        lookup = cv2.resize(coarse, (_BEAMS, _SAMPLES), interpolation=cv2.INTER_LINEAR)
        # Planes of their own: arithmetic on pairs of neighbours takes several times as long.
        *scatterers, blood = cv2.split(self._looked_up(self.tissue, lookup))
        row, column = (
            rng.integers(0, _HAZE_FIELDS[0] - _SAMPLES),
            rng.integers(0, _HAZE_FIELDS[1] - _BEAMS),
        )
        noise = self._haze[:, row : row + _SAMPLES, column : column + _BEAMS]
        blood *= self._haze_level
        level = np.add(blood, self._noise, out=blood)
        planes = self._decorrelated(scatterers, lookup, contraction)
        for plane, noisy in zip(planes, noise, strict=True):
            plane += noisy * level
        self._add_valves(planes, mean_contraction(contraction), mitral, shift)
        signal = cv2.merge(planes)
        if self.scanner.side_lobes:
            signal += self.scanner.side_lobes * cv2.GaussianBlur(signal, (0, 0), 9, sigmaY=0.5)
        signal = cv2.GaussianBlur(
            signal, (0, 0), sigmaX=self.scanner.lateral, sigmaY=self.scanner.axial
        )
        power = cv2.multiply(signal, signal)
        power = np.add(*cv2.split(power))
        power = cv2.GaussianBlur(power, (0, 0), sigmaX=0.55, sigmaY=0.7)  # frequency compounding
        power += 1e-9
        grey = np.log10(power, out=power)
        grey *= 10
        grey += self._gain
        grey /= self.scanner.dynamic_range
        grey += 1
        np.minimum(np.maximum(grey, 0, out=grey), 1, out=grey)
        np.power(grey, self._curve, out=grey)
        picture = cv2.remap(
            grey, *self._scan_maps, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=0,
        )  # fmt: skip
        return np.asarray(self._processed(picture) * 255, dtype=np.uint8)

    def _looked_up(
        self, field: NDArray[np.float32], lookup: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what of the tissue's grid lies at each beam and sample."""
        return np.asarray(
            cv2.remap(field, lookup, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        )

    def _decorrelated(
        self,
        scatterers: list[NDArray[np.float32]],
        lookup: NDArray[np.float32],
        contraction: Contraction,
    ) -> list[NDArray[np.float32]]:
        """Turn speckle into other speckle as the heart moves through the plane."""
        angle = self.scanner.decorrelation * mean_contraction(contraction) * np.pi / 2
        if not angle:
            return scatterers
        others = cv2.split(self._looked_up(self._later, lookup))
        share, other_share = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return [
            share * plane + other_share * other
            for plane, other in zip(scatterers, others, strict=True)
        ]

    def _processed(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply what machines and archives do to a finished picture."""
        scanner = self.scanner
        if scanner.resolution < PICTURE_SIZE:
            small = cv2.resize(picture, (scanner.resolution,) * 2, interpolation=cv2.INTER_AREA)
            picture = cv2.resize(small, (PICTURE_SIZE,) * 2, interpolation=cv2.INTER_LINEAR)
        if scanner.sharpening:
            blurred = cv2.GaussianBlur(picture, (0, 0), 1.5)
            picture = np.clip(picture + scanner.sharpening * (picture - blurred), 0, 1)
        return picture

    def to_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map `(..., 2)` x, y in mm to pixels of the frame."""
        return np.asarray(points * self.scanner.pixels_per_mm + np.array(self.scanner.origin))

    def _polar_points(self) -> NDArray[np.float64]:
        angle = np.linspace(-self.scanner.half_angle, self.scanner.half_angle, _COARSE[1])
        depth = np.linspace(0, self.scanner.radius / self.scanner.pixels_per_mm, _COARSE[0])
        x, y = depth[:, None] * np.sin(angle), depth[:, None] * np.cos(angle)
        return np.stack([x.ravel(), y.ravel()], axis=1)

    def _scan_conversion(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        x, y = np.meshgrid(np.arange(PICTURE_SIZE), np.arange(PICTURE_SIZE))
        dx, dy = x - self.scanner.origin[0], y - self.scanner.origin[1]
        radius, angle = np.hypot(dx, dy), np.arctan2(dx, dy)
        beam = (angle / self.scanner.half_angle + 1) / 2 * (_BEAMS - 1)
        sample = radius / self.scanner.radius * (_SAMPLES - 1)
        outside = (radius < 2.5) | (np.abs(angle) > self.scanner.half_angle)
        beam[outside] = -10
        return beam.astype(np.float32), sample.astype(np.float32)

    def _to_polar(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        radius = np.hypot(points[..., 0], points[..., 1]) * self.scanner.pixels_per_mm
        angle = np.arctan2(points[..., 0], points[..., 1])
        beam = (angle / self.scanner.half_angle + 1) / 2 * (_BEAMS - 1)
        return np.stack([beam, radius / self.scanner.radius * (_SAMPLES - 1)], axis=-1)

    def _add_valves(
        self,
        planes: list[NDArray[np.float32]],
        contraction: float,
        mitral: float,
        shift: NDArray[np.float64] | float,
    ) -> None:
        """Add the leaflets of both atrioventricular valves to the signal on the polar grid."""
        anatomy, hinges = self.anatomy, self._hinges
        up = -anatomy.axis
        descent = -anatomy.axis * anatomy.length * anatomy.shortening * contraction
        root = hinges.middle + (hinges.at - hinges.middle) * (1 - 0.12 * contraction) + descent
        centre = hinges.middle + descent
        rise = up * hinges.reach
        tip = centre + (root - centre) * 0.75 * mitral + rise * (0.12 + 0.95 * mitral)
        bow = (root + tip) / 2 + rise * 0.2 * (1 - mitral)
        t = _LEAFLET
        leaflets = (1 - t) ** 2 * root[:, None] + 2 * t * (1 - t) * bow[:, None]
        leaflets += t**2 * tip[:, None]
        lines = np.round(self._to_polar(leaflets + shift) * 16).astype(np.int32)
        canvas = np.zeros((_SAMPLES, _BEAMS), np.uint8)
        cv2.polylines(canvas, list(lines[:2]), False, 255, 1, cv2.LINE_AA, 4)
        cv2.polylines(canvas, list(lines[2:]), False, 150, 1, cv2.LINE_AA, 4)
        # Nothing is drawn further than two points from a line.
        left, top = np.maximum(lines.min((0, 1)) // 16 - 2, 0)
        right, bottom = np.maximum(lines.max((0, 1)) // 16 + 4, 0)
        drawn = slice(top, bottom), slice(left, right)
        strength = canvas[drawn].astype(np.float32)
        strength *= np.float32(self.valve_strength * 1.6 / 255)
        for plane, haze in zip(planes, self._haze, strict=True):
            plane[drawn] += strength * haze[:_SAMPLES, :_BEAMS][drawn]


@dataclass(frozen=True)
class _Hinges:
    """Where leaflets are held: two of the mitral valve, two of the tricuspid valve.

    Attributes:
        at: `(4, 2)` x, y of the hinges in mm.
        middle: `(4, 2)` x, y of the middle of their valve in mm.
        reach: `(4, 1)` mm from the one to the other.
    """

    at: NDArray[np.float64]
    middle: NDArray[np.float64]
    reach: NDArray[np.float64]


def _hinges(anatomy: Anatomy) -> _Hinges:
    at = np.concatenate([annulus_points(anatomy), tricuspid_points(anatomy)])
    middle = np.repeat((at[::2] + at[1::2]) / 2, 2, axis=0)
    reach = [np.linalg.norm(hinge) for hinge in at - middle]
    return _Hinges(at, middle, np.array(reach)[:, None])


def _dropout(rng: np.random.Generator) -> NDArray[np.float64]:
    """Decibels lost in beams behind a rib or a bad contact."""
    beam = np.arange(_BEAMS)
    lost = np.zeros((_SAMPLES, _BEAMS))
    for _ in range(int(rng.poisson(0.7))):
        centre, width = rng.uniform(0, _BEAMS), rng.uniform(3, 10)
        start = rng.uniform(0, 0.4) * _SAMPLES
        depth = 1 / (1 + np.exp(-(np.arange(_SAMPLES) - start) / 6))
        lost += rng.uniform(3, 14) * depth[:, None] * np.exp(-(((beam - centre) / width) ** 2))
    return lost


def _edge_fade(rng: np.random.Generator) -> NDArray[np.float64]:
    """Decibels lost towards both edges of the sector, where contact is poor."""
    beam = np.linspace(-1, 1, _BEAMS)
    left, right = rng.uniform(0, 14), rng.uniform(0, 22)
    ramp = np.where(beam < 0, left, right) * np.clip((np.abs(beam) - 0.45) / 0.55, 0, 1) ** 1.5
    return np.asarray(ramp[None])
