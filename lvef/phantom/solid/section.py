"""What the image plane cuts from the ventricle, and where a reader sees its edge.

Probe coordinates are millimetres: x to the right of the picture, y away from the transducer,
z out of the image plane, which is z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lvef.phantom.solid.heart import Heart
from lvef.phantom.solid.pointspread import PointSpread

Array = NDArray[np.float64]
_RAYS, _HALVINGS, _DISKS = 144, 15, 20


@dataclass(frozen=True)
class Pose:
    """Where the heart lies under the probe.

    Attributes:
        apex: Endocardial apex at end-diastole in probe coordinates, `(3,)` mm.
        axes: `(3, 3)`, rows are the directions of a, b and s in probe coordinates.
    """

    apex: Array
    axes: Array

    def to_probe(self, points: Array) -> Array:
        """Map `(..., 3)` a, b, s to x, y, z."""
        return np.asarray(points @ self.axes + self.apex)

    def to_heart(self, points: Array) -> Array:
        """Map `(..., 3)` x, y, z to a, b, s."""
        return np.asarray((points - self.apex) @ self.axes.T)


def edge_shift(spread: Array | float, contrast: float) -> Array:
    """Return how far inside the true edge a reader sees it.

    At an edge between a wall of mean power 1 and blood of power `B = 10^(-contrast / 10)`, a
    point spread whose power has the standard deviation `spread` across the edge leaves

        P(d) = B + (1 - B) Phi(-d / spread)

    at a distance `d` within the blood. Grey levels are decibels, so the half-way grey level is the
    geometric mean `sqrt(B)`; `P(d) = sqrt(B)` gives

        d = spread Phi^-1(1 - (sqrt(B) - B) / (1 - B)).

    Args:
        spread: Standard deviation of the point spread's power across the edge, in mm.
        contrast: Wall over blood in dB, as far as the picture shows it.
    """
    blood = 10 ** (-contrast / 10)
    return np.asarray(spread * norm.ppf(1 - (np.sqrt(blood) - blood) / (1 - blood)))


class Section:
    """The cavity in the image plane.

    Args:
        heart: The ventricle.
        pose: Where it lies.
        spread: The probe's point spread.
        contrast: Wall over blood in dB.
    """

    def __init__(self, heart: Heart, pose: Pose, spread: PointSpread, contrast: float) -> None:
        self.heart, self.pose, self.spread, self.contrast = heart, pose, spread, contrast

    def _outside(self, plane: Array, c: Array) -> Array:
        points = np.concatenate([plane, np.zeros((*plane.shape[:-1], 1))], axis=-1)
        return self.heart.outside_cavity(self.pose.to_heart(points), c)

    def hinges(self, c: float) -> Array:
        """Return where the annulus crosses the plane: `(2, 2)`, septal then lateral, in mm."""
        theta = np.linspace(-np.pi, np.pi, 181)
        ring = self.pose.to_probe(self.heart.surface(np.ones(1), theta, c))
        z = ring[:, 2]
        cross = np.flatnonzero((z[:-1] < 0) != (z[1:] < 0))
        if len(cross) < 2:
            raise ValueError("the image plane misses the mitral annulus")
        share = (z[cross] / (z[cross] - z[cross + 1]))[:, None]
        points = ring[cross, :2] * (1 - share) + ring[cross + 1, :2] * share
        return np.asarray(points[np.argsort(points[:, 0])][[0, -1]])

    def walls(self, c: Array) -> tuple[Array, Array]:
        """Return the true and the seen border of the compacted wall.

        Args:
            c: `(T,)` contraction of each frame.

        Returns:
            Two arrays `(T, n, 2)` of x, y in mm, from the septal hinge over the apex to the
            lateral one.
        """
        hinges = np.stack([self.hinges(float(value)) for value in c])
        centre = self._centre(hinges, c)
        angles = self._angles(hinges, centre)
        rays = np.stack([np.sin(angles), -np.cos(angles)], axis=-1)
        low, high = np.zeros(angles.shape), np.full(angles.shape, 1.6 * self.heart.length)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            inside = self._outside(centre[:, None] + middle[..., None] * rays, c[:, None]) < 0
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        border = centre[:, None] + low[..., None] * rays
        border[:, 0], border[:, -1] = hinges[:, 0], hinges[:, 1]
        return border, border + self._shift(border, c)

    def _centre(self, hinges: Array, c: Array) -> Array:
        """Return a point of each frame from which the whole border is seen."""
        base = hinges.mean(1)
        across = hinges[:, 1] - hinges[:, 0]
        up = np.stack([across[:, 1], -across[:, 0]], 1) / np.linalg.norm(across, axis=1)[:, None]
        steps = np.linspace(1.0, 1.3 * self.heart.length, 80)
        line = base[:, None] + steps[:, None] * up[:, None]
        inside = self._outside(line, c[:, None]) < 0
        depth = np.where(inside, steps, 0).max(1)
        return np.asarray(base + 0.42 * depth[:, None] * up)

    @staticmethod
    def _angles(hinges: Array, centre: Array) -> Array:
        """Return ray angles clockwise from upwards, from the septal hinge to the lateral one."""
        to = hinges - centre[:, None]
        ends = np.arctan2(to[..., 0], -to[..., 1])
        start = np.where(ends[:, 0] > 0, ends[:, 0] - 2 * np.pi, ends[:, 0])
        stop = np.where(ends[:, 1] < 0, ends[:, 1] + 2 * np.pi, ends[:, 1])
        return np.asarray(np.linspace(start, stop, _RAYS, axis=1))

    def _shift(self, border: Array, c: Array) -> Array:
        """Return how far the seen border lies inside the true one, `(T, n, 2)` mm."""
        step = 0.5
        points = np.concatenate([border, np.zeros((*border.shape[:-1], 1))], axis=-1)
        slope = []
        for axis in np.eye(3) * step:
            # The wall's own surface goes on beyond the annulus, where the cavity ends.
            ahead, behind = (
                self.heart.outside_cavity(self.pose.to_heart(points + side * axis), c[:, None])
                for side in (1, -1)
            )
            slope.append(ahead - behind)
        normal = np.stack(slope, axis=-1)
        normal[:, :3], normal[:, -3:] = normal[:, 3:4], normal[:, -4:-3]
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        flat = np.maximum(np.linalg.norm(normal[..., :2], axis=-1), 0.3)
        depth = np.linalg.norm(border, axis=-1)
        beam = border / np.maximum(depth, 1e-6)[..., None]
        along = (normal[..., :2] * beam).sum(-1)
        aside = normal[..., 0] * beam[..., 1] - normal[..., 1] * beam[..., 0]
        spread = self.spread.across(depth, along, aside, normal[..., 2]) / flat
        inwards = -normal[..., :2] / flat[..., None]
        return np.asarray(edge_shift(spread, self.contrast)[..., None] * inwards)

    def tracings(self, c: Array) -> Array:
        """Return what a reader would draw in each frame: long axis, then 20 chords.

        Args:
            c: `(T,)` contraction of each frame.

        Returns:
            `(T, 21, 4)` x1, y1, x2, y2 in mm, chords from apex to base, septal ends first.
        """
        return np.stack([_disks(wall) for wall in self.walls(c)[1]])


def _disks(wall: Array) -> Array:
    """Return the tracing `(21, 4)` of an open border `(n, 2)` from hinge to hinge."""
    base = (wall[0] + wall[-1]) / 2
    apex = int(np.argmax(np.linalg.norm(wall - base, axis=1)))
    length = float(np.linalg.norm(base - wall[apex]))
    axis = (base - wall[apex]) / length
    normal = np.array([axis[1], -axis[0]])
    offset = wall - wall[apex]
    along, aside = offset @ axis, offset @ normal
    levels = (np.arange(_DISKS) + 0.5) / _DISKS * length
    ends = []
    for branch in (slice(apex, None, -1), slice(apex, None)):
        rising = np.maximum.accumulate(along[branch])
        ends.append(np.interp(levels, rising, aside[branch]))
    centre = wall[apex] + levels[:, None] * axis
    chords = np.concatenate([centre + end[:, None] * normal for end in ends], axis=1)
    return np.concatenate([np.concatenate([wall[apex], base])[None], chords])
