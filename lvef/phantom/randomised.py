"""Phantoms of every kind: domain randomisation of anatomy, motion and machine.

A network that has seen walls of any thickness, grey level and texture, hearts off-centre and cut
off, walls that are not there, hazy and noisy pictures of any contrast, has no choice but to look
for what all hearts share (Tobin et al., IROS 2017). These phantoms are not a population: nothing
here follows the frequencies of a clinic. See `population` for one that does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.anatomy import Anatomy, foreshorten, sample_anatomy
from lvef.phantom.draw import Draw
from lvef.phantom.echogenicity import Echogenicity, Span
from lvef.phantom.hard import (
    Hard,
    draw_kind,
    hard_anatomy,
    hard_echogenicity,
    hard_patient,
    hard_scanner,
)
from lvef.phantom.population import Patient
from lvef.phantom.scanner import Scanner, sample_scanner

_FPS = (50.0, 50.0, 50.0, 25.0, 30.0, 40.0, 60.0, 75.0, 100.0)
_LEAST_INSIDE, _LEAST_INSIDE_CUT_OFF, _CUT_OFF = 0.93, 0.8, 0.25
MARGIN, APICAL_MARGIN = 1.5, 2.0
"""Pixels by which one reader traces within the blood, and how much further at the apex.

Not drawn anew for each heart: nothing in a picture tells how its reader draws, so that a network
could only learn the middle, and its Dice would measure how much readers differ.
"""


@dataclass(frozen=True)
class Randomised:
    """What was drawn for one phantom.

    Attributes:
        patient: EF, volumes, rates and length of the clip.
        anatomy: The heart.
        scanner: The machine.
        echo: How tissue reflects.
        valves: Range of the strength of the valves' leaflets.
        lag: Seconds by which the septum contracts later than the lateral wall.
        kind: Which of the hard kinds it is, see `hard`; "" for none.
    """

    patient: Patient
    anatomy: Anatomy
    scanner: Scanner
    echo: Echogenicity
    valves: Span
    lag: float
    kind: str = ""


def sample_randomised(
    rng: np.random.Generator,
    breadth: float = 1.0,
    hard: Hard | None = None,
    apical_margin: float = APICAL_MARGIN,
) -> Randomised:
    """Draw a phantom whose ventricle lies mostly inside the sector.

    Args:
        rng: Source of randomness.
        breadth: How wide the ranges are; 1 for training.
        hard: How often each of the hard kinds occurs, see `lvef.phantom.hard`; none by default.
        apical_margin: Pixels by which the tracing stays further from the blood's edge at the apex.
    """
    draw = Draw(rng, breadth)
    kind = draw_kind(rng, hard)
    least = _LEAST_INSIDE_CUT_OFF if draw.chance(_CUT_OFF) else _LEAST_INSIDE
    while True:
        patient = hard_patient(_patient(draw), kind, draw)
        anatomy = hard_anatomy(_anatomy(patient, draw), kind, draw)
        muscle = draw.log(0.1, 1.0)
        scanner = hard_scanner(_scanner(anatomy, muscle, draw), kind, muscle, draw)
        anatomy = replace(
            anatomy,
            margin=MARGIN / scanner.pixels_per_mm,
            apical_margin=apical_margin / scanner.pixels_per_mm,
        )
        if _share_inside(anatomy, scanner) >= least:
            break
    lag = draw(-0.05, 0.05) if draw.chance(0.3) else 0.0
    valves = (0.0, 0.4) if draw.chance(0.3) else (0.2, 1.8)
    echo = hard_echogenicity(_echogenicity(muscle, draw), kind, draw)
    return Randomised(patient, anatomy, scanner, echo, valves, lag, kind)


def _patient(draw: Draw) -> Patient:
    ef = float(np.clip(draw(10.0, 80.0), 7.0, 83.0))
    fps = float(draw.rng.choice(_FPS))
    heart_rate = float(np.clip(draw(45.0, 125.0), 40.0, 150.0))
    arrhythmia = draw.chance(0.15)
    beats = 2.6 if arrhythmia else 1.6  # enough for a whole systole, whenever the clip begins
    seconds = max(draw(1.3, 2.3), beats * 60 / heart_rate)
    return Patient(
        ef=ef,
        end_diastolic_volume=draw.log(35.0, 260.0),
        heart_rate=heart_rate,
        arrhythmia=arrhythmia,
        fps=fps,
        num_frames=round(seconds * fps),
    )


def _anatomy(patient: Patient, draw: Draw) -> Anatomy:
    """Move and reshape an ordinary heart, keeping its volumes."""
    heart = sample_anatomy(patient, draw.rng)
    regional = 1 + draw(-0.3, 0.3) * np.cos(np.pi * np.linspace(0, 1, len(heart.septal)))
    tilt = float(np.deg2rad(draw(-26.0, 26.0)))
    moved = replace(
        heart,
        apex=np.array([draw(-8.0, 18.0) - 30 * np.sin(tilt), draw(8.0, 34.0, least=4.0)]),
        tilt=tilt,
        septal_narrowing=np.clip(heart.septal_narrowing * regional, 0, 0.85),
        lateral_narrowing=np.clip(heart.lateral_narrowing * regional, 0, 0.85),
        septal_wall=draw(5.0, 17.0, least=3.0),
        lateral_wall=draw(4.0, 17.0, least=3.0),
        right_ventricle=draw(14.0, 70.0, least=8.0),
        left_atrium=draw(22.0, 80.0, least=15.0),
        right_atrium=draw(22.0, 80.0, least=15.0),
        rocking=draw(-5.0, 5.0),
    )
    if draw.chance(0.35):
        return foreshorten(moved, float(np.deg2rad(draw(3.0, 17.0, least=0.0))))
    return moved


def _scanner(anatomy: Anatomy, muscle: float, draw: Draw) -> Scanner:
    """Set the machine as a sonographer would: so that muscle is grey, however it reflects."""
    usual = sample_scanner(anatomy.length, draw.rng)
    axial, lateral = draw(0.5, 1.6, least=0.4), draw(0.5, 1.9, least=0.4)
    dynamic_range, attenuation = draw(28.0, 60.0, least=22.0), draw(-8.0, 14.0)
    # Power that is left of unit white scatterers after the point spread has averaged them.
    power = 2 * muscle**2 / (4 * np.pi * axial * lateral)
    grey = draw(0.4, 0.85)
    gain = (grey - 1) * dynamic_range - 10 * np.log10(power) + attenuation / 2
    radius = draw(98.0, 128.0)
    depth = draw.log(0.8, 1.3) * 140.0 * (anatomy.length / 85.0) ** 0.5
    return replace(
        usual,
        origin=(56 + draw(-10.0, 10.0), draw(-4.0, 12.0)),
        half_angle=float(np.deg2rad(draw(32.0, 48.0))),
        radius=radius,
        pixels_per_mm=radius / depth,
        haze=muscle * 10 ** (-draw(9.0, 40.0, least=7.0) / 20),
        noise=muscle * 10 ** (-draw(16.0, 48.0, least=12.0) / 20),
        gain=float(gain),
        dynamic_range=dynamic_range,
        attenuation=attenuation,
        axial=axial,
        lateral=lateral,
        noise_profile=(draw(0.1, 1.8, least=0.05), draw(0.1, 1.8, least=0.05)),
        near_field=(muscle * draw(0.0, 2.5, least=0.0), draw(0.04, 0.18, least=0.03)),
        haze_variation=draw(0.0, 1.0, least=0.0),
        side_lobes=draw(0.0, 0.35, least=0.0) if draw.chance(0.4) else 0.0,
        decorrelation=draw(0.0, 0.8, least=0.0),
        sharpening=draw(0.0, 1.2, least=0.0) if draw.chance(0.4) else 0.0,
        resolution=round(draw(64, 111, least=32)) if draw.chance(0.4) else PICTURE_SIZE,
        persistence=draw(0.0, 0.5, least=0.0) if draw.chance(0.4) else 0.0,
        drift=draw(0.0, 5.0, least=0.0) if draw.chance(0.5) else 0.0,
        jpeg_quality=min(round(draw(45, 95, least=25)), 100) if draw.chance(0.5) else 0,
    )


def _echogenicity(muscle: float, draw: Draw) -> Echogenicity:
    fewest = round(draw(0, 10, least=0))
    return Echogenicity(
        background=(0.02, muscle * draw(0.3, 2.0, least=0.1) + 0.03),
        muscle=(0.8 * muscle, 1.25 * muscle),
        heart=(0.1, 1.2),
        texture=(draw(0.2, 1.1, least=0.1), draw(0.1, 0.8, least=0.05)),
        pericardium=(0.2, 2.6),
        septal_core=(0.2, 1.8),
        annulus=(0.3, 2.6),
        trabeculae=(fewest, fewest + 12),
        papillary=int(draw.rng.integers(0, 4)),
        lines=int(draw.rng.integers(0, 6)),
        gaps=int(draw.rng.integers(0, 5)),
        unseen=min(draw(0.6, 1.0, least=0.4), 1.0) if draw.chance(0.4) else 0.0,
        unseen_until=draw(0.4, 1.15, least=0.2),
    )


def _share_inside(anatomy: Anatomy, scanner: Scanner) -> float:
    """Return how much of the end-diastolic contour lies in the sector and the picture."""
    tracing = anatomy.tracing(0.0)
    points = np.concatenate([tracing[:, :2], tracing[:, 2:]])
    angle = np.abs(np.arctan2(points[:, 0], points[:, 1]))
    pixels = points * scanner.pixels_per_mm + np.array(scanner.origin)
    inside = (angle < scanner.half_angle) & np.all((pixels > 1) & (pixels < 110), axis=1)
    return float(inside.mean())
