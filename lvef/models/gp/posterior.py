"""The posterior of a fitted Gaussian process as plain tensor operations, for exports."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvef.models.gp.head import ExactGPHead
from lvef.models.gp.kernels import Scales


class GPPosterior(nn.Module):
    """Says what a fitted `ExactGPHead` says, without GPyTorch and without solving anything.

    The inverse of the Cholesky factor is computed once, so that a prediction is matrix products
    and elementwise functions (Rasmussen & Williams, 2006, algorithm 2.1). All of it is in double
    precision: the head's rounding is kept where it was single, and none is added.

    Args:
        head: The fitted head; it stays as it is. The inverse factor takes 8 n^2 bytes.

    Raises:
        NotFittedError: There was no fit.
        FitError: The fit was approximated by conjugate gradients.
    """

    x_mean: Tensor
    x_scale: Tensor
    y_mean: Tensor
    y_scale: Tensor
    projection: Tensor
    inputs: Tensor
    weights: Tensor
    inverse_factor: Tensor
    lengthscale: Tensor
    outputscale: Tensor
    linear_variance: Tensor
    constant_mean: Tensor
    noise: Tensor

    def __init__(self, head: ExactGPHead) -> None:
        super().__init__()
        self.kernel = head.kernel
        solution = head.solution()
        cholesky = solution.cholesky.double()
        identity = torch.eye(len(cholesky), dtype=torch.float64, device=cholesky.device)
        inverse = torch.linalg.solve_triangular(cholesky, identity, upper=False)
        self._keep(inverse_factor=inverse, inputs=solution.inputs, weights=solution.weights)
        self._keep(constant_mean=solution.constant_mean, noise=solution.noise)
        self._keep(**{name: getattr(head, name) for name in ("x_mean", "x_scale", "projection")})
        self._keep(y_mean=head.y_mean, y_scale=head.y_scale, **solution.scales._asdict())

    def forward(self, features: Tensor) -> Tensor:
        """Return mean and standard deviation of new observations, noise included.

        Args:
            features: `(m, d)` float.

        Returns:
            `(m, 2)` float32, in the units of the targets.
        """
        inputs = (features.double() - self.x_mean) / self.x_scale
        if self.projection.numel():
            inputs = inputs @ self.projection
        scales = Scales(self.lengthscale, self.outputscale, self.linear_variance)
        cross = self.kernel.covariances(self.inputs, inputs, scales)
        explained = self.inverse_factor @ cross
        prior = self.kernel.variances(inputs, scales)
        variance = (prior - explained.square().sum(0)).clamp(min=0) + self.noise
        mean = self.constant_mean + self.weights @ cross
        std = variance.clamp(min=1e-12).sqrt()
        return torch.stack([self.y_mean + self.y_scale * mean, self.y_scale * std], dim=1).float()

    def _keep(self, **values: Tensor | float) -> None:
        """Register float64 buffers, also of single numbers, which an exporter would round."""
        for name, value in values.items():
            tensor = torch.as_tensor(value, dtype=torch.float64).detach().cpu().clone()
            self.register_buffer(name, tensor)
