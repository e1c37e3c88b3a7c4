"""From which probability a case is called reduced: chosen on VAL, and how surely."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm

SENSITIVITIES = (0.9, 0.95)
"""Sensitivities at which operating points are reported."""
_CLOSEST = 1e-12
_GRID = 401
_DRAWS = 200

Array = NDArray[np.float64]


def best_threshold(p_reduced: ArrayLike, reduced_true: ArrayLike) -> float:
    """Return the threshold with the best balanced accuracy, to be chosen on VAL.

    Both classes are smoothed on the log odds by a Gaussian kernel first (Fluss et al., *Biometrical
    Journal* 47:458-472, 2005), as the best step of two staircases depends on single cases.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.

    Returns:
        The threshold, 0.5 if only one class is there or all probabilities are the same.
    """
    odds, truth = _odds(p_reduced), np.asarray(reduced_true, dtype=bool)
    if truth.all() or not truth.any() or np.ptp(odds) == 0:
        return 0.5
    return float(expit(_best_cut(odds[truth], odds[~truth])))


def sensitivity_threshold(
    p_reduced: ArrayLike, reduced_true: ArrayLike, sensitivity: float
) -> float:
    """Return the highest threshold at which a share of the reduced cases is called reduced.

    Args:
        p_reduced: `(n,)` probability of EF <= 40 on VAL.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        sensitivity: The share, in 0..1.

    Returns:
        The threshold; NaN where no case is reduced.
    """
    reduced = np.sort(np.asarray(p_reduced, dtype=np.float64)[np.asarray(reduced_true, bool)])
    if not len(reduced):
        return float("nan")
    missed = int(np.floor(len(reduced) * (1 - sensitivity) + 1e-9))
    return float(reduced[missed])


def redrawn_thresholds(
    p_reduced: ArrayLike, reduced_true: ArrayLike, draws: int = _DRAWS, seed: int = 0
) -> Array:
    """Return the thresholds that other VALs of the same size might have chosen.

    Args:
        p_reduced: `(n,)` probability of EF <= 40 on VAL.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        draws: How many, each by a bootstrap resample of both classes.
        seed: Seed of the drawing.

    Returns:
        `(draws,)` thresholds; empty where VAL holds one class.
    """
    odds, truth = _odds(p_reduced), np.asarray(reduced_true, dtype=bool)
    reduced, normal = odds[truth], odds[~truth]
    if not len(reduced) or not len(normal):
        return np.empty(0)
    rng = np.random.default_rng(seed)
    cuts = [_best_cut(rng.choice(reduced, len(reduced)), rng.choice(normal, len(normal)))
            for _ in range(draws)]  # fmt: skip
    return np.asarray(expit(cuts))


def _best_cut(reduced: Array, normal: Array) -> float:
    """Return the log odds that part two classes best, both smoothed."""
    both = np.concatenate([reduced, normal])
    grid = np.linspace(both.min(), both.max(), _GRID)
    gain = _share_below(normal, grid) - _share_below(reduced, grid)
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return float(grid[best[len(best) // 2]])


def _share_below(odds: Array, grid: Array) -> Array:
    """Return the smoothed share of cases below each point of a grid."""
    quarter, rest = np.quantile(odds, [0.25, 0.75])
    spread = min(filter(None, (float(odds.std()), float(rest - quarter) / 1.349)), default=0.0)
    width = max(0.9 * spread * len(odds) ** -0.2, 1e-6 * max(1.0, float(np.ptp(grid))))
    return np.asarray(norm.cdf((grid[:, None] - odds) / width).mean(axis=1))


def _odds(p_reduced: ArrayLike) -> Array:
    probability = np.asarray(p_reduced, dtype=np.float64)
    return np.asarray(logit(np.clip(probability, _CLOSEST, 1 - _CLOSEST)))
