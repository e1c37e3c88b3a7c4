"""The left ventricle as a solid, and how its beat moves every point of the heart.

Heart coordinates are millimetres at end-diastole: `a` towards the lateral wall, `b` towards the
front, `s` along the long axis from 0 at the endocardial apex to `length` at the mitral annulus.
`theta` is the angle from `a` to `b`: 0 is lateral, pi the septum.

The wall is incompressible: a ring of it that is shortened by `stretch` along the axis keeps its
volume, `r^2 = r_endo^2 + (R^2 - R_endo^2) / stretch`, so that it thickens inwards (Guccione et al.,
*J Biomech Eng* 113:42 (1991), the cylinder of their equation 1). It twists about the axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Harmonic = tuple[int, int, float, float]
"""Waves around, half waves along, relative height, and the angle of the crest in radians."""
_RAMP = 0.2
"""Share of the length, from the apex, over which longitudinal strain sets in."""


@dataclass(frozen=True)
class Weakness:
    """A part of the wall that contracts less: hypokinetic below 1, akinetic at 1.

    Attributes:
        theta: Its angle in radians.
        u: Its level, 0 at the apex and 1 at the base.
        loss: Share of the inward motion that is lost there.
        width: Standard deviation around, in radians.
        height: The same along, as a share of the length.
    """

    theta: float
    u: float
    loss: float
    width: float
    height: float

    def share(self, u: Array, theta: Array) -> Array:
        """Return the share of motion that is lost at places of the wall."""
        off = np.arccos(np.clip(np.cos(theta - self.theta), -1, 1)) / self.width
        return np.asarray(self.loss * np.exp(-0.5 * (off**2 + ((u - self.u) / self.height) ** 2)))


@dataclass(frozen=True)
class Places:
    """Where points of the body lie at end-diastole, `(n,)` each.

    Attributes:
        radius: Distance from the long axis in mm.
        theta: Angle around it in radians.
        s: Distance along it from the apex in mm.
        inner: Radius of the cavity there, 0 beyond the apex, that of the annulus beyond the base.
        outer: Radius of the wall's outer border.
        inward: Share of its radius that the cavity loses there until end-systole.
    """

    radius: Array
    theta: Array
    s: Array
    inner: Array
    outer: Array
    inward: Array

    def __getitem__(self, kept: NDArray[np.bool_] | NDArray[np.intp]) -> Places:
        """Return some of the points."""
        return Places(
            *(
                values[kept]
                for values in (
                    self.radius,
                    self.theta,
                    self.s,
                    self.inner,
                    self.outer,
                    self.inward,
                )
            )
        )


@dataclass(frozen=True)
class Heart:
    """Geometry at end-diastole and how far it goes until end-systole.

    Attributes:
        length: Long axis of the cavity in mm.
        radius: Half its largest width in mm.
        belly: How much of the spheroid is cut off at the base: its polar angle in radians.
        harmonics: What makes it no spheroid.
        septal_wall: Thickness of the septum in mm.
        lateral_wall: Thickness of the lateral wall in mm.
        apical_wall: Thickness of the apex in mm.
        right_width: Width of the right ventricle in mm.
        shortening: Share of its length that the long axis loses until end-systole.
        narrowing: Mean share of its radius that the cavity loses.
        weakness: What does not take part.
        torsion: Angle between apex and base at end-systole in radians.
        rocking: Angle in the image plane by which the heart rocks about its apex, in radians.
        right_shift: How far the free wall of the right ventricle moves inwards, in mm.
    """

    length: float
    radius: float
    belly: float
    harmonics: tuple[Harmonic, ...]
    septal_wall: float
    lateral_wall: float
    apical_wall: float
    right_width: float
    shortening: float = 0.0
    narrowing: float = 0.0
    weakness: tuple[Weakness, ...] = ()
    torsion: float = 0.0
    rocking: float = 0.0
    right_shift: float = 0.0

    def endocardium(self, u: Array, theta: Array) -> Array:
        """Return the radius in mm of the compacted wall's inner border at end-diastole."""
        polar = np.arccos(np.clip(1 - np.clip(u, 0, 1) * (1 - np.cos(self.belly)), -1, 1))
        shape = np.ones(np.broadcast_shapes(np.shape(u), np.shape(theta)))
        for around, along, height, crest in self.harmonics:
            wave = np.cos(around * (theta - crest)) if around else 1.0
            shape = shape + height * wave * np.sin(along * np.pi * np.clip(u, 0, 1) + crest * along)
        return np.asarray(self.radius * np.sin(polar) * shape)

    def epicardium(self, s: Array, theta: Array) -> Array:
        """Return the radius in mm of the outer border at end-diastole, 0 beyond the apex."""
        level = (s + self.apical_wall) / (self.length + self.apical_wall)
        septal = (1 - np.cos(theta)) / 2
        wall = septal * self.septal_wall + (1 - septal) * self.lateral_wall
        inner = self.endocardium(level, theta)
        return np.asarray(inner * (1 + wall / self.radius))

    def inward(self, u: Array, theta: Array) -> Array:
        """Return the share of its radius that each place of the cavity loses until ES."""
        left = np.ones(np.broadcast_shapes(np.shape(u), np.shape(theta)))
        for weak in self.weakness:
            left = left - weak.share(u, theta)
        return np.asarray(np.minimum(self.narrowing * left, 0.8))

    def cavity(self, u: Array, theta: Array, c: float | Array) -> Array:
        """Return the radius of the cavity in mm at contraction `c`, 0 at ED and 1 at ES."""
        return np.asarray(self.endocardium(u, theta) * (1 - c * self.inward(u, theta)))

    def _strain(self, s: Array) -> tuple[Array, Array]:
        """Return descent and its slope at `s`, as shares of `length * shortening`."""
        u = s / self.length
        whole = 1 - _RAMP / 2
        low = np.clip(u, 0, 1)
        descent = np.where(low < _RAMP, low**2 / (2 * _RAMP), low - _RAMP / 2) / whole
        beyond = np.maximum(s - self.length, 0)
        slope = np.where(u > 1, 0.0, np.clip(u / _RAMP, 0, 1) / whole)
        return descent * np.exp(-beyond / 42), slope

    def stretch(self, s: Array, c: float | Array) -> Array:
        """Return by what the wall at level `s` is longer than at end-diastole; below 1 in ES."""
        return np.asarray(1 - c * self.shortening * self._strain(s)[1])

    def twist(self, s: Array, c: float | Array) -> Array:
        """Return the angle in radians by which level `s` has turned."""
        return np.asarray(c * self.torsion * (0.4 - np.clip(s / self.length, 0, 1.2)))

    def volume(self, c: float) -> float:
        """Return the volume of the cavity in mL at contraction `c`."""
        u = (np.arange(60) + 0.5) / 60
        theta = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        area = np.pi * np.mean(self.cavity(u[:, None], theta[None], c) ** 2, axis=1)
        lengths = self.stretch(u * self.length, c) * self.length / len(u)
        return float(area @ lengths) / 1000

    def places(self, points: Array) -> Places:
        """Return where points of the body `(n, 3)`, a, b, s in mm at ED, lie in the wall."""
        a, b, s = points.T
        theta, u = np.arctan2(b, a), np.clip(s / self.length, 0, 1)
        inner = np.where(s < 0, 0.0, self.endocardium(u, theta))
        outer = np.maximum(self.epicardium(np.minimum(s, self.length), theta), inner + 1)
        return Places(np.hypot(a, b), theta, s, inner, outer, self.inward(u, theta))

    def deform(self, points: Array, c: float) -> Array:
        """Move points of the body `(n, 3)`, a, b, s in mm at ED, to where they are at `c`."""
        return self.moved(self.places(points), c)

    def moved(self, at: Places, c: float) -> Array:
        """Return where points of the body are at contraction `c`.

        Within the wall this is exact and incompressible. Outside, the motion of the outer border
        dies away over centimetres; the right ventricle's free wall moves inwards on its own.

        Args:
            at: Where they lie in the wall.
            c: 0 at ED, 1 at ES.

        Returns:
            `(n, 3)` a, b, s in mm.
        """
        s, radius, inner, outer = at.s, at.radius, at.inner, at.outer
        now = inner * (1 - c * at.inward)
        stretch = self.stretch(np.clip(s, 0, self.length), c)
        border = np.sqrt(now**2 + (outer**2 - inner**2) / stretch)
        wall = np.sqrt(np.maximum(now**2 + (radius**2 - inner**2) / stretch, 0))
        septal = (1 - np.cos(at.theta)) / 2
        outside = np.maximum(radius - outer, 0)
        beyond = np.maximum(outside - self.right_width * septal, 0)
        moved = radius + (border - outer) * np.exp(-outside / 18)
        moved -= self._free_wall(s, septal, outside, beyond) * c
        cavity = radius * now / np.maximum(inner, 1e-6)
        solid = np.where(radius < inner, cavity, np.where(radius < outer, wall, moved))
        above = np.exp(-np.maximum(s - self.length, 0) / 14)
        radius_now = radius + (solid - radius) * above
        fade = np.exp(-beyond / 22)
        angle = at.theta + self.twist(s, c) * np.exp(-outside / 12) * above
        s_now = s - c * self.shortening * self.length * self._strain(s)[0] * fade
        moved_to = np.stack([radius_now * np.cos(angle), radius_now * np.sin(angle), s_now], 1)
        return np.asarray(moved_to + fade[:, None] * (self._rock(moved_to, c) - moved_to))

    def _free_wall(self, s: Array, septal: Array, outside: Array, beyond: Array) -> Array:
        across = np.clip(outside / self.right_width, 0, 1)
        along = np.sin(np.pi * np.clip(s / self.length, 0, 1.1) / 1.1)
        return np.asarray(self.right_shift * across * septal**2 * along * np.exp(-beyond / 15))

    def _rock(self, points: Array, c: float | Array) -> Array:
        cos, sin = np.cos(c * self.rocking), np.sin(c * self.rocking)
        a, s = points[..., 0], points[..., 2]
        return np.stack([cos * a + sin * s, points[..., 1], cos * s - sin * a], axis=-1)

    def surface(self, u: Array, theta: Array, c: float) -> Array:
        """Return points `(..., 3)` of the endocardium at contraction `c`, by their ED place."""
        radius, s = self.cavity(u, theta, c), u * self.length
        angle = theta + self.twist(s, c)
        low = s - c * self.shortening * self.length * self._strain(s)[0]
        stacked = np.stack(np.broadcast_arrays(radius * np.cos(angle), radius * np.sin(angle), low))
        return self._rock(np.moveaxis(stacked, 0, -1), c)

    def outside_cavity(self, points: Array, c: Array) -> Array:
        """Return how many mm points lie outside of the cavity; negative inside.

        Radially across the wall, along the axis beyond the mitral plane.

        Args:
            points: `(..., 3)` a, b, s now.
            c: Contraction, of any shape that goes with `points[..., 0]`.
        """
        back = self._rock(points, -c)
        a, b, low = np.moveaxis(back, -1, 0)
        u = self._level(low / self.length, c)
        theta = np.arctan2(b, a) - self.twist(u * self.length, c)
        aside = np.hypot(a, b) - self.cavity(np.clip(u, 0, 1), theta, c)
        return np.asarray(np.maximum(np.maximum(aside, (u - 1) * self.length), -low))

    def within_wall(self, points: Array, c: float) -> NDArray[np.bool_]:
        """Return whether points lie in the ventricle's wall, from the apex to the mitral plane.

        Args:
            points: `(..., 3)` a, b, s now.
            c: Contraction.
        """
        a, b, low = np.moveaxis(self._rock(points, -c), -1, 0)
        u = self._level(low / self.length, np.full(np.shape(low), c))
        s, at_most = u * self.length, np.clip(u, 0, 1)
        theta = np.arctan2(b, a) - self.twist(s, c)
        then = np.where(s < 0, 0.0, self.endocardium(at_most, theta))
        outer = self.epicardium(np.minimum(s, self.length), theta)
        now = then * (1 - c * self.inward(at_most, theta))
        thick = np.maximum(outer**2 - then**2, 0) / self.stretch(at_most * self.length, c)
        radius = np.hypot(a, b)
        level = (s > -self.apical_wall) & (s < self.length)
        return np.asarray(level & (radius >= now) & (radius < np.sqrt(now**2 + thick)))

    def _level(self, low: Array, c: Array) -> Array:
        """Return the level at ED of what is now at `low`, both as shares of the length."""
        k = c * self.shortening / (1 - _RAMP / 2)
        steep = np.maximum(1 - 2 * k * low / _RAMP, 1e-9)
        near = np.where(
            np.abs(k) > 1e-6, (1 - np.sqrt(steep)) * _RAMP / np.where(k == 0, 1, k), low
        )
        far = (low - k * _RAMP / 2) / (1 - k)
        return np.where(far > _RAMP, far, near)
