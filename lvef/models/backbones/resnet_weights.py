"""Find the weights of a ResNet-50 in what other trainings leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lvef.models.backbones.tensors import COUNTERS, check_tensor, flat_tensors
from lvef.models.torch_file import UnreadableError

_LAST = "layer4.2.conv3.weight"
"""A tensor that every ResNet with these blocks has; what stands before it is the prefix."""
_SEQUENTIAL = {"0": "conv1", "1": "bn1", **{str(n + 3): f"layer{n}" for n in (1, 2, 3, 4)}}
"""Names of the parts in `nn.Sequential(*list(resnet.children())[:-1])`."""
_PREFERRED = ("backbone.network.", "encoder_q.", "")
"""Which of several networks is meant: this package's own backbone, the trained encoder of MoCo, or
the one without a prefix."""
_DEPTHS: dict[tuple[int, ...], dict[str, str]] = {
    (2, 2, 2, 2): {"basic": "ResNet-18"},
    (3, 4, 6, 3): {"basic": "ResNet-34", "bottleneck": "ResNet-50"},
    (3, 4, 23, 3): {"bottleneck": "ResNet-101"},
    (3, 8, 36, 3): {"bottleneck": "ResNet-152"},
}
_PARTS = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")


def resnet50_state(content: Any, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the ResNet-50 that a file holds, without its classifier.

    They may lie in `state_dict`, `model` or any other dict, under any prefix of a wrapper or a
    task (`module.`, `model.`, `backbone.`, `encoder.`, `module.encoder_q.`, ...), or be numbered
    as in `nn.Sequential`. Heads and other networks beside it are left out.

    Args:
        content: What the file holds.
        wanted: The network's own tensors by name.

    Raises:
        UnreadableError: There is none, it is another network, or there are several; in words.
    """
    tensors = dict(flat_tensors(content))
    if not tensors:
        raise UnreadableError("it holds no named tensors")
    networks = {prefix: _under(prefix, tensors) for prefix in _prefixes(tensors)}
    if not networks:
        raise UnreadableError(_what_it_is(tensors))
    prefix = _meant(networks)
    state = networks[prefix]
    _check(prefix, state, wanted)
    return {name: state[name] for name in wanted if name in state}


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    numbered = _LAST.replace("layer4", "7")
    ends = [name[: -len(_LAST)] for name in tensors if name.endswith(_LAST)]
    ends += [name[: -len(numbered)] for name in tensors if _ends(name, numbered)]
    return sorted({end for end in ends if not end or end.endswith(".")})


def _ends(name: str, last: str) -> bool:
    return name == last or name.endswith(f".{last}")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what stands under a prefix, by the names that a ResNet gives its parts."""
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    if _LAST in own:
        return own
    first = {name: name.partition(".") for name in own}
    return {
        f"{_SEQUENTIAL[number]}.{rest}": own[name]
        for name, (number, _, rest) in first.items()
        if number in _SEQUENTIAL
    }


def _meant(networks: Mapping[str, Mapping[str, Tensor]]) -> str:
    if len(networks) == 1:
        return next(iter(networks))
    for preferred in _PREFERRED:
        chosen = [p for p in networks if p == preferred or (preferred and p.endswith(preferred))]
        if len(chosen) == 1:
            return chosen[0]
    prefixes = ", ".join(repr(prefix) for prefix in networks)
    raise UnreadableError(f"it holds several networks ({prefixes}): save one of them alone")


def _check(prefix: str, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse what is not a ResNet-50, or not one that can be used."""
    kind = _architecture(state)
    if kind != "ResNet-50":
        raise UnreadableError(f"it holds a {kind}, but the backbone is a ResNet-50")
    missing = [n for n in wanted if n not in state and not n.endswith(COUNTERS)]
    if missing:
        raise UnreadableError(
            f"its ResNet-50 lacks {len(missing)} tensors, the first {prefix + missing[0]}"
        )
    more = [name for name in state if name.startswith(_PARTS) and name not in wanted]
    if more:
        raise UnreadableError(
            f"it holds a variant of ResNet-50 with parts that the backbone has not, such as "
            f"{prefix + more[0]}"
        )
    for name, tensor in wanted.items():
        if name in state:
            check_tensor(prefix + name, state[name], tensor, "a ResNet-50 of RGB pictures")


def _what_it_is(tensors: Mapping[str, Tensor]) -> str:
    kind = _architecture(tensors)
    if kind:
        return f"it holds a {kind}, but the backbone is a ResNet-50"
    first = next(iter(tensors))
    return f"it holds no ResNet-50: {len(tensors)} tensors, the first {first[:80]}"


def _architecture(tensors: Mapping[str, Tensor]) -> str:
    """Return which ResNet tensors are, whatever their prefix; empty where they are none."""
    inner = "layer1.0.conv2.weight"
    example = next((name for name in tensors if _ends(name, inner)), None)
    if example is None:
        return ""
    prefix = example[: -len(inner)]
    blocks = tuple(
        len({n.removeprefix(start).split(".")[0] for n in tensors if n.startswith(start)})
        for start in (f"{prefix}layer{number}." for number in (1, 2, 3, 4))
    )
    kind = "bottleneck" if f"{prefix}layer1.0.conv3.weight" in tensors else "basic"
    name = _DEPTHS.get(blocks, {}).get(kind, f"ResNet of {blocks} {kind} blocks")
    shape = tuple(tensors[example].shape)
    if kind == "bottleneck" and shape[:2] != (64, 64):
        grouped = "grouped or wide convolutions (ResNeXt, Wide ResNet)"
        name = f"{name} with {grouped}"
    return name
