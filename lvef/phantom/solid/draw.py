"""What is drawn for one phantom: its heart, where it lies, its tissue and the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import ejection_fraction, method_of_disks
from lvef.phantom.solid.heart import Heart, Weakness
from lvef.phantom.solid.pointspread import PointSpread
from lvef.phantom.solid.population import SolidPatient
from lvef.phantom.solid.probe import Machine
from lvef.phantom.solid.section import Pose, Section
from lvef.phantom.solid.tissue import Look, Strand

Array = NDArray[np.float64]
_LEAST_INSIDE = 0.9
"""Share of the end-diastolic contour that the picture shows at least."""
_LONG_AXIS_SHARE = (0.14, 0.24)
"""Exponent of (1 - EF) that the long axis's length follows; the short axes do the rest."""


@dataclass(frozen=True)
class Drawn:
    """One phantom, but for the patient and the beats.

    Attributes:
        heart: The heart; its motion gives the patient's EF in the image plane.
        ef_3d: EF in percent of the whole cavity.
        pose: Where it lies.
        look: Its tissue.
        machine: Acquisition settings.
        section: The cavity in the image plane.
    """

    heart: Heart
    ef_3d: float
    pose: Pose
    look: Look
    machine: Machine
    section: Section


def draw(patient: SolidPatient, rng: np.random.Generator) -> Drawn:
    """Draw a phantom whose ventricle lies mostly inside the sector."""
    still = _heart(patient, rng)
    look = _look(still, patient, rng)
    while True:
        pose = _pose(still, patient, rng)
        machine = _machine(still, pose, look, patient, rng)
        section = Section(still, pose, machine.spread, machine.contrast)
        try:
            contour = section.walls(np.zeros(1))[1][0]
        except ValueError:
            continue
        if _share_inside(contour, machine) < _LEAST_INSIDE:
            continue
        fitted = _fit_motion(still, section, patient, rng)
        if fitted is not None:
            heart, ef = fitted
            section = Section(heart, pose, machine.spread, machine.contrast)
            return Drawn(heart, ef, pose, look, machine, section)


def _share_inside(contour: Array, machine: Machine) -> float:
    angle = np.abs(np.arctan2(contour[:, 0], contour[:, 1]))
    pixels = machine.to_pixels(contour)
    deep = np.linalg.norm(contour, axis=1) < machine.depth
    inside = (angle < machine.half_angle) & deep & np.all((pixels > 1) & (pixels < 110), axis=1)
    return float(inside.mean())


def _heart(patient: SolidPatient, rng: np.random.Generator) -> Heart:
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
        apical_wall=float(thick * rng.uniform(0.5, 0.85)),
        right_width=float(np.clip(rng.normal(31, 6), 20, 48)),
    )
    scale = float((volume * 1000 / (unit.volume(0.0) * 1000)) ** (1 / 3))
    return replace(unit, length=scale, radius=scale * round_ / 2)


def _fit_motion(
    still: Heart, section: Section, patient: SolidPatient, rng: np.random.Generator
) -> tuple[Heart, float] | None:
    """Return the heart that beats so that the plane's contours give the patient's EF.

    None where no motion does.
    """
    weakness = _weakness(patient, rng)
    exponent = rng.uniform(*_LONG_AXIS_SHARE)
    torsion = np.deg2rad(rng.uniform(4, 16)) * patient.ef / 60
    rocking = np.deg2rad(rng.normal(0, 2.0))
    right = rng.uniform(3.0, 8.0)
    ef = patient.ef
    for _ in range(6):
        share = float(np.clip(ef, 3, 82)) / 100
        heart = replace(
            still,
            shortening=1 - (1 - share) ** exponent,
            weakness=weakness,
            torsion=torsion,
            rocking=rocking,
            right_shift=right,
        )
        heart = replace(heart, narrowing=_narrowing(heart, share))
        beating = Section(heart, section.pose, section.spread, section.contrast)
        try:
            tracings = beating.tracings(np.array([0.0, 1.0]))
        except ValueError:
            return None
        seen = float(ejection_fraction(*(method_of_disks(t) for t in tracings)))
        if abs(seen - patient.ef) < 0.2:
            return heart, 100 * (1 - heart.volume(1.0) / heart.volume(0.0))
        ef += 0.9 * (patient.ef - seen)
    return None


def _narrowing(heart: Heart, share: float) -> float:
    """Return the narrowing at which the whole cavity loses a share of its volume."""
    low, high = -0.2, 0.8
    full = heart.volume(0.0)
    for _ in range(24):
        middle = (low + high) / 2
        lost = 1 - replace(heart, narrowing=middle).volume(1.0) / full
        low, high = (middle, high) if lost < share else (low, middle)
    return low


def _weakness(patient: SolidPatient, rng: np.random.Generator) -> tuple[Weakness, ...]:
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


def _pose(heart: Heart, patient: SolidPatient, rng: np.random.Generator) -> Pose:
    """Lay the heart under the probe: tilted in the plane, and out of it."""
    lean = np.deg2rad(np.clip(rng.normal(3, 8), -18, 20))
    out = np.deg2rad(rng.normal(0, 3.0))
    if "foreshortened" in patient.kinds:
        out = np.deg2rad(rng.uniform(9, 20)) * rng.choice([-1, 1])
    turn, shift = np.deg2rad(rng.normal(0, 9.0)), rng.normal(0, 1.5)
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


def _strands(heart: Heart, patient: SolidPatient, rng: np.random.Generator) -> tuple[Strand, ...]:
    """Draw both papillary muscles with their chords, and now and then a tendon."""
    bright = "bright papillary muscles" in patient.kinds
    strands = []
    for theta in (
        rng.uniform(0.2, 0.9) if bright else rng.uniform(0.5, 1.1),
        -rng.uniform(0.7, 1.4),
    ):
        where = np.array([theta])
        foot, tip = rng.uniform(0.28, 0.4), rng.uniform(0.55, 0.68)
        ends = []
        for u, share in ((foot, 0.92), (tip, rng.uniform(0.55, 0.75))):
            radius = share * float(heart.endocardium(np.array([u]), where)[0])
            ends.append(
                np.array([radius * np.cos(theta), radius * np.sin(theta), u * heart.length])
            )
        level = rng.uniform(1.2, 2.6) if bright else rng.uniform(0.4, 0.9)
        thick = rng.uniform(3.5, 5.5)
        strands.append(Strand(ends[0], ends[1], (thick, 0.55 * thick), level))
        leaf = np.array([0.35 * ends[1][0], 0.3 * ends[1][1], 0.9 * heart.length])
        strands.append(Strand(ends[1], leaf, (0.7, 0.6), 0.5 * level))
    if "false tendon" in patient.kinds:
        ends = []
        for theta, u in (
            (np.pi, rng.uniform(0.35, 0.6)),
            (rng.normal(0, 0.4), rng.uniform(0.12, 0.4)),
        ):
            radius = 0.97 * float(heart.endocardium(np.array([u]), np.array([theta]))[0])
            ends.append(np.array([radius * np.cos(theta), 0.0, u * heart.length]))
        strands.append(Strand(ends[0], ends[1], (1.2, 1.2), rng.uniform(0.8, 1.8)))
    return tuple(strands)


def _look(heart: Heart, patient: SolidPatient, rng: np.random.Generator) -> Look:
    kinds = patient.kinds
    much = "trabeculated" in kinds
    return Look(
        isotropic=float(rng.uniform(0.45, 0.9)),
        specular=float(rng.uniform(0.5, 3.0)),
        surroundings=float(np.exp(rng.uniform(np.log(0.05), np.log(0.45)))),
        fat=float(rng.uniform(1.0, 2.2)),
        pericardium=float(rng.uniform(0.8, 2.6)),
        right=float(rng.uniform(0.5, 1.0)),
        lung=float(rng.uniform(2, 14)),
        chest=float(rng.uniform(4, 9)),
        trabeculae=float(rng.uniform(6, 11) if much else rng.uniform(0.5, 3.5)),
        trabecular=float(rng.uniform(0.7, 1.3) if much else rng.uniform(0.3, 0.8)),
        apical=float(rng.uniform(0.05, 0.3) if "apical dropout" in kinds else rng.uniform(0.7, 1)),
        lateral=float(rng.uniform(0.1, 0.4) if "faint lateral wall" in kinds else 1.0),
        left_atrium=float(np.clip(rng.normal(46, 8), 30, 70)),
        right_atrium=float(np.clip(rng.normal(44, 7), 30, 65)),
        strands=_strands(heart, patient, rng),
        texture=float(rng.uniform(0.25, 0.65)),
    )


def _machine(
    heart: Heart, pose: Pose, look: Look, patient: SolidPatient, rng: np.random.Generator
) -> Machine:
    """Set the machine as a sonographer would: ventricle and part of the atria in the picture."""
    kinds = patient.kinds
    hazy, thick = "haze" in kinds, "thick hazy wall" in kinds
    depth = float(
        pose.apex[1] + heart.length * pose.axes[2, 1] + rng.uniform(0.6, 1.15) * look.left_atrium
    )
    origin = (56 + float(rng.normal(0, 1.5)), float(rng.uniform(2, 8)))
    radius = float(rng.uniform(100, 112)) - origin[1]
    half_angle = float(np.deg2rad(rng.uniform(37, 46)))
    bright = "bright near field" in kinds
    shadow = (0.0, 0.1, 0.0)
    if "shadow" in kinds:
        place = rng.choice([-1, 1]) * rng.uniform(0.25, 1.0) * half_angle
        shadow = (float(place), float(rng.uniform(0.05, 0.16)), float(rng.uniform(8, 22)))
    lung = (float(rng.uniform(0.0, 0.25)), float(rng.uniform(20, 70)), float(rng.uniform(0, 14)))
    return Machine(
        spread=PointSpread(
            wavelength=float(rng.uniform(0.42, 0.62)),
            pulse=float(rng.uniform(0.45, 0.8)),
            aperture=float(rng.uniform(14, 21)) * (0.7 if thick else 1.0),
            focus=float(rng.uniform(55, 95)),
            lens_aperture=float(rng.uniform(11, 14)),
            lens_focus=float(rng.uniform(60, 85)),
        ),
        depth=depth,
        half_angle=half_angle,
        origin=origin,
        pixels_per_mm=radius / depth,
        dynamic_range=float(rng.uniform(36, 56)),
        grey=float(rng.uniform(0.5, 0.8)),
        curve=float(rng.uniform(0.9, 1.35)),
        blood=float(rng.uniform(-20, -11) if thick or hazy else rng.uniform(-44, -24)),
        noise=(float(rng.uniform(-50, -26)), float(rng.uniform(-40, -18))),
        gain_error=float(rng.normal(2, 4)),
        steering=float(rng.uniform(0.5, 2.5)),
        side_lobes=float(rng.uniform(-24, -16) if thick else rng.uniform(-40, -26)),
        reverberation=(
            float(rng.uniform(2, 12) if bright else rng.uniform(-18, 2)),
            float(rng.uniform(22, 40) if bright else rng.uniform(8, 20)),
        ),
        haze=float(rng.uniform(-12, -3) if hazy else rng.uniform(-40, -22)),
        haze_place=(
            float(rng.uniform(-0.6, 0.8)),
            float(rng.uniform(0.15, 0.6)),
            float(rng.uniform(0.25, 0.6)),
        ),
        shadow=shadow,
        lung=lung,
        looks=int(rng.integers(1, 4)),
        persistence=float(rng.uniform(0.15, 0.5) if rng.random() < 0.35 else 0.0),
        jpeg_quality=int(rng.integers(55, 96)) if rng.random() < 0.7 else 0,
    )
