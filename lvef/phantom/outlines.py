"""Outlines of a heart's parts at end-diastole, in millimetres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.anatomy import Anatomy


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


def right_ventricle(anatomy: Anatomy, wall: float) -> NDArray[np.float64]:
    """Return the `(n, 2)` right ventricle, its free wall `wall` mm thick within it."""
    u = np.linspace(anatomy.right_apex, 0.95, 30)
    inner = -anatomy.half_widths(u, 0.0)[0] - anatomy.septal_wall
    s = (u - u[0]) / (u[-1] - u[0])
    width = anatomy.right_ventricle * np.sin(np.pi / 2 * np.minimum(1.25 * s, 1.0)) ** 0.9
    width *= np.where(s > 0.8, 1 - 0.5 * (s - 0.8), 1.0)
    return np.concatenate(
        [anatomy.to_image(u, inner), anatomy.to_image(u, inner - width - wall)[::-1]]
    )


def outer_heart(anatomy: Anatomy) -> NDArray[np.float64]:
    """Return the `(n, 2)` outline of the whole heart."""
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
