"""Buffers that are filled by a fit, whose size is known only then, or that came later."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lvef.errors import DamagedError

LEAST = 1e-30
"""Least value of what must be above 0."""


class FittedBuffers(nn.Module):
    """Base of modules whose `fitted_buffers` start empty and take their size from a checkpoint.

    Attributes:
        fitted_buffers: Their names.
        later_buffers: What buffers hold that earlier versions did not know, by name, for the
            checkpoints of those.
    """

    fitted_buffers: ClassVar[tuple[str, ...]] = ()
    later_buffers: ClassVar[Mapping[str, Any]] = {}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        if any(key.startswith(prefix) for key in state_dict):
            for name, value in self.later_buffers.items():
                state_dict.setdefault(prefix + name, torch.as_tensor(value))
        for name in self.fitted_buffers:
            tensor = state_dict.get(prefix + name)
            if tensor is not None:
                device = getattr(self, name).device
                setattr(self, name, torch.empty_like(tensor, device=device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def check_constant(
    name: str, values: Tensor, least: float = -math.inf, most: float = math.inf
) -> None:
    """Refuse what no fit leaves in a buffer.

    Args:
        name: What it is, in words.
        values: Any shape.
        least: The least that there can be.
        most: The most.

    Raises:
        DamagedError: One is not finite, or out of that range.
    """
    wrong = ~torch.isfinite(values) | (values < least) | (values > most)
    if bool(wrong.any()):
        raise DamagedError(
            f"damaged, as its {name} is {float(values[wrong].flatten()[0]):g}, which no "
            "calibration makes: take it from where it came once more"
        )
