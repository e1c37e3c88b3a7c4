"""More samples than can be solved exactly: GPyTorch's conjugate gradients on one matrix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import gpytorch
import torch
from linear_operator.operators import (
    AddedDiagLinearOperator,
    ConstantDiagLinearOperator,
    DenseLinearOperator,
)
from torch import Tensor

from lvef.models.gp.kernels import Kernel, Scales
from lvef.models.gp.prior import Prior

_RANK = 300
"""Of the pivoted Cholesky factor that preconditions; GPyTorch's own 15 takes four times as long."""
_TOLERANCE, _ROUGHLY = 1e-3, 1.0
"""Of the residual of a prediction's solve, and of those from which a determinant is estimated."""
_ROWS = 2048
"""Rows of the covariance that are computed at once."""


@dataclass(frozen=True)
class IterativeSolution:
    """A prior conditioned on training samples by preconditioned conjugate gradients.

    The covariance is held once, and nothing else of its size (Gardner et al., 2018; Wang et al.,
    2019, on this with a pivoted Cholesky factor of it).

    Attributes:
        kernel: The kernel.
        scales: Its hyperparameters.
        constant_mean: The mean of the prior.
        inputs: `(n, k)` training inputs.
        covariance: `(n, n)` their covariance, noise included, as GPyTorch solves with it.
        residual: `(n,)` targets, less the mean.
        weights: `(n,)` what the covariances with new inputs are multiplied by.
    """

    kernel: Kernel
    scales: Scales
    constant_mean: Tensor
    inputs: Tensor
    covariance: AddedDiagLinearOperator
    residual: Tensor
    weights: Tensor

    @classmethod
    @torch.inference_mode(False)  # what is kept must serve where gradients are wanted
    @torch.no_grad()
    def of(cls, prior: Prior, inputs: Tensor, targets: Tensor) -> IterativeSolution:
        """Condition on training inputs `(n, k)` and targets `(n,)`.

        Raises:
            FloatingPointError: The covariance holds something that is not a number.
        """
        kernel, scales = prior.kernel, prior.scales
        held = inputs.new_empty(len(inputs), len(inputs))
        for rows, part in zip(held.split(_ROWS), inputs.split(_ROWS), strict=True):  # type: ignore[no-untyped-call]
            rows.copy_(kernel.covariances(part, inputs, scales))
        held.diagonal().copy_(kernel.variances(inputs, scales))
        if not bool(torch.isfinite(held.diagonal()).all()):
            raise FloatingPointError("the covariance of the Gaussian process is not finite")
        noise = ConstantDiagLinearOperator(prior.noise.reshape(1), len(inputs))
        covariance = AddedDiagLinearOperator(DenseLinearOperator(held), noise)
        residual = targets - prior.constant_mean
        with iterative_settings(inputs.device):
            weights = covariance.solve(residual[:, None])[:, 0]
        return cls(kernel, scales, prior.constant_mean, inputs, covariance, residual, weights)

    def moments(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of inputs `(m, k)`, without noise."""
        cross = self.kernel.covariances(self.inputs, inputs, self.scales)
        with iterative_settings(inputs.device):
            explained = (cross * self.covariance.solve(cross)).sum(0)
        variance = self.kernel.variances(inputs, self.scales) - explained
        return self.constant_mean + self.weights @ cross, variance.clamp(min=0)

    @torch.no_grad()
    def log_marginal_likelihood(self) -> float:
        """Return the log marginal likelihood per sample, of the same random vectors each time.

        They estimate the determinant, to some hundredths a sample.
        """
        device = self.inputs.device
        draws = torch.random.fork_rng([device] if device.type == "cuda" else [])
        with draws, iterative_settings(device, _ROUGHLY):
            torch.manual_seed(0)
            _, logdet = self.covariance.inv_quad_logdet(logdet=True)
        data_fit = torch.dot(self.residual, self.weights) / len(self.residual)
        return -0.5 * (float(data_fit + logdet / len(self.residual)) + math.log(2 * math.pi))


@contextmanager
def iterative_settings(device: torch.device, tolerance: float = _TOLERANCE) -> Iterator[None]:
    """GPyTorch's settings for iterative solves; no mixed precision."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        for setting in (
            gpytorch.settings.max_cholesky_size(0),
            gpytorch.settings.debug(False),
            gpytorch.settings.cg_tolerance(tolerance),
            gpytorch.settings.max_cg_iterations(2000),
            gpytorch.settings.max_preconditioner_size(_RANK),
        ):
            stack.enter_context(setting)
        yield
