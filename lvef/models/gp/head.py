"""The exact Gaussian-process head: a plain module, fitted once, with its memory in buffers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from lvef.errors import FitError, NotFittedError
from lvef.models.gp.exact import ExactSolution
from lvef.models.gp.iterative import IterativeSolution
from lvef.models.gp.kernels import KERNELS, KernelName
from lvef.models.gp.marginal_likelihood import searched
from lvef.models.gp.memory import largest_exact, largest_held
from lvef.models.gp.prior import Prior
from lvef.models.gp.search import Progress, maximise, silent
from lvef.models.gp.standardised import StandardisedSamples
from lvef.models.options import FloatPrecision, GPOptions, Reduction
from lvef.options import check_numbers, ranges_of

_CHUNK = 1024
_SUBSET = 5000
"""Training samples, at most, whose optimum serves all where all are too many to be solved."""


class ExactGPHead(StandardisedSamples):
    """Exact Gaussian-process regression (Rasmussen & Williams, 2006) on GPyTorch's kernels.

    Inputs and targets are standardised on the training samples. Hyperparameters maximise the
    marginal likelihood, by L-BFGS to convergence. Everything that a prediction needs, training
    samples included, is in `state_dict()`.

    Args:
        kernel: A name of `KERNELS`.
        reduction: null keeps every feature, pca projects on the leading principal components,
            learned goes on from there and learns the projection with the marginal likelihood
            (flexible: it can overfit a small training set).
        components: Dimensions kept by a reduction.
        restarts: Points that the search for hyperparameters starts from, on a subset of the
            samples; the best is then followed on all of them.
        precision: double, or single (half the memory, but rounding slows the search).
        max_cholesky: Most training samples that are solved exactly by Cholesky. With more, the
            hyperparameters are those of a subset of 5,000, and predictions are by GPyTorch's
            conjugate gradients on all, which hold the covariance once, not several times. null
            takes what the free memory holds at the fit (`largest_exact`). A warning tells.

    Raises:
        FitError: An option is out of range.

    Example:
        >>> x = torch.linspace(0, 6, 30)
        >>> head = ExactGPHead().fit(x[:, None], x.sin())
        >>> mean, std = head.predict(torch.tensor([[1.5]]))
        >>> bool(abs(mean - 0.9975) < 0.02)
        True
    """

    mean_module: Any
    covar_module: Any
    likelihood: Any
    fitted: Tensor
    exact: Tensor
    likelihood_per_sample: Tensor

    def __init__(
        self,
        kernel: KernelName = GPOptions.kernel,
        reduction: Reduction | None = GPOptions.reduction,
        components: int = GPOptions.components,
        restarts: int = GPOptions.restarts,
        precision: FloatPrecision = GPOptions.precision,
        max_cholesky: int | None = GPOptions.max_cholesky,
    ) -> None:
        _check_choice("kernel", kernel, tuple(KERNELS))
        _check_choice("reduction", reduction, (None, *get_args(Reduction)))
        _check_choice("precision", precision, get_args(FloatPrecision))
        numbers = {"components": components, "restarts": restarts, "max_cholesky": max_cholesky}
        check_numbers("", ranges_of(GPOptions), numbers, FitError)
        super().__init__(precision, None if reduction is None else components)
        self.kernel = KERNELS[kernel]
        self.reduction = reduction
        self.restarts = restarts
        self.max_cholesky = max_cholesky
        prior = Prior.new(self.kernel)
        self.mean_module, self.likelihood = prior.mean, prior.likelihood
        self.covar_module = prior.covariance
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("exact", torch.tensor(True))
        self.register_buffer("likelihood_per_sample", torch.tensor(math.nan, dtype=self.dtype))
        self.evaluations = 0
        self._solution: ExactSolution | None = None
        self._iterative: IterativeSolution | None = None
        self.to(self.dtype)

    @property
    def prior(self) -> Prior:
        """The hyperparameters, in the modules of GPyTorch that hold them."""
        return Prior(self.kernel, self.mean_module, self.covar_module, self.likelihood)

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        progress: Progress = silent,
        start: Mapping[str, float] | None = None,
    ) -> ExactGPHead:
        """Fit to training samples, forgetting any earlier fit.

        Args:
            x: `(n, d)` features.
            y: `(n,)` targets.
            progress: Called after each evaluation of the likelihood on all samples (on the subset
                of them that hyperparameters are chosen on), with its logarithm per sample.
            start: Hyperparameters to search from, as `hyperparameters` gives those of another fit,
                in place of `restarts` points on a subset.

        Returns:
            Itself.

        Raises:
            FitError: The samples do not fit together, or are not finite.
        """
        inputs, targets = self.remember(x, y)
        self.fitted.fill_(False)
        self.forget()
        with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
            try:
                self.exact.fill_(len(y) <= self._largest())
                if self.exact:
                    self._fit_exactly(inputs, targets, progress, start)
                else:
                    self._fit_iteratively(inputs, targets, progress, start)
            except FloatingPointError as error:
                raise FitError(f"{error}: are the features of a sensible size?") from error
        self.fitted.fill_(True)
        return self

    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of new observations, noise included.

        Args:
            x: `(m, d)` features. Gradients reach them where they are asked for.

        Returns:
            Two tensors `(m,)`, in the units of the targets, of the dtype of `x`.

        Raises:
            NotFittedError: There was no fit.
            FitError: `x` has another number of features.
        """
        self._check_fitted()
        if x.ndim != 2 or x.shape[1] != self.train_x.shape[1]:
            raise FitError(
                f"expected features (m, {self.train_x.shape[1]}), but got {tuple(x.shape)}"
            )
        means, stds = [], []
        gradients = torch.is_grad_enabled() and x.requires_grad
        with (
            torch.set_grad_enabled(gradients),
            torch.autocast(self.y_mean.device.type, enabled=False),
        ):
            for chunk in x.to(self.y_mean.device).split(_CHUNK):  # type: ignore[no-untyped-call]
                mean, variance = self._posterior(self.standardised(chunk))
                means.append(self.y_mean + self.y_scale * mean)
                variance = (variance + self.likelihood.noise).clamp(min=1e-12)
                stds.append(self.y_scale * variance.sqrt())
        if not means:
            return x.new_empty(0), x.new_empty(0)
        kept = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
        return torch.cat(means).to(kept), torch.cat(stds).to(kept)

    def forward(self, x: Tensor) -> Tensor:
        """Return mean and standard deviation as `(m, 2)`; see `predict`."""
        return torch.stack(self.predict(x), dim=1)

    def log_marginal_likelihood(self) -> float:
        """Return the log marginal likelihood per training sample, of the standardised targets.

        Raises:
            NotFittedError: There was no fit.
        """
        self._check_fitted()
        return float(self.likelihood_per_sample)

    def hyperparameters(self) -> dict[str, float]:
        """Return the hyperparameters by name, for standardised inputs and targets."""
        prior = self.prior
        values = {
            "lengthscale": float(prior.scales.lengthscale),
            "outputscale": float(prior.scales.outputscale),
            "noise": float(prior.noise),
            "constant_mean": float(prior.constant_mean),
        }
        if self.kernel.has_trend:
            values["linear_variance"] = float(prior.scales.linear_variance)
        return values

    def solution(self) -> ExactSolution:
        """Return what the predictions of an exact fit share, solved when first asked for.

        Raises:
            NotFittedError: There was no fit.
            FitError: The fit was approximated.
        """
        self._check_fitted()
        if not bool(self.exact):
            raise FitError(
                f"the Gaussian process on {len(self.train_y)} samples predicts by conjugate "
                "gradients, which are no closed form: fit it with a larger --model.gp.max_cholesky"
            )
        if self._solution is None:
            self._solution = ExactSolution.of(self.prior, *self.training_samples())
        return self._solution

    def forget(self) -> None:
        """Drop what predictions share."""
        self._solution = None
        self._iterative = None

    def train(self, mode: bool = True) -> ExactGPHead:
        """Switch the mode; a fitted head predicts the same in both."""
        super().train(mode)
        self.likelihood.eval()
        return self

    def _check_fitted(self) -> None:
        if not bool(self.fitted):
            raise NotFittedError("the Gaussian process was not fitted: call fit first")

    def _largest(self) -> int:
        if self.max_cholesky is not None:
            return self.max_cholesky
        return largest_exact(self.dtype, self.y_mean.device)

    def _fit_exactly(
        self,
        inputs: Tensor,
        targets: Tensor,
        progress: Progress,
        start: Mapping[str, float] | None = None,
    ) -> None:
        learned = self.reduction == "learned"
        projected = self.projected(inputs)
        best = maximise(
            inputs if learned else projected,
            targets,
            self.kernel,
            self.restarts,
            projection=self.projection if learned else None,
            progress=progress,
            start=None if start is None else searched(start, projected.shape[1]),
        )
        if best.projection is not None:
            self.projection = best.projection
        self.prior.take(best)
        self.likelihood_per_sample.fill_(best.log_likelihood)
        self.evaluations = best.evaluations

    def _fit_iteratively(
        self,
        inputs: Tensor,
        targets: Tensor,
        progress: Progress,
        start: Mapping[str, float] | None,
    ) -> None:
        """Take the exact optimum of a subset, and solve with all by conjugate gradients."""
        largest = self._largest()
        self._check_room(len(targets))
        warnings.warn(
            f"{len(targets)} training samples are more than the {largest} that are solved exactly: "
            "conjugate gradients approximate (raise max_cholesky, or halve the memory with single "
            "precision)",
            stacklevel=3,
        )
        size = min(largest, _SUBSET)
        subset = torch.linspace(0, len(targets) - 1, size, dtype=torch.float64).long()
        self._fit_exactly(inputs[subset], targets[subset], progress, start)
        self._iterative = IterativeSolution.of(self.prior, self.projected(inputs), targets)
        self.likelihood_per_sample.fill_(self._iterative.log_marginal_likelihood())

    def _posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance, without noise, of standardised inputs."""
        if bool(self.exact):
            return self.solution().moments(inputs)
        if self._iterative is None:
            self._check_room(len(self.train_y))
            self._iterative = IterativeSolution.of(self.prior, *self.training_samples())
        return self._iterative.moments(inputs)

    def _check_room(self, count: int) -> None:
        most = largest_held(self.dtype, self.y_mean.device)
        if count > most:
            single = ", or single precision (--model.gp.precision single)"
            raise FitError(
                f"the covariance of {count} training samples does not fit into the free memory, "
                f"which holds that of {most}: take fewer"
                + (single if self.dtype == torch.float64 else "")
            )


def _check_choice(option: str, name: str | None, choices: tuple[str | None, ...]) -> None:
    if name not in choices:
        listed = ", ".join(str(choice or "null") for choice in choices)
        raise FitError(f"no {option} {name!r}: choose one of {listed}")
