"""The precision that a CPU is fastest in."""

from __future__ import annotations

from typing import Literal

import torch

_MEASURED = (None, "resnet50")
"""Backbones that are faster in bfloat16 without tiles, too; None for networks that are none."""


def cpu_precision(backbone: str | None = None) -> Literal["bf16-mixed", "32-true"]:
    """Return the precision that networks train and answer fastest in on this CPU.

    On CPUs that multiply bfloat16 in tiles (AMX) it is bfloat16. On those with AVX512-BF16 alone it
    is bfloat16 for ResNet-50 (1.7 to 1.9 times as fast on one AMD core, batches of 8 and 32 frames)
    and the LV segmenter (1.6 times). Others stay in float32 there unless bfloat16 is asked for:
    networks of depthwise convolutions are slower in it (MobileNet V3: 0.5 times, EfficientNet-B0:
    0.65 times), and gradients of 3-D convolutions may be NaN (R(2+1)D-18, R3D-18; torch 2.14). On
    CPUs without such instructions it is float32.

    Args:
        backbone: Name of the network, as `--model.backbone.name` takes it.
    """
    if _has("amx_bf16", "_is_amx_tile_supported"):
        return "bf16-mixed"
    return "bf16-mixed" if backbone in _MEASURED and cpu_multiplies_bfloat16() else "32-true"


def cpu_multiplies_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16: AVX512-BF16 or AMX."""
    return _has("avx512_bf16", "_is_avx512_bf16_supported") or _has(
        "amx_bf16", "_is_amx_tile_supported"
    )


def _has(capability: str, before: str) -> bool:
    """Return whether the CPU has a capability.

    Args:
        capability: As `torch.cpu.get_capabilities` calls it.
        before: The function that says so in versions of torch without that.
    """
    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get(capability, False))
    return bool(getattr(torch.cpu, before, lambda: False)())
