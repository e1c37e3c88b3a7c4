"""Hard kinds of randomised phantoms: what made contours of real ventricles go wrong.

Each kind is told by what is seen in it. The true contour stays that of the compacted wall:
trabeculae, papillary muscles and false tendons lie inside it, as readers trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lvef.phantom.anatomy import Anatomy, rounder
from lvef.phantom.draw import Draw
from lvef.phantom.echogenicity import Echogenicity
from lvef.phantom.population import Patient
from lvef.phantom.scanner import Scanner

HARD_KINDS = ("dilated", "false_border", "hazy_wall", "high_apex")
"""A large, round ventricle of low EF with a trabeculated layer, whose inner edge narrows more than
the wall; a faint lateral wall with a brighter structure inside; a thick wall that fades towards the
blood; a large ventricle whose apex is near the top, with a faint apical septum."""
Hard = Mapping[str, float]
"""How often each kind occurs, 0 to 1; what is left to 1 is none of them."""


def evenly(share: float) -> dict[str, float]:
    """Return every kind as often as the others, `share` of all phantoms together."""
    return dict.fromkeys(HARD_KINDS, share / len(HARD_KINDS))


def draw_kind(rng: np.random.Generator, hard: Hard | None) -> str:
    """Draw the kind of a phantom; "" for none. Draws nothing where no kind may occur."""
    if not hard:
        return ""
    return str(rng.choice([*hard, ""], p=[*hard.values(), max(0.0, 1 - sum(hard.values()))]))


def hard_patient(patient: Patient, kind: str, draw: Draw) -> Patient:
    """Return the patient that a kind needs."""
    if kind == "dilated":
        ef = float(np.clip(draw(10.0, 36.0), 7.0, 45.0))
        return replace(patient, ef=ef, end_diastolic_volume=draw.log(120.0, 320.0))
    if kind == "high_apex":
        return replace(patient, end_diastolic_volume=draw.log(90.0, 300.0))
    return patient


def hard_anatomy(anatomy: Anatomy, kind: str, draw: Draw) -> Anatomy:
    """Reshape a heart."""
    if kind == "dilated":
        return rounder(anatomy, draw(0.95, 1.35))
    if kind == "hazy_wall":
        return replace(anatomy, septal_wall=draw(9.0, 21.0), lateral_wall=draw(9.0, 20.0))
    if kind == "high_apex":
        high = np.array([anatomy.apex[0], draw(3.0, 14.0, least=2.0)])
        return replace(
            anatomy, apex=high, right_apex=draw(0.0, 0.12, least=0.0),
            septal_wall=draw(4.0, 10.0, least=3.0),
        )  # fmt: skip
    return anatomy


def hard_scanner(scanner: Scanner, kind: str, muscle: float, draw: Draw) -> Scanner:
    """Set a machine so that it is hard to see."""
    if kind == "dilated":
        return replace(scanner, lateral=draw(0.8, 2.4), axial=draw(0.6, 1.8))
    if kind == "hazy_wall":
        return replace(
            scanner,
            haze=muscle * 10 ** (-draw(4.0, 14.0, least=3.0) / 20),
            haze_variation=draw(0.2, 1.0, least=0.0),
        )
    if kind == "high_apex":
        bright = (muscle * draw(0.5, 3.0, least=0.0), draw(0.06, 0.2, least=0.03))
        return replace(scanner, near_field=bright)
    return scanner


def hard_echogenicity(echo: Echogenicity, kind: str, draw: Draw) -> Echogenicity:
    """Let tissue reflect so that the wall is mistaken."""
    if kind == "dilated":
        return replace(
            echo,
            spongy=draw(1.5, 9.0, least=0.0),
            spongy_level=draw.log(0.5, 2.0),
            papillary=int(draw.rng.integers(1, 4)),
            unseen=draw(0.5, 1.0) if draw.chance(0.5) else echo.unseen,
        )
    if kind == "false_border":
        return replace(
            echo,
            unseen=min(draw(0.75, 1.0), 1.0),
            unseen_until=draw(0.7, 1.15),
            pericardium=(0.1, 1.3),
            strands=int(draw.rng.integers(1, 4)),
        )
    if kind == "hazy_wall":
        return replace(echo, grading=min(draw(0.3, 0.9), 0.95))
    if kind == "high_apex":
        return replace(echo, septal_gap=min(draw(0.3, 1.0, least=0.0), 1.0))
    return echo
