"""What an exact Gaussian process predicts once its hyperparameters are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lvef.models.gp.kernels import Kernel, Scales
from lvef.models.gp.marginal_likelihood import safe_cholesky
from lvef.models.gp.prior import Prior


@dataclass(frozen=True)
class ExactSolution:
    """A prior conditioned on training samples (Rasmussen & Williams, 2006, algorithm 2.1).

    Attributes:
        kernel: The kernel.
        scales: Its hyperparameters.
        constant_mean: The mean of the prior.
        noise: Variance of the noise of an observation.
        inputs: `(n, k)` training inputs.
        cholesky: `(n, n)` lower factor of their covariance, noise included.
        weights: `(n,)` what the covariances with new inputs are multiplied by.
    """

    kernel: Kernel
    scales: Scales
    constant_mean: Tensor
    noise: Tensor
    inputs: Tensor
    cholesky: Tensor
    weights: Tensor

    @classmethod
    @torch.inference_mode(False)  # what is kept must serve where gradients are wanted
    @torch.no_grad()
    def of(cls, prior: Prior, inputs: Tensor, targets: Tensor) -> ExactSolution:
        """Condition on training inputs `(n, k)` and targets `(n,)`."""
        kernel, scales, noise = prior.kernel, prior.scales, prior.noise
        covariance = kernel.covariances(inputs, inputs, scales)
        covariance.diagonal().add_(noise)
        cholesky = safe_cholesky(covariance)
        residual = targets - prior.constant_mean
        weights = torch.cholesky_solve(residual[:, None], cholesky)[:, 0]
        return cls(kernel, scales, prior.constant_mean, noise, inputs, cholesky, weights)

    def moments(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of inputs `(m, k)`, without noise."""
        cross = self.kernel.covariances(self.inputs, inputs, self.scales)
        explained = torch.linalg.solve_triangular(self.cholesky, cross, upper=False)
        variance = self.kernel.variances(inputs, self.scales) - explained.square().sum(0)
        return self.constant_mean + self.weights @ cross, variance.clamp(min=0)
