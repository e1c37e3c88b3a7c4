"""A study of one solid heart: the apical four-chamber and the two-chamber view of it.

Its hearts are of shapes, and with weak walls, that one plane alone does not tell: ventricles that
are wider in one plane than in the other, and infarcts of any wall. What is true of them is true of
the whole cavity, by construction: no plane is asked.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lvef.phantom.purpose import Purpose
from lvef.phantom.solid.appearance import sample_echogenicity
from lvef.phantom.solid.clip import SolidView
from lvef.phantom.solid.draw import (
    as_large_as,
    beating,
    draw_view,
    sample_heart,
    sample_motion,
    sample_weakness,
)
from lvef.phantom.solid.heart import Heart, Weakness
from lvef.phantom.solid.population import KINDS, SolidPatient, sample_patient
from lvef.streams import Use, stream

_OF_A_VIEW = ("foreshortened", "off plane", "apex at the top", "bright near field", "shadow")
"""What makes a clip hard by how the probe is held; the others are of the heart or the patient."""
_ELLIPTIC = 0.1
"""Standard deviation of how much wider the cavity is in the four-chamber plane than on average."""
_INFARCTS = 0.5
"""Share of hearts with a wall that hardly moves."""
_TURN = (75.0, 10.0)
"""Degrees from the four-chamber to the two-chamber view, mean and standard deviation: about 60 by
the guidelines, 90 for disks in two planes."""


class OneHeart:
    """What is true of a study of one heart, whatever its views show.

    Attributes:
        heart: The heart that all views show.
    """

    heart: Heart

    @property
    def end_diastolic_volume(self) -> float:
        """EDV of the whole cavity in mL."""
        return self.heart.volume(0.0)

    @property
    def end_systolic_volume(self) -> float:
        """ESV of the whole cavity in mL."""
        return self.heart.volume(1.0)


class SolidStudy(OneHeart):
    """One heart in two views.

    The same purpose, seed and index give the same study wherever it is made, and no heart of
    `SolidClip`.

    Args:
        seed: Seed of the population.
        index: Number of the study within the population.
        purpose: What it is for; each has hearts of its own.

    Attributes:
        name: Of the study; views are called by it and `A4C` or `A2C`.
        patient: What was drawn: `ef` in percent is that of the whole cavity.
        heart: The heart that both views show.
        a4c: The apical four-chamber view.
        a2c: The apical two-chamber view: the anterior wall at the right, the inferior at the left.
    """

    def __init__(self, seed: int, index: int, purpose: Purpose = Purpose.LOOK) -> None:
        place = (seed, purpose, index)
        rng = stream(Use.SOLID_STUDY, *place)
        self.name = f"SOLIDPHANTOM{seed:03d}S{index:06d}"
        self.patient = sample_patient(index, rng)
        still = elliptic(sample_heart(self.patient, rng), self.patient, rng)
        echo = sample_echogenicity(still, self.patient, rng)
        weakness = sample_weakness(self.patient, rng) + infarct(rng)
        self.heart = beating(
            still, self.patient.ef / 100, weakness, *sample_motion(self.patient, rng)
        )
        views = []
        for number, (view, turn) in enumerate(
            {"A4C": 0.0, "A2C": float(np.deg2rad(rng.normal(*_TURN)))}.items()
        ):
            own = stream(Use.SOLID_STUDY_VIEW, *place, number)
            patient = as_held(self.patient, own)
            drawn = draw_view(self.heart, echo, patient, own, turn)
            views.append(SolidView(f"{self.name}{view}", patient, own, (*place, number), drawn))
        self.a4c, self.a2c = views


def elliptic(heart: Heart, patient: SolidPatient, rng: np.random.Generator) -> Heart:
    """Return a heart of the same volume that is wider in one plane than in the other."""
    wave = (2, 1, float(_ELLIPTIC * np.clip(rng.normal(), -2, 2)), 0.0)
    return as_large_as(
        replace(heart, harmonics=(*heart.harmonics, wave)), patient.end_diastolic_volume
    )


def infarct(rng: np.random.Generator) -> tuple[Weakness, ...]:
    """Draw a wall that hardly moves, one of four, in some hearts."""
    wall, angle = rng.integers(4), rng.normal(0, 0.4)
    level, loss = rng.uniform(0.2, 0.8), rng.uniform(0.5, 1.0)
    width, height = rng.uniform(0.6, 1.0), rng.uniform(0.2, 0.4)
    if rng.random() >= _INFARCTS:
        return ()
    theta = float(wall * np.pi / 2 + angle)
    return (Weakness(theta, float(level), float(loss), float(width), float(height)),)


def as_held(patient: SolidPatient, rng: np.random.Generator) -> SolidPatient:
    """Return the patient with what a view's own hold of the probe makes hard drawn anew."""
    drawn = {kind for kind in _OF_A_VIEW if rng.random() < KINDS[kind]}
    kept = {kind for kind in patient.kinds if kind not in _OF_A_VIEW}
    return replace(patient, kinds=tuple(kind for kind in KINDS if kind in drawn | kept))
