"""What a model's EF must be moved by at another place, learned from few cases there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["none", "shift", "line"]
"""Whether answers are left, moved by a constant, or by a straight line."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_FOLDS = 20

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Correction:
    """A straight line from what is answered to what is said.

    Attributes:
        slope: EF points said for each EF point answered.
        offset: EF points to add then.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, ef: ArrayLike) -> Array:
        """Return corrected EF in percent, `(n,)`."""
        return self.slope * np.asarray(ef, dtype=np.float64) + self.offset


def learn_correction(ef: ArrayLike, ef_true: ArrayLike, kind: Kind) -> Correction:
    """Return the correction that labelled cases teach, drawn to none as far as chance explains it.

    Bias and slope are those of least squares, each times max(0, 1 - variance / square), the
    positive-part shrinkage of James & Stein (1961): what lies within its own standard error is
    taken for chance and left, so that few cases do little harm.

    Args:
        ef: `(n,)` answers in percent.
        ef_true: `(n,)` truth in percent.
        kind: What may be learned.
    """
    answer, truth = np.asarray(ef, np.float64), np.asarray(ef_true, np.float64)
    count = len(answer)
    if kind == "none" or count < 2:
        return Correction()
    middle, lacking = float(answer.mean()), truth - answer
    spread = (answer - middle) @ (answer - middle)
    slope = 0.0
    if kind == "line" and count > 2 and spread > 0:
        steepness = float((answer - middle) @ lacking / spread)
        rest = lacking - lacking.mean() - steepness * (answer - middle)
        slope = _shrunken(steepness, float(rest @ rest) / (count - 2) / float(spread))
    rest = lacking - slope * (answer - middle)
    shift = _shrunken(float(rest.mean()), float(rest.var(ddof=1)) / count)
    return Correction(1 + slope, shift - slope * middle)


def out_of_fold(ef: ArrayLike, ef_true: ArrayLike, kind: Kind) -> Array:
    """Return answers, each corrected by what other cases taught, `(n,)` in percent.

    Errors of these are what a new case may have; those of cases that taught are too small.

    Args:
        ef: `(n,)` answers in percent.
        ef_true: `(n,)` truth in percent.
        kind: What may be learned.
    """
    answer, truth = np.asarray(ef, np.float64), np.asarray(ef_true, np.float64)
    corrected = answer.copy()
    if kind == "none":
        return corrected
    places = np.arange(len(answer))
    for fold in range(min(len(answer), _FOLDS)):
        held = places % _FOLDS == fold
        corrected[held] = learn_correction(answer[~held], truth[~held], kind)(answer[held])
    return corrected


def scores_of_both(of_clips: ArrayLike, of_beats: ArrayLike) -> Array:
    """Return conformal scores under which intervals hold of clips and of their beats, too.

    Rank by rank the larger of both, so that every quantile is the larger of the two.

    Args:
        of_clips: `(n,)` errors of clips in standard deviations.
        of_beats: `(n,)` the same of one beat of each clip, which the intervals of beats promise.
    """
    return np.asarray(np.maximum(np.sort(np.asarray(of_clips)), np.sort(np.asarray(of_beats))))


def _shrunken(estimate: float, variance: float) -> float:
    square = estimate**2
    if square == 0 or not math.isfinite(square):
        return 0.0
    return estimate * max(0.0, 1 - variance / square)
