"""How a phantom looks: the tissue of its heart, and the settings of the machine."""

from __future__ import annotations

import numpy as np

from lvef.phantom.solid.heart import Heart
from lvef.phantom.solid.pointspread import PointSpread
from lvef.phantom.solid.population import SolidPatient
from lvef.phantom.solid.probe import Machine
from lvef.phantom.solid.section import Pose
from lvef.phantom.solid.tissue import SolidEchogenicity, Strand


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


def sample_echogenicity(
    heart: Heart, patient: SolidPatient, rng: np.random.Generator
) -> SolidEchogenicity:
    """Draw how the heart's tissue scatters."""
    kinds = patient.kinds
    much = "trabeculated" in kinds
    return SolidEchogenicity(
        isotropic=float(rng.uniform(0.25, 0.8)),
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
        texture=float(rng.uniform(0.3, 0.8)),
    )


def sample_machine(
    heart: Heart,
    pose: Pose,
    echo: SolidEchogenicity,
    patient: SolidPatient,
    rng: np.random.Generator,
) -> Machine:
    """Set the machine as a sonographer would: ventricle and part of the atria in the picture."""
    kinds = patient.kinds
    hazy, thick = "haze" in kinds, "thick hazy wall" in kinds
    depth = float(
        pose.apex[1] + heart.length * pose.axes[2, 1] + rng.uniform(0.6, 1.15) * echo.left_atrium
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
        blood=float(rng.uniform(-22, -14) if thick or hazy else rng.uniform(-44, -24)),
        noise=(float(rng.uniform(-50, -26)), float(rng.uniform(-40, -18))),
        gain_error=float(rng.normal(2, 4)),
        steering=float(rng.uniform(0.5, 2.5)),
        side_lobes=float(rng.uniform(-24, -16) if thick else rng.uniform(-40, -26)),
        reverberation=(
            float(rng.uniform(0, 9) if bright else rng.uniform(-18, 2)),
            float(rng.uniform(16, 32) if bright else rng.uniform(8, 20)),
        ),
        haze=float(rng.uniform(-14, -6) if hazy else rng.uniform(-40, -22)),
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
