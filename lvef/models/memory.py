"""How large an exact Gaussian process the memory holds."""

from __future__ import annotations

import math
import os

import torch

_MATRICES = 6
"""Matrices of n x n that a step of the fit holds at once, with a little room."""
_SHARE_OF_MEMORY = 0.6


def largest_exact(dtype: torch.dtype, device: torch.device | None = None) -> int:
    """Return how many training samples an exact fit can have in the memory that is free now.

    Args:
        dtype: Precision of the computation.
        device: Where it runs; the CPU by default.
    """
    if device is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = _free_memory()
    item = torch.finfo(dtype).bits // 8
    return int(math.sqrt(_SHARE_OF_MEMORY * free / (_MATRICES * item)))


def _free_memory() -> int:
    """Return the bytes that are free, buffers and caches included where the system tells."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 8 * 1024**3
