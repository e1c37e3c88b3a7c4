"""Probabilities and truth: recalibration by two parameters, calibration slope and intercept."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

_STEPS = 60
_LARGEST = 30.0
_CLOSEST = 1e-12
_INTERCEPT_PRIOR = 2.0
"""Standard deviation of the intercept before any case: odds wrong by seven times are not odd."""

Array = NDArray[np.float64]


def recalibration(logits: ArrayLike, reduced_true: ArrayLike) -> tuple[float, float]:
    """Return the temperature and the intercept that make held-out cases likeliest.

    Temperature scaling (Guo et al., ICML 2017) with the intercept of Platt (1999), without which
    the mean risk stays as wrong as the classifier states it. Weak normal priors on the logarithm
    of the temperature (SD 1) and on the intercept (SD 2) keep both finite where few cases are all
    on the right side.

    Args:
        logits: `(n,)` log odds of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.

    Returns:
        What to divide the log odds by, and what to add then; 1 and 0 where only one class is
        there.
    """
    odds, truth = np.asarray(logits, dtype=np.float64), np.asarray(reduced_true, dtype=np.float64)
    if truth.all() or not truth.any():
        return 1.0, 0.0
    # In u = log slope and b: the likelihood is not concave in u, so steps are halved till they pay.
    point = np.zeros(2)
    value = _loss(point, odds, truth)
    for _ in range(_STEPS):
        slope, probability = math.exp(point[0]), expit(math.exp(point[0]) * odds + point[1])
        error, weight = probability - truth, probability * (1 - probability)
        scaled = slope * odds
        gradient = np.array(
            [(error * scaled).sum() + point[0], error.sum() + point[1] / _INTERCEPT_PRIOR**2]
        )
        cross = float((weight * scaled).sum())
        curvature = np.array(
            [
                [float((weight * scaled**2).sum()) + 1, cross],
                [cross, float(weight.sum()) + 1 / _INTERCEPT_PRIOR**2],
            ]
        )
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-8 and _loss(point - size * step, odds, truth) > value:
            size /= 2
        point, before = point - size * step, value
        value = _loss(point, odds, truth)
        if abs(before - value) < 1e-12 * max(1.0, abs(value)):
            break
    return math.exp(-point[0]), float(point[1])


def calibration_line(p_reduced: ArrayLike, reduced_true: ArrayLike) -> tuple[float, float]:
    """Return the calibration slope and the calibration in the large (its intercept).

    Logistic regression of the truth on the stated log odds (Cox 1958; Van Calster et al., *BMC
    Medicine* 17:230, 2019). A slope below 1 says that probabilities are too extreme; the intercept
    is that at slope 1, and above 0 says that risks are too low.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.

    Returns:
        Slope (NaN where the classes are parted entirely, or the odds do not vary) and intercept;
        NaN where only one class is there.
    """
    probability = np.asarray(p_reduced, dtype=np.float64)
    odds = logit(np.clip(probability, _CLOSEST, 1 - _CLOSEST))
    truth = np.asarray(reduced_true, dtype=np.float64)
    if truth.all() or not truth.any():
        return math.nan, math.nan
    ones = np.ones((len(odds), 1))
    intercept = _logistic(ones, truth, odds)[0]
    spread = float(odds.std())
    parted = max(odds[truth == 0]) <= min(odds[truth == 1])
    if parted or spread < 1e-9:
        return math.nan, intercept
    # In their own unit, as odds that hardly vary have a slope of hundreds.
    scaled = np.column_stack([(odds - odds.mean()) / spread, ones])
    return _logistic(scaled, truth, np.zeros_like(odds))[0] / spread, intercept


def observed_to_expected(p_reduced: ArrayLike, reduced_true: ArrayLike) -> float:
    """Return how many cases are reduced over how many are by the stated probabilities.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
    """
    expected = float(np.sum(p_reduced))
    return float(np.sum(reduced_true)) / expected if expected > 0 else math.nan


def _loss(point: Array, odds: Array, truth: Array) -> float:
    if abs(point).max() > _LARGEST:
        return math.inf
    scaled = math.exp(point[0]) * odds + point[1]
    prior = (point[0] ** 2 + (point[1] / _INTERCEPT_PRIOR) ** 2) / 2
    return float((np.logaddexp(0, scaled) - truth * scaled).sum() + prior)


def _logistic(design: Array, truth: Array, offset: Array) -> list[float]:
    """Return the coefficients of a logistic regression, by Newton's method; NaN where none fit."""
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        probability = expit(design @ weights + offset)
        weight = np.maximum(probability * (1 - probability), 1e-12)
        curvature = design.T @ (weight[:, None] * design)
        step = np.linalg.lstsq(curvature, design.T @ (truth - probability), rcond=None)[0]
        weights = weights + np.clip(step, -2, 2)
        if abs(step).max() < 1e-8:
            return [float(weight) for weight in weights]
        if abs(weights).max() > _LARGEST:
            break
    return [math.nan] * len(weights)
