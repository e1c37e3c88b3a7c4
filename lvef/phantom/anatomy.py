"""The heart of one phantom: the left ventricle's shape, how it deforms, and its surroundings.

Coordinates are millimetres in the image plane, x to the right of the picture and y away from
the transducer, which sits at the origin. The ventricle is described along its own long axis:
`u` runs from 0 at the apex to 1 at the mitral annulus, `v` is the signed distance from the axis,
negative towards the septum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.population import Patient

NUM_DISKS = 20
Contraction = float | tuple[float, float]
"""0 at end-diastole, 1 at end-systole; a pair is the septal side's and the lateral side's own."""
_DISK_LEVELS = (np.arange(NUM_DISKS) + 0.5) / NUM_DISKS
_PROFILE_LEVELS = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True)
class Anatomy:
    """Geometry of a phantom at end-diastole and how far it moves until end-systole.

    Attributes:
        apex: LV apex, x and y in mm.
        tilt: Angle of the long axis from the vertical in radians, positive towards the right.
        length: Long axis at end-diastole in mm.
        septal: `(41,)` half-widths towards the septum at equally spaced `u`, in mm.
        lateral: `(41,)` half-widths towards the lateral wall, in mm.
        shortening: Fraction by which the long axis shortens until end-systole.
        septal_narrowing: `(41,)` fractions by which the septal half-widths shrink.
        lateral_narrowing: `(41,)` the same for the lateral side.
        septal_wall: Thickness of the septum at end-diastole in mm.
        lateral_wall: Thickness of the lateral wall in mm.
        right_ventricle: Width of the right ventricle at its base in mm.
        left_atrium: Length of the left atrium in mm.
        right_atrium: Length of the right atrium in mm.
        rocking: Sideways swing of the heart until end-systole in mm.
        margin: How far blood reaches beyond the traced contour, in mm. Readers trace within the
            dark cavity, whose edge the point spread of bright walls has moved inwards.
        apical_margin: How much further it reaches at the apex, which readers cut short.
        right_apex: Level `u` at which the right ventricle begins.
    """

    apex: NDArray[np.float64]
    tilt: float
    length: float
    septal: NDArray[np.float64]
    lateral: NDArray[np.float64]
    shortening: float
    septal_narrowing: NDArray[np.float64]
    lateral_narrowing: NDArray[np.float64]
    septal_wall: float
    lateral_wall: float
    right_ventricle: float
    left_atrium: float
    right_atrium: float
    rocking: float
    margin: float = 0.0
    apical_margin: float = 0.0
    right_apex: float = 0.18

    @property
    def axis(self) -> NDArray[np.float64]:
        """Unit vector from the apex to the base."""
        return np.array([np.sin(self.tilt), np.cos(self.tilt)])

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector from the septum to the lateral wall."""
        return np.array([np.cos(self.tilt), -np.sin(self.tilt)])

    def half_widths(
        self, u: NDArray[np.float64], contraction: Contraction
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return septal and lateral half-widths in mm at levels `u` of a contracted ventricle."""
        of_septal, of_lateral = sides(contraction)
        septal = self.septal * (1 - of_septal * self.septal_narrowing)
        lateral = self.lateral * (1 - of_lateral * self.lateral_narrowing)
        return (
            np.interp(u, _PROFILE_LEVELS, septal),
            np.interp(u, _PROFILE_LEVELS, lateral),
        )

    def to_image(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map end-diastolic `u`, `v` (mm) of any shape to `(..., 2)` x, y in mm."""
        along = np.asarray(u)[..., None] * self.length
        return np.asarray(self.apex + along * self.axis + np.asarray(v)[..., None] * self.normal)

    def tracing(self, contraction: Contraction) -> NDArray[np.float64]:
        """Return the tracing a reader would draw: the long axis, then 20 disk chords.

        Args:
            contraction: 0 at end-diastole, 1 at end-systole.

        Returns:
            `(21, 4)` array of `x1, y1, x2, y2` in mm, chords from apex to base and from the
            septal to the lateral side.
        """
        septal, lateral = self.half_widths(_DISK_LEVELS, contraction)
        contraction = mean_contraction(contraction)
        length = self.length * (1 - contraction * self.shortening)
        swing = contraction * self.rocking * _DISK_LEVELS
        centre = self.apex + (_DISK_LEVELS * length)[:, None] * self.axis
        first = centre + (swing - septal)[:, None] * self.normal
        second = centre + (swing + lateral)[:, None] * self.normal
        base = self.apex + length * self.axis + contraction * self.rocking * self.normal
        long_axis = np.concatenate([self.apex, base])[None]
        return np.concatenate([long_axis, np.concatenate([first, second], axis=1)])

    def reference(
        self, points: NDArray[np.float64], contraction: Contraction
    ) -> NDArray[np.float64]:
        """Return where the tissue now at `points` was at end-diastole.

        Inside the cavity the map scales with the cavity; outside, the inward motion of the
        wall dies away over a few centimetres, which thickens the wall as incompressible muscle
        would, and carries right ventricle, annulus and atria along.

        Args:
            points: `(n, 2)` x, y in mm.
            contraction: 0 at end-diastole, 1 at end-systole.

        Returns:
            `(n, 2)` x, y in mm.
        """
        state, contraction = contraction, mean_contraction(contraction)
        offset = points - self.apex
        along, across = offset @ self.axis, offset @ self.normal
        length = self.length * (1 - contraction * self.shortening)
        u = np.clip(along / length, 0.0, 1.0)
        beyond = np.maximum(along - length, 0.0)
        fade = np.exp(-beyond / 30.0)
        descent = self.length - length
        along_then = np.where(
            along > length, along + descent * np.exp(-beyond / 45.0),
            np.where(along > 0, u * self.length, along),
        )  # fmt: skip
        across = across - contraction * self.rocking * u * fade
        across_then = across.copy()
        now, then = self.half_widths(u, state), self.half_widths(u, 0.0)
        for side, half_now, half_then in zip((-1.0, 1.0), now, then, strict=True):
            here = across * side > 0
            distance = np.abs(across)
            inside = distance * half_then / np.maximum(half_now, 1e-6)
            outside = distance + (half_then - half_now) * np.exp(
                -np.maximum(distance - half_now, 0) / 28.0
            )
            moved = np.where(distance < half_now, inside, outside)
            across_then = np.where(here, side * (distance + fade * (moved - distance)), across_then)
        return np.asarray(
            self.apex + along_then[:, None] * self.axis + across_then[:, None] * self.normal
        )


def sides(contraction: Contraction) -> tuple[float, float]:
    """Return the contraction of the septal and of the lateral side."""
    return contraction if isinstance(contraction, tuple) else (contraction, contraction)


def mean_contraction(contraction: Contraction) -> float:
    """Return the contraction of the ventricle as a whole, that of its long axis."""
    return contraction if isinstance(contraction, float) else sum(sides(contraction)) / 2


def sample_anatomy(patient: Patient, rng: np.random.Generator) -> Anatomy:
    """Draw a heart whose volumes by the method of disks are the patient's.

    Args:
        patient: Gives EDV and ESV; nothing but `shortening` and the narrowing depends on EF.
        rng: Source of randomness.
    """
    edv = patient.end_diastolic_volume
    profile = _profile(rng)
    asymmetry = 1 + 0.12 * rng.normal() * np.sin(np.pi * _PROFILE_LEVELS)
    septal, lateral = profile * asymmetry, profile * (2 - asymmetry)
    bend = 0.04 * rng.normal() * np.sin(np.pi * _PROFILE_LEVELS)
    septal, lateral = np.maximum(septal - bend, 0.02), np.maximum(lateral + bend, 0.02)

    # Width over length at end-diastole; larger ventricles are rounder.
    sphericity = 0.5 * (edv / 82) ** 0.13 * float(np.exp(0.09 * rng.normal()))
    mean_square = float(np.mean(np.interp(_DISK_LEVELS, _PROFILE_LEVELS, septal + lateral) ** 2))
    length = float((1000 * edv / (np.pi / 4 * sphericity**2 * mean_square / 4)) ** (1 / 3))
    scale = sphericity * length / 2
    septal, lateral = septal * scale, lateral * scale

    shortening = 1 - (1 - patient.ef / 100) ** float(np.clip(rng.normal(0.19, 0.035), 0.1, 0.3))
    narrowing = _narrowing(patient, septal, lateral, shortening, rng)
    return Anatomy(
        apex=np.array([rng.normal(4.0, 6.0), rng.uniform(12.0, 24.0)]),
        tilt=float(np.deg2rad(np.clip(rng.normal(1.0, 7.0), -16, 18))),
        length=length,
        septal=septal,
        lateral=lateral,
        shortening=float(shortening),
        septal_narrowing=narrowing[0],
        lateral_narrowing=narrowing[1],
        septal_wall=float(np.clip(rng.normal(9.0, 1.5), 6, 15)),
        lateral_wall=float(np.clip(rng.normal(8.5, 1.5), 5.5, 14)),
        right_ventricle=float(np.clip(rng.normal(33.0, 5.0), 20, 48)),
        left_atrium=float(np.clip(rng.normal(44.0, 7.0), 28, 68)),
        right_atrium=float(np.clip(rng.normal(42.0, 6.0), 28, 62)),
        rocking=float(rng.normal(0.0, 1.5)),
    )


def rounder(anatomy: Anatomy, factor: float) -> Anatomy:
    """Return a heart whose width over length is `factor` times as large, its volumes the same."""
    wider = factor ** (1 / 3)
    return replace(
        anatomy,
        length=anatomy.length / wider**2,
        septal=anatomy.septal * wider,
        lateral=anatomy.lateral * wider,
    )


def foreshorten(anatomy: Anatomy, angle: float) -> Anatomy:
    """Return the heart as an image plane shows it that misses the true apex.

    The plane is turned about the mitral annulus, out of the long axis. It leaves a ventricle whose
    cross-sections are round on the way to the apex, so that the cavity looks shorter and rounder
    and its volume by the method of disks is too small. End-diastole and end-systole are cut
    exactly; the apparent apex stays where it was drawn.

    Args:
        anatomy: The heart in its own long axis.
        angle: Between plane and long axis in radians, below pi / 2.
    """
    length, septal, lateral = _section(anatomy, 0.0, angle)
    shorter, *narrower = _section(anatomy, 1.0, angle)
    narrowing = [
        np.clip(1 - now[1:] / then[1:], 0.0, 0.85)
        for now, then in zip(narrower, (septal, lateral), strict=True)
    ]
    return replace(
        anatomy,
        length=length,
        septal=septal,
        lateral=lateral,
        shortening=1 - shorter / length,
        septal_narrowing=np.concatenate([narrowing[0][:1], narrowing[0]]),
        lateral_narrowing=np.concatenate([narrowing[1][:1], narrowing[1]]),
    )


def _section(
    anatomy: Anatomy, contraction: float, angle: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the length in mm and the `(41,)` half-widths of an oblique plane's cavity."""
    length = anatomy.length * (1 - contraction * anatomy.shortening)

    def cut(along: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return the half-widths at distances from the annulus, and which share is left."""
        septal, lateral = anatomy.half_widths(1 - along * np.cos(angle) / length, contraction)
        radius = np.maximum((septal + lateral) / 2, 1e-6)
        left = 1 - (along * np.sin(angle) / radius) ** 2
        share = np.sqrt(np.clip(left, 0, None))
        return septal * share, lateral * share, left

    steps = np.linspace(0, length / np.cos(angle), 2001)
    outside = np.flatnonzero(cut(steps)[2] <= 0)
    seen = float(steps[outside[0]]) if len(outside) else float(steps[-1])
    septal, lateral, _ = cut((1 - _PROFILE_LEVELS) * seen)
    return seen, septal, lateral


def _profile(rng: np.random.Generator) -> NDArray[np.float64]:
    """Half-width along the axis, 1 at its widest: a round apex, a belly, a narrower annulus."""
    widest = float(np.clip(rng.normal(0.58, 0.06), 0.42, 0.75))
    annulus = float(np.clip(rng.normal(0.72, 0.07), 0.52, 0.92))
    roundness = float(np.clip(rng.normal(2.0, 0.25), 1.5, 2.7))
    u = _PROFILE_LEVELS
    above = np.maximum(1 - np.maximum((widest - u) / widest, 0) ** roundness, 0)
    below = 1 - (1 - annulus) * (np.maximum(u - widest, 0) / (1 - widest)) ** 2
    ripple = 1 + sum(
        0.02 * rng.normal() * np.sin(np.pi * k * u + rng.uniform(0, np.pi)) for k in (2, 3)
    )
    return np.asarray(np.where(u < widest, above ** (1 / roundness), below) * ripple)


def _narrowing(
    patient: Patient,
    septal: NDArray[np.float64],
    lateral: NDArray[np.float64],
    shortening: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Regional narrowing, scaled until the end-systolic volume is the patient's."""
    needed = 1 - np.sqrt((1 - patient.ef / 100) / (1 - shortening))
    sides = []
    for mean in (0.95, 1.05):
        regional = mean + 0.10 * rng.normal() * np.cos(np.pi * _PROFILE_LEVELS)
        regional += 0.06 * rng.normal() * np.sin(np.pi * _PROFILE_LEVELS)
        sides.append(np.clip(regional * needed, 0.0, 0.85))
    end_diastolic = _sum_of_squares(septal + lateral)
    target = end_diastolic * (1 - patient.ef / 100) / (1 - shortening)
    for _ in range(8):
        now = septal * (1 - sides[0]) + lateral * (1 - sides[1])
        factor = np.sqrt(target / _sum_of_squares(now))
        sides = [1 - (1 - side) * factor for side in sides]
    return sides[0], sides[1]


def _sum_of_squares(width: NDArray[np.float64]) -> float:
    return float(np.sum(np.interp(_DISK_LEVELS, _PROFILE_LEVELS, width) ** 2))
