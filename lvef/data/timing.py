"""When the frames of a clip were taken: one rate where they are evenly spaced, else resampled."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import RATES
from lvef.errors import VideoError

_FINEST = 1001
"""Largest denominator of a frame rate: 30000/1001 is television's."""
_WAY_ON = "give the true rate with --data.fps (fps= in Python)"


@dataclass(frozen=True)
class Timing:
    """The rate of a clip.

    Attributes:
        fps: Frames a second.
        even: `(n,)` int64, which frame is shown at each of n evenly spaced moments, `fps` a second;
            None where the frames themselves are evenly spaced.
        moments: `(T,)` int64, the evenly spaced moment of each frame; None as above.
    """

    fps: float
    even: NDArray[np.int64] | None = None
    moments: NDArray[np.int64] | None = None


def timing(times: NDArray[np.float64]) -> Timing:
    """Tell the rate of frames by their times.

    A frame may lie up to one interval beside its even place, as where a machine's clock jitters or
    drops a frame. Where more differ, the nearest frames at even moments stand for the clip, the
    median interval apart.

    Args:
        times: `(T,)` seconds, from 0.

    Raises:
        VideoError: The times do not rise, no echo machine makes such a rate, or there is a pause in
            which a systole could be lost.
    """
    if len(times) < 2:
        raise VideoError("a still picture (one frame), not a loop")
    intervals = np.diff(times)
    usual = float(np.median(intervals))
    if not (usual > 0 and (intervals >= 0).all() and np.isfinite(times).all()):
        raise VideoError(f"the times of its frames do not rise: {_WAY_ON}")
    span = float(times[-1] - times[0])
    places = times[0] + np.arange(len(times)) * span / (len(times) - 1)
    # A tenth more, as rounding to a container's ticks may be in it.
    if np.abs(times - places).max() <= 1.1 * usual and intervals.max() <= 2.5 * usual:
        return Timing(checked_rate(_rounded((len(times) - 1) / span)))
    fps = checked_rate(_rounded(1 / usual))
    longest = int(intervals.argmax())
    if intervals[longest] > 1.01 / RATES[0]:
        raise VideoError(
            f"its frames are not evenly spaced in time: {intervals[longest]:.2f} s pass after "
            f"frame {longest}, {1000 * usual:.0f} ms after most: cut the clip there, or say with "
            "--data.fps (fps= in Python) that they are"
        )
    moments = np.round((times - times[0]) * fps).astype(np.int64)
    grid = times[0] + np.arange(moments[-1] + 1) / fps
    return Timing(fps, _nearest(times, grid), moments)


def checked_rate(fps: float) -> float:
    """Return a frame rate.

    Args:
        fps: Frames a second.

    Raises:
        VideoError: No echo machine has such a rate.
    """
    if not RATES[0] <= fps <= RATES[1]:
        raise VideoError(f"{fps:g} frames a second, which no echo machine makes; {_WAY_ON}")
    return float(fps)


def _rounded(fps: float) -> float:
    """Return the simple fraction that a rate measured on a container's ticks stands for."""
    return float(Fraction(fps).limit_denominator(_FINEST))


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    after = np.searchsorted(times, wanted).clip(1, len(times) - 1)
    nearer = wanted - times[after - 1] <= times[after] - wanted
    return np.asarray(after - nearer, np.int64)
