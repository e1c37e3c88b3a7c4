"""Named tensors in what trainings leave behind: under any prefix, whole, and of one network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lvef.models.torch_file import UnreadableError

COUNTERS = "num_batches_tracked"
"""What older files have none of, and evaluation needs none of."""
_DEEPEST = 4


def flat_tensors(content: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested dicts, their names joined by dots."""
    if not isinstance(content, Mapping) or depth > _DEEPEST:  # a dict may hold itself
        return
    for name, value in content.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        else:
            yield from flat_tensors(value, f"{prefix}{name}.", depth + 1)


def check_tensor(name: str, found: Tensor, wanted: Tensor, whose: str) -> None:
    """Refuse a tensor of another shape, or one that no training ends with.

    Raises:
        UnreadableError: It is such.
    """
    if found.shape != wanted.shape:
        raise UnreadableError(f"{name} is {_size(found)}, but {whose} has {_size(wanted)}")
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise UnreadableError(f"{name} holds NaN or infinite numbers")


def network_state(
    content: Any, wanted: Mapping[str, Tensor], name: str, head: Collection[str] = ()
) -> dict[str, Tensor]:
    """Return the weights of a network that a file holds, without its classifier.

    They may lie in `state_dict`, `model` or any other dict, under any prefix of a wrapper or a
    task (`module.`, `model.`, `backbone.network.`, ...). Other networks beside it are left out;
    of this one every tensor must be there, of the right shape, and none more.

    Args:
        content: What the file holds.
        wanted: The network's own tensors by name.
        name: What the network is called.
        head: Parts that a classifier has besides, whose tensors are left out.

    Raises:
        UnreadableError: There is none, it is another network, or there are several; in words.
    """
    try:
        return _whole(dict(flat_tensors(content)), wanted, name, head)
    except UnreadableError as error:
        other = _backbone_of_run(content)
        if other in (None, name):
            raise
        raise UnreadableError(
            f"it holds the backbone {other}, but model.backbone.name is {name}"
        ) from error


def _whole(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str, head: Collection[str]
) -> dict[str, Tensor]:
    if not tensors:
        raise UnreadableError("it holds no named tensors")
    needed = [own for own in wanted if not own.endswith(COUNTERS)]
    prefix = _prefix(tensors, needed, name)
    there = [own for own in wanted if prefix + own in tensors]
    for own in there:
        check_tensor(prefix + own, tensors[prefix + own], wanted[own], name)
    roots = {own.partition(".")[0] for own in wanted}
    for found in tensors:
        own = found.removeprefix(prefix)
        known = own in wanted or any(own.startswith(f"{part}.") for part in head)
        if found.startswith(prefix) and own.partition(".")[0] in roots and not known:
            raise UnreadableError(
                f"it holds a variant of {name} with parts that the backbone has not, such as "
                f"{found}"
            )
    return {own: tensors[prefix + own] for own in there}


def _prefix(tensors: Mapping[str, Tensor], needed: list[str], name: str) -> str:
    """Return what stands before the names of the network that is meant.

    Raises:
        UnreadableError: Nothing does, or several things.
    """
    scores = {
        prefix: sum(prefix + own in tensors for own in needed)
        for prefix in {
            found.removesuffix(own)
            for own in (needed[0], needed[-1]) if needed
            for found in tensors
            if found == own or found.endswith(f".{own}")
        }
    }  # fmt: skip
    whole = sorted(prefix for prefix, score in scores.items() if score == len(needed))
    own_run = [prefix for prefix in whole if prefix.endswith("backbone.network.")]
    chosen = own_run if len(own_run) == 1 else [""] if "" in whole else whole
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        prefixes = ", ".join(map(repr, chosen))
        raise UnreadableError(f"it holds several networks ({prefixes}): save one of them alone")
    most = max(scores.values(), default=0)
    if most:
        prefix = next(prefix for prefix, score in scores.items() if score == most)
        lacking = [own for own in needed if prefix + own not in tensors]
        raise UnreadableError(
            f"it is no {name}: {len(lacking)} of its {len(needed)} tensors are missing, the first "
            f"{prefix + lacking[0]}"
        )
    raise UnreadableError(
        f"it is no {name}: none of its {len(needed)} tensors is among the {len(tensors)} there, "
        f"the first {next(iter(tensors))[:80]}"
    )


def _backbone_of_run(content: Any) -> str | None:
    """Return the name of the backbone of a checkpoint of this package; None of anything else."""
    run = content.get("lvef") if isinstance(content, Mapping) else None
    hparams = run.get("hparams") if isinstance(run, Mapping) else None
    options = hparams.get("backbone") if isinstance(hparams, Mapping) else None
    return str(options.get("name", "resnet50")) if isinstance(options, Mapping) else None


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
