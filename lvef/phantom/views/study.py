"""A whole study of one heart: several loops of each of six views, as a laboratory takes them."""

from __future__ import annotations

from dataclasses import replace

from lvef.phantom.purpose import Purpose
from lvef.phantom.solid.appearance import sample_echogenicity
from lvef.phantom.solid.draw import beating, sample_heart, sample_motion, sample_weakness
from lvef.phantom.solid.population import sample_patient
from lvef.phantom.solid.study import OneHeart, as_held, elliptic, infarct
from lvef.phantom.views.outflow import sample_aorta
from lvef.phantom.views.place import Place
from lvef.phantom.views.planes import Plane
from lvef.phantom.views.sliced import Shown, SlicedClip, with_wide_base
from lvef.streams import Use, stream

_LEVELS = ((0.42, 0.62), (0.78, 0.92), (0.18, 0.35))
"""Of short axes, by turns: papillary muscles, mitral valve, apex."""
_BEATS = 2.6
"""Beats that a loop shows at most, so that two are whole."""
_KIND = 0
"""No number of a kind of `KINDS`: loops of studies have random numbers of their own."""
ORDER: tuple[Plane, ...] = (
    "PLAX", "PSAX", "A4C", "A2C", "A3C", "subcostal",
    "PLAX", "PSAX", "A4C", "A2C", "A3C", "A4C",
    "PLAX", "PSAX", "A4C", "A2C", "A3C", "A4C",
    "A2C", "subcostal",
)  # fmt: skip
"""Views of the loops of a study, in the order in which they are taken."""


class ViewStudy(OneHeart):
    """One heart of the second generator in six views, the probe held anew for each loop.

    The same purpose, seed and index give the same study wherever it is made, and no heart of
    another class. What is true of it is true of the whole cavity, by construction: no plane is
    asked. Its base is wide enough for the aorta that three of the views show.

    Args:
        seed: Seed of the population.
        index: Number of the study within the population.
        purpose: What it is for; each has hearts of its own.

    Attributes:
        name: Of the study; says PHANTOM, so that no one takes it for a patient.
        patient: What was drawn: `ef` in percent is that of the whole cavity.
        heart: The heart that all loops show.
    """

    def __init__(self, seed: int, index: int, purpose: Purpose = Purpose.LOOK) -> None:
        self._place = (seed, purpose, index)
        rng = stream(Use.VIEW_STUDY, *self._place)
        self.name = f"STUDYPHANTOM{seed:03d}S{index:06d}"
        drawn = sample_patient(index, rng)
        most = round(_BEATS * 60 / drawn.heart_rate * drawn.fps)
        self.patient = replace(drawn, num_frames=min(drawn.num_frames, most))
        still = with_wide_base(sample_heart(self.patient, rng), self.patient, rng)
        still = elliptic(still, self.patient, rng)
        weak = sample_weakness(self.patient, rng) + infarct(rng)
        motion = sample_motion(self.patient, rng)
        self.heart = beating(still, self.patient.ef / 100, weak, *motion)
        self._echo = sample_echogenicity(self.heart, self.patient, rng)
        self._aorta = sample_aorta(self.heart, rng)

    def loop(self, number: int, plane: Plane | None = None) -> SlicedClip:
        """Return a loop.

        Args:
            number: Which, from 0.
            plane: Its view; that of `ORDER` by default.
        """
        turn = number % len(ORDER)
        view = ORDER[turn] if plane is None else plane
        held = as_held(self.patient, stream(Use.VIEW_STUDY_LOOP, *self._place, number))
        level = _LEVELS[ORDER[:turn].count("PSAX") % len(_LEVELS)] if view == "PSAX" else (0.5, 0.5)
        seed, purpose, index = self._place
        place = Place(seed, purpose, _KIND, index, number)
        return SlicedClip(view, place, level, Shown(held, self.heart, self._echo, self._aorta))
