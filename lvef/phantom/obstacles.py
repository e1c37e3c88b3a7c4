"""What lies before the wall or hides it: trabeculae, papillary muscles, tendons, missing echoes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.phantom.anatomy import Anatomy
from lvef.phantom.echogenicity import Echogenicity
from lvef.phantom.grid import RESOLUTION, SHAPE, SHIFT, fill, smooth_noise, to_grid
from lvef.phantom.outlines import cavity_polygon, wall_polygon


def graded(strength: NDArray[np.float32], anatomy: Anatomy, muscle: float, grading: float) -> None:
    """Let the wall fade towards its inner edge, so that none is seen there."""
    if grading:
        for share in (0.8, 0.6, 0.4, 0.2):
            fill(strength, wall_polygon(anatomy, share), muscle * (1 - grading * (1 - share)))


def trabeculae(
    blood: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, echo: Echogenicity
) -> None:
    """Let papillary muscles and trabeculae reach into the cavities."""
    for _ in range(int(rng.integers(*echo.trabeculae))):
        u = np.array([rng.uniform(0.1, 0.75)])
        septal, lateral = anatomy.half_widths(u, 0.0)
        depth = rng.uniform(0.55, 1.0)
        v = depth * lateral if rng.random() < 0.75 else -depth * septal
        centre = np.round(to_grid(anatomy.to_image(u, v)[0]) * 16).astype(int)
        axes = np.round(rng.uniform([0.8, 2.0], [2.2, 7.0]) * RESOLUTION * 16).astype(int)
        angle = -np.rad2deg(anatomy.tilt) + rng.normal(0, 15)
        cv2.ellipse(
            blood, centre.tolist(), axes.tolist(), angle, 0, 360,
            rng.uniform(0.2, 0.9), -1, shift=SHIFT,
        )  # fmt: skip


def papillary(
    blood: NDArray[np.float32],
    strength: NDArray[np.float32],
    anatomy: Anatomy,
    rng: np.random.Generator,
    count: int,
) -> None:
    """Let papillary muscles, some of them bright, stand off the wall in mid-cavity."""
    for _ in range(count):
        u = np.array([rng.uniform(0.25, 0.7)])
        septal, lateral = anatomy.half_widths(u, 0.0)
        v = rng.uniform(0.5, 0.85) * (lateral if rng.random() < 0.8 else -septal)
        centre = np.round(to_grid(anatomy.to_image(u, v)[0]) * 16).astype(int).tolist()
        axes = np.round(rng.uniform([1.5, 5.0], [4.0, 13.0]) * RESOLUTION * 16).astype(int)
        angle = -np.rad2deg(anatomy.tilt) + rng.normal(0, 12)
        level, share = rng.uniform(0.3, 1.8), rng.uniform(0.0, 0.4)
        for canvas, value in ((strength, level), (blood, share)):
            cv2.ellipse(canvas, centre, axes.tolist(), angle, 0, 360, float(value), -1, shift=SHIFT)


def spongy(
    blood: NDArray[np.float32],
    strength: NDArray[np.float32],
    anatomy: Anatomy,
    rng: np.random.Generator,
    echo: Echogenicity,
    muscle: float,
) -> None:
    """Line the compacted wall with trabeculae and blood, which readers count as cavity."""
    if not echo.spongy:
        return
    u = np.linspace(0, rng.uniform(0.6, 0.9), 24)
    thick = echo.spongy * (1 - (u / u[-1]) ** 4)
    septal, lateral = anatomy.half_widths(u, 0.0)
    septal_share = rng.uniform(0.0, 0.6)  # the septum is the smoother side
    inner = np.concatenate([
        anatomy.to_image(u, -np.maximum(septal - septal_share * thick, 0)),
        anatomy.to_image(u, np.maximum(lateral - thick, 0))[::-1],
    ])  # fmt: skip
    inner += np.concatenate([thick, thick[::-1]])[:, None] * (
        1 - np.concatenate([u, u[::-1]])[:, None] / u[-1]
    ) ** 3 * anatomy.axis  # fmt: skip
    layer, hollow = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    fill(layer, cavity_polygon(anatomy), 1.0)
    fill(hollow, np.concatenate([inner, anatomy.to_image(np.ones(1), np.zeros(1))]), 1.0)
    below = anatomy.to_image(
        np.array([u[-1], u[-1], 1.2, 1.2]), np.array([-90.0, 90.0, 90.0, -90.0])
    )
    fill(hollow, below, 1.0)
    layer = cv2.GaussianBlur(layer * (1 - hollow), (0, 0), 0.4 * RESOLUTION)
    patches = np.clip(0.5 + 0.3 * smooth_noise(rng, SHAPE, rng.uniform(3.0, 8.0)), 0.05, 0.95)
    blood *= 1 - layer * patches
    np.copyto(strength, echo.spongy_level * muscle, where=layer > 0.5)


def strands(
    blood: NDArray[np.float32],
    strength: NDArray[np.float32],
    anatomy: Anatomy,
    rng: np.random.Generator,
    muscle: float,
    count: int,
) -> None:
    """Draw papillary muscles and false tendons that could be taken for the lateral wall."""
    for _ in range(count):
        start, end = rng.uniform(0.05, 0.4), rng.uniform(0.5, 0.95)
        u = np.linspace(start, end, 16)
        septal, lateral = anatomy.half_widths(u, 0.0)
        # From nearly the wall to the middle of the cavity; some cross it.
        depth = np.linspace(rng.uniform(0.3, 0.9), rng.uniform(0.35, 0.85), 16)
        v = np.where(depth > 0, depth * lateral, depth * septal)
        line = np.round(to_grid(anatomy.to_image(u, v)) * 2**SHIFT).astype(np.int32)
        width = max(1, round(rng.uniform(1.0, 5.0) * RESOLUTION))
        cv2.polylines(strength, [line], False, muscle * rng.uniform(0.8, 2.5), width, shift=SHIFT)
        cv2.polylines(blood, [line], False, rng.uniform(0.0, 0.4), width, shift=SHIFT)


def gaps(
    amplitude: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, count: int
) -> None:
    """Take the echo away where the wall runs along the beam or lies behind a rib."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    for _ in range(count):
        u = np.array([rng.uniform(0.0, 0.95)])
        septal, lateral = anatomy.half_widths(u, 0.0)
        v = lateral + anatomy.lateral_wall / 2 if rng.random() < 0.7 else -septal - 4
        column, row = to_grid(anatomy.to_image(u, v)[0])
        radius = rng.uniform(6.0, 20.0) * RESOLUTION
        distance = ((rows - row) ** 2 + (columns - column) ** 2) / radius**2
        amplitude *= 1 - rng.uniform(0.6, 1.0) * np.exp(-(distance**2))


def unseen(amplitude: NDArray[np.float32], anatomy: Anatomy, echo: Echogenicity) -> None:
    """Take the echo of the apex and the lateral wall away; the pericardium behind it stays."""
    if not echo.unseen:
        return
    u = np.linspace(0, echo.unseen_until, 24)
    septal, lateral = anatomy.half_widths(np.minimum(u, 1.0), 0.0)
    inner = anatomy.to_image(u, np.where(u < 0.1, -septal, lateral - 1))
    outer = anatomy.to_image(u, lateral + anatomy.margin + 0.85 * anatomy.lateral_wall)
    outer -= anatomy.lateral_wall * (1 - u[:, None] / max(echo.unseen_until, 1e-6)) ** 6 * (
        anatomy.axis
    )  # fmt: skip
    region = np.zeros(SHAPE, np.float32)
    fill(region, np.concatenate([inner, outer[::-1]]), 1.0)
    amplitude *= 1 - echo.unseen * cv2.GaussianBlur(region, (0, 0), 1.5 * RESOLUTION)


def septal_gap(
    amplitude: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, share: float
) -> None:
    """Take the echo of the apical septum away, where the right ventricle lies behind it."""
    if not share:
        return
    u = np.linspace(rng.uniform(0.0, 0.1), rng.uniform(0.25, 0.5), 12)
    septal = anatomy.half_widths(u, 0.0)[0]
    inner = anatomy.to_image(u, -septal + 1)
    outer = anatomy.to_image(u, -septal - anatomy.margin - 1.1 * anatomy.septal_wall)
    region = np.zeros(SHAPE, np.float32)
    fill(region, np.concatenate([inner, outer[::-1]]), 1.0)
    amplitude *= 1 - share * cv2.GaussianBlur(region, (0, 0), 1.5 * RESOLUTION)
