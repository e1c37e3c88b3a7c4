"""The precision that a CPU is fastest in."""

from __future__ import annotations

from typing import Literal

import torch


def cpu_precision(dense: bool = False) -> Literal["bf16-mixed", "32-true"]:
    """Return bfloat16 for CPUs that multiply it in tiles (AMX), where it is twice as fast.

    With AVX512-BF16 alone a ResNet-50 trains 1.6 to 1.9 times as fast, but networks of depthwise
    convolutions slower (MobileNet V3: 0.5 times), and gradients of 3-D convolutions may be NaN
    (R(2+1)D-18, torch 2.14).

    Args:
        dense: Whether nearly all is ordinary 2-D convolutions and may differ by rounding from one
            machine to the other, as in the pre-training of a ResNet-50.
    """
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return "bf16-mixed" if tiles() or (dense and cpu_multiplies_bfloat16()) else "32-true"


def cpu_multiplies_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16 (AVX512-BF16, AMX).

    They are enough for the small convolutions of the LV segmenter, which are twice as fast by them.
    """
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)
