"""The marginal likelihood of an exact Gaussian process, with its gradient, in closed form.

Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), sections 2.2 and 5.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.models.gp.kernels import Kernel, squared_distances

_PRIOR_CASES = 1.0
"""Weight, in cases, of the belief that standardised targets have variance one: with one case or
two the scale is unknown, with hundreds this is nothing."""


@dataclass(frozen=True)
class Hyperparameters:
    """What the marginal likelihood chooses, for standardised inputs and targets.

    Attributes:
        lengthscale: Of the RBF or Matern part.
        outputscale: Variance of that part.
        linear: Variance of the linear part, 0 without one.
        noise: Variance of the observation noise.
        mean: Constant mean.
        projection: `(d, k)` learned projection of the inputs, or None.
        log_likelihood: Log marginal likelihood per training sample, without any prior.
        evaluations: Of the likelihood on all training samples.
    """

    lengthscale: float
    outputscale: float
    linear: float
    noise: float
    mean: float
    projection: Tensor | None
    log_likelihood: float
    evaluations: int


class MarginalLikelihood:
    """Negative log marginal likelihood per sample, with its gradient.

    The covariance is s2 (k(D / l2) + w X X' / d + r I): squared distances D and products X X' are
    computed once. The scale s2 and the constant mean that fit best given the rest have closed
    forms and are put in, so that only log l, log r (and log w) are left to search.

    Args:
        x: `(n, d)` standardised inputs.
        y: `(n,)` standardised targets.
        kernel: The kernel k.
    """

    def __init__(self, x: Tensor, y: Tensor, kernel: Kernel) -> None:
        self.x, self.y, self.kernel = x, y, kernel
        self.ones = torch.ones_like(y)
        self.distances = squared_distances(x)
        self.products = x @ x.T / x.shape[1] if kernel.has_trend else None

    @property
    def typical_lengthscale(self) -> float:
        """The root of the median squared distance, where a search starts."""
        count = len(self.y)
        inner = self.distances[:512, :512]
        off_diagonal = ~torch.eye(len(inner), dtype=torch.bool, device=inner.device)
        median = float(inner[off_diagonal].median()) if count > 1 else 0.0
        return math.sqrt(median) if median > 0 else math.sqrt(self.x.shape[1])

    def __call__(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the objective and its gradient at log lengthscale, log noise (, log linear)."""
        value, gradient, _ = self._evaluate(theta)
        return value, gradient

    def value(self, theta: NDArray[np.float64]) -> float:
        """Return the objective alone, which takes a third of the time."""
        return self._value(self._solve(theta))

    def hyperparameters(self, theta: NDArray[np.float64], evaluations: int) -> Hyperparameters:
        """Return the hyperparameters at a point of the search, with the likelihood there."""
        solved = self._solve(theta)
        count = len(self.y)
        log_likelihood = -0.5 * (
            solved.log_determinant
            + count * math.log(2 * math.pi * solved.scale)
            + solved.quadratic / solved.scale
        )
        lengthscale, ratio, linear = _unpack(theta)
        return Hyperparameters(
            lengthscale=lengthscale,
            outputscale=solved.scale,
            linear=solved.scale * linear / self.x.shape[1],
            noise=solved.scale * ratio,
            mean=solved.mean,
            projection=None,
            log_likelihood=log_likelihood / count,
            evaluations=evaluations,
        )

    def gradient_of_inputs(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], Tensor]:
        """Return the objective, its gradient, and its gradient in the inputs `(n, d)`."""
        value, gradient, weights = self._evaluate(theta)
        lengthscale, _, linear = _unpack(theta)
        slope = self.kernel.slope(self.distances, lengthscale).mul_(weights)
        inputs = 4 * (slope.sum(1, keepdim=True) * self.x - slope @ self.x)
        if self.products is not None:
            inputs += 2 * linear / self.x.shape[1] * (weights @ self.x)
        return value, gradient, inputs / (2 * len(self.y))

    def _evaluate(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], Tensor]:
        """Return value, gradient, and twice the gradient in the covariance, `(n, n)`."""
        solved = self._solve(theta)
        count = len(self.y)
        value = self._value(solved)
        lengthscale, ratio, linear = _unpack(theta)
        # In place, and turned so that it lies in memory as the distances do: it is symmetric.
        weights = torch.cholesky_inverse(solved.cholesky, out=solved.cholesky).mT
        weights.addr_(solved.alpha, solved.alpha, alpha=-1 / solved.scale)
        gradient = [
            # k depends on D / l2 alone, so dk / d log l = -2 D dk / dD.
            -2 * _dot(self.kernel.slope(self.distances, lengthscale).mul_(self.distances), weights),
            ratio * float(weights.diagonal().sum()),
        ]
        if self.products is not None:
            gradient.append(linear * _dot(weights, self.products))
        return value, np.array(gradient) / (2 * count), weights

    def _value(self, solved: _Solved) -> float:
        count = len(self.y)
        scaled = (count + _PRIOR_CASES) * math.log(solved.scale)
        return 0.5 * (solved.log_determinant + scaled) / count

    def _solve(self, theta: NDArray[np.float64]) -> _Solved:
        lengthscale, ratio, linear = _unpack(theta)
        covariance = self.kernel.correlation(self.distances, lengthscale)
        if self.products is not None:
            covariance.add_(self.products, alpha=linear)
        covariance.diagonal().add_(ratio)
        cholesky = safe_cholesky(covariance)
        solutions = torch.cholesky_solve(torch.stack([self.y, self.ones], dim=1), cholesky)
        mean = float(self.y @ solutions[:, 1]) / float(self.ones @ solutions[:, 1])
        alpha = solutions[:, 0] - mean * solutions[:, 1]
        quadratic = max(float((self.y - mean) @ alpha), 0.0)
        scale = (quadratic + _PRIOR_CASES) / (len(self.y) + _PRIOR_CASES)
        log_determinant = 2 * float(cholesky.diagonal().double().log().sum())
        return _Solved(cholesky, alpha, mean, scale, quadratic, log_determinant)


def searched(hyperparameters: Mapping[str, float], num_features: int) -> NDArray[np.float64]:
    """Return the point of the search at which hyperparameters lie.

    Args:
        hyperparameters: As `ExactGPHead.hyperparameters` names them.
        num_features: How many features the kernel sees.
    """
    scale = hyperparameters["outputscale"]
    told = [hyperparameters["lengthscale"], hyperparameters["noise"] / scale]
    if "linear_variance" in hyperparameters:
        told.append(hyperparameters["linear_variance"] * num_features / scale)
    return np.log(told)


@dataclass(frozen=True)
class _Solved:
    cholesky: Tensor
    alpha: Tensor
    mean: float
    scale: float
    quadratic: float
    log_determinant: float


def safe_cholesky(covariance: Tensor) -> Tensor:
    """Return the lower Cholesky factor, with a little more on the diagonal if it takes that.

    Raises:
        FloatingPointError: The matrix holds something that is not a number.
    """
    if not bool(torch.isfinite(covariance.diagonal()).all()):
        raise FloatingPointError("the covariance of the Gaussian process is not finite")
    jitter = 1e-8 if covariance.dtype == torch.float64 else 1e-5
    added = 0.0
    while True:
        # Turned, as LAPACK has it: it is symmetric, and to copy it across takes far longer.
        cholesky, failed = torch.linalg.cholesky_ex(covariance.mT)
        if not bool(failed):
            return cholesky  # type: ignore[no-any-return]
        if added > 1:
            raise FloatingPointError("the covariance of the Gaussian process is not finite")
        covariance.diagonal().add_(jitter)
        added, jitter = added + jitter, jitter * 10


def _unpack(theta: NDArray[np.float64]) -> tuple[float, float, float]:
    linear = math.exp(theta[2]) if len(theta) > 2 else 0.0
    return math.exp(theta[0]), math.exp(theta[1]), linear


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a.flatten(), b.flatten()))
