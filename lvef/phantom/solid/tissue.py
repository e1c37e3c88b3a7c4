"""Which tissue lies where in the body at end-diastole, and how strongly it scatters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.heart import Heart, Places
from lvef.phantom.solid.section import Pose

Array = NDArray[np.float64]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Strand:
    """A papillary muscle, a band or a tendon: a thread of tissue through blood.

    Attributes:
        start: One end, `(3,)` a, b, s in mm.
        stop: The other end.
        radius: Half its thickness in mm at both ends.
        level: Amplitude relative to the wall's.
    """

    start: Array
    stop: Array
    radius: tuple[float, float]
    level: float

    def within(self, points: Array) -> NDArray[np.bool_]:
        """Return which `(n, 3)` points lie in it."""
        line = self.stop - self.start
        place = np.clip((points - self.start) @ line / (line @ line), 0, 1)
        distance = np.linalg.norm(points - self.start - place[:, None] * line, axis=1)
        thick = self.radius[0] + (self.radius[1] - self.radius[0]) * place
        return np.asarray(distance < thick)


@dataclass(frozen=True)
class SolidEchogenicity:
    """How tissue scatters; amplitudes relative to the wall where beams meet it at right angles.

    Attributes:
        isotropic: Share that muscle sends back however the beam meets it; the rest needs a right
            angle between beam and wall, which is why the lateral wall is faint.
        specular: What a border at a right angle adds, within a millimetre of it.
        surroundings: Tissue around the heart.
        fat: Fibrous and fatty tissue at the annulus.
        pericardium: The interface behind the lateral wall.
        right: Walls of the right ventricle and the atria.
        lung: Thickness in mm of the tissue between the heart and the lung at its side.
        chest: Depth of the chest wall in mm.
        trabeculae: Depth in mm to which the wall is not compacted.
        trabecular: Amplitude of its strands.
        apical: Share of amplitude that is left at the apex.
        lateral: Share of amplitude that is left of the lateral wall.
        left_atrium: Length of the left atrium in mm.
        right_atrium: Length of the right atrium in mm.
        strands: Papillary muscles and tendons.
        texture: Spread of the logarithm of strength within a tissue.
    """

    isotropic: float
    specular: float
    surroundings: float
    fat: float
    pericardium: float
    right: float
    lung: float
    chest: float
    trabeculae: float
    trabecular: float
    apical: float
    lateral: float
    left_atrium: float
    right_atrium: float
    strands: tuple[Strand, ...]
    texture: float


class Waves:
    """A smooth random field of mean 0 and variance 1: a sum of plane waves.

    Args:
        rng: Source of randomness.
        size: Typical wavelength in mm.
        count: Number of waves.
    """

    def __init__(self, rng: np.random.Generator, size: float, count: int = 12) -> None:
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = size * np.exp(0.3 * rng.normal(size=count))
        self._vectors = ((2 * np.pi / length)[:, None] * direction).astype(np.float32)
        self._phases = rng.uniform(0, 2 * np.pi, count).astype(np.float32)

    def __call__(self, points: Array) -> Array:
        """Return the field at `(n, 3)` points."""
        total = np.zeros(len(points), np.float32)
        places = points.astype(np.float32).T
        for vector, phase in zip(self._vectors, self._phases, strict=True):
            total += np.cos(vector @ places + phase)
        return np.asarray(total * np.sqrt(2 / len(self._phases)), np.float64)


def strength(
    points: Array,
    at: Places,
    heart: Heart,
    pose: Pose,
    echo: SolidEchogenicity,
    rng: np.random.Generator,
) -> Array:
    """Return the amplitude `(n,)` of scatterers at end-diastolic points; 0 in blood.

    Args:
        points: `(n, 3)` a, b, s in mm.
        at: Where they lie in the wall.
        heart: The left ventricle.
        pose: Where it lies, which says at what angle beams meet it.
        echo: How tissue scatters.
        rng: Source of randomness for the texture.
    """
    coarse, fine, mesh = Waves(rng, 45)(points), Waves(rng, 16)(points), Waves(rng, 7, 24)
    patches = Waves(rng, 35)(points)
    probe = pose.to_probe(points)
    depth = np.linalg.norm(probe, axis=1)
    level = echo.surroundings * np.exp(0.9 * patches)
    _chest_and_lung(level, at, depth, heart, echo, coarse)
    _right_heart_and_atria(level, points, probe, heart, pose, echo)
    _annulus(level, at, heart, echo)
    _left_ventricle(level, points, at, probe, heart, pose, echo, mesh)
    apex = np.linalg.norm(points / [1.0, 1.0, 1.2], axis=1) / (0.26 * heart.length)
    level *= 1 - (1 - echo.apical) * np.exp(-(apex**4))
    return level * np.exp(echo.texture * 0.7 * (coarse + fine))


def _incidence(normal: Array, probe: Array, pose: Pose) -> Array:
    """Return |cosine| between beams and normals given in heart coordinates."""
    turned = normal @ pose.axes
    length = np.linalg.norm(turned, axis=1) * np.linalg.norm(probe, axis=1)
    return np.asarray(np.abs((turned * probe).sum(1)) / np.maximum(length, 1e-9))


def _chest_and_lung(
    level: Array, at: Places, depth: Array, heart: Heart, echo: SolidEchogenicity, coarse: Array
) -> None:
    """Lay the chest wall's layers above, and the lung beside the heart."""
    over = at.radius - at.outer - echo.lung - 2 - 0.4 * np.maximum(at.s - heart.length, 0)
    lung = (over > 0) & (np.cos(at.theta) > 0)
    level[lung] *= 0.15 + 1.2 * np.exp(-over[lung] / 3)
    chest = depth < echo.chest
    level[chest] = 0.8 * (1 + 0.8 * np.sin(2 * np.pi * depth / 5.5 + coarse))[chest]


def chambers(heart: Heart, echo: SolidEchogenicity) -> tuple[tuple[Triple, Triple, float], ...]:
    """Return left atrium, right atrium and right ventricle as ellipsoids.

    Returns:
        Of each its centre a, b, s, its half axes, and its wall's thickness, in mm.
    """
    flat = np.array([0.0])
    septal = float(heart.epicardium(0.6 * heart.length + flat, np.pi + flat)[0])
    base = float(heart.endocardium(1 + flat, flat)[0])
    width, length = heart.right_width, heart.length
    left, right = echo.left_atrium, echo.right_atrium
    halves = (max(1.05 * base, 19.0), 0.5 * width + 4)
    return (
        ((1.0, 0.0, length + 0.47 * left), (halves[0], 23.0, 0.5 * left), 2.5),
        ((-halves[0] - halves[1] - 3, 0.0, 0.96 * length + 0.47 * right),
         (halves[1], 24.0, 0.5 * right), 2.5),
        ((-septal + 3, 6.0, 1.0 * length), (width + 3, 36.0, 0.8 * length), 4.0),
    )  # fmt: skip


def _right_heart_and_atria(
    level: Array, points: Array, probe: Array, heart: Heart, pose: Pose, echo: SolidEchogenicity
) -> None:
    """Fill in right ventricle and atria: ellipsoids with walls, the first cut by the septum."""
    length, cut = heart.length, points[:, 2] < heart.length
    sides = (~cut, points[:, 2] > 0.955 * length, points[:, 2] < 0.95 * length)
    for (centre, half, wall), side in zip(chambers(heart, echo), sides, strict=True):
        offset = points - np.array(centre)
        inner, outer = np.array(half), np.array(half) + wall
        inside = (offset / inner) ** 2
        inside, within = inside.sum(1), ((offset / outer) ** 2).sum(1)
        shell = side & (within < 1) & (inside >= 1)
        meets = _incidence(offset[shell] / inner**2, probe[shell], pose)
        # Thin walls are mostly border: along the beam little of them is left.
        direct = 0.6 * echo.isotropic + (1 - echo.isotropic) * meets
        direct = direct + echo.pericardium * meets**6
        level[shell] = echo.right * direct
        level[side & (inside < 1)] = 0.0


def _annulus(level: Array, at: Places, heart: Heart, echo: SolidEchogenicity) -> None:
    """Put a fibrous ring around the mitral valve and fat into the groove beside it."""
    near = np.flatnonzero(np.abs(at.s - heart.length) < 10)
    radius, theta, s = at.radius[near], at.theta[near], at.s[near]
    ring = heart.endocardium(np.ones(1), theta) + 2.0
    lateral = (1 + np.cos(theta)) / 2
    beside = radius - ring - 2.0 * lateral
    tube = 2.6 + 2.6 * lateral
    level[near[np.hypot(beside, 0.7 * (s - heart.length - 1)) < tube]] = echo.fat


def _left_ventricle(
    level: Array,
    points: Array,
    at: Places,
    probe: Array,
    heart: Heart,
    pose: Pose,
    echo: SolidEchogenicity,
    mesh: Waves,
) -> None:
    """Fill in wall, pericardium, blood, trabeculae and papillary muscles."""
    level_with = (at.s < heart.length) & (at.s > -heart.apical_wall)
    border = heart.epicardium(at.s, at.theta)
    near = np.flatnonzero(level_with & (at.radius < border + 2.2))
    here, outer = at[near], border[near]
    radius, theta, inner, u = here.radius, here.theta, here.inner, here.s / heart.length
    rise = (heart.epicardium(here.s + 0.5, theta) - outer).clip(-1.5, 1.5) * 2
    meets = _incidence(np.stack([np.cos(theta), np.sin(theta), -rise], 1), probe[near], pose)
    muscle = echo.isotropic + (1 - echo.isotropic) * meets
    muscle = muscle * (1 - (1 - echo.lateral) * np.clip(np.cos(theta), 0, 1) * (u > 0.1))
    lateral = np.clip(0.3 + np.cos(theta), 0, 1)
    border = np.minimum(np.abs(radius - inner), np.abs(outer - radius))
    shine = echo.specular * meets**4 * np.exp(-((border / 0.8) ** 2))
    glint = np.maximum(echo.pericardium * lateral * (0.35 + meets**2), level[near])
    filled = np.where(radius < outer, muscle * (1 + shine), glint)
    cavity = (u > 0) & (radius < inner)
    filled[cavity] = 0.0
    # Strands of the layer that is not compacted: denser towards the apex and the free wall.
    depth = echo.trabeculae * (1.25 - 0.9 * u) * (0.55 + 0.45 * lateral)
    layer = np.flatnonzero(cavity & (inner - radius < depth))
    along = mesh(points[near[layer]] * [1.0, 1.0, 0.45])  # strands run along the axis
    strands = layer[along > 0.25 + 1.1 * (inner - radius)[layer] / 8]
    filled[strands] = (echo.trabecular * muscle)[strands]
    for strand in echo.strands:
        filled[cavity & strand.within(points[near])] = strand.level
    level[near] = filled
