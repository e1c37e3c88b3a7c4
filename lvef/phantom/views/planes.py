"""Where the probe is held for each view of the solid heart."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.appearance import sample_machine
from lvef.phantom.solid.heart import Heart
from lvef.phantom.solid.population import SolidPatient
from lvef.phantom.solid.probe import Machine
from lvef.phantom.solid.section import Pose
from lvef.phantom.solid.tissue import SolidEchogenicity

Array = NDArray[np.float64]
Plane = Literal["A4C", "A2C", "A3C", "PLAX", "PSAX", "subcostal"]
FRONT = float(np.deg2rad(128.0))
"""Angle about the long axis at which the aorta leaves: between septum (180) and anterior (90)."""
TURNS = {"A4C": (0.0, 0.0), "A2C": (75.0, 9.0), "A3C": (128.0, 7.0)}
"""Degrees by which the probe is turned from the four-chamber view, mean and spread."""


def lay(
    plane: Plane, heart: Heart, level: float, echo: SolidEchogenicity, rng: np.random.Generator
) -> Pose:
    """Lay the heart under a probe that is not at its apex.

    Args:
        plane: Parasternal long axis, parasternal short axis or subcostal four-chamber.
        heart: The heart.
        level: Of a short axis, as a share of the ventricle's length; above 1 the aortic root.
        echo: Says how thick the chest wall is.
        rng: Source of randomness.
    """
    front = np.array([np.cos(FRONT), np.sin(FRONT), 0.0])
    base, outer = np.array([0.0, 0.0, 1.0]), _outer(heart)
    if plane == "PLAX":
        right, down, centre = base, -front, np.array([0.0, 0.0, rng.uniform(0.78, 1.05)])
        at = rng.normal(-6, 5), echo.chest + rng.uniform(28, 44) + outer
        lean, out, turn = rng.normal(-6, 9), rng.normal(0, 5), rng.normal(0, 6)
    elif plane == "PSAX":
        right, down = np.array([1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
        centre = np.array([0.0, 0.0, level])
        at = rng.normal(4, 6), echo.chest + rng.uniform(16, 34) + outer
        lean, out, turn = rng.normal(22, 12), rng.normal(0, 6), rng.normal(0, 6)
    else:
        right, down, centre = -base, np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.7])
        at = rng.normal(4, 7), rng.uniform(36, 60) + heart.right_width + outer
        lean, out, turn = rng.normal(-20, 13), rng.normal(0, 5), rng.normal(0, 7)
    axes = np.stack([right, down, np.cross(right, down)], axis=1)
    axes = axes @ _turned(lean, (0, 1)) @ _turned(out, (1, 2)) @ _turned(turn, (0, 2))
    target = np.array([*at, rng.normal(0, 2)])
    return Pose(apex=target - centre * heart.length @ axes, axes=axes)


def _outer(heart: Heart) -> float:
    """Return the distance in mm from the long axis to the border of the septum, half-way up."""
    place = np.array([0.6 * heart.length])
    return float(heart.epicardium(place, np.array([FRONT]))[0])


def _turned(degrees: float, plane: tuple[int, int]) -> Array:
    """Return the matrix `(3, 3)` that turns rows x, y, z from one axis towards another."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turned, (first, second) = np.eye(3), plane
    turned[first, first] = turned[second, second] = cos
    turned[first, second], turned[second, first] = sin, -sin
    return turned


def machine_for(
    plane: Plane,
    heart: Heart,
    pose: Pose,
    echo: SolidEchogenicity,
    patient: SolidPatient,
    rng: np.random.Generator,
) -> Machine:
    """Set the machine as a sonographer would for a view that is not apical."""
    usual = sample_machine(heart, pose, echo, patient, rng)
    middle = pose.to_probe(np.array([0.0, 0.0, 0.6 * heart.length]))
    below = {"PLAX": (48, 80), "PSAX": (44, 74), "subcostal": (48, 75)}[plane]
    depth = float(middle[1] + rng.uniform(*below) * heart.length / 85)
    radius = usual.depth * usual.pixels_per_mm
    # The lung lies beside the apex; of a parasternal probe it hides an edge at most.
    lung = (usual.lung[0] * 0.4, usual.lung[1], usual.lung[2])
    return replace(usual, depth=depth, pixels_per_mm=radius / depth, lung=lung)
