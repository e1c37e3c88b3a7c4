"""One picture through a network: what comes out, and where in it there are maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lvef.cardiac import PICTURE_SIZE
from lvef.errors import BackboneError
from lvef.models.backbones.base import Stage, check_output

_FINE = 8
"""How much smaller than the picture the maps of the stage "fine" are, about."""


@dataclass(frozen=True)
class Trial:
    """What one picture gave.

    Attributes:
        num_features: Features of it.
        size: Its height and width in pixels.
        maps: By name of a part of the network that puts out square maps `(1, C, s, s)`, their
            channels and side, in the order in which the parts came to an end.
    """

    num_features: int
    size: int
    maps: dict[str, tuple[int, int]]


@torch.no_grad()
def tried(
    name: str,
    network: nn.Module,
    channels: int = 3,
    size: int = PICTURE_SIZE,
    advice: str = "",
    clip: tuple[int, ...] = (),
) -> Trial:
    """Pass one grey picture through a network in evaluation mode; it stays as it is.

    Args:
        name: What the network is called.
        network: Takes `(N, channels, size, size)`, or clips.
        channels: Of the picture.
        size: Its height and width in pixels.
        advice: What to do where it cannot be passed through.
        clip: Of one that takes whole clips the shape of one, without the batch.

    Raises:
        BackboneError: It cannot, or something else than features comes out.
    """
    maps: dict[str, tuple[int, int]] = {}
    shape = clip or (channels, size, size)

    def note(part: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            maps.pop(part, None)  # a part that is passed twice ends with the second
            if isinstance(output, Tensor) and output.ndim == 4:
                _, depth, height, width = output.shape
                if height == width > 1:  # channels that stand last are no square map
                    maps[part] = (depth, height)

        return hook

    hooks = [m.register_forward_hook(note(part)) for part, m in network.named_modules() if part]
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        output = network(torch.zeros(1, *shape))
    except Exception as error:  # whatever a network of somebody else's raises
        line = " ".join(str(error).split())[:200] or "no message"
        raise BackboneError(
            f"backbone {name} takes no {'clip' if clip else 'picture'} of "
            f"{' x '.join(map(str, shape))}: "
            f"{type(error).__name__}: {line}{advice}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    check_output(name, output)
    return Trial(output.shape[1], size, maps)


def stages_of_maps(trial: Trial) -> dict[Stage, str]:
    """Return the stages of a network of convolutions, found by the size of their maps.

    The last is that of the smallest maps, the fine one that of maps an eighth as wide as the
    picture; of several parts with such maps the outermost and last.
    """
    sides = {side for _, side in trial.maps.values()}
    found: dict[Stage, str] = {}
    fine = min(sides, key=lambda side: abs(side - trial.size / _FINE), default=0)
    if abs(fine - trial.size / _FINE) <= 1:
        found["fine"] = _outermost(trial, fine)
    if sides:
        found["coarse"] = _outermost(trial, min(sides))
    return found


def stages_by_name(trial: Trial, parts: Iterable[tuple[str, int]]) -> dict[Stage, str]:
    """Return the stages of a network that names its own.

    Args:
        trial: What a picture gave.
        parts: Name and reduction of each of its stages, finest first.
    """
    named = [(part, reduction) for part, reduction in parts]
    found: dict[Stage, str] = {}
    fine = [part for part, reduction in named if reduction == _FINE and part in trial.maps]
    if fine:
        found["fine"] = fine[-1]
    if named and named[-1][0] in trial.maps:
        found["coarse"] = named[-1][0]
    return found


def _outermost(trial: Trial, side: int) -> str:
    parts = [part for part, (_, own) in trial.maps.items() if own == side]
    depth = min(part.count(".") for part in parts)
    return [part for part in parts if part.count(".") == depth][-1]
