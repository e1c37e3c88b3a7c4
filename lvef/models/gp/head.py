"""The exact Gaussian-process head: a plain module, fitted once, with its memory in buffers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import gpytorch
import torch
from torch import Tensor

from lvef.errors import FitError, NotFittedError
from lvef.models.buffers import FittedBuffers
from lvef.models.gp.inference import (
    ExactSolution,
    IterativePosterior,
    Prior,
    iterative_settings,
    kernel_module,
    maximise_iteratively,
)
from lvef.models.gp.inputs import principal_components, spread
from lvef.models.gp.marginal_likelihood import Hyperparameters, KernelName
from lvef.models.gp.memory import largest_exact
from lvef.models.gp.search import Progress, maximise, silent
from lvef.models.options import GPOptions
from lvef.options import check_numbers, ranges_of

_CHUNK = 1024
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "kernel": ("rbf", "matern52", "linear_rbf"),
    "reduction": (None, "pca", "learned"),
    "precision": ("double", "single"),
}
_ITERATIVE_START = 2000


class ExactGPHead(FittedBuffers):
    """Exact Gaussian-process regression (Rasmussen & Williams, 2006) on GPyTorch's kernels.

    Inputs and targets are standardised on the training samples. Hyperparameters maximise the
    marginal likelihood, by L-BFGS to convergence. Everything that a prediction needs, training
    samples included, is in `state_dict()`.

    Args:
        kernel: rbf, matern52, or linear_rbf (a linear trend and an RBF).
        reduction: null keeps every feature, pca projects on the leading principal components,
            learned goes on from there and learns the projection with the marginal likelihood
            (flexible: it can overfit a small training set).
        components: Dimensions kept by a reduction.
        restarts: Points that the search for hyperparameters starts from, on a subset of the
            samples; the best is then followed on all of them.
        precision: double, or single (half the memory, but rounding slows the search).
        max_cholesky: Most training samples that are solved exactly by Cholesky; above it GPyTorch's
            conjugate gradients approximate, which saves time, while the covariance is still held.
            null takes what the free memory holds at the fit (`largest_exact`). A warning tells.

    Raises:
        FitError: An option is out of range.

    Example:
        >>> x = torch.linspace(0, 6, 30)
        >>> head = ExactGPHead().fit(x[:, None], x.sin())
        >>> mean, std = head.predict(torch.tensor([[1.5]]))
        >>> bool(abs(mean - 0.9975) < 0.02)
        True
    """

    fitted_buffers = ("train_x", "train_y", "x_mean", "x_scale", "projection")
    train_x: Tensor
    train_y: Tensor
    x_mean: Tensor
    x_scale: Tensor
    projection: Tensor
    y_mean: Tensor
    y_scale: Tensor
    mean_module: Any
    covar_module: Any
    likelihood: Any
    fitted: Tensor
    exact: Tensor
    likelihood_per_sample: Tensor

    def __init__(
        self,
        kernel: KernelName = "rbf",
        reduction: Literal["pca", "learned"] | None = None,
        components: int = 32,
        restarts: int = 4,
        precision: Literal["double", "single"] = "double",
        max_cholesky: int | None = None,
    ) -> None:
        super().__init__()
        _check_options(
            {"kernel": kernel, "reduction": reduction, "precision": precision},
            {"components": components, "restarts": restarts, "max_cholesky": max_cholesky},
        )
        self.kernel = kernel
        self.reduction = reduction
        self.components = components
        self.restarts = restarts
        self.max_cholesky = max_cholesky
        dtype = torch.float64 if precision == "double" else torch.float32
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = kernel_module(kernel)
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood(
            noise_constraint=gpytorch.constraints.Positive()
        )
        for name in self.fitted_buffers:
            self.register_buffer(name, torch.empty(0, dtype=dtype))
        self.register_buffer("y_mean", torch.zeros((), dtype=dtype))
        self.register_buffer("y_scale", torch.ones((), dtype=dtype))
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("exact", torch.tensor(True))
        self.register_buffer("likelihood_per_sample", torch.tensor(math.nan, dtype=dtype))
        self.evaluations = 0
        self._solution: ExactSolution | None = None
        self._iterative: list[IterativePosterior] = []  # in a list, so that it is no submodule
        self.to(dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the computation."""
        return self.y_mean.dtype

    def fit(self, x: Tensor, y: Tensor, progress: Progress = silent) -> ExactGPHead:
        """Fit to training samples, forgetting any earlier fit.

        Args:
            x: `(n, d)` features.
            y: `(n,)` targets.
            progress: Called after each evaluation of the likelihood on all samples, with its
                logarithm per sample.

        Returns:
            Itself.

        Raises:
            FitError: The samples do not fit together, or are not finite.
        """
        self._check(x, y)
        device = self.y_mean.device
        self.fitted.fill_(False)
        self._forget()
        self.train_x = x.detach().to(device).clone()
        self.train_y = y.detach().to(device, self.dtype).clone()
        inputs = self.train_x.to(self.dtype)
        self.x_mean, self.x_scale = inputs.mean(0), spread(inputs)
        self.y_mean.copy_(self.train_y.mean())
        self.y_scale.copy_(spread(self.train_y))
        inputs = (inputs - self.x_mean) / self.x_scale
        self.projection = (
            inputs.new_empty(0)
            if self.reduction is None
            else principal_components(inputs, self.components)
        )
        targets = (self.train_y - self.y_mean) / self.y_scale
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            try:
                self.exact.fill_(len(y) <= self._largest())
                if self.exact:
                    self._fit_exactly(inputs, targets, progress)
                else:
                    self._fit_iteratively(inputs, targets, progress)
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
        if not bool(self.fitted):
            raise NotFittedError("the Gaussian process was not fitted: call fit first")
        if x.ndim != 2 or x.shape[1] != self.train_x.shape[1]:
            raise FitError(
                f"expected features (m, {self.train_x.shape[1]}), but got {tuple(x.shape)}"
            )
        means, stds = [], []
        gradients = torch.is_grad_enabled() and x.requires_grad
        with torch.set_grad_enabled(gradients), iterative_settings(self.y_mean.device):
            for chunk in x.to(self.y_mean.device).split(_CHUNK):  # type: ignore[no-untyped-call]
                inputs = self._inputs(chunk)
                mean, variance = self._posterior(inputs)
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
        if not bool(self.fitted):
            raise NotFittedError("the Gaussian process was not fitted: call fit first")
        return float(self.likelihood_per_sample)

    def hyperparameters(self) -> dict[str, float]:
        """Return the hyperparameters, for standardised inputs and targets."""
        parts = self._prior.parts
        found = {
            "lengthscale": float(parts[0].base_kernel.lengthscale),
            "outputscale": float(parts[0].outputscale),
            "noise": float(self.likelihood.noise),
            "constant_mean": float(self.mean_module.constant),
        }
        if self.kernel == "linear_rbf":
            found["linear_variance"] = float(parts[1].variance)
        return found

    def _check(self, x: Tensor, y: Tensor) -> None:
        if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
            raise FitError(
                f"expected features (n, d) and targets (n,), but got {tuple(x.shape)} and "
                f"{tuple(y.shape)}"
            )
        if len(y) == 0:
            raise FitError("there is no sample to fit to")
        for name, values in (("features", x), ("targets", y)):
            if not bool(torch.isfinite(values).all()):
                raise FitError(f"the {name} hold NaN or infinity")

    def _largest(self) -> int:
        if self.max_cholesky is not None:
            return self.max_cholesky
        return largest_exact(self.dtype, self.y_mean.device)

    def _fit_exactly(self, inputs: Tensor, targets: Tensor, progress: Progress) -> None:
        learned = self.reduction == "learned"
        if self.reduction == "pca":
            inputs = inputs @ self.projection
        found = maximise(
            inputs,
            targets,
            self.kernel,
            self.restarts,
            projection=self.projection if learned else None,
            progress=progress,
        )
        if found.projection is not None:
            self.projection = found.projection
        self._take(found)

    def _fit_iteratively(self, inputs: Tensor, targets: Tensor, progress: Progress) -> None:
        """Go on from the exact optimum of a subset by Adam on GPyTorch's approximate likelihood."""
        largest = self._largest()
        warnings.warn(
            f"{len(targets)} training samples are more than the {largest} that are solved exactly: "
            "conjugate gradients approximate (raise max_cholesky, or halve the memory with single "
            "precision)",
            stacklevel=3,
        )
        size = min(largest, _ITERATIVE_START)
        subset = torch.linspace(0, len(targets) - 1, size, dtype=torch.float64).long()
        self._fit_exactly(inputs[subset], targets[subset], silent)
        inputs = inputs @ self.projection if self.projection.numel() else inputs
        steps = maximise_iteratively(self._prior, inputs, targets, progress)
        self.likelihood_per_sample.fill_(steps[-1])
        self.evaluations = len(steps)
        self.zero_grad(set_to_none=True)

    def _take(self, found: Hyperparameters) -> None:
        scaled, *linear = self._prior.parts
        scaled.base_kernel.lengthscale = found.lengthscale
        scaled.outputscale = found.outputscale
        if linear:
            linear[0].variance = found.linear
        self.likelihood.noise = found.noise
        self.mean_module.constant = found.mean
        self.likelihood_per_sample.fill_(found.log_likelihood)
        self.evaluations = found.evaluations

    def _inputs(self, x: Tensor) -> Tensor:
        inputs = (x.to(self.dtype) - self.x_mean) / self.x_scale
        return inputs @ self.projection if self.projection.numel() else inputs

    @torch.inference_mode(False)  # what is kept must serve where gradients are wanted
    @torch.no_grad()
    def _training(self) -> tuple[Tensor, Tensor]:
        """Return standardised, reduced training inputs and standardised targets."""
        return self._inputs(self.train_x), (self.train_y - self.y_mean) / self.y_scale

    def solution(self) -> ExactSolution:
        """Return what the predictions of an exact fit share, solved when first asked for.

        Raises:
            NotFittedError: There was no fit.
            FitError: The fit was approximated.
        """
        if not bool(self.fitted):
            raise NotFittedError("the Gaussian process was not fitted: call fit first")
        if not bool(self.exact):
            raise FitError(
                f"the Gaussian process on {len(self.train_y)} samples predicts by conjugate "
                "gradients, which are no closed form: fit it with a larger --model.gp.max_cholesky"
            )
        if self._solution is None:
            self._solution = ExactSolution.of(self._prior, *self._training())
        return self._solution

    def _posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance, without noise, of standardised inputs."""
        if bool(self.exact):
            return self.solution()(inputs)
        if not self._iterative:
            self._iterative.append(IterativePosterior.of(self._prior, *self._training()))
        return self._iterative[0].moments(inputs)

    @property
    def _prior(self) -> Prior:
        return Prior(self.mean_module, self.covar_module, self.likelihood)

    def _forget(self) -> None:
        self._solution = None
        self._iterative.clear()

    def train(self, mode: bool = True) -> ExactGPHead:
        """Switch the mode; a fitted head predicts the same in both."""
        super().train(mode)
        self.likelihood.eval()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ExactGPHead:
        """Move or convert; half precision, which cannot hold a covariance, is not taken."""

        def careful(tensor: Tensor) -> Tensor:
            try:
                moved = fn(tensor)
            except TypeError as error:  # such as on Apple's GPUs
                raise FitError(
                    f"this device cannot hold the Gaussian process ({error}): choose single "
                    "precision, or the CPU"
                ) from error
            if moved.dtype in (torch.float16, torch.bfloat16):
                return tensor.to(moved.device)
            return moved

        super()._apply(careful, recurse)  # type: ignore[no-untyped-call]
        self._forget()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        self._forget()
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _check_options(names: dict[str, str | None], counts: dict[str, int | None]) -> None:
    for option, name in names.items():
        if name not in _CHOICES[option]:
            listed = ", ".join(str(choice or "null") for choice in _CHOICES[option])
            raise FitError(f"no {option} {name!r}: choose one of {listed}")
    check_numbers("", ranges_of(GPOptions), counts, FitError)
