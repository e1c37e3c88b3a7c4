"""What EF could be told from a volume, were it known exactly: the bound of a single volume.

A bound belongs to a loss: no guess has a smaller mean absolute error than the conditional median,
none a smaller mean squared error (a better R2) than the conditional mean.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline
from scipy.optimize import linprog, lsq_linear

Array = NDArray[np.float64]
Statistic = Literal["mean", "median"]
_DEGREE = 3
_INTERVALS = (1, 2, 3, 4, 6, 8)
"""Between knots at quantiles of TRAIN; how many is chosen by cross-validation within TRAIN."""
_FOLDS = 5


def ef_from_volume(
    train_volume: ArrayLike,
    train_ef: ArrayLike,
    volume: ArrayLike,
    statistic: Statistic = "mean",
) -> Array:
    """Predict EF from one true volume, by a falling spline in its logarithm fitted on TRAIN.

    A cubic spline that never rises (Ramsay, *Statistical Science* 3:425-441, 1988), with as many
    knots as five-fold cross-validation within TRAIN likes best.

    Args:
        train_volume: `(n,)` EDV or ESV in mL.
        train_ef: `(n,)` EF in percent.
        volume: `(m,)` the same volume of the cases to predict, in mL.
        statistic: The conditional mean, by least squares, or the conditional median, by least
            absolute errors (Koenker & Bassett, *Econometrica* 46:33-50, 1978).

    Returns:
        `(m,)` EF in percent; volumes beyond those of TRAIN count as its smallest or largest.
    """
    seen, truth = np.log(np.asarray(train_volume, float)), np.asarray(train_ef, float)
    asked = np.clip(np.log(np.asarray(volume, float)), seen.min(), seen.max())
    if np.ptp(seen) == 0:  # one volume tells nothing
        return np.full(len(asked), np.median(truth) if statistic == "median" else truth.mean())
    folds = np.random.default_rng(0).permutation(len(seen)) % _FOLDS

    def held_out(intervals: int) -> float:
        errors = []
        for fold in range(_FOLDS):
            rest, out = folds != fold, folds == fold
            if out.any() and np.ptp(seen[rest]) > 0:
                errors.append(_predict(seen[rest], truth[rest], seen[out], statistic, intervals))
                errors[-1] -= truth[out]
        error = np.concatenate(errors) if errors else np.array([np.inf])
        return float(np.abs(error).mean() if statistic == "median" else (error**2).mean())

    return _predict(seen, truth, asked, statistic, min(_INTERVALS, key=held_out))


def _predict(
    seen: Array, truth: Array, asked: Array, statistic: Statistic, intervals: int
) -> Array:
    quantiles = np.unique(np.quantile(seen, np.linspace(0, 1, intervals + 1)))
    inside = np.clip(asked, quantiles[0], quantiles[-1])
    # The first column is the level at the smallest volume, the others are falls of at least 0.
    basis = _falls(seen, quantiles)
    fit = _least_absolute if statistic == "median" else _least_squares
    return np.asarray(_falls(inside, quantiles) @ fit(basis, truth))


def _falls(log_volume: Array, quantiles: Array) -> Array:
    """Return a column of ones, and how far each of the splines has fallen from 0 to -1."""
    ends = [np.repeat(quantiles[end], _DEGREE) for end in (0, -1)]
    knots = np.concatenate([ends[0], quantiles, ends[1]])
    splines = BSpline.design_matrix(log_volume, knots, _DEGREE).toarray()
    left = np.cumsum(splines[:, ::-1], axis=1)[:, ::-1]
    return np.column_stack([np.ones(len(log_volume)), -left[:, 1:]])


def _least_squares(basis: Array, truth: Array) -> Array:
    lowest = np.where(np.arange(basis.shape[1]) == 0, -np.inf, 0.0)
    return np.asarray(lsq_linear(basis, truth, (lowest, np.inf)).x)


def _least_absolute(basis: Array, truth: Array) -> Array:
    """Solve the dual linear programme, which has a row for each spline and none for a case."""
    falls = basis[:, 1:].T
    solved = linprog(
        -truth, A_ub=falls, b_ub=np.zeros(len(falls)), A_eq=basis[:, :1].T, b_eq=[0.0],
        bounds=(-1.0, 1.0), method="highs",
    )  # fmt: skip
    return -np.concatenate([solved.eqlin.marginals, solved.ineqlin.marginals])
