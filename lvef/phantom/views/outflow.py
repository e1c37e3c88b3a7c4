"""What lies around the left ventricle and is not seen from the apex: aorta, outflow, liver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.heart import Heart, Places
from lvef.phantom.solid.section import Pose
from lvef.phantom.solid.tissue import SolidEchogenicity, Waves, chambers
from lvef.phantom.views.planes import FRONT

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Aorta:
    """The aortic root and what begins above it.

    Attributes:
        start: Middle of the aortic annulus, `(3,)` a, b, s in mm.
        axis: Its direction, `(3,)` of length 1.
        radius: Half the width of the annulus in mm.
        sinus: By which share the sinuses are wider.
        outflow: Thickness in mm of the right ventricle's outflow tract in front of it.
    """

    start: Array
    axis: Array
    radius: float
    sinus: float
    outflow: float

    def off(self, points: Array) -> tuple[Array, Array]:
        """Return how far points `(n, 3)` lie along the aorta and off its lumen, in mm."""
        offset = points - self.start
        along = offset @ self.axis
        aside = np.linalg.norm(offset - along[:, None] * self.axis, axis=1)
        width = self.radius * (1 + self.sinus * np.exp(-(((along - 11) / 8) ** 2)))
        return along, aside - width


def sample_aorta(heart: Heart, rng: np.random.Generator) -> Aorta:
    """Draw an aorta that leaves beside the mitral valve, in front of it."""
    front, base = _front(), _base(heart)
    radius = float(np.clip(rng.normal(10.5, 1.0), 8.5, 0.58 * base))
    tilt = np.deg2rad(rng.normal(20, 6))
    start = (base + 1.5 - radius) * front + [0.0, 0.0, heart.length - 3.0]
    axis = np.cos(tilt) * np.array([0.0, 0.0, 1.0]) + np.sin(tilt) * front
    sinus, outflow = float(rng.uniform(0.15, 0.4)), float(rng.uniform(16, 24))
    return Aorta(start, axis, radius, sinus, outflow)


def _front() -> Array:
    return np.array([np.cos(FRONT), np.sin(FRONT), 0.0])


def _base(heart: Heart) -> float:
    """Return the radius in mm of the ventricle's base towards the aorta."""
    return float(heart.endocardium(np.ones(1), np.array([FRONT]))[0])


def paint_aorta(
    level: Array, points: Array, at: Places, heart: Heart, echo: SolidEchogenicity, aorta: Aorta
) -> None:
    """Lay outflow tract and aorta over the amplitudes `(n,)` of a heart without them."""
    free = (at.s > heart.length) | (at.radius > at.outer)
    along, off = aorta.off(points)
    _paint_outflow(level, points, heart, echo, aorta, free & (off > 2.0))
    root = along > 0
    wall = root & (off >= 0) & (off < 2.2) & (free | (at.radius > at.inner))
    level[wall] = 1.1 * echo.right + 0.5
    level[root & (off < 0)] = 0.0


def _paint_outflow(
    level: Array,
    points: Array,
    heart: Heart,
    echo: SolidEchogenicity,
    aorta: Aorta,
    free: NDArray[np.bool_],
) -> None:
    """The right ventricle goes on in front of the aorta, and around it to the left."""
    thick = aorta.outflow / 2
    ahead = _base(heart) + 3.5 + 0.9 * thick
    middle = ahead * _front() + np.array([0.0, 0.0, heart.length])
    offset = points - middle
    front = offset @ _front()
    aside = offset @ np.array([-np.sin(FRONT), np.cos(FRONT), 0.0])
    # It bends around the aorta, which it embraces.
    front = front + aside**2 / (2.6 * ahead)
    inside = (front / thick) ** 2 + (aside / 27.0) ** 2 + (offset[:, 2] / 44.0) ** 2
    border = inside - 1
    level[free & (border >= 0) & (border < 0.42)] = 0.9 * echo.right
    level[free & (border < 0)] = 0.0


@dataclass(frozen=True)
class Liver:
    """A liver between a subcostal probe and the heart.

    Attributes:
        level: Amplitude of its tissue relative to muscle.
        edge: Where it ends: depth in mm in the middle of the picture, and its rise to the right.
        veins: Start, direction and radius of its veins in probe coordinates, mm.
        diaphragm: Amplitude of the line between it and the heart.
    """

    level: float
    edge: tuple[float, float]
    veins: tuple[tuple[Array, Array, float], ...]
    diaphragm: float


def sample_liver(heart: Heart, pose: Pose, rng: np.random.Generator) -> Liver:
    """Draw a liver with a few veins."""
    veins = []
    for _ in range(int(rng.integers(1, 5))):
        angle = rng.uniform(0.2, 2.6)
        start = np.array([rng.uniform(-55, 10), rng.uniform(15, 60), rng.normal(0, 4)])
        direction = np.array([np.cos(angle), np.sin(angle), 0.2 * rng.normal()])
        veins.append((start, direction / np.linalg.norm(direction), float(rng.uniform(1.5, 4.5))))
    middle = pose.to_probe(np.array([0.0, 0.0, 0.6 * heart.length]))
    return Liver(
        level=float(rng.uniform(0.35, 0.8)),
        edge=(float(middle[1]), float(rng.uniform(-0.2, 0.6))),
        veins=tuple(veins),
        diaphragm=float(rng.uniform(0.8, 2.2)),
    )


def paint_liver(
    level: Array,
    points: Array,
    at: Places,
    heart: Heart,
    pose: Pose,
    echo: SolidEchogenicity,
    liver: Liver,
    rng: np.random.Generator,
) -> None:
    """Lay the liver over what is above the heart."""
    outside = at.radius - at.outer
    for centre, half, wall in chambers(heart, echo):
        size = np.array(half) + wall
        share = np.linalg.norm((points - np.array(centre)) / size, axis=1)
        outside = np.minimum(outside, (share - 1) * min(half))
    beyond_apex = np.maximum(-heart.apical_wall - at.s, 0)
    outside = np.where(at.s < 0, np.maximum(np.hypot(at.radius, beyond_apex) - 6, 0), outside)
    probe = pose.to_probe(points)
    depth, rise = liver.edge
    above = probe[:, 1] < depth - rise * probe[:, 0]
    tissue = (outside > 3.5) & above
    fine = Waves(rng, 9)(points)
    level[tissue] = (liver.level * np.exp(0.25 * fine))[tissue]
    for start, direction, radius in liver.veins:
        offset = probe - start
        along = np.clip(offset @ direction, -30, 40)
        aside = np.linalg.norm(offset - along[:, None] * direction, axis=1)
        level[tissue & (aside < radius)] = 0.0
    level[(outside > 1.5) & (outside < 3.5) & above] = liver.diaphragm
