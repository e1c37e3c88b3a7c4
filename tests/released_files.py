"""Files with the names and shapes of released echo encoders' tensors; their numbers are random."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models

State = dict[str, Tensor]


def on_meta(make: Callable[..., nn.Module], **arguments: Any) -> nn.Module:
    """Return a network whose tensors have no numbers: to draw them takes seconds."""
    with torch.device("meta"):
        return make(**arguments)


@cache
def _numbers(seed: int, power: int) -> Tensor:
    drawn = torch.randn(60_000, generator=torch.Generator().manual_seed(seed))
    return drawn / 2**power


def _tensor(name: str, like: Tensor, seed: int) -> Tensor:
    """Return numbers of a tensor's shape, overlapping so that its file is small."""
    if not like.ndim:
        return torch.tensor(5)  # batches that a batch norm has seen
    strides = (13, 5, 3, 2, 1)[: like.ndim]
    if like.ndim == 1 and name.endswith(("weight", "running_var")):
        return 1 + 0.1 * _numbers(seed, 0)[: len(like)].tanh()
    power = round(math.log2(max(like[0].numel(), 1)) / 2) + 1
    return _numbers(seed, power).as_strided(like.shape, strides)


def _state(network: nn.Module, seed: int) -> State:
    """Return tensors for a network."""
    return {name: _tensor(name, like, seed) for name, like in network.state_dict().items()}


def _under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def _of_echonet(network: nn.Module, seed: int, **more: Any) -> dict[str, Any]:
    """As the training of EchoNet-Dynamic leaves it, with the state of its optimiser."""
    state = _under("module.", _state(network, seed))
    momentum = {140 + at: {"momentum_buffer": torch.zeros(3)} for at in range(2)}
    return {
        "epoch": 30, "state_dict": state, "best_loss": 20.0, "loss": 19.5,
        "opt_dict": {"state": momentum, "param_groups": [{"lr": 1e-4, "params": [140, 141]}]},
        "scheduler_dict": {"step_size": 15, "last_epoch": 31}, **more,
    }  # fmt: skip


def echonet_dynamic_ef() -> dict[str, Any]:
    """R(2+1)D with one output, in DataParallel; its R² is a number of NumPy."""
    network = on_meta(models.video.r2plus1d_18, num_classes=1)
    return _of_echonet(network, 1, period=2, frames=32, r2=np.float64(0.81))


def echonet_dynamic_lv() -> dict[str, Any]:
    """DeepLab of one class, in DataParallel."""
    make = partial(models.segmentation.deeplabv3_resnet50, weights=None, weights_backbone=None)
    return _of_echonet(on_meta(make, num_classes=1, aux_loss=False), 2)


def echoprime() -> State:
    """MViTv2 with 512 outputs, alone."""
    return _state(on_meta(models.video.mvit_v2_s, num_classes=512), 3)


def panecho() -> dict[str, Any]:
    """ConvNeXt, a transformer over its features of frames, heads, and an optimiser's state."""
    image = on_meta(models.convnext_tiny)
    image.classifier[-1] = nn.Identity()
    layer = on_meta(partial(nn.TransformerEncoderLayer, 768, 8, 768))
    weights = _under("encoder.encoder.model.", _state(image, 4))
    for number in range(4):
        weights |= _under(f"encoder.transformer.layers.{number}.", _state(layer, number))
    weights["encoder.time_encoder.pe"] = torch.zeros(1, 16, 768)
    weights |= {"EF_head.1.weight": torch.zeros(1, 768), "EF_head.1.bias": torch.zeros(1)}
    return {"weights": weights, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}}


FILES: dict[str, tuple[str, Callable[[], Any]]] = {
    "echonet_dynamic_ef": ("r2plus1d_18_32_2_pretrained.pt", echonet_dynamic_ef),
    "echonet_dynamic_lv": ("deeplabv3_resnet50_random.pt", echonet_dynamic_lv),
    "echoprime": ("echo_prime_encoder.pt", echoprime),
    "panecho": ("panecho.pt", panecho),
}
"""By name the file's, and what makes what it holds."""


@cache
def content_of(name: str) -> Any:
    """Return what a released file holds, always the same."""
    return FILES[name][1]()


def write_released(name: str, folder: Path) -> Path:
    """Write a file as it is released; EchoNet-Dynamic's are older than torch's zip files."""
    path = folder / FILES[name][0]
    old = name.startswith("echonet")
    torch.save(content_of(name), path, _use_new_zipfile_serialization=not old)
    if old:  # and than NumPy 2
        written = path.read_bytes()
        path.write_bytes(written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return path
