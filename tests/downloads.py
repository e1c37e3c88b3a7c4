"""Weights as libraries leave them in their caches, in place of what would be downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import huggingface_hub
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import WeightsEnum, get_model

_REVISION = "0123456789abcdef0123456789abcdef01234567"


def torchvision_download(weights: WeightsEnum, home: Path) -> dict[str, Tensor]:
    """Leave random weights where torchvision keeps those, under a TORCH_HOME."""
    file = home / "hub" / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    file.parent.mkdir(parents=True, exist_ok=True)
    architecture = type(weights).__name__.removesuffix("_Weights").lower()
    state = get_model(architecture).state_dict()
    torch.save(state, file)
    return dict(state)


def timm_download(name: str, cache: Path) -> dict[str, Tensor]:
    """Leave random weights `NAME.TAG` where Hugging Face keeps those, in a cache."""
    place = cache / f"models--timm--{name}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(_REVISION)
    file = place / "snapshots" / _REVISION / "model.safetensors"
    file.parent.mkdir(parents=True)
    state = timm.create_model(name.partition(".")[0]).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, file)
    return dict(state)


@contextmanager
def downloads_of(cache: Path) -> Iterator[None]:
    """Let Hugging Face have this cache, and no network; it reads its environment only once."""
    offline = {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": True}
    with patch.multiple(huggingface_hub.constants, **offline):
        yield
