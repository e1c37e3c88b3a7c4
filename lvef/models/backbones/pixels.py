"""The mean and standard deviation by which a backbone's pictures are normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lvef.models.buffers import LEAST, check_constant


class Pixels(nn.Module):
    """Holds how pictures are normalised.

    Attributes:
        pixel_mean: Mean of red, green and blue in 0..1 that the network was trained with; a single
            number for a network of grey pictures.
        pixel_std: Their standard deviation.
        mean: The mean by which pictures are normalised, `(C, 1, 1)`: weights may come with another.
        std: Likewise.
    """

    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    mean: Tensor
    std: Tensor

    def set_pixels(self, mean: Tensor | None = None, std: Tensor | None = None) -> None:
        """Normalise pictures so from now on; without, as the network's own weights were taught.

        What differs from the network's own is part of the state, so that checkpoints carry it and
        no kept features of the one are taken for the other's.
        """
        for name, own, given in (("mean", self.pixel_mean, mean), ("std", self.pixel_std, std)):
            value = torch.tensor(own) if given is None else given.detach()
            before = self._buffers.get(name)
            value = value.reshape(-1, 1, 1).to(value if before is None else before, copy=True)
            self.register_buffer(name, value, persistent=given is not None)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        if any(key.startswith(prefix) for key in state_dict):
            mean, std = (state_dict.get(prefix + name) for name in ("mean", "std"))
            for value, least in ((mean, 0.0), (std, LEAST)):
                if value is not None:
                    check_constant("mean or standard deviation of pixels", value, least)
            if all(value is None or value.shape == self.mean.shape for value in (mean, std)):
                self.set_pixels(mean, std)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def pixels_of_run(content: Any) -> tuple[Tensor, Tensor] | tuple[()]:
    """Return mean and standard deviation that a run's backbone has beside its network's own.

    Args:
        content: What a checkpoint of this package holds, or anything else, which has none.
    """
    if not isinstance(content, Mapping) or "lvef" not in content:
        return ()
    state = content.get("state_dict", {})
    found = [state.get(f"backbone.{name}") for name in ("mean", "std")]
    if not all(isinstance(value, Tensor) for value in found):
        return ()
    return found[0], found[1]
