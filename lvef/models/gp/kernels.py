"""Kernels: how alike two cases are whose features lie so far apart. A new one is one class here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    import gpytorch

    KernelName = str

_LEAST = 1e-30
"""A distance between two sets of samples is no smaller, so that its root has a slope."""
KERNELS: dict[str, Kernel] = {}
"""Every kernel by its name; a subclass of `Kernel` enters itself."""


class Scales(NamedTuple):
    """Hyperparameters of a kernel, numbers or tensors `()`.

    Attributes:
        lengthscale: Distance over which cases stop being alike.
        outputscale: Variance of the part that depends on the distance.
        linear_variance: Variance of the linear trend for each dimension, 0 without one.
    """

    lengthscale: float | Tensor
    outputscale: float | Tensor
    linear_variance: float | Tensor


class Kernel(ABC):
    """A covariance s2 c(D, l) + v x'y of the squared distance D (Rasmussen & Williams, ch. 4).

    A subclass with a `name` states c once, for the fit, for predictions and for exports, its slope
    for the fit, and the kernel of GPyTorch that is the same, which holds the hyperparameters and
    solves iteratively. It can be chosen by its name from then on.

    Attributes:
        name: What it is called in options and checkpoints.
        has_trend: Whether a linear trend v x'y is added.
    """

    name: ClassVar[str]
    has_trend: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter a subclass with a name in `KERNELS`."""
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            KERNELS[cls.name] = cls()

    @abstractmethod
    def correlation(self, distances: Tensor, lengthscale: float | Tensor) -> Tensor:
        """Return c, 1 at distance 0, as a new tensor.

        Gradients reach the distances, and exporters follow it: what a later step of it needs must
        not be overwritten.

        Args:
            distances: Squared distances, of any shape.
            lengthscale: The l of the class.
        """

    @abstractmethod
    def slope(self, distances: Tensor, lengthscale: float) -> Tensor:
        """Return the derivative of c in the squared distance, as a new tensor.

        Nothing asks for its gradients, so that it may save memory. See `correlation`.
        """

    @abstractmethod
    def gpytorch_correlation(self) -> gpytorch.kernels.Kernel:
        """Return GPyTorch's kernel of c, with one lengthscale."""

    def gpytorch_module(self) -> gpytorch.kernels.Kernel:
        """Return GPyTorch's kernel, whose parameters carry the hyperparameters."""
        from gpytorch.kernels import LinearKernel, ScaleKernel

        scaled = ScaleKernel(self.gpytorch_correlation())
        return scaled + LinearKernel() if self.has_trend else scaled

    def covariances(self, a: Tensor, b: Tensor, scales: Scales) -> Tensor:
        """Return `(n, m)` covariances of inputs `(n, k)` and `(m, k)`."""
        distances = squared_distances(a, None if a is b else b)
        covariances = scales.outputscale * self.correlation(distances, scales.lengthscale)
        if self.has_trend:
            covariances = covariances + scales.linear_variance * (a @ b.T)
        return covariances

    def variances(self, inputs: Tensor, scales: Scales) -> Tensor:
        """Return the variances `(m,)` of inputs `(m, k)`."""
        return scales.outputscale + scales.linear_variance * inputs.square().sum(1)


class RBF(Kernel):
    """The squared exponential, exp(-D / 2 l2): infinitely smooth."""

    name = "rbf"

    def correlation(self, distances: Tensor, lengthscale: float | Tensor) -> Tensor:
        """Return c; see `Kernel`."""
        return distances.mul(-0.5 / lengthscale**2).exp_()

    def slope(self, distances: Tensor, lengthscale: float) -> Tensor:
        """Return dc / dD; see `Kernel`."""
        return self.correlation(distances, lengthscale).mul_(-0.5 / lengthscale**2)

    def gpytorch_correlation(self) -> gpytorch.kernels.Kernel:
        """Return GPyTorch's RBF kernel."""
        from gpytorch.kernels import RBFKernel

        return RBFKernel()


class Matern52(Kernel):
    """Matern of 5/2, (1 + r + r2 / 3) exp(-r) with r2 = 5 D / l2: twice differentiable."""

    name = "matern52"

    def correlation(self, distances: Tensor, lengthscale: float | Tensor) -> Tensor:
        """Return c; see `Kernel`."""
        r = distances.mul(5 / lengthscale**2).sqrt_()
        return r.square().div_(3).add_(r).add_(1).mul_(r.neg().exp_())

    def slope(self, distances: Tensor, lengthscale: float) -> Tensor:
        """Return dc / dD; see `Kernel`."""
        r = distances.mul(5 / lengthscale**2).sqrt_()
        return r.add(1).mul_(r.neg_().exp_()).mul_(-5 / (6 * lengthscale**2))

    def gpytorch_correlation(self) -> gpytorch.kernels.Kernel:
        """Return GPyTorch's Matern kernel of 5/2."""
        from gpytorch.kernels import MaternKernel

        return MaternKernel(nu=2.5)


class LinearRBF(RBF):
    """An RBF around a linear trend."""

    name = "linear_rbf"
    has_trend = True


if not TYPE_CHECKING:
    KernelName = Literal[tuple(KERNELS)]  # what the option `kernel` may be


def squared_distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Return squared Euclidean distances between rows, never negative.

    Args:
        a: `(n, k)`.
        b: `(m, k)`; by default `a` itself.

    Returns:
        `(n, m)`, or `(n, n)` with zeros on the diagonal.
    """
    other = a if b is None else b
    distances: Tensor = (a @ other.T).mul_(-2)
    distances.add_(a.square().sum(1)[:, None]).add_(other.square().sum(1))
    if b is None:
        return distances.fill_diagonal_(0).clamp_(min=0)
    return distances.clamp_(min=_LEAST)
