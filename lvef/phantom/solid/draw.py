"""What is drawn for one phantom: its heart, where it lies, its tissue and the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import ejection_fraction, method_of_disks
from lvef.phantom.solid.appearance import sample_echogenicity, sample_machine
from lvef.phantom.solid.heart import Heart, Weakness
from lvef.phantom.solid.population import SolidPatient
from lvef.phantom.solid.probe import Machine
from lvef.phantom.solid.section import Pose, Section
from lvef.phantom.solid.tissue import SolidEchogenicity

Array = NDArray[np.float64]
_LEAST_INSIDE = 0.9
"""Share of the end-diastolic contour that the picture shows at least."""
_FURTHEST_EF = 15.0
"""Points by which the plane's EF may differ from the whole cavity's; a reader refuses others."""
LONG_AXIS_SHARE = (0.14, 0.24)
"""Exponent of (1 - EF) that the long axis's length follows; the short axes do the rest."""


@dataclass(frozen=True)
class Drawn:
    """One phantom, but for the patient and the beats.

    Attributes:
        heart: The heart; its motion gives the patient's EF in the image plane.
        ef_3d: EF in percent of the whole cavity.
        pose: Where it lies.
        echo: Its tissue.
        machine: Acquisition settings.
        section: The cavity in the image plane.
    """

    heart: Heart
    ef_3d: float
    pose: Pose
    echo: SolidEchogenicity
    machine: Machine
    section: Section


def draw(patient: SolidPatient, rng: np.random.Generator) -> Drawn:
    """Draw a phantom whose ventricle lies mostly inside the sector."""
    still = sample_heart(patient, rng)
    echo = sample_echogenicity(still, patient, rng)
    while True:
        seen = _seen(still, echo, patient, rng)
        if seen is None:
            continue
        pose, machine, section = seen
        fitted = _fit_motion(still, section, patient, rng)
        if fitted is not None:
            heart, ef = fitted
            section = Section(heart, pose, machine.spread, machine.contrast)
            return Drawn(heart, ef, pose, echo, machine, section)


def draw_view(
    heart: Heart,
    echo: SolidEchogenicity,
    patient: SolidPatient,
    rng: np.random.Generator,
    turn: float = 0.0,
) -> Drawn:
    """Lay a heart that is drawn already under the probe, mostly inside the sector.

    Args:
        heart: The heart and how it beats.
        echo: Its tissue.
        patient: What makes the clip hard.
        rng: Source of randomness.
        turn: Radians by which the probe is turned about the heart's long axis, from the
            four-chamber view towards the two-chamber view.
    """
    ef = 100 * (1 - heart.volume(1.0) / heart.volume(0.0))
    while True:
        seen = _seen(heart, echo, patient, rng, turn)
        if seen is None:
            continue
        pose, machine, section = seen
        try:
            section.walls(np.ones(1))
        except ValueError:
            continue
        return Drawn(heart, ef, pose, echo, machine, section)


def _seen(
    heart: Heart,
    echo: SolidEchogenicity,
    patient: SolidPatient,
    rng: np.random.Generator,
    turn: float = 0.0,
) -> tuple[Pose, Machine, Section] | None:
    """Draw a pose and a machine; None where they do not show enough of the ventricle."""
    pose = _pose(heart, patient, rng, turn)
    machine = sample_machine(heart, pose, echo, patient, rng)
    section = Section(heart, pose, machine.spread, machine.contrast)
    try:
        contour = section.walls(np.zeros(1))[1][0]
    except ValueError:
        return None
    shown = _share_inside(contour, machine) >= _LEAST_INSIDE
    return (pose, machine, section) if shown else None


def _share_inside(contour: Array, machine: Machine) -> float:
    angle = np.abs(np.arctan2(contour[:, 0], contour[:, 1]))
    pixels = machine.to_pixels(contour)
    deep = np.linalg.norm(contour, axis=1) < machine.depth
    inside = (angle < machine.half_angle) & deep & np.all((pixels > 1) & (pixels < 110), axis=1)
    return float(inside.mean())


def sample_heart(patient: SolidPatient, rng: np.random.Generator) -> Heart:
    """Draw a heart at rest, as large as the patient's EDV says."""
    volume = patient.end_diastolic_volume
    round_ = 0.47 + 0.1 * np.clip((volume - 80) / 150, 0, 1) + 0.035 * rng.normal()
    round_ = float(np.clip(round_, 0.4, 0.68))
    harmonics = tuple(
        (around, along, float(height * rng.normal()), float(rng.uniform(-np.pi, np.pi)))
        for around, along, height in (
            (0, 2, 0.04), (0, 3, 0.025), (1, 1, 0.05), (1, 2, 0.03), (2, 1, 0.05), (3, 1, 0.02),
        )
    )  # fmt: skip
    thick = float(np.clip(rng.normal(9.0, 1.4), 6.0, 14.0))
    if "thick hazy wall" in patient.kinds:
        thick += rng.uniform(2.0, 4.0)
    unit = Heart(
        length=1.0,
        radius=round_ / 2,
        belly=float(np.deg2rad(rng.uniform(122, 140))),
        harmonics=harmonics,
        septal_wall=thick,
        lateral_wall=float(thick * rng.uniform(0.8, 1.1)),
        apical_wall=float(thick * rng.uniform(0.4, 0.75)),
        right_width=float(np.clip(rng.normal(31, 6), 20, 48)),
    )
    return as_large_as(unit, volume)


def as_large_as(heart: Heart, volume: float) -> Heart:
    """Return a heart of the same shape whose cavity has a volume in mL at end-diastole."""
    scale = float((volume * 1000 / (heart.volume(0.0) * 1000)) ** (1 / 3))
    return replace(heart, length=scale * heart.length, radius=scale * heart.radius)


def beating(
    still: Heart,
    share: float,
    weakness: tuple[Weakness, ...],
    exponent: float,
    torsion: float,
    rocking: float,
    right_shift: float,
) -> Heart:
    """Return a heart whose cavity loses a share of its volume until end-systole.

    Args:
        still: The heart at rest.
        share: 0 to 1.
        weakness: What does not take part.
        exponent: See `LONG_AXIS_SHARE`.
        torsion: See `Heart`, as all below.
        rocking: In radians.
        right_shift: In mm.
    """
    heart = replace(
        still,
        shortening=1 - (1 - share) ** exponent,
        weakness=weakness,
        torsion=torsion,
        rocking=rocking,
        right_shift=right_shift,
    )
    return replace(heart, narrowing=_narrowing(heart, share))


def _fit_motion(
    still: Heart, section: Section, patient: SolidPatient, rng: np.random.Generator
) -> tuple[Heart, float] | None:
    """Return the heart that beats so that the plane's contours give the patient's EF.

    None where no motion does, or where the plane tells too little of the cavity.
    """
    motion = sample_weakness(patient, rng), *sample_motion(patient, rng)
    ef = patient.ef
    for _ in range(6):
        heart = beating(still, float(np.clip(ef, 3, 82)) / 100, *motion)
        moving = Section(heart, section.pose, section.spread, section.contrast)
        try:
            tracings = moving.tracings(np.array([0.0, 1.0]))
        except ValueError:
            return None
        seen = float(ejection_fraction(*(method_of_disks(t) for t in tracings)))
        if abs(seen - patient.ef) < 0.2:
            whole = 100 * (1 - heart.volume(1.0) / heart.volume(0.0))
            return (heart, whole) if abs(whole - seen) < _FURTHEST_EF else None
        ef += 0.9 * (patient.ef - seen)
    return None


def sample_motion(
    patient: SolidPatient, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Draw how a heart beats: the last four arguments of `beating`."""
    return (
        float(rng.uniform(*LONG_AXIS_SHARE)),
        float(np.deg2rad(rng.uniform(4, 16)) * patient.ef / 60),
        float(np.deg2rad(rng.normal(0, 2.0))),
        float(rng.uniform(3.0, 8.0)),
    )


def _narrowing(heart: Heart, share: float) -> float:
    """Return the narrowing at which the whole cavity loses a share of its volume."""
    low, high = -0.2, 0.8
    full = heart.volume(0.0)
    for _ in range(24):
        middle = (low + high) / 2
        lost = 1 - replace(heart, narrowing=middle).volume(1.0) / full
        low, high = (middle, high) if lost < share else (low, middle)
    return low


def sample_weakness(patient: SolidPatient, rng: np.random.Generator) -> tuple[Weakness, ...]:
    """Draw which parts of the wall contract more or less than the others."""
    uneven = [
        Weakness(
            theta=float(rng.uniform(-np.pi, np.pi)),
            u=float(rng.uniform(0.1, 0.9)),
            loss=float(rng.normal(0, 0.12)),
            width=0.9,
            height=0.3,
        )
        for _ in range(3)
    ]
    if "regional" in patient.kinds:
        uneven.append(
            Weakness(
                theta=float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.4)),
                u=float(rng.choice([0.1, 0.3, 0.6])),
                loss=float(rng.uniform(0.5, 1.0)),
                width=float(rng.uniform(0.6, 1.0)),
                height=float(rng.uniform(0.2, 0.35)),
            )
        )
    return tuple(uneven)


def _pose(
    heart: Heart, patient: SolidPatient, rng: np.random.Generator, turned: float = 0.0
) -> Pose:
    """Lay the heart under the probe: tilted in the plane, and out of it, and turned."""
    lean = np.deg2rad(np.clip(rng.normal(3, 8), -18, 20))
    out = np.deg2rad(rng.normal(0, 3.0))
    if "foreshortened" in patient.kinds:
        out = np.deg2rad(rng.uniform(7, 15)) * rng.choice([-1, 1])
    turn, shift = np.deg2rad(rng.normal(0, 9.0)) - turned, rng.normal(0, 1.5)
    if "off plane" in patient.kinds:
        turn += np.deg2rad(rng.uniform(12, 30)) * rng.choice([-1, 1])
        shift += rng.uniform(3, 7) * rng.choice([-1, 1])
    s = np.array([np.sin(lean) * np.cos(out), np.cos(lean) * np.cos(out), np.sin(out)])
    a = np.array([np.cos(lean), -np.sin(lean), 0.0])
    b = np.cross(s, a)
    a, b = np.cos(turn) * a + np.sin(turn) * b, np.cos(turn) * b - np.sin(turn) * a
    top = rng.uniform(7, 12) if "apex at the top" in patient.kinds else rng.uniform(14, 26)
    base = np.array([rng.normal(4, 7) + 0.5 * heart.length * np.sin(lean), 0.0, shift])
    apex = base - 0.9 * heart.length * s
    apex[1] = top + 0.5 * heart.apical_wall
    return Pose(apex=apex, axes=np.stack([a, b, s]))
