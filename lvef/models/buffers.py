"""Buffers that are filled by a fit, and whose size is known only then."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn


class FittedBuffers(nn.Module):
    """Base of modules whose `fitted_buffers` start empty and take their size from a checkpoint."""

    fitted_buffers: ClassVar[tuple[str, ...]] = ()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.fitted_buffers:
            tensor = state_dict.get(prefix + name)
            if tensor is not None:
                device = getattr(self, name).device
                setattr(self, name, torch.empty_like(tensor, device=device))
        super()._load_from_state_dict(state_dict, prefix, *rest)
