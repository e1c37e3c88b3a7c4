"""The method of disks in two planes: apical four-chamber and two-chamber view of one ventricle.

The biplane method of disks is what guidelines recommend for volumes and EF (Lang et al., *J Am Soc
Echocardiogr* 28:1-39 (2015)): every disk is an ellipse, whose one diameter is seen in the one view
and whose other in the other. A single plane takes it for a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac.volume import ejection_fraction, long_axis_length

LENGTHS_APART = 0.1
"""Share of the longer long axis by which the other is shorter, beyond which one of the two views is
likely to miss the apex."""


@dataclass(frozen=True)
class Disks:
    """A ventricle in one view: equally thick disks across its long axis, in any unit of length.

    Attributes:
        diameters: `(n,)` from apex to base.
        length: Of the long axis.
    """

    diameters: NDArray[np.float64]
    length: float

    @classmethod
    def of(cls, tracing: NDArray[np.floating]) -> Disks:
        """Return the disks of a tracing.

        Args:
            tracing: `(1 + n, 4)` x1, y1, x2, y2: the long axis, from the apex to the base, then n
                chords across it, in any order; see `method_of_disks`.

        Raises:
            ValueError: It has no chord.
        """
        lines = np.asarray(tracing, dtype=np.float64)
        if len(lines) < 2:
            raise ValueError("a tracing is a long axis and at least one chord")
        axis, chords = lines[0, 2:] - lines[0, :2], lines[1:]
        place = ((chords[:, :2] + chords[:, 2:]) / 2 - lines[0, :2]) @ axis
        diameters = np.hypot(chords[:, 2] - chords[:, 0], chords[:, 3] - chords[:, 1])
        return cls(diameters[np.argsort(place, kind="stable")], long_axis_length(lines))

    @classmethod
    def mean(cls, several: Sequence[Disks]) -> Disks:
        """Return the mean of the disks of several beats; they have as many disks each."""
        diameters = np.mean([each.diameters for each in several], axis=0)
        return cls(diameters, float(np.mean([each.length for each in several])))

    def times(self, factor: float) -> Disks:
        """Return the same in another unit of length."""
        return Disks(self.diameters * factor, self.length * factor)

    @property
    def volume(self) -> float:
        """Single-plane volume in cubed units: every disk a circle."""
        return float(np.pi / 4 * np.mean(self.diameters**2) * self.length)


def biplane_volume(four: Disks, two: Disks) -> float:
    """Return the volume of a ventricle that is seen in two views, by disks.

        V = pi / 4 * sum(a_i * b_i) * L / n

    with the diameters a and b of the two views, and L the longer of the two long axes.

    Args:
        four: The four-chamber view.
        two: The two-chamber view, in the same unit. It may have another number of disks.

    Returns:
        The volume in cubed units of length; millimetres give mm^3, 1000 of which are one mL.
    """
    a, b = four.diameters, two.diameters
    if len(a) != len(b):
        b = np.interp(_levels(len(a)), _levels(len(b)), b)
    return float(np.pi / 4 * np.mean(a * b) * max(four.length, two.length))


def biplane_ejection_fraction(
    four: tuple[Disks, Disks], two: tuple[Disks, Disks], same_unit: bool = True
) -> float:
    """Return the EF in percent of a ventricle that is seen in two views.

    Args:
        four: The four-chamber view at end-diastole and at end-systole.
        two: The two-chamber view.
        same_unit: Whether both views are in one unit, such as millimetres. Where the scale of a
            picture is not known they are not: the long axes are then taken to be as long as each
            other at end-diastole, as those of one ventricle are.
    """
    if not same_unit:
        scale = four[0].length / two[0].length
        two = (two[0].times(scale), two[1].times(scale))
    full, empty = (biplane_volume(*views) for views in zip(four, two, strict=True))
    return float(ejection_fraction(full, empty))


def lengths_apart(four: Disks, two: Disks) -> float:
    """Return by which share of the longer one the long axes of two views differ, 0 to 1."""
    return 1 - min(four.length, two.length) / max(four.length, two.length)


def _levels(count: int) -> NDArray[np.float64]:
    return np.asarray((np.arange(count) + 0.5) / count)
