"""What a Gaussian process says once its hyperparameters are known: exactly, or by iteration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import gpytorch
import torch
from torch import Tensor

from lvef.models.gp.marginal_likelihood import KernelName, safe_cholesky
from lvef.models.gp.search import Progress

_STEPS, _RATE = 30, 0.03


def kernel_module(name: KernelName) -> gpytorch.kernels.Kernel:
    """Return GPyTorch's kernel of a name, scaled."""
    kernels = gpytorch.kernels
    if name == "matern52":
        return kernels.ScaleKernel(kernels.MaternKernel(nu=2.5))
    scaled = kernels.ScaleKernel(kernels.RBFKernel())
    return scaled + kernels.LinearKernel() if name == "linear_rbf" else scaled


@dataclass(frozen=True)
class Prior:
    """A Gaussian process before it has seen anything, with the noise of observations."""

    mean: Any
    kernel: Any
    likelihood: Any

    @property
    def parts(self) -> list[Any]:
        """The kernels that are added up, the scaled one first."""
        summed = isinstance(self.kernel, gpytorch.kernels.AdditiveKernel)
        return list(self.kernel.kernels) if summed else [self.kernel]

    def covariances(self, a: Tensor, b: Tensor) -> Tensor:
        """Return `(n, m)` covariances of inputs `(n, k)` and `(m, k)`.

        The parts are added here: GPyTorch's sum with a linear kernel goes through a random
        low-rank decomposition.
        """
        covariances: Tensor = sum(part(a, b).to_dense() for part in self.parts)
        return covariances

    def variances(self, inputs: Tensor) -> Tensor:
        """Return the variances `(m,)` of inputs `(m, k)`, without noise."""
        return torch.stack([part(inputs, diag=True) for part in self.parts]).sum(0)


@dataclass(frozen=True)
class ExactSolution:
    """A prior conditioned on training samples (Rasmussen & Williams, 2006, algorithm 2.1).

    Attributes:
        prior: The prior.
        inputs: `(n, k)` training inputs.
        cholesky: `(n, n)` lower factor of their covariance, noise included.
        weights: `(n,)` what the covariances with new inputs are multiplied by.
    """

    prior: Prior
    inputs: Tensor
    cholesky: Tensor
    weights: Tensor

    @classmethod
    @torch.inference_mode(False)  # what is kept must serve where gradients are wanted
    @torch.no_grad()
    def of(cls, prior: Prior, inputs: Tensor, targets: Tensor) -> ExactSolution:
        """Condition on training inputs `(n, k)` and targets `(n,)`."""
        covariance = prior.covariances(inputs, inputs)
        covariance.diagonal().add_(prior.likelihood.noise)
        cholesky = safe_cholesky(covariance)
        residual = targets - prior.mean(inputs)
        weights = torch.cholesky_solve(residual[:, None], cholesky)[:, 0]
        return cls(prior, inputs, cholesky, weights)

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of inputs `(m, k)`, without noise."""
        cross = self.prior.covariances(self.inputs, inputs)
        explained = torch.linalg.solve_triangular(self.cholesky, cross, upper=False)
        variance = self.prior.variances(inputs) - explained.square().sum(0)
        mean = self.prior.mean(inputs) + self.weights @ cross
        return mean, variance.clamp(min=0)


class IterativePosterior(gpytorch.models.ExactGP):  # type: ignore[misc]
    """GPyTorch's own posterior, by conjugate gradients within `iterative_settings`.

    Args:
        prior: The prior; its modules are shared.
        inputs: `(n, k)` training inputs.
        targets: `(n,)` training targets.
    """

    def __init__(self, prior: Prior, inputs: Tensor, targets: Tensor) -> None:
        super().__init__(inputs, targets, prior.likelihood)
        self.mean_module = prior.mean
        self.covar_module = prior.kernel

    @classmethod
    @torch.inference_mode(False)  # what GPyTorch keeps must serve where gradients are wanted
    @torch.no_grad()
    def of(cls, prior: Prior, inputs: Tensor, targets: Tensor) -> IterativePosterior:
        """Condition on training inputs and targets, and solve what the predictions share."""
        model = cls(prior, inputs, targets)
        model.eval()
        model.moments(inputs[:1])
        return model

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        """Return the prior at `(m, k)` inputs, as GPyTorch asks for it."""
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    def moments(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of inputs `(m, k)`, without noise."""
        said = self(inputs)
        return said.mean, said.variance


@contextmanager
def iterative_settings(device: torch.device) -> Iterator[None]:
    """GPyTorch's settings for iterative solves; no mixed precision."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        for setting in (
            gpytorch.settings.max_cholesky_size(0),
            gpytorch.settings.debug(False),
            gpytorch.settings.cg_tolerance(0.01),
            gpytorch.settings.eval_cg_tolerance(1e-4),
            gpytorch.settings.max_cg_iterations(2000),
        ):
            stack.enter_context(setting)
        yield


def maximise_iteratively(
    prior: Prior, inputs: Tensor, targets: Tensor, progress: Progress
) -> list[float]:
    """Go on from a prior's hyperparameters, in place, by Adam on GPyTorch's approximate likelihood.

    Args:
        prior: The prior.
        inputs: `(n, k)` training inputs.
        targets: `(n,)` training targets.
        progress: Told the log marginal likelihood per sample after every step.

    Returns:
        The log marginal likelihood per sample at every step.
    """
    model = IterativePosterior(prior, inputs, targets).train()
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(prior.likelihood, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    reached = []
    with torch.enable_grad(), iterative_settings(inputs.device):
        for _ in range(_STEPS):
            optimizer.zero_grad()
            value = likelihood(model(inputs), targets)
            (-value).backward()
            optimizer.step()
            reached.append(float(value.detach()))
            progress(reached[-1])
    return reached
