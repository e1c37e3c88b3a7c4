"""Tracings of the left ventricle: their rows in the order that volumes and contours need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ALONG, _ACROSS = 0.8, 0.5
"""Mean |cosine| with the other rows from which a row is a chord, and up to which the long axis."""


def ordered_tracings(tracings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Put the rows of tracings in order: long axis first, chords along it, ends on the same sides.

    The long axis is the one row that lies across all others. What is in order stays as it is, from
    apex to base or from base to apex, and so does what has too few points or a point missing. Lines
    without a long axis become NaN, as one chord would be taken for it.

    Args:
        tracings: `(g, n, 4)` x1, y1, x2, y2 of `g` tracings, a row a line, in any order.

    Returns:
        The same lines, `(g, n, 4)`.
    """
    lines = np.array(tracings, dtype=np.float64)
    if lines.shape[1] < 4:
        return lines
    whole = np.flatnonzero(np.isfinite(lines).all(axis=(1, 2)))
    lines[whole] = _chords_in_order(_ends_on_their_sides(_axis_first(lines[whole])))
    return lines


def _axis_first(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    count = lines.shape[1]
    along = lines[..., 2:] - lines[..., :2]
    length = np.hypot(along[..., 0], along[..., 1])
    unit = along / np.maximum(length, 1e-9)[..., None]
    others = (np.abs(unit @ unit.transpose(0, 2, 1)).sum(-1) - 1) / (count - 1)
    axis = np.where(length > 0, others, np.inf).argmin(1)
    every = np.arange(len(lines))
    first_is_chord, has_axis = others[:, 0] > _ALONG, others[every, axis] < _ACROSS
    lines[first_is_chord & ~has_axis] = np.nan
    moved = (axis > 0) & has_axis & first_is_chord
    for case in np.flatnonzero(moved):
        rows = np.r_[axis[case], np.delete(np.arange(count), axis[case])]
        lines[case] = lines[case][rows]
    return lines


def _ends_on_their_sides(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the chords round that run against the longest."""
    chords = lines[:, 1:]
    along = chords[..., 2:] - chords[..., :2]
    longest = np.take_along_axis(along, np.square(along).sum(-1).argmax(1)[:, None, None], axis=1)
    against = (along * longest).sum(-1) < 0
    lines[:, 1:] = np.where(against[..., None], chords[..., [2, 3, 0, 1]], chords)
    return lines


def _chords_in_order(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    axis, chords = lines[:, :1], lines[:, 1:]
    along = axis[..., 2:] - axis[..., :2]
    place = ((chords[..., :2] + chords[..., 2:]) * along).sum(-1)
    steps = np.diff(place, axis=1)
    jumbled = (steps < 0).any(1) & (steps > 0).any(1)
    order = np.where(jumbled[:, None], place.argsort(1, kind="stable"), np.arange(place.shape[1]))
    lines[:, 1:] = np.take_along_axis(chords, order[..., None], axis=1)
    return lines
