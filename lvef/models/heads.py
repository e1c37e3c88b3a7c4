"""Heads by what options call them: the MLP, or a class of a user's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvef.errors import PartError
from lvef.models.mlp import MLPHead
from lvef.models.options import MLP, HeadOptions
from lvef.models.own_class import in_a_line, made, own_class

_CASES = 2


def new_head(chosen: HeadOptions, num_features: int, num_outputs: int) -> nn.Module:
    """Return a head with random weights.

    One of a user's own is any `nn.Module` that is made with `num_features`, `num_outputs` and its
    arguments, and maps float32 `(B, num_features)` to `(B, num_outputs)`. Two cases are passed
    through it in evaluation mode.

    Args:
        chosen: Which, and what it is made with.
        num_features: Features of a case, those of its frames joined.
        num_outputs: Outputs a case.

    Raises:
        PartError: It cannot be had, or puts out something else.
    """
    if chosen.name == MLP:
        return MLPHead(num_features, num_outputs, chosen.hidden, chosen.dropout)
    what = f"model.head.name {chosen.name}"
    kind = own_class(chosen.name, "model.head.name", nn.Module)
    given = (num_features, num_outputs)
    head: nn.Module = made(what, "model.head.arguments", kind, given, chosen.arguments or {})
    _try(what, head, num_features, num_outputs)
    return head


def head_output(head: nn.Module, features: Tensor) -> Tensor:
    """Return what a head says of features `(B, num_features)`, float32.

    It leaves mixed precision, whatever the head: bfloat16 would round EF to a fifth of a point.
    """
    with torch.autocast(features.device.type, enabled=False):
        output: Tensor = head(features.float())
    return output.float()


@torch.no_grad()
def _try(what: str, head: nn.Module, num_features: int, num_outputs: int) -> None:
    """Pass two cases through a head in evaluation mode; it stays as it is.

    Raises:
        PartError: They cannot be passed, or something else than answers comes out.
    """
    modes = {module: module.training for module in head.modules()}
    head.eval()
    try:
        output = head(torch.zeros(_CASES, num_features))
    except Exception as error:  # whatever a head of somebody else's raises
        raise PartError(
            f"{what} takes no features ({_CASES}, {num_features}): {in_a_line(error)}"
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    wanted = f"(n, {num_outputs})"
    if not isinstance(output, Tensor):
        raise PartError(
            f"{what} returns a {type(output).__name__}, but must return one tensor {wanted}"
        )
    if output.shape != (_CASES, num_outputs) or not output.is_floating_point():
        kind = str(output.dtype).removeprefix("torch.")
        raise PartError(
            f"{what} returns {kind} {tuple(output.shape)} for {_CASES} cases, but must return "
            f"float32 {wanted}, n cases"
        )
