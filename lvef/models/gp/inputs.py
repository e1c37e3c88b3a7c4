"""How features are brought to the scale and the dimensions that a Gaussian process sees."""

from __future__ import annotations

import torch
from torch import Tensor


def spread(values: Tensor) -> Tensor:
    """Return the standard deviation along the first axis, 1 where there is none."""
    deviation = values.std(0, correction=0)
    # Rounding leaves a constant column a spread of its last digits, which is none.
    negligible = deviation <= 1e-6 * values.abs().amax(0)
    return torch.where(negligible, torch.ones_like(deviation), deviation)


def principal_components(inputs: Tensor, components: int) -> Tensor:
    """Return the leading principal axes of standardised inputs.

    Args:
        inputs: `(n, d)`.
        components: Axes to keep; fewer where the inputs span fewer.

    Returns:
        `(d, k)`, k at least 1, signed so that each axis's largest entry is positive.
    """
    wide = inputs.shape[1] > len(inputs)
    gram = inputs @ inputs.T if wide else inputs.T @ inputs
    values, vectors = torch.linalg.eigh(gram)
    kept = min(components, int((values > values[-1] * 1e-10).sum()))
    axes = vectors[:, -max(kept, 1) :].flip(1)
    if wide:
        axes = inputs.T @ axes
        axes = axes / axes.norm(dim=0).clamp(min=1e-12)
    # The sign of an eigenvector is the library's whim; make it the same everywhere.
    largest = axes.abs().argmax(0)
    signed: Tensor = axes * axes.gather(0, largest[None]).sign()
    return signed.contiguous()
