"""The search for a Gaussian process's hyperparameters: L-BFGS, from several starts, to the end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from lvef.models.gp.kernels import Kernel
from lvef.models.gp.marginal_likelihood import Hyperparameters, MarginalLikelihood

_LENGTHSCALE_REACH = 4.0
"""How far log lengthscale may go from the typical distance."""
_NOISE_BOUNDS = (math.log(1e-5), math.log(1e4))
_LINEAR_BOUNDS = (-9.0, 9.0)
_STARTS = [(0.0, 0.1), (0.7, 0.3), (-0.7, 0.03), (1.4, 0.01), (0.0, 1.0), (-1.4, 0.1)]
"""Log lengthscale relative to the typical distance, and noise ratio, of the starting points."""
_FURTHER = 0.35
_SOME_NOISE = math.log(0.03)
"""Log noise ratio from which a search on more samples starts where that is better. Few samples of
many features are interpolated without noise, where the objective is flat: a search creeps there, or
stops."""
_EVALUATIONS_TO_COMPARE = 3
_MIDDLE = 2000
"""Samples of the search between a few and very many."""
_MAX_EVALUATIONS, _MAX_EVALUATIONS_OF_START = 200, 40
_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-7}
"""Relative change of the objective below which a search ends; rounding is larger in float32."""
_TOLERANCE_OF_START = 1e-5
"""The same of a search on a subset, of which another follows."""
_CURVED, _APART, _FLAT, _BENT = 1000, 0.1, 3e-3, 0.1
"""Samples on which it is found how the objective bends, over which step, and what is too little of
it for a search and not nothing."""
_SLOPE = 1e-3
"""Gradient per sample above which a search that cannot go on has not converged."""

Progress = Callable[[float], None]


def silent(value: float) -> None:
    """Report nothing."""


def maximise(
    x: Tensor,
    y: Tensor,
    kernel: Kernel,
    restarts: int = 4,
    restart_size: int = 500,
    projection: Tensor | None = None,
    progress: Progress = silent,
    start: NDArray[np.float64] | None = None,
) -> Hyperparameters:
    """Maximise the marginal likelihood by L-BFGS-B.

    The search starts from `restarts` points on a subset in single precision, which costs little,
    and goes on from the best of them, by way of a larger one where there are very many, on all
    samples until neither value nor gradient moves.

    Args:
        x: `(n, d)` standardised inputs.
        y: `(n,)` standardised targets.
        kernel: The kernel.
        restarts: Starting points.
        restart_size: Size of that subset.
        projection: `(d, k)` from which a projection of the inputs is learned along with the rest.
        progress: Called with the log likelihood per sample after each evaluation on all samples.
        start: Log lengthscale, log ratio of noise to scale (, log ratio of the linear part) to
            start from, in place of those points.
    """
    likelihood = None
    if start is None:
        projected = x if projection is None else x @ projection
        start = _best_start(projected, y, kernel, restarts, restart_size)
        if len(y) >= 2 * _MIDDLE:
            start = _found(projected, y, kernel, start, _MIDDLE)
        likelihood = MarginalLikelihood(projected, y, kernel)
        start = _unstuck(likelihood, start)
    if projection is not None:
        del likelihood
        return _maximise_with_projection(x, y, kernel, start, projection, progress)
    likelihood = likelihood or MarginalLikelihood(x, y, kernel)
    optimum, evaluations = _search(
        _reporting(likelihood, progress),
        start,
        _bounds(likelihood.typical_lengthscale, len(start)),
        _TOLERANCE[x.dtype],
        units=_units(_of_some(x, y, kernel, _CURVED, x.dtype), start),
    )
    return likelihood.hyperparameters(optimum, evaluations)


def _best_start(
    x: Tensor, y: Tensor, kernel: Kernel, restarts: int, size: int
) -> NDArray[np.float64]:
    likelihood = _of_some(x, y, kernel, size, torch.float32)
    typical = math.log(likelihood.typical_lengthscale)
    bounds = _bounds(likelihood.typical_lengthscale, 3 if kernel.has_trend else 2)
    results = []
    for start in range(restarts):
        shift, ratio = _STARTS[start % len(_STARTS)]
        shift += _FURTHER * (start // len(_STARTS))
        theta = np.array([typical + shift, math.log(ratio), 0.0][: len(bounds)])
        optimum, _ = _search(
            likelihood, theta, bounds, _TOLERANCE_OF_START, _MAX_EVALUATIONS_OF_START
        )
        results.append((likelihood(optimum)[0], optimum))
    return min(results, key=lambda result: result[0])[1]


def _found(
    x: Tensor, y: Tensor, kernel: Kernel, start: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    """Return the optimum on some of the samples, to go on from."""
    likelihood = _of_some(x, y, kernel, size, x.dtype)
    bounds = _bounds(likelihood.typical_lengthscale, len(start))
    start = _unstuck(likelihood, start)
    return _search(likelihood, start, bounds, _TOLERANCE_OF_START, _MAX_EVALUATIONS_OF_START)[0]


def _of_some(
    x: Tensor, y: Tensor, kernel: Kernel, size: int, dtype: torch.dtype
) -> MarginalLikelihood:
    some = torch.linspace(0, len(y) - 1, min(size, len(y)), dtype=torch.float64).long()
    return MarginalLikelihood(x[some].to(dtype), y[some].to(dtype), kernel)


def _unstuck(likelihood: MarginalLikelihood, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a start with hardly any noise, a few steps on, or one with some if that is better."""
    if start[1] >= _SOME_NOISE:
        return start
    bounds = _bounds(likelihood.typical_lengthscale, len(start))
    bounds[1] = (start[1], start[1])
    found, _ = _search(likelihood, start, bounds, _TOLERANCE_OF_START, _EVALUATIONS_TO_COMPARE)
    noisy = np.array([found[0], _SOME_NOISE, *found[2:]])
    return min((found, noisy), key=likelihood.value)


def _maximise_with_projection(
    x: Tensor,
    y: Tensor,
    kernel: Kernel,
    start: NDArray[np.float64],
    projection: Tensor,
    progress: Progress,
) -> Hyperparameters:
    """Search the projection too; the gradient goes through the distances by the chain rule.

    Its entries have a normal prior around the first projection, with the variance 1 / d of the
    entries of a unit vector: free to turn, too stiff to explain every target.
    """
    shape, own = projection.shape, len(start)
    first = projection.double().cpu().numpy().ravel()
    stiffness = shape[0] / len(y)

    def split(theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], Tensor]:
        return theta[:own], torch.as_tensor(theta[own:]).to(x).view(shape)

    def objective(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        few, learned = split(theta)
        value, gradient, inputs = MarginalLikelihood(x @ learned, y, kernel).gradient_of_inputs(few)
        through = (x.T @ inputs).double().cpu().numpy().ravel()
        moved = theta[own:] - first
        value += 0.5 * stiffness * float(moved @ moved)
        return value, np.concatenate([gradient, through + stiffness * moved])

    typical = MarginalLikelihood(x[:512] @ projection, y[:512], kernel).typical_lengthscale
    theta = np.concatenate([start, first])
    bounds = [*_bounds(typical, own), *[(-np.inf, np.inf)] * (len(theta) - own)]
    optimum, evaluations = _search(
        _reporting(objective, progress), theta, bounds, _TOLERANCE[x.dtype]
    )
    few, learned = split(optimum)
    chosen = MarginalLikelihood(x @ learned, y, kernel).hyperparameters(few, evaluations)
    return Hyperparameters(**{**chosen.__dict__, "projection": learned})


def _units(likelihood: MarginalLikelihood, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much each of the searched numbers changes where the objective bends alike.

    L-BFGS takes all of them to bend it by one at its first steps: log noise bends it by a
    hundredth, so that a search of bare numbers creeps along it. What hardly bends it at all, as no
    noise does, is left alone: large steps of it would lead nowhere.
    """
    slopes = likelihood(start)[1]
    apart = [likelihood(start + step)[1][i] for i, step in enumerate(_APART * np.eye(len(start)))]
    bends = np.maximum(np.abs(np.array(apart) - slopes) / _APART, 1e-9)
    return np.asarray(np.where((bends > _FLAT) & (bends < _BENT), 1 / np.sqrt(bends), 1.0))


Objective = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]


def _reporting(objective: Objective, progress: Progress) -> Objective:
    def reporting(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = objective(theta)
        progress(-value - 0.5 * (1 + math.log(2 * math.pi)))
        return value, gradient

    return reporting


def _search(
    objective: Objective,
    start: NDArray[np.float64],
    bounds: list[tuple[float, float]],
    tolerance: float,
    max_evaluations: int = _MAX_EVALUATIONS,
    units: NDArray[np.float64] | float = 1.0,
) -> tuple[NDArray[np.float64], int]:
    low, high = np.array(bounds).T

    def in_units(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = objective(numbers * units)
        return value, gradient * units

    result = minimize(
        in_units,
        np.clip(start, low, high) / units,
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([low / units, high / units], axis=1),
        options={"maxfun": max_evaluations, "ftol": tolerance, "gtol": 1e-6},
    )
    found, slopes = result.x * units, result.jac / units
    stopped = result.status == 1 or (result.status == 2 and _steep(found, slopes, bounds))
    if stopped and max_evaluations == _MAX_EVALUATIONS:
        warnings.warn(
            f"the search for hyperparameters stopped after {result.nfev} evaluations, before it "
            "converged",
            stacklevel=2,
        )
    return np.clip(found, low, high), int(result.nfev)


def _steep(
    found: NDArray[np.float64], slopes: NDArray[np.float64], bounds: list[tuple[float, float]]
) -> bool:
    """Return whether a search that found no better point still stood on a slope."""
    low, high = np.array(bounds).T
    free = (found > low) & (found < high)
    return bool(np.abs(slopes[free]).max(initial=0.0) > _SLOPE)


def _bounds(typical_lengthscale: float, count: int) -> list[tuple[float, float]]:
    centre = math.log(typical_lengthscale)
    lengthscale = (centre - _LENGTHSCALE_REACH, centre + _LENGTHSCALE_REACH)
    return [lengthscale, _NOISE_BOUNDS, _LINEAR_BOUNDS][:count]
