"""What of a machine one process may use, where torchrun has begun several on it."""

from __future__ import annotations

import os

import torch

from lvef.data.options import num_cores
from lvef.models.inference import best_device


def own_workers() -> int:
    """Return one worker a core, and of several processes on one machine a share of them."""
    return max(1, num_cores() // max(1, _stated("LOCAL_WORLD_SIZE", 1)))


def own_device(asked: str | None) -> torch.device:
    """Return the device of this process; of several GPUs, one for each process on the machine.

    Args:
        asked: A device that is asked for by name, see `best_device`.

    Raises:
        ConfigurationError: There is no such device.
    """
    device = best_device(asked)
    if device.type != "cuda" or device.index is not None or "LOCAL_RANK" not in os.environ:
        return device
    return torch.device("cuda", _stated("LOCAL_RANK", 0) % torch.cuda.device_count())


def _stated(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
