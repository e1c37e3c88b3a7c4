"""Leaflets of the mitral and the tricuspid valve: thin bright sheets that swing on their hinges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.heart import Heart

Array = NDArray[np.float64]
_CLOSED, _OPEN = np.deg2rad(84.0), np.deg2rad(12.0)
"""Angle between a leaflet and the long axis."""


class Sheet(Protocol):
    """Scatterers that swing with a valve."""

    def points(self, heart: Heart, c: float, openness: float) -> Array:
        """Return where they are, `(n, 3)` a, b, s in mm, at a contraction and an openness."""
        ...


@dataclass(frozen=True)
class Leaflet:
    """A sheet of scatterers on a hinge that moves with the annulus.

    Attributes:
        hinge: Where it hangs at end-diastole, `(3,)` a, b, s in mm.
        inwards: +1 where it reaches towards the lateral side, -1 towards the septum.
        place: `(n,)` places along the leaflet, 0 at the hinge and 1 at the tip.
        aside: `(n,)` places along the hinge in mm.
        length: Length in mm.
        thickness: `(n,)` offsets across the sheet in mm.
    """

    hinge: Array
    inwards: int
    place: Array
    aside: Array
    length: float
    thickness: Array

    def points(self, heart: Heart, c: float, openness: float) -> Array:
        """Return where its scatterers are, `(n, 3)` a, b, s in mm.

        Args:
            heart: Carries the hinge.
            c: Contraction.
            openness: 0 closed, 1 open.
        """
        hinge = heart.deform(self.hinge[None], c)[0]
        # The tip is thrown further than the belly, and a closed leaflet domes to the atrium.
        angle = _CLOSED + (_OPEN - _CLOSED) * openness * (0.7 + 0.3 * self.place)
        angle = angle + 0.35 * (1 - openness) * (0.5 - self.place)
        along = self.length * self.place
        out = self.inwards * (along * np.sin(angle) + self.thickness * np.cos(angle))
        up = -along * np.cos(angle) + self.thickness * np.sin(angle)
        return np.stack([hinge[0] + out, hinge[1] + self.aside, hinge[2] + up], axis=1)


def sample_leaflets(heart: Heart, density: float, rng: np.random.Generator) -> tuple[Leaflet, ...]:
    """Draw both valves.

    Args:
        heart: Gives the annulus.
        density: Scatterers to a square millimetre.
        rng: Source of randomness.
    """
    flat = np.zeros(1)
    lateral = float(heart.endocardium(flat + 1, flat)[0])
    septal = float(heart.endocardium(flat + 1, flat + np.pi)[0])
    outer = float(heart.epicardium(flat + 0.6 * heart.length, flat + np.pi)[0])
    width, share = lateral + septal, rng.uniform(0.58, 0.68)
    right, level = heart.right_width, 0.95 * heart.length
    hinges = (
        (-septal, heart.length, 1, share * width),
        (lateral, heart.length, -1, (1.06 - share) * width),
        (-outer, level, -1, 0.5 * right),
        (-outer - right + 2, level, 1, 0.55 * right),
    )
    leaflets = []
    for a, s, inwards, length in hinges:
        count = round(density * length * 24)
        leaflets.append(
            Leaflet(
                hinge=np.array([a, 0.0, s]),
                inwards=inwards,
                place=rng.uniform(0, 1, count),
                aside=rng.uniform(-12, 12, count),
                length=float(length),
                thickness=rng.uniform(-0.6, 0.6, count) * 1.5,
            )
        )
    return tuple(leaflets)
