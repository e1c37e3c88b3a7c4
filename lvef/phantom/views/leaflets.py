"""Valves as planes other than the four-chamber view cut them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.heart import Heart
from lvef.phantom.solid.valves import Sheet, sample_leaflets
from lvef.phantom.views.outflow import Aorta
from lvef.phantom.views.planes import FRONT, Plane

Array = NDArray[np.float64]


def ejecting(c: float, mitral: float) -> float:
    """Return how far the aortic valve is open, 0 to 1.

    Args:
        c: Contraction, 0 at ED and 1 at ES.
        mitral: Openness of the mitral valve.
    """
    rising = np.clip((c - 0.05) / 0.12, 0, 1) * np.clip((0.985 - c) / 0.05, 0, 1)
    return float(rising * (1 - np.clip(mitral / 0.08, 0, 1)))


@dataclass(frozen=True)
class CurvedLeaflet:
    """A leaflet of the mitral valve that hangs on a piece of the round annulus.

    Attributes:
        hinge: Distance in mm from the annulus' middle to where it hangs.
        middle: The middle of the annulus, `(3,)` a, b, s in mm at ED.
        towards: Angle about the long axis from that middle to the hinge, in radians.
        place: `(n,)` 0 at the hinge, 1 at the tip.
        aside: `(n,)` places along the hinge in mm.
        length: In mm.
        thickness: `(n,)` offsets across the sheet in mm.
    """

    hinge: float
    middle: Array
    towards: float
    place: Array
    aside: Array
    length: float
    thickness: Array

    def points(self, heart: Heart, c: float, openness: float) -> Array:
        """Return where its scatterers are, `(n, 3)` a, b, s in mm; see `Leaflet`."""
        middle = heart.deform(self.middle[None] + [[0.0, 0.0, -0.01]], c)[0]
        out = np.array([np.cos(self.towards), np.sin(self.towards), 0.0])
        along = np.array([-np.sin(self.towards), np.cos(self.towards), 0.0])
        angle = np.deg2rad(84) - np.deg2rad(70) * openness * (0.7 + 0.3 * self.place)
        angle = angle + 0.35 * (1 - openness) * (0.5 - self.place)
        reach = self.length * self.place
        hinge = np.sqrt(np.maximum(self.hinge**2 - (0.85 * self.aside) ** 2, 4.0))
        inwards = reach * np.sin(angle) + self.thickness * np.cos(angle)
        up = -reach * np.cos(angle) + self.thickness * np.sin(angle)
        points = middle + (hinge - inwards)[:, None] * out + self.aside[:, None] * along
        points[:, 2] += up
        return np.asarray(points)


@dataclass(frozen=True)
class Cusps:
    """The aortic valve: three cusps that meet in a star and open to the wall.

    Attributes:
        aorta: Where they are.
        star: `(n,)` which commissure, as an angle in radians.
        place: `(n,)` 0 in the middle of the aorta, 1 at its wall.
        height: `(n,)` places along the aorta in mm.
        side: `(n,)` +1 or -1, to which side of its commissure a point opens.
    """

    aorta: Aorta
    star: Array
    place: Array
    height: Array
    side: Array

    def points(self, heart: Heart, c: float, openness: float) -> Array:
        """Return where their scatterers are, `(n, 3)` a, b, s in mm."""
        share = ejecting(c, openness)
        start = heart.deform(self.aorta.start[None], c)[0]
        first = np.array([-np.sin(FRONT), np.cos(FRONT), 0.0])
        second = np.cross(self.aorta.axis, first)
        angle = self.star + share * self.side * (1 - self.place) * np.pi / 3
        radius = self.aorta.radius * ((1 - share) * self.place + share * (0.86 + 0.1 * self.place))
        # A closed cusp rises from its hinge at the wall to where the three meet.
        height = self.height + (1 - share) * 4 * (1 - self.place)
        aside = radius * np.cos(angle), radius * np.sin(angle)
        points = start + height[:, None] * self.aorta.axis
        return np.asarray(points + aside[0][:, None] * first + aside[1][:, None] * second)


def sample_valves(
    plane: Plane, heart: Heart, aorta: Aorta | None, rng: np.random.Generator
) -> tuple[Sheet, ...]:
    """Draw the valves that a view shows."""
    if plane in ("A4C", "subcostal"):
        return sample_leaflets(heart, 4.0, rng)
    turn = np.deg2rad(75) if plane == "A2C" else FRONT
    base = float(heart.endocardium(np.ones(1), np.array([turn + np.pi]))[0])
    ahead = float(heart.endocardium(np.ones(1), np.array([turn]))[0])
    near = ahead if aorta is None else ahead + 1.0 - 2 * aorta.radius
    width, share = base + near, rng.uniform(0.58, 0.68)
    middle = (near - base) / 2 * np.array([np.cos(turn), np.sin(turn), 0.0])
    middle[2] = heart.length
    sheets: list[Sheet] = []
    longer = 1.35 if aorta is not None else 1.0
    for towards, length in ((turn, longer * share * width), (turn + np.pi, (1.06 - share) * width)):
        count = round(4.0 * length * 26)
        sheets.append(
            CurvedLeaflet(
                hinge=width / 2,
                middle=middle,
                towards=float(towards),
                place=rng.uniform(0, 1, count),
                aside=rng.uniform(-1, 1, count) * min(13.0, 0.55 * width),
                length=float(length),
                thickness=rng.uniform(-0.9, 0.9, count),
            )
        )
    if aorta is not None:
        count = 1500
        sheets.append(
            Cusps(
                aorta=aorta,
                star=rng.integers(0, 3, count) * 2 * np.pi / 3 + rng.uniform(-0.15, 0.15),
                place=rng.uniform(0, 1, count),
                height=rng.uniform(3, 13, count),
                side=rng.choice([-1.0, 1.0], count),
            )
        )
    return tuple(sheets)
