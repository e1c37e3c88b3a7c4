"""The echo strength of a phantom's tissue, drawn once at end-diastole.

Every frame then looks the tissue up through `Anatomy.reference`, so that walls, atria and
speckle move together.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.phantom import obstacles
from lvef.phantom.anatomy import Anatomy
from lvef.phantom.echogenicity import Echogenicity
from lvef.phantom.grid import RESOLUTION, SHAPE, SHIFT, fill, smooth_noise, to_grid
from lvef.phantom.outlines import (
    annulus_points,
    cavity_polygon,
    outer_heart,
    right_ventricle,
    tricuspid_points,
    wall_polygon,
)


def draw_tissue(
    anatomy: Anatomy, rng: np.random.Generator, echo: Echogenicity | None = None
) -> NDArray[np.float32]:
    """Draw scatterers and blood of a heart at end-diastole.

    Args:
        anatomy: The heart.
        echo: How strongly its parts reflect.
        rng: Source of randomness for brightness, texture and scatterers.

    Returns:
        `(400, 460, 3)` float32: in-phase and quadrature scatterers of the tissue, and the share
        of blood (1 in the chambers, 0 elsewhere).
    """
    echo = echo or Echogenicity()
    strength = np.full(SHAPE, rng.uniform(*echo.background), np.float32)
    strength *= np.exp(0.7 * smooth_noise(rng, SHAPE, 40))
    muscle = rng.uniform(*echo.muscle)
    fill(strength, outer_heart(anatomy), muscle * rng.uniform(*echo.heart))
    left, right = wall_polygon(anatomy), right_ventricle(anatomy, wall=4.0)
    fill(strength, right, muscle * rng.uniform(0.5, 1.0))
    fill(strength, left, muscle)
    obstacles.graded(strength, anatomy, muscle, echo.grading)
    _streak(strength, anatomy, rng, echo)
    _atria(strength, anatomy, wall=rng.uniform(2.5, 4.5), level=muscle * rng.uniform(0.7, 1.5))
    _annulus(strength, anatomy, rng, echo)
    _endocardium(strength, anatomy, rng, echo.lines)

    blood = np.zeros(SHAPE, np.float32)
    fill(blood, cavity_polygon(anatomy), 1.0)
    fill(blood, right_ventricle(anatomy, wall=0.0), 1.0)
    _atria(blood, anatomy, wall=0.0, level=1.0)
    obstacles.trabeculae(blood, anatomy, rng, echo)
    obstacles.papillary(blood, strength, anatomy, rng, echo.papillary)
    obstacles.spongy(blood, strength, anatomy, rng, echo, muscle)
    obstacles.strands(blood, strength, anatomy, rng, muscle, echo.strands)
    blood = cv2.GaussianBlur(blood, (0, 0), 0.5 * RESOLUTION)

    coarse, fine = echo.texture
    texture = coarse * smooth_noise(rng, SHAPE, 28) + fine * smooth_noise(rng, SHAPE, 9)
    amplitude = cv2.GaussianBlur(strength, (0, 0), 0.4 * RESOLUTION) * np.exp(texture)
    amplitude *= 1 - blood
    obstacles.gaps(amplitude, anatomy, rng, echo.gaps)
    obstacles.unseen(amplitude, anatomy, echo)
    obstacles.septal_gap(amplitude, anatomy, rng, echo.septal_gap)
    field = np.empty((*SHAPE, 3), np.float32)
    field[..., :2] = rng.standard_normal((*SHAPE, 2), dtype=np.float32) * amplitude[..., None]
    field[..., 2] = blood
    return field


def _streak(
    canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, echo: Echogenicity
) -> None:
    """Draw the bright pericardium along the lateral wall and the bright core of the septum."""
    u = np.linspace(rng.uniform(0.25, 0.6), 1.15, 24)
    lateral = anatomy.half_widths(np.clip(u, 0, 1), 0.0)[1] + anatomy.lateral_wall + 1.0
    line = np.round(to_grid(anatomy.to_image(u, lateral)) * 2**SHIFT).astype(np.int32)
    width = round(rng.uniform(2.5, 6.0) * RESOLUTION)
    cv2.polylines(canvas, [line], False, rng.uniform(*echo.pericardium), width, shift=SHIFT)
    u = np.linspace(rng.uniform(0.05, 0.4), rng.uniform(0.7, 0.95), 16)
    septal = -anatomy.half_widths(u, 0.0)[0] - 0.5 * anatomy.septal_wall
    line = np.round(to_grid(anatomy.to_image(u, septal)) * 2**SHIFT).astype(np.int32)
    width = round(0.5 * anatomy.septal_wall * RESOLUTION)
    cv2.polylines(canvas, [line], False, rng.uniform(*echo.septal_core), width, shift=SHIFT)


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
        fill(canvas, ring, level)


def _annulus(
    canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, echo: Echogenicity
) -> None:
    """Draw the fibrous hinges of the valves, bright in most clips."""
    septal, lateral = annulus_points(anatomy)
    for point, size in ((septal, 4.0), (lateral, 4.5), (tricuspid_points(anatomy)[1], 3.0)):
        centre = np.round(to_grid(point + rng.normal(0, 0.6, 2) + anatomy.axis) * 16).astype(int)
        axes = np.round(size * rng.uniform(0.6, 1.3, 2) * RESOLUTION * 16).astype(int)
        cv2.ellipse(
            canvas, centre.tolist(), axes.tolist(), rng.uniform(0, 180), 0, 360,
            rng.uniform(*echo.annulus), -1, shift=SHIFT,
        )  # fmt: skip


def _endocardium(
    canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, count: int
) -> None:
    """Draw bright specular lines along parts of the inner borders of the wall."""
    for _ in range(count):
        start = rng.uniform(0.0, 0.7)
        u = np.linspace(start, min(start + rng.uniform(0.15, 0.6), 1.0), 14)
        septal, lateral = anatomy.half_widths(u, 0.0)
        v = (-septal - 1, -septal - anatomy.septal_wall + 1, lateral + 1)[int(rng.integers(3))]
        line = np.round(to_grid(anatomy.to_image(u, v)) * 2**SHIFT).astype(np.int32)
        width = max(1, round(rng.uniform(0.8, 3.0) * RESOLUTION))
        cv2.polylines(canvas, [line], False, rng.uniform(0.7, 2.2), width, shift=SHIFT)
