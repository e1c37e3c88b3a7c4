"""The method of disks in two planes: apical four-chamber and two-chamber view of one ventricle.

The biplane method of disks is what guidelines recommend for volumes and EF (Lang et al., *J Am Soc
Echocardiogr* 28:1-39 (2015)): every disk is an ellipse, whose one diameter is seen in the one view
and whose other in the other. A single plane takes it for a circle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac.volume import ejection_fraction, long_axis_length

LENGTHS_APART = 0.1
"""Share of the longer long axis by which the other is shorter, beyond which one of the two views is
likely to miss the apex: readers then measure in a better loop."""


def biplane_volume(four: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Return the volume of a ventricle that is traced in two views, by disks.

        V = pi / 4 * sum(a_i * b_i) * L / n

    with the diameters a and b of the two views, and L the longer of the two long axes.

    Args:
        four: Tracing of the four-chamber view, `(1 + n, 4)` x1, y1, x2, y2: the long axis, from the
            apex to the base, then n chords across it, in any order. In units that both share.
        two: The same of the two-chamber view. It may have another number of chords.

    Returns:
        The volume in cubed units of the coordinates.

    Raises:
        ValueError: A tracing has no chords.
    """
    a, b = _diameters(four), _diameters(two)
    if len(a) != len(b):
        b = np.interp(_levels(len(a)), _levels(len(b)), b)
    length = max(long_axis_length(four), long_axis_length(two))
    return float(np.pi / 4 * (a * b).sum() * length / len(a))


def biplane_ejection_fraction(
    four: tuple[NDArray[np.floating], NDArray[np.floating]],
    two: tuple[NDArray[np.floating], NDArray[np.floating]],
    same_unit: bool = True,
) -> float:
    """Return the EF in percent of a ventricle that is traced in two views.

    Args:
        four: Tracings of the four-chamber view at end-diastole and at end-systole; see
            `biplane_volume`.
        two: The same of the two-chamber view.
        same_unit: Whether both views are in one unit, such as millimetres. Where the scale of a
            picture is not known they are not: the long axes are then taken to be as long as each
            other at end-diastole, as those of one ventricle are.
    """
    if not same_unit:
        scale = long_axis_length(four[0]) / long_axis_length(two[0])
        two = (np.asarray(two[0]) * scale, np.asarray(two[1]) * scale)
    full, empty = (biplane_volume(*views) for views in zip(four, two, strict=True))
    return float(ejection_fraction(full, empty))


def lengths_apart(four: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Return by which share of the longer one the long axes of two views differ, 0 to 1."""
    lengths = long_axis_length(four), long_axis_length(two)
    return 1 - min(lengths) / max(lengths)


def _levels(count: int) -> NDArray[np.float64]:
    return np.asarray((np.arange(count) + 0.5) / count)


def _diameters(tracing: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the diameters `(n,)` of a tracing's disks, from apex to base."""
    lines = np.asarray(tracing, dtype=np.float64)
    if len(lines) < 2:
        raise ValueError("a tracing is a long axis and at least one chord")
    axis, chords = lines[0, 2:] - lines[0, :2], lines[1:]
    place = ((chords[:, :2] + chords[:, 2:]) / 2 - lines[0, :2]) @ axis
    diameters = np.hypot(chords[:, 2] - chords[:, 0], chords[:, 3] - chords[:, 1])
    return np.asarray(diameters[np.argsort(place, kind="stable")])
