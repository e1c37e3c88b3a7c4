"""The echo strength of a phantom's tissue, drawn once at end-diastole.

Every frame then looks the tissue up through `Anatomy.reference`, so that walls, atria and
speckle move together.
"""

from __future__ import annotations

from dataclasses import dataclass

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


Range = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """How strongly the parts of a heart reflect; pairs are ranges to draw from.

    The defaults are those of the standard benchmark.

    Attributes:
        background: Tissue around the heart.
        muscle: The left ventricle's wall.
        heart: The rest of the heart, relative to `muscle`.
        texture: Coarse and fine variation within tissue, in natural logarithms.
        pericardium: The bright line behind the lateral wall.
        septal_core: The bright line inside the septum.
        annulus: The hinges of the valves.
        trabeculae: Fewest and most (exclusive) small structures in the LV cavity.
        papillary: Papillary muscles.
        lines: Bright endocardial lines.
        gaps: Places where the wall is not seen.
        unseen: Share of its echo that the lateral wall loses where it runs along the beams.
        unseen_until: Level down to which it does, from the apex.
        grading: Share of its echo that the wall loses from its outer to its inner edge.
        spongy: Thickness in mm of the trabeculated layer inside the compacted wall.
        spongy_level: Its echo, relative to `muscle`.
        strands: Bright structures that run along the lateral wall, inside it.
        septal_gap: Share of its echo that the septum loses near the apex.
    """

    background: Range = (0.06, 0.30)
    muscle: Range = (0.45, 0.75)
    heart: Range = (0.4, 0.8)
    texture: Range = (0.55, 0.35)
    pericardium: Range = (0.8, 2.2)
    septal_core: Range = (0.6, 1.3)
    annulus: Range = (0.8, 2.4)
    trabeculae: tuple[int, int] = (2, 8)
    papillary: int = 0
    lines: int = 0
    gaps: int = 0
    unseen: float = 0.0
    unseen_until: float = 0.0
    grading: float = 0.0
    spongy: float = 0.0
    spongy_level: float = 1.0
    strands: int = 0
    septal_gap: float = 0.0


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


def draw_tissue(
    anatomy: Anatomy, rng: np.random.Generator, look: Look | None = None
) -> NDArray[np.float32]:
    """Draw scatterers and blood of a heart at end-diastole.

    Args:
        anatomy: The heart.
        look: How strongly its parts reflect.
        rng: Source of randomness for brightness, texture and scatterers.

    Returns:
        `(400, 460, 3)` float32: in-phase and quadrature scatterers of the tissue, and the share
        of blood (1 in the chambers, 0 elsewhere).
    """
    look = look or Look()
    strength = np.full(_SHAPE, rng.uniform(*look.background), np.float32)
    strength *= np.exp(0.7 * smooth_noise(rng, _SHAPE, 40))
    muscle = rng.uniform(*look.muscle)
    _fill(strength, _outer_heart(anatomy), muscle * rng.uniform(*look.heart))
    left, right = wall_polygon(anatomy), _right_ventricle(anatomy, wall=4.0)
    _fill(strength, right, muscle * rng.uniform(0.5, 1.0))
    _fill(strength, left, muscle)
    _graded(strength, anatomy, muscle, look.grading)
    _streak(strength, anatomy, rng, look)
    _atria(strength, anatomy, wall=rng.uniform(2.5, 4.5), level=muscle * rng.uniform(0.7, 1.5))
    _annulus(strength, anatomy, rng, look)
    _endocardium(strength, anatomy, rng, look.lines)

    blood = np.zeros(_SHAPE, np.float32)
    _fill(blood, cavity_polygon(anatomy), 1.0)
    _fill(blood, _right_ventricle(anatomy, wall=0.0), 1.0)
    _atria(blood, anatomy, wall=0.0, level=1.0)
    _trabeculae(blood, anatomy, rng, look)
    _papillary(blood, strength, anatomy, rng, look.papillary)
    _spongy(blood, strength, anatomy, rng, look, muscle)
    _strands(blood, strength, anatomy, rng, muscle, look.strands)
    blood = cv2.GaussianBlur(blood, (0, 0), 0.5 * RESOLUTION)

    coarse, fine = look.texture
    texture = coarse * smooth_noise(rng, _SHAPE, 28) + fine * smooth_noise(rng, _SHAPE, 9)
    amplitude = cv2.GaussianBlur(strength, (0, 0), 0.4 * RESOLUTION) * np.exp(texture)
    amplitude *= 1 - blood
    _gaps(amplitude, anatomy, rng, look.gaps)
    _unseen(amplitude, anatomy, look)
    _septal_gap(amplitude, anatomy, rng, look.septal_gap)
    field = np.empty((*_SHAPE, 3), np.float32)
    field[..., :2] = rng.standard_normal((*_SHAPE, 2), dtype=np.float32) * amplitude[..., None]
    field[..., 2] = blood
    return field


def cavity_polygon(anatomy: Anatomy) -> NDArray[np.float64]:
    """Return the `(n, 2)` end-diastolic LV cavity in mm, closed by the mitral plane."""
    u = np.linspace(0, 1, 41)
    septal, lateral = (side + anatomy.margin for side in anatomy.half_widths(u, 0.0))
    left, right = anatomy.to_image(u, -septal), anatomy.to_image(u, lateral)
    reach = anatomy.margin + anatomy.apical_margin
    cap = reach * (1 - u)[:, None] ** 4 * anatomy.axis
    return np.concatenate([left - cap, (right - cap)[::-1]])


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


def wall_polygon(anatomy: Anatomy, share: float = 1.0) -> NDArray[np.float64]:
    """Return the `(n, 2)` outline in mm of the end-diastolic LV, cavity and wall together.

    Args:
        anatomy: The heart.
        share: How much of the wall's thickness, from its inner edge, lies within.
    """
    u = np.linspace(0, 1, 41)
    septal, lateral = (side + anatomy.margin for side in anatomy.half_widths(u, 0.0))
    thin = share * np.clip(u / 0.25, 0.55, 1.0)  # the apex is the thinnest part of the wall
    apical = np.where(u == 0, 0.3 * share * anatomy.lateral_wall, 0.0)
    left = anatomy.to_image(u, -septal - anatomy.septal_wall * thin)
    right = anatomy.to_image(u, lateral + anatomy.lateral_wall * thin)
    above = -0.5 * share * anatomy.lateral_wall / anatomy.length
    cap = anatomy.to_image(np.array([above]), np.zeros(1))
    left[0] -= apical[0] * anatomy.axis
    right[0] -= apical[0] * anatomy.axis
    return np.concatenate([cap, right, left[::-1]])


def _right_ventricle(anatomy: Anatomy, wall: float) -> NDArray[np.float64]:
    u = np.linspace(anatomy.right_apex, 0.95, 30)
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


def _streak(
    canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, look: Look
) -> None:
    """Draw the bright pericardium along the lateral wall and the bright core of the septum."""
    u = np.linspace(rng.uniform(0.25, 0.6), 1.15, 24)
    lateral = anatomy.half_widths(np.clip(u, 0, 1), 0.0)[1] + anatomy.lateral_wall + 1.0
    line = np.round(to_grid(anatomy.to_image(u, lateral)) * 2**_SHIFT).astype(np.int32)
    width = round(rng.uniform(2.5, 6.0) * RESOLUTION)
    cv2.polylines(canvas, [line], False, rng.uniform(*look.pericardium), width, shift=_SHIFT)
    u = np.linspace(rng.uniform(0.05, 0.4), rng.uniform(0.7, 0.95), 16)
    septal = -anatomy.half_widths(u, 0.0)[0] - 0.5 * anatomy.septal_wall
    line = np.round(to_grid(anatomy.to_image(u, septal)) * 2**_SHIFT).astype(np.int32)
    width = round(0.5 * anatomy.septal_wall * RESOLUTION)
    cv2.polylines(canvas, [line], False, rng.uniform(*look.septal_core), width, shift=_SHIFT)


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


def _annulus(
    canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, look: Look
) -> None:
    """Draw the fibrous hinges of the valves, bright in most clips."""
    septal, lateral = annulus_points(anatomy)
    for point, size in ((septal, 4.0), (lateral, 4.5), (tricuspid_points(anatomy)[1], 3.0)):
        centre = np.round(to_grid(point + rng.normal(0, 0.6, 2) + anatomy.axis) * 16).astype(int)
        axes = np.round(size * rng.uniform(0.6, 1.3, 2) * RESOLUTION * 16).astype(int)
        cv2.ellipse(
            canvas, centre.tolist(), axes.tolist(), rng.uniform(0, 180), 0, 360,
            rng.uniform(*look.annulus), -1, shift=_SHIFT,
        )  # fmt: skip


def _trabeculae(
    blood: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, look: Look
) -> None:
    """Let papillary muscles and trabeculae reach into the cavities."""
    for _ in range(int(rng.integers(*look.trabeculae))):
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


def _papillary(
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
            cv2.ellipse(
                canvas, centre, axes.tolist(), angle, 0, 360, float(value), -1, shift=_SHIFT
            )


def _endocardium(
    canvas: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, count: int
) -> None:
    """Draw bright specular lines along parts of the inner borders of the wall."""
    for _ in range(count):
        start = rng.uniform(0.0, 0.7)
        u = np.linspace(start, min(start + rng.uniform(0.15, 0.6), 1.0), 14)
        septal, lateral = anatomy.half_widths(u, 0.0)
        v = (-septal - 1, -septal - anatomy.septal_wall + 1, lateral + 1)[int(rng.integers(3))]
        line = np.round(to_grid(anatomy.to_image(u, v)) * 2**_SHIFT).astype(np.int32)
        width = max(1, round(rng.uniform(0.8, 3.0) * RESOLUTION))
        cv2.polylines(canvas, [line], False, rng.uniform(0.7, 2.2), width, shift=_SHIFT)


def _gaps(
    amplitude: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, count: int
) -> None:
    """Take the echo away where the wall runs along the beam or lies behind a rib."""
    rows, columns = np.mgrid[: _SHAPE[0], : _SHAPE[1]].astype(np.float32)
    for _ in range(count):
        u = np.array([rng.uniform(0.0, 0.95)])
        septal, lateral = anatomy.half_widths(u, 0.0)
        v = lateral + anatomy.lateral_wall / 2 if rng.random() < 0.7 else -septal - 4
        column, row = to_grid(anatomy.to_image(u, v)[0])
        radius = rng.uniform(6.0, 20.0) * RESOLUTION
        distance = ((rows - row) ** 2 + (columns - column) ** 2) / radius**2
        amplitude *= 1 - rng.uniform(0.6, 1.0) * np.exp(-(distance**2))


def _unseen(amplitude: NDArray[np.float32], anatomy: Anatomy, look: Look) -> None:
    """Take the echo of the apex and the lateral wall away; the pericardium behind it stays."""
    if not look.unseen:
        return
    u = np.linspace(0, look.unseen_until, 24)
    septal, lateral = anatomy.half_widths(np.minimum(u, 1.0), 0.0)
    inner = anatomy.to_image(u, np.where(u < 0.1, -septal, lateral - 1))
    outer = anatomy.to_image(u, lateral + anatomy.margin + 0.85 * anatomy.lateral_wall)
    outer -= anatomy.lateral_wall * (1 - u[:, None] / max(look.unseen_until, 1e-6)) ** 6 * (
        anatomy.axis
    )  # fmt: skip
    region = np.zeros(_SHAPE, np.float32)
    _fill(region, np.concatenate([inner, outer[::-1]]), 1.0)
    amplitude *= 1 - look.unseen * cv2.GaussianBlur(region, (0, 0), 1.5 * RESOLUTION)


def _graded(strength: NDArray[np.float32], anatomy: Anatomy, muscle: float, grading: float) -> None:
    """Let the wall fade towards its inner edge, so that none is seen there."""
    if grading:
        for share in (0.8, 0.6, 0.4, 0.2):
            _fill(strength, wall_polygon(anatomy, share), muscle * (1 - grading * (1 - share)))


def _spongy(
    blood: NDArray[np.float32],
    strength: NDArray[np.float32],
    anatomy: Anatomy,
    rng: np.random.Generator,
    look: Look,
    muscle: float,
) -> None:
    """Line the compacted wall with trabeculae and blood, which readers count as cavity."""
    if not look.spongy:
        return
    u = np.linspace(0, rng.uniform(0.6, 0.9), 24)
    thick = look.spongy * (1 - (u / u[-1]) ** 4)
    septal, lateral = anatomy.half_widths(u, 0.0)
    septal_share = rng.uniform(0.0, 0.6)  # the septum is the smoother side
    inner = np.concatenate([
        anatomy.to_image(u, -np.maximum(septal - septal_share * thick, 0)),
        anatomy.to_image(u, np.maximum(lateral - thick, 0))[::-1],
    ])  # fmt: skip
    inner += np.concatenate([thick, thick[::-1]])[:, None] * (
        1 - np.concatenate([u, u[::-1]])[:, None] / u[-1]
    ) ** 3 * anatomy.axis  # fmt: skip
    layer, hollow = np.zeros(_SHAPE, np.float32), np.zeros(_SHAPE, np.float32)
    _fill(layer, cavity_polygon(anatomy), 1.0)
    _fill(hollow, np.concatenate([inner, anatomy.to_image(np.ones(1), np.zeros(1))]), 1.0)
    below = anatomy.to_image(
        np.array([u[-1], u[-1], 1.2, 1.2]), np.array([-90.0, 90.0, 90.0, -90.0])
    )
    _fill(hollow, below, 1.0)
    layer = cv2.GaussianBlur(layer * (1 - hollow), (0, 0), 0.4 * RESOLUTION)
    patches = np.clip(0.5 + 0.3 * smooth_noise(rng, _SHAPE, rng.uniform(3.0, 8.0)), 0.05, 0.95)
    blood *= 1 - layer * patches
    np.copyto(strength, look.spongy_level * muscle, where=layer > 0.5)


def _strands(
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
        line = np.round(to_grid(anatomy.to_image(u, v)) * 2**_SHIFT).astype(np.int32)
        width = max(1, round(rng.uniform(1.0, 5.0) * RESOLUTION))
        cv2.polylines(strength, [line], False, muscle * rng.uniform(0.8, 2.5), width, shift=_SHIFT)
        cv2.polylines(blood, [line], False, rng.uniform(0.0, 0.4), width, shift=_SHIFT)


def _septal_gap(
    amplitude: NDArray[np.float32], anatomy: Anatomy, rng: np.random.Generator, share: float
) -> None:
    """Take the echo of the apical septum away, where the right ventricle lies behind it."""
    if not share:
        return
    u = np.linspace(rng.uniform(0.0, 0.1), rng.uniform(0.25, 0.5), 12)
    septal = anatomy.half_widths(u, 0.0)[0]
    inner = anatomy.to_image(u, -septal + 1)
    outer = anatomy.to_image(u, -septal - anatomy.margin - 1.1 * anatomy.septal_wall)
    region = np.zeros(_SHAPE, np.float32)
    _fill(region, np.concatenate([inner, outer[::-1]]), 1.0)
    amplitude *= 1 - share * cv2.GaussianBlur(region, (0, 0), 1.5 * RESOLUTION)
