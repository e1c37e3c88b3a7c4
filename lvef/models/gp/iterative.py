"""More samples than can be solved exactly: GPyTorch's conjugate gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import gpytorch
import torch
from torch import Tensor

from lvef.models.gp.prior import Prior
from lvef.models.gp.search import Progress

_STEPS, _RATE = 30, 0.03


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
        self.covar_module = prior.covariance

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
        posterior = self(inputs)
        return posterior.mean, posterior.variance


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
    likelihoods: list[float] = []
    with torch.enable_grad(), iterative_settings(inputs.device):
        for _ in range(_STEPS):
            optimizer.zero_grad()
            value = likelihood(model(inputs), targets)
            (-value).backward()
            optimizer.step()
            likelihoods.append(float(value.detach()))
            progress(likelihoods[-1])
    return likelihoods
