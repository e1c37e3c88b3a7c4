"""The echo strength of a phantom's tissue, drawn once at end-diastole.

Every frame then looks the tissue up through `Anatomy.reference`, so that walls, atria and
speckle move together.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.phantom.anatomy import Anatomy

RESOLUTION = 2.0
"""Grid points a millimetre."""
HALF_WIDTH, DEPTH = 115.0, 200.0
"""Extent of the grid in mm: x from -HALF_WIDTH to HALF_WIDTH, y from 0 to DEPTH."""
_SHAPE = (int(DEPTH * RESOLUTION), int(2 * HALF_WIDTH * RESOLUTION))
_SHIFT = 4


def to_grid(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map `(..., 2)` x, y in mm to column and row of the tissue grid."""
    return np.asarray((points + np.array([HALF_WIDTH, 0.0])) * RESOLUTION)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], correlation: float
) -> NDArray[np.float32]:
    """Return a smooth random field of mean 0 and standard deviation 1.

    Args:
        rng: Source of randomness.
        shape: Rows and columns.
        correlation: Size of its blobs in grid points.
    """
    rows, columns = (max(3, round(n / correlation) + 2) for n in shape)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6))


def draw_tissue(anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw scatterers and blood of a heart at end-diastole.

    Args:
        anatomy: The heart.
        rng: Source of randomness for brightness, texture and scatterers.

    Returns:
        `(400, 460, 3)` float32: in-phase and quadrature scatterers of the tissue, and the share
        of blood (1 in the chambers, 0 elsewhere).
    """
    strength = np.full(_SHAPE, rng.uniform(0.06, 0.30), np.float32)
    strength *= np.exp(0.7 * smooth_noise(rng, _SHAPE, 40))
    muscle = rng.uniform(0.45, 0.75)
    _fill(strength, _outer_heart(anatomy), muscle * rng.uniform(0.4, 0.8))
    left, right = _wall_polygon(anatomy), _right_ventricle(anatomy, wall=4.0)
    _fill(strength, right, muscle * rng.uniform(0.5, 1.0))
    _fill(strength, left, muscle)
    _streak(strength, anatomy, rng)
    _atria(strength, anatomy, wall=rng.uniform(2.5, 4.5), level=muscle * rng.uniform(0.7, 1.5))
    _annulus(strength, anatomy, rng)

    blood = np.zeros(_SHAPE, np.float32)
    _fill(blood, cavity_polygon(anatomy), 1.0)
    _fill(blood, _right_ventricle(anatomy, wall=0.0), 1.0)
    _atria(blood, anatomy, wall=0.0, level=1.0)
    _trabeculae(blood, anatomy, rng)
    blood = cv2.GaussianBlur(blood, (0, 0), 0.5 * RESOLUTION)

    texture = 0.55 * smooth_noise(rng, _SHAPE, 28) + 0.35 * smooth_noise(rng, _SHAPE, 9)
    amplitude = cv2.GaussianBlur(strength, (0, 0), 0.4 * RESOLUTION) * np.exp(texture)
    amplitude *= 1 - blood
    field = np.empty((*_SHAPE, 3), np.float32)
    field[..., :2] = rng.standard_normal((*_SHAPE, 2), dtype=np.float32) * amplitude[..., None]
    field[..., 2] = blood
    return field


def cavity_polygon(anatomy: Anatomy) -> NDArray[np.float64]:
    """Return the `(n, 2)` end-diastolic LV cavity in mm, closed by the mitral plane."""
    u = np.linspace(0, 1, 41)
    septal, lateral = anatomy.half_widths(u, 0.0)
    left, right = anatomy.to_image(u, -septal), anatomy.to_image(u, lateral)
    return np.concatenate([left, right[::-1]])


def annulus_points(anatomy: Anatomy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the septal and lateral hinge of the mitral valve at end-diastole, in mm."""
    septal, lateral = anatomy.half_widths(np.array([1.0]), 0.0)
    return (
        anatomy.to_image(np.array([1.0]), -septal)[0],
        anatomy.to_image(np.array([1.0]), lateral)[0],
    )


def tricuspid_points(anatomy: Anatomy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the septal and free-wall hinge of the tricuspid valve, in mm."""
    inner = -anatomy.half_widths(np.array([0.95]), 0.0)[0] - anatomy.septal_wall
    u = np.array([0.95])
    return (
        anatomy.to_image(u, inner)[0],
        anatomy.to_image(u, inner - anatomy.right_ventricle)[0],
    )


def _fill(canvas: NDArray[np.float32], polygon: NDArray[np.float64], level: float) -> None:
    points = np.round(to_grid(polygon) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [points], float(level), shift=_SHIFT)


def _wall_polygon(anatomy: Anatomy) -> NDArray[np.float64]:
    u = np.linspace(0, 1, 41)
    septal, lateral = anatomy.half_widths(u, 0.0)
    thin = np.clip(u / 0.25, 0.55, 1.0)  # the apex is the thinnest part of the wall
    apical = np.where(u == 0, 0.3 * anatomy.lateral_wall, 0.0)
    left = anatomy.to_image(u, -septal - anatomy.septal_wall * thin)
    right = anatomy.to_image(u, lateral + anatomy.lateral_wall * thin)
    cap = anatomy.to_image(np.array([-0.5 * anatomy.lateral_wall / anatomy.length]), np.zeros(1))
    left[0] -= apical[0] * anatomy.axis
    right[0] -= apical[0] * anatomy.axis
    return np.concatenate([cap, right, left[::-1]])


def _right_ventricle(anatomy: Anatomy, wall: float) -> NDArray[np.float64]:
    u = np.linspace(0.18, 0.95, 30)
    inner = -anatomy.half_widths(u, 0.0)[0] - anatomy.septal_wall
    s = (u - u[0]) / (u[-1] - u[0])
    width = anatomy.right_ventricle * np.sin(np.pi / 2 * np.minimum(1.25 * s, 1.0)) ** 0.9
    width *= np.where(s > 0.8, 1 - 0.5 * (s - 0.8), 1.0)
    return np.concatenate(
        [anatomy.to_image(u, inner), anatomy.to_image(u, inner - width - wall)[::-1]]
    )


def _outer_heart(anatomy: Anatomy) -> NDArray[np.float64]:
    u = np.linspace(-0.06, 1.0, 40)
    septal, lateral = anatomy.half_widths(np.clip(u, 0, 1), 0.0)
    right = lateral + anatomy.lateral_wall + 3
    left = septal + anatomy.septal_wall + (anatomy.right_ventricle + 6) * np.clip(u, 0, 1) ** 0.5
    base = anatomy.length + max(anatomy.left_atrium, anatomy.right_atrium)
    bottom = anatomy.to_image(
        np.array([base / anatomy.length, base / anatomy.length]),
        np.array([right[-1], -left[-1]]),
    )
    return np.concatenate([anatomy.to_image(u, right), bottom, anatomy.to_image(u, -left)[::-1]])


def _streak(canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Draw the bright pericardium along the lateral wall and the bright core of the septum."""
    u = np.linspace(rng.uniform(0.25, 0.6), 1.15, 24)
    lateral = anatomy.half_widths(np.clip(u, 0, 1), 0.0)[1] + anatomy.lateral_wall + 1.0
    line = np.round(to_grid(anatomy.to_image(u, lateral)) * 2**_SHIFT).astype(np.int32)
    width = round(rng.uniform(2.5, 6.0) * RESOLUTION)
    cv2.polylines(canvas, [line], False, rng.uniform(0.8, 2.2), width, shift=_SHIFT)
    u = np.linspace(rng.uniform(0.05, 0.4), rng.uniform(0.7, 0.95), 16)
    septal = -anatomy.half_widths(u, 0.0)[0] - 0.5 * anatomy.septal_wall
    line = np.round(to_grid(anatomy.to_image(u, septal)) * 2**_SHIFT).astype(np.int32)
    width = round(0.5 * anatomy.septal_wall * RESOLUTION)
    cv2.polylines(canvas, [line], False, rng.uniform(0.6, 1.3), width, shift=_SHIFT)


def _atria(canvas: NDArray[np.float32], anatomy: Anatomy, *, wall: float, level: float) -> None:
    """Fill both atria, grown by `wall` mm, below their valves."""
    for hinges, length in (
        (annulus_points(anatomy), anatomy.left_atrium),
        (tricuspid_points(anatomy), anatomy.right_atrium),
    ):
        centre = (hinges[0] + hinges[1]) / 2 + 0.48 * length * anatomy.axis
        half = np.linalg.norm(hinges[1] - hinges[0]) * 0.55
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = (
            centre
            + ((half + wall) * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8)[:, None]
            * anatomy.normal
            + ((0.5 * length + wall) * np.sin(angle))[:, None] * anatomy.axis
        )
        _fill(canvas, ring, level)


def _annulus(canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Draw the fibrous hinges of the valves, bright in most clips."""
    septal, lateral = annulus_points(anatomy)
    for point, size in ((septal, 4.0), (lateral, 4.5), (tricuspid_points(anatomy)[1], 3.0)):
        centre = np.round(to_grid(point + rng.normal(0, 0.6, 2) + anatomy.axis) * 16).astype(int)
        axes = np.round(size * rng.uniform(0.6, 1.3, 2) * RESOLUTION * 16).astype(int)
        cv2.ellipse(
            canvas, centre.tolist(), axes.tolist(), rng.uniform(0, 180), 0, 360,
            rng.uniform(0.8, 2.4), -1, shift=_SHIFT,
        )  # fmt: skip


def _trabeculae(blood: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Let papillary muscles and trabeculae reach into the cavities."""
    for _ in range(int(rng.integers(2, 8))):
        u = np.array([rng.uniform(0.1, 0.75)])
        septal, lateral = anatomy.half_widths(u, 0.0)
        depth = rng.uniform(0.55, 1.0)
        v = depth * lateral if rng.random() < 0.75 else -depth * septal
        centre = np.round(to_grid(anatomy.to_image(u, v)[0]) * 16).astype(int)
        axes = np.round(rng.uniform([0.8, 2.0], [2.2, 7.0]) * RESOLUTION * 16).astype(int)
        angle = -np.rad2deg(anatomy.tilt) + rng.normal(0, 15)
        cv2.ellipse(
            blood, centre.tolist(), axes.tolist(), angle, 0, 360,
            rng.uniform(0.2, 0.9), -1, shift=_SHIFT,
        )  # fmt: skip
