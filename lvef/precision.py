"""The precision that a CPU is fastest in."""

from __future__ import annotations

from typing import Literal

import torch


def cpu_precision() -> Literal["bf16-mixed", "32-true"]:
    """Return bfloat16 for CPUs that multiply it in tiles (AMX), where it is twice as fast.

    Other CPUs, also those with bfloat16 instructions but no tiles, train ResNet-50 faster in
    float32.
    """
    supported = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return "bf16-mixed" if supported() else "32-true"


def cpu_multiplies_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16 (AVX512-BF16, AMX).

    They are enough for the small convolutions of the LV segmenter, which are twice as fast by them.
    """
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)
