"""Whether frames are in the order of a beating heart: no still, no disorder, no broken loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lvef.analysis.gate import ViewGate
from lvef.analysis.layout import pass_length
from lvef.cardiac import FoundBeat
from lvef.cardiac.beats import FEWEST_SECONDS
from lvef.cardiac.order import disorder, jump

STILL = "a still picture: every frame shows the same"
DISORDER = "the frames are in no order: those that follow each other are no more alike"
BACKWARDS = "the frames run backwards: the ventricle empties as slowly as one fills"
_RANDOM = 1.1
"""`disorder` from which frames are in no order; 0.5 at most in order, 1.3 at least in none."""
_RATE = 20.0
"""Frames a second below which neighbours tell nothing."""
_SHORTEST = 4
"""Frames of a loop, at least."""
_JUMP = 1.2
"""`jump` from which a loop is broken: 19 in 20 pieces of a beat have it, 1 in 5 whole beats."""
_BEATS = 2
"""So many whole beats in a loop stand for themselves, wherever it was cut."""


def order_fault(
    frames: NDArray[np.uint8],
    fps: float,
    curve: NDArray[np.float64],
    beats: Sequence[FoundBeat],
    gate: ViewGate | None,
) -> str:
    """Return in words what is wrong with the order of a clip's frames, or nothing.

    Args:
        frames: `(T, H, W)` grey frames.
        fps: Frames a second.
        curve: `(T,)` how full the ventricle is.
        beats: Those that can be used, each once.
        gate: Knows which way time runs; None where that is not asked.
    """
    if len(frames) < max(FEWEST_SECONDS * fps, _SHORTEST):
        return ""
    if not np.any(frames != frames[:1]):
        return STILL
    if fps >= _RATE and disorder(frames) > _RANDOM:
        return DISORDER
    broken = _broken_loop(frames, fps, beats)
    if broken:
        return broken
    return BACKWARDS if gate is not None and gate.runs_backwards(curve, fps) else ""


def _broken_loop(frames: NDArray[np.uint8], fps: float, beats: Sequence[FoundBeat]) -> str:
    """Return that a clip is one piece of a beat over and over, or nothing.

    What is missing of the beat is not known. A loop that goes on from its end to its beginning as
    it does elsewhere is a whole number of beats, and counts once.
    """
    once = pass_length(frames, fps, _SHORTEST)
    if once is None or sum(beat.whole for beat in beats) >= _BEATS:
        return ""
    if once >= FEWEST_SECONDS * fps and jump(frames[:once]) < _JUMP:
        return ""
    return (
        f"one piece of {once / fps:.2f} s, shown {len(frames) / once:.1f} times, that is no whole "
        "number of beats"
    )
