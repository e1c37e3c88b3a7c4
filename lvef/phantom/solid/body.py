"""The scatterers of one phantom, and where they are at any moment of its beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.draw import Drawn
from lvef.phantom.solid.heart import Places
from lvef.phantom.solid.probe import SAMPLES, Probe
from lvef.phantom.solid.tissue import strength
from lvef.phantom.solid.valves import Sheet, sample_leaflets

Array = NDArray[np.float64]
Single = NDArray[np.float32]
SCATTERERS = 320_000
"""Drawn over the slab, those that fall into blood included; they are left out."""
_MOMENTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Contractions at which places are worked out; between them, scatterers move on straight lines."""


class Body:
    """Scatterers in a slab around the image plane.

    Args:
        drawn: The phantom.
        rng: Source of randomness of places and strengths.
    """

    def __init__(self, drawn: Drawn, rng: np.random.Generator) -> None:
        self.drawn = drawn
        self.probe = Probe(drawn.machine, SCATTERERS, rng)
        places = self._places(rng)
        points = drawn.pose.to_heart(places)
        at = drawn.heart.places(points)
        level = self._strength(points, at, rng)
        kept = level > 0.01
        self.level = level[kept].astype(np.float32)
        at = at[kept]
        self._tables = [
            drawn.pose.to_probe(drawn.heart.moved(at, float(c))).T.astype(np.float32)
            for c in _MOMENTS
        ]
        self._leaflets = self._valves(rng)
        self._leaf_level = float(rng.uniform(0.8, 2.2))

    def _strength(self, points: Array, at: Places, rng: np.random.Generator) -> Array:
        """Return the amplitude `(n,)` of scatterers at end-diastolic points of the heart."""
        drawn = self.drawn
        return strength(points, at, drawn.heart, drawn.pose, drawn.echo, rng)

    def _valves(self, rng: np.random.Generator) -> tuple[Sheet, ...]:
        """Draw the leaflets."""
        return sample_leaflets(self.drawn.heart, 4.0, rng)

    def _places(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return `(n, 3)` x, y, z in mm, as many in every beam, at every depth."""
        machine = self.drawn.machine
        depth = rng.uniform(0, machine.depth * (1 + 12 / SAMPLES), SCATTERERS)
        angle = rng.uniform(-self.probe.reach, self.probe.reach, SCATTERERS)
        z = rng.uniform(-1, 1, SCATTERERS) * machine.slab(depth)
        return np.stack([depth * np.sin(angle), depth * np.cos(angle), z], axis=1)

    def at(
        self, c: float, openness: float, shift: NDArray[np.float64] | None = None
    ) -> tuple[Single, Single]:
        """Return places `(3, n)` in mm and amplitudes `(n,)` of all scatterers.

        Args:
            c: Contraction, 0 at ED and 1 at ES.
            openness: Of the valves, 0 to 1.
            shift: How far the body has moved under the probe, x and y in mm.
        """
        lower = int(np.clip(np.searchsorted(_MOMENTS, c) - 1, 0, len(_MOMENTS) - 2))
        share = np.float32((c - _MOMENTS[lower]) / (_MOMENTS[lower + 1] - _MOMENTS[lower]))
        tissue = self._tables[lower] + share * (self._tables[lower + 1] - self._tables[lower])
        heart, pose = self.drawn.heart, self.drawn.pose
        sheets = [pose.to_probe(leaf.points(heart, c, openness)).T for leaf in self._leaflets]
        leaves = np.concatenate(sheets, axis=1).astype(np.float32)
        points = np.concatenate([tissue, leaves], axis=1)
        if shift is not None:
            points[:2] += shift.astype(np.float32)[:, None]
        level = np.full(leaves.shape[1], self._leaf_level, np.float32)
        return points, np.concatenate([self.level, level])

    def frame(
        self, c: float, openness: float, shift: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Render one frame `(112, 112)`; `rng` is the source of its noise."""
        points, level = self.at(c, openness, shift)
        return self.probe.picture(self.probe.envelope(points, level, rng))
