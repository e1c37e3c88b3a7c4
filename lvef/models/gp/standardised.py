"""What a Gaussian process remembers of its training samples, and the scale it sees them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lvef.errors import FitError
from lvef.models.buffers import FittedBuffers
from lvef.models.gp.inputs import principal_components, spread
from lvef.models.options import FloatPrecision


class StandardisedSamples(FittedBuffers):
    """Base of a head that keeps its training samples, standardised where it computes.

    Args:
        precision: Of the computation.
        components: Principal axes to project on; None keeps every feature.

    Attributes:
        train_x: `(n, d)` features, as they came.
        train_y: `(n,)` targets.
        projection: `(d, k)` axes that standardised features are projected on; empty without any.
    """

    fitted_buffers = ("train_x", "train_y", "x_mean", "x_scale", "projection")
    train_x: Tensor
    train_y: Tensor
    x_mean: Tensor
    x_scale: Tensor
    projection: Tensor
    y_mean: Tensor
    y_scale: Tensor

    def __init__(self, precision: FloatPrecision, components: int | None) -> None:
        super().__init__()
        self._components = components
        dtype = torch.float64 if precision == "double" else torch.float32
        for name in self.fitted_buffers:
            self.register_buffer(name, torch.empty(0, dtype=dtype))
        self.register_buffer("y_mean", torch.zeros((), dtype=dtype))
        self.register_buffer("y_scale", torch.ones((), dtype=dtype))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the computation."""
        return self.y_mean.dtype

    def remember(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Keep training samples, their scale and their principal axes.

        Args:
            x: `(n, d)` features.
            y: `(n,)` targets.

        Returns:
            Standardised inputs `(n, d)`, not projected, and standardised targets `(n,)`.

        Raises:
            FitError: The samples do not fit together, or are not finite.
        """
        _check(x, y)
        device = self.y_mean.device
        self.train_x = x.detach().to(device).clone()
        self.train_y = y.detach().to(device, self.dtype).clone()
        inputs = self.train_x.to(self.dtype)
        self.x_mean, self.x_scale = inputs.mean(0), spread(inputs)
        self.y_mean.copy_(self.train_y.mean())
        self.y_scale.copy_(spread(self.train_y))
        inputs = (inputs - self.x_mean) / self.x_scale
        self.projection = (
            inputs.new_empty(0)
            if self._components is None
            else principal_components(inputs, self._components)
        )
        return inputs, (self.train_y - self.y_mean) / self.y_scale

    def standardised(self, x: Tensor) -> Tensor:
        """Return features `(m, d)` on the scale of the training samples, projected: `(m, k)`."""
        return self.projected((x.to(self.dtype) - self.x_mean) / self.x_scale)

    def projected(self, inputs: Tensor) -> Tensor:
        """Return standardised inputs `(m, d)` along the axes, `(m, k)`."""
        return inputs @ self.projection if self.projection.numel() else inputs

    @torch.inference_mode(False)  # what is kept must serve where gradients are wanted
    @torch.no_grad()
    def training_samples(self) -> tuple[Tensor, Tensor]:
        """Return standardised, projected training inputs and standardised targets."""
        return self.standardised(self.train_x), (self.train_y - self.y_mean) / self.y_scale

    def forget(self) -> None:
        """Drop what was derived from the buffers, which change."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StandardisedSamples:
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
        self.forget()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        self.forget()
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _check(x: Tensor, y: Tensor) -> None:
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
