"""The precision that a CPU is fastest in."""

from __future__ import annotations

from typing import Literal

import torch


def cpu_precision() -> Literal["bf16-mixed", "32-true"]:
    """Return bfloat16 for CPUs that multiply it in tiles (AMX), where it is twice as fast.

    Others stay in float32, also those with AVX512-BF16: they train ResNet-50 1.7 to 1.9 times as
    fast in bfloat16 where it is asked for, but networks of depthwise convolutions slower (MobileNet
    V3: 0.5 times), and gradients of 3-D convolutions may be NaN there (R(2+1)D-18, torch 2.14).
    """
    supported = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return "bf16-mixed" if supported() else "32-true"


def cpu_multiplies_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16 (AVX512-BF16, AMX).

    They are enough for the small convolutions of the LV segmenter, which are twice as fast by them.
    """
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)
