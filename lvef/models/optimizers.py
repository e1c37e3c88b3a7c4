"""How what a task learns is moved: groups of parameters, the optimiser and its schedule."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import partial
from inspect import Parameter as Argument
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from lvef.errors import PartError
from lvef.models.options import ADAMW, SCHEDULES, OptimizerOptions
from lvef.models.own_class import made, own_class

_EMBEDDING = re.compile(r"(^|_)pos(ition(al)?)?(_|$)|(^|_)(cls|class)_embed|_tokens?$")
"""Parameters of several dimensions that are no weights of a layer: where a patch lies, and tokens
that are joined to those of patches."""
_MANY_STEPS = 1000
_PLATEAU_FACTOR = 0.2


def without_decay(module: nn.Module) -> set[int]:
    """Return the `id`s of parameters that no weight decay draws to zero.

    Those of one dimension (biases, norms), those that a network names in `no_weight_decay()`, as
    timm's do, and embeddings of positions and tokens by their usual names.
    """
    found = {id(parameter) for parameter in module.parameters() if parameter.ndim <= 1}
    for part in module.modules():
        says = getattr(part, "no_weight_decay", None)
        named = set(says()) if callable(says) else set()
        found |= {id(own) for name, own in part.named_parameters() if name in named}
        direct = part.named_parameters(recurse=False)
        found |= {id(own) for name, own in direct if _EMBEDDING.search(name)}
    return found


def parameter_groups(parts: Iterable[tuple[str, nn.Module, float]]) -> list[dict[str, Any]]:
    """Return groups of what is trained: of each part what decays, and what does not.

    Args:
        parts: Name, module and learning rate.

    Returns:
        Of each group `params`, `lr`, `name` and `decays`.
    """
    groups = []
    for part, module, lr in parts:
        spared = without_decay(module)
        for decays in (True, False):
            parameters = [
                own
                for own in module.parameters()
                if own.requires_grad and (id(own) not in spared) == decays
            ]
            if parameters:
                name = part if decays else f"{part}_norm_and_bias"
                groups.append({"params": parameters, "lr": lr, "name": name, "decays": decays})
    return groups


def new_optimizer(chosen: OptimizerOptions, groups: Iterable[dict[str, Any]]) -> Optimizer:
    """Return the optimiser of groups of parameters, see `parameter_groups`.

    Raises:
        PartError: It cannot be had, or has no weight decay where one is asked for.
    """
    kind: Any = AdamW
    if chosen.name != ADAMW:
        kind = own_class(chosen.name, "model.optimizer.name", Optimizer)
    decay = _has_decay(kind, chosen)
    if not decay and chosen.weight_decay != OptimizerOptions.weight_decay:
        raise PartError(f"model.optimizer.weight_decay: {chosen.name} takes none")
    ready = []
    for group in groups:
        own = {name: value for name, value in group.items() if name != "decays"}
        if decay:
            own["weight_decay"] = chosen.weight_decay if group["decays"] else 0.0
        ready.append(own)
    return _made(kind, ready, chosen)


def new_schedule(
    chosen: OptimizerOptions, optimizer: Optimizer, mode: str, total_steps: int | None = None
) -> LRScheduler:
    """Return a schedule by its class path.

    Args:
        chosen: Which, and what it is made with.
        optimizer: Whose rates it moves.
        mode: Whether the metric that it may look at is best when `max` or `min`.
        total_steps: How often it is stepped in the whole run, for one that takes that; None where
            there is no end.

    Raises:
        PartError: It cannot be had, or needs an end that the run does not have.
    """
    what, arguments = f"model.optimizer.schedule {chosen.schedule}", chosen.schedule_arguments or {}
    kind = own_class(chosen.schedule, "model.optimizer.schedule", (LRScheduler, ReduceLROnPlateau))
    ours: dict[str, Any] = {}
    if issubclass(kind, ReduceLROnPlateau):
        if chosen.schedule_interval != "epoch":
            raise PartError(f"{what} looks at VAL, once an epoch: leave schedule_interval away")
        ours["mode"] = mode
    if _takes(kind, "total_steps") and "total_steps" not in arguments:
        if total_steps is None:
            raise PartError(f"{what} needs an end: set --trainer.max_epochs")
        ours["total_steps"] = total_steps
    option, with_ours = "model.optimizer.schedule_arguments", _with(kind, ours)
    schedule: LRScheduler = made(what, option, with_ours, (optimizer,), arguments)
    return schedule


def try_options(chosen: OptimizerOptions) -> None:
    """Make optimiser and schedule of parameters of no use, before any work is done.

    Raises:
        PartError: One of them cannot be had.
    """
    idle: list[dict[str, Any]] = [
        {"params": [nn.Parameter(torch.zeros(shape))], "lr": chosen.lr, "decays": decays}
        for shape, decays in (((2, 2), True), ((2,), False))
    ]
    optimizer = new_optimizer(chosen, idle)
    if chosen.schedule not in SCHEDULES:
        new_schedule(chosen, optimizer, "min", _MANY_STEPS)


def cosine(optimizer: Optimizer, steps: int, warmup: int) -> LambdaLR:
    """Return a schedule that rises in a line and falls to zero along half a cosine.

    Args:
        optimizer: Whose rates it moves.
        steps: Of the whole run.
        warmup: Steps in which it rises.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def plateau(optimizer: Optimizer, mode: Any, patience: int) -> ReduceLROnPlateau:
    """Return a schedule that divides rates by five where a metric has stalled.

    Args:
        optimizer: Whose rates it moves.
        mode: Whether the metric is best when `max` or `min`.
        patience: Epochs without progress before it does so.
    """
    return ReduceLROnPlateau(optimizer, mode=mode, factor=_PLATEAU_FACTOR, patience=patience)


def _has_decay(kind: Any, chosen: OptimizerOptions) -> bool:
    """Return whether the groups of an optimiser may have a weight decay of their own."""
    idle = {"params": [nn.Parameter(torch.zeros(2, 2))], "lr": chosen.lr}
    return "weight_decay" in _made(kind, [idle], chosen).defaults


def _made(kind: Any, groups: list[dict[str, Any]], chosen: OptimizerOptions) -> Optimizer:
    what, arguments = f"model.optimizer.name {chosen.name}", chosen.arguments or {}
    with_rate = _with(kind, {"lr": chosen.lr} if _takes(kind, "lr") else {})
    optimizer: Optimizer = made(what, "model.optimizer.arguments", with_rate, (groups,), arguments)
    return optimizer


def _with(kind: Any, ours: dict[str, Any]) -> Any:
    """Return what makes a class with these arguments and others; the others go before them."""
    return partial(kind, **ours)


def _takes(kind: Any, name: str) -> bool:
    """Return whether a class is made with an argument of a name; any name counts as lr."""
    known = signature(kind).parameters
    if name in known:
        return True
    return name == "lr" and any(each.kind is Argument.VAR_KEYWORD for each in known.values())
