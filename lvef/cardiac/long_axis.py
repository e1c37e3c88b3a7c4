"""The long axis of a ventricle that nobody traced: from the mitral annulus to the apex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac.contour import largest_outline

_ROUNDS = 6
_STEEPEST = float(np.cos(np.pi / 4))
"""Cosine of the largest angle between the long axis and the sector's, 45 degrees."""
_CORNER, _TIP = 0.02, 0.02
"""Shares of the ventricle's size, and of its length, within which points lie as far out as the
farthest: an outline of pixels has no single one, and an apex that is cut off is a line."""


@dataclass(frozen=True)
class LongAxis:
    """A long axis, in pixels.

    Attributes:
        left: End of the mitral annulus at the left of the picture, x and y.
        right: The other end.
        apex: Point of the outline that is farthest from the middle of the annulus.
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    apex: NDArray[np.float64]

    @property
    def middle(self) -> NDArray[np.float64]:
        """Middle of the mitral annulus."""
        return np.asarray((self.left + self.right) / 2)

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit vector from the apex to the middle of the annulus."""
        return _unit(self.middle - self.apex)


def long_axis(mask: NDArray[np.bool_]) -> LongAxis | None:
    """Return the long axis of a ventricle in an apical view, the transducer at the top.

    The ends of the annulus are the outline's lower corners: the points farthest down and out at 45
    degrees to the axis. The apex is the farthest point from their middle (Lang et al., J Am Soc
    Echocardiogr 2015) within 45 degrees of the sector's axis, which is upright in the picture. As
    either needs the other, they are found in turn, from the sector's axis on. The axis so lies
    along a ventricle that is wider than long, where the mask's principal axis lies across, and
    stays where a base that slopes or is cut off would turn the principal axis.

    Args:
        mask: `(H, W)` mask; of several pieces the largest counts.

    Returns:
        The axis, or None for an empty mask.
    """
    points = largest_outline(mask)
    if points is None:
        return None
    slack = _CORNER * float(np.sqrt(mask.sum()))
    down = np.array([0.0, 1.0])
    for _ in range(_ROUNDS):
        found = _along(points, down, slack)
        if (found.direction == down).all():  # as all further rounds would find
            break
        down = found.direction
    return found


def _along(points: NDArray[np.float64], down: NDArray[np.float64], slack: float) -> LongAxis:
    """Return the axis whose annulus lies at the lower end of an outline, as `down` has it."""
    right = np.array([down[1], -down[0]])
    ends = [_farthest(points, points @ _unit(down + side), slack) for side in (-right, right)]
    middle = (ends[0] + ends[1]) / 2
    away = points - middle
    distance = np.hypot(*away.T)
    upwards = points[-away[:, 1] >= _STEEPEST * np.maximum(distance, 1e-9)]
    if not len(upwards):  # a sliver that lies across the sector
        top = points[points[:, 1].argmin(), 1]
        return LongAxis(ends[0], ends[1], np.array([middle[0], min(top, middle[1] - 1.0)]))
    reach = np.hypot(*(upwards - middle).T)
    return LongAxis(ends[0], ends[1], _farthest(upwards, reach, _TIP * float(reach.max())))


def _farthest(
    points: NDArray[np.float64], reach: NDArray[np.float64], slack: float
) -> NDArray[np.float64]:
    return np.asarray(points[reach >= reach.max() - slack].mean(0))


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.hypot(*vector))
