"""Clips of the solid heart from any place, with aorta, outflow tract and liver around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.appearance import sample_echogenicity
from lvef.phantom.solid.body import Body
from lvef.phantom.solid.clip import SolidView
from lvef.phantom.solid.draw import (
    Drawn,
    as_large_as,
    beating,
    draw_view,
    sample_heart,
    sample_motion,
    sample_weakness,
)
from lvef.phantom.solid.heart import Heart, Places
from lvef.phantom.solid.population import SolidPatient, sample_patient
from lvef.phantom.solid.section import Section
from lvef.phantom.solid.tissue import SolidEchogenicity
from lvef.phantom.solid.valves import Sheet
from lvef.phantom.views.leaflets import sample_valves
from lvef.phantom.views.outflow import (
    Aorta,
    Liver,
    paint_aorta,
    paint_liver,
    sample_aorta,
    sample_liver,
)
from lvef.phantom.views.place import Place
from lvef.phantom.views.planes import TURNS, Plane, lay, machine_for
from lvef.streams import Use, stream

Array = NDArray[np.float64]
_OUTFLOW = ("A3C", "PLAX", "PSAX")
"""Views that show the aorta, and hearts of which have a base wide enough for it."""
_WIDE_BASE = (108.0, 120.0)
"""Degrees of `Heart.belly` of a heart whose base is wide enough for two valves."""


@dataclass(frozen=True)
class Around:
    """What a view shows beside the heart of the apical four-chamber view.

    Attributes:
        plane: Which view.
        aorta: With the outflow tract before it.
        liver: Between a subcostal probe and the heart.
    """

    plane: Plane
    aorta: Aorta | None
    liver: Liver | None


@dataclass(frozen=True)
class Shown:
    """Whose heart a clip shows, where several show the same.

    Attributes:
        patient: What was drawn of the patient, and of how the probe is held.
        heart: The heart.
        echo: Its tissue.
        aorta: With the outflow tract before it.
    """

    patient: SolidPatient
    heart: Heart
    echo: SolidEchogenicity
    aorta: Aorta


class SlicedBody(Body):
    """Scatterers of a heart and of what is around it."""

    def __init__(self, drawn: Drawn, around: Around, rng: np.random.Generator) -> None:
        self.around = around
        super().__init__(drawn, rng)

    def _places(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return places also of what only later comes into the slab, as dense as within it."""
        places, machine = super()._places(rng), self.drawn.machine
        slab = machine.slab(np.linalg.norm(places[:, :2], axis=1))
        more = []
        for side, travel in zip((-1.0, 1.0), self._travel(places), strict=True):
            share = travel / (2 * slab)
            for whole in range(int(np.ceil(share.max()))):
                kept = rng.random(len(places)) < share - whole
                moved = places[kept].copy()
                moved[:, 2] = side * (slab[kept] + rng.uniform(0, travel, len(moved)))
                # Other places than those within the slab, or speckle would repeat itself.
                moved[:, :2] *= 1 + 0.02 * rng.normal(size=(len(moved), 1))
                moved[:, 0] += rng.normal(0, 0.8, len(moved))
                more.append(moved)
        return np.concatenate([places, *more])

    def _travel(self, places: Array) -> tuple[float, float]:
        """Return from how many mm below and above the slab tissue comes until end-systole."""
        pose, heart = self.drawn.pose, self.drawn.heart
        some = pose.to_heart(places[::100])
        near = some[np.hypot(some[:, 0], some[:, 1]) < 70]
        way = (pose.to_probe(heart.deform(near, 1.0)) - pose.to_probe(near))[:, 2]
        low, high = np.percentile(way, [1, 99])
        return float(np.clip(high, 0.01, 25)), float(np.clip(-low, 0.01, 25))

    def _strength(self, points: Array, at: Places, rng: np.random.Generator) -> Array:
        level = super()._strength(points, at, rng)
        drawn = self.drawn
        if self.around.aorta is not None:
            paint_aorta(level, points, at, drawn.heart, drawn.echo, self.around.aorta)
        if self.around.liver is not None:
            liver = self.around.liver
            paint_liver(level, points, at, drawn.heart, drawn.pose, drawn.echo, liver, rng)
        return level

    def _valves(self, rng: np.random.Generator) -> tuple[Sheet, ...]:
        return sample_valves(self.around.plane, self.drawn.heart, self.around.aorta, rng)


class SlicedClip(SolidView):
    """A solid heart in one view.

    Args:
        plane: Which view.
        place: Where its random numbers are.
        level: Of a short axis, its lowest and highest level: 0 at the apex, 1 at the mitral plane;
            above 1 that of the aortic valve.
        shown: Whose heart; one of its own by default.
    """

    tissue_use, frame_use = Use.VIEW_TISSUE, Use.VIEW_FRAME

    def __init__(
        self,
        plane: Plane,
        place: Place,
        level: tuple[float, float] = (0.5, 0.5),
        shown: Shown | None = None,
    ) -> None:
        rng = place.stream(Use.VIEW_CLIP)
        if shown is None:
            patient = sample_patient(int(rng.integers(4)), rng)
            heart = _heart(plane, patient, rng)
            echo = sample_echogenicity(heart, patient, rng)
            aorta = sample_aorta(heart, rng) if plane in _OUTFLOW else None
        else:
            patient, heart, echo = shown.patient, shown.heart, shown.echo
            aorta = shown.aorta if plane in _OUTFLOW else None
        if plane in TURNS:
            turn = float(np.deg2rad(rng.normal(*TURNS[plane])))
            drawn = draw_view(heart, echo, patient, rng, turn)
        else:
            drawn = _held(plane, heart, echo, patient, rng, level)
        liver = sample_liver(heart, drawn.pose, rng) if plane == "subcostal" else None
        self.around = Around(plane, aorta, liver)
        super().__init__("VIEWPHANTOM", patient, rng, place.key, drawn)

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.patient.fps

    @property
    def seconds_a_beat(self) -> float:
        """How long a beat takes."""
        return 60 / self.patient.heart_rate

    @property
    def origin(self) -> tuple[float, float]:
        """Where the probe is in the picture, x and y in pixels."""
        return self.drawn.machine.origin

    @property
    def num_frames(self) -> int:
        """Frames in the clip."""
        return self.patient.num_frames

    @cached_property
    def body(self) -> Body:
        """The scatterers, made when the first frame is asked for."""
        return SlicedBody(self.drawn, self.around, stream(self.tissue_use, *self._key))


def _heart(plane: Plane, patient: SolidPatient, rng: np.random.Generator) -> Heart:
    """Draw a beating heart; where the aorta is seen, its base is wide enough for two valves."""
    still = sample_heart(patient, rng)
    if plane in _OUTFLOW:
        still = with_wide_base(still, patient, rng)
    weakness = sample_weakness(patient, rng)
    return beating(still, patient.ef / 100, weakness, *sample_motion(patient, rng))


def with_wide_base(still: Heart, patient: SolidPatient, rng: np.random.Generator) -> Heart:
    """Return a heart of the same volume whose base is wide enough for two valves."""
    belly = float(np.deg2rad(rng.uniform(*_WIDE_BASE)))
    return as_large_as(replace(still, belly=belly), patient.end_diastolic_volume)


def _held(
    plane: Plane,
    heart: Heart,
    echo: SolidEchogenicity,
    patient: SolidPatient,
    rng: np.random.Generator,
    level: tuple[float, float],
) -> Drawn:
    """Hold the probe at the breastbone, or below it."""
    pose = lay(plane, heart, float(rng.uniform(*level)), echo, rng)
    machine = machine_for(plane, heart, pose, echo, patient, rng)
    section = Section(heart, pose, machine.spread, machine.contrast)
    ef = 100 * (1 - heart.volume(1.0) / heart.volume(0.0))
    return Drawn(heart, ef, pose, echo, machine, section)
