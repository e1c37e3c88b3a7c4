"""A Gaussian process before it has seen anything: GPyTorch's modules, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gpytorch
from torch import Tensor

from lvef.models.gp.kernels import Kernel, Scales
from lvef.models.gp.marginal_likelihood import Hyperparameters


@dataclass(frozen=True)
class Prior:
    """Modules of GPyTorch whose parameters are the hyperparameters of a Gaussian process.

    Attributes:
        kernel: The kernel that `covariance` is a module of.
        mean: The constant mean.
        covariance: The kernel's module.
        likelihood: The noise of observations.
    """

    kernel: Kernel
    mean: Any
    covariance: Any
    likelihood: Any

    @classmethod
    def new(cls, kernel: Kernel) -> Prior:
        """Return a prior with GPyTorch's own starting values."""
        likelihood = gpytorch.likelihoods.GaussianLikelihood(
            noise_constraint=gpytorch.constraints.Positive()
        )
        return cls(kernel, gpytorch.means.ConstantMean(), kernel.gpytorch_module(), likelihood)

    def take(self, hyperparameters: Hyperparameters) -> None:
        """Set the parameters."""
        scaled = self._scaled
        scaled.base_kernel.lengthscale = hyperparameters.lengthscale
        scaled.outputscale = hyperparameters.outputscale
        if self.kernel.has_trend:
            self._linear.variance = hyperparameters.linear
        self.likelihood.noise = hyperparameters.noise
        self.mean.constant = hyperparameters.mean

    @property
    def scales(self) -> Scales:
        """The kernel's hyperparameters, tensors `()` without gradients."""
        outputscale = _number(self._scaled.outputscale)
        trend = self.kernel.has_trend
        return Scales(
            lengthscale=_number(self._scaled.base_kernel.lengthscale),
            outputscale=outputscale,
            linear_variance=_number(self._linear.variance) if trend else outputscale.new_zeros(()),
        )

    @property
    def noise(self) -> Tensor:
        """Variance of the noise of an observation, `()` without gradients."""
        return _number(self.likelihood.noise)

    @property
    def constant_mean(self) -> Tensor:
        """The mean, `()` without gradients."""
        return _number(self.mean.constant)

    @property
    def _scaled(self) -> Any:
        return self.covariance.kernels[0] if self.kernel.has_trend else self.covariance

    @property
    def _linear(self) -> Any:
        return self.covariance.kernels[1]


def _number(value: Tensor) -> Tensor:
    return value.detach().reshape(())
