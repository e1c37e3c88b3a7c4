"""Volumes and ejection fraction.

The method of disks (modified Simpson's rule) is the standard of Lang et al., *J Am Soc
Echocardiogr* 28:1-39 (2015): the ventricle is cut perpendicular to its long axis into a stack of
equally thick disks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

REDUCED_EF = 40.0
"""EF in percent up to which (inclusive) the ejection fraction is called reduced."""


def long_axis_length(tracing: NDArray[np.floating]) -> float:
    """Return the length of the LV long axis of a tracing, in the units of its coordinates.

    Args:
        tracing: `(1 + n, 4)` array of `x1, y1, x2, y2`; the first row is the long axis.
    """
    x1, y1, x2, y2 = np.asarray(tracing, dtype=np.float64)[0]
    return float(np.hypot(x2 - x1, y2 - y1))


def method_of_disks(tracing: NDArray[np.floating]) -> float:
    """Return the single-plane volume of a traced ventricle by the method of disks.

    Args:
        tracing: `(1 + n, 4)` array of `x1, y1, x2, y2`: the long axis, then `n` chords that are
            the diameters of `n` equally thick disks (20 in EchoNet-Dynamic).

    Returns:
        The volume in cubed units of the coordinates; millimetres give mm^3, 1000 of which are
        one mL.
    """
    chords = np.asarray(tracing, dtype=np.float64)[1:]
    diameters = np.hypot(chords[:, 2] - chords[:, 0], chords[:, 3] - chords[:, 1])
    thickness = long_axis_length(tracing) / len(chords)
    return float(np.pi / 4 * np.sum(diameters**2) * thickness)


def ejection_fraction(
    end_diastolic_volume: ArrayLike, end_systolic_volume: ArrayLike
) -> NDArray[np.float64]:
    """Return `100 (EDV - ESV) / EDV` in percent, element by element.

    Args:
        end_diastolic_volume: EDV in any unit of volume.
        end_systolic_volume: ESV in the same unit.
    """
    edv = np.asarray(end_diastolic_volume, dtype=np.float64)
    esv = np.asarray(end_systolic_volume, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(100.0 * (edv - esv) / edv)


def straddles_reduced(lower: Any, upper: Any) -> Any:
    """Tell intervals of EF that hold the limit of reduced EF, so that either answer may be true.

    Args:
        lower: Lower ends in percent: a number, an array, a tensor or a column.
        upper: Upper ends in percent, alike.

    Returns:
        Whether lower <= 40 < upper, of the kind of the arguments; false where either is NaN.
    """
    return (lower <= REDUCED_EF) & (upper > REDUCED_EF)


def is_reduced(ef: ArrayLike) -> NDArray[np.bool_]:
    """Return whether an EF in percent is reduced (EF <= 40); false where EF is NaN."""
    return np.asarray(np.asarray(ef, dtype=np.float64) <= REDUCED_EF)
