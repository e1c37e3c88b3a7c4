"""How a task is asked: on which device, in which precision, and one loop over batches of cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lvef.errors import ConfigurationError
from lvef.precision import cpu_precision


def best_device(asked: str | torch.device | None = None) -> torch.device:
    """Return the device that networks run on: a GPU if there is one, Apple's where it works.

    Args:
        asked: A device that is asked for by name; None leaves the choice.

    Raises:
        ConfigurationError: There is no such device.
    """
    if asked is None:
        names = ("cuda", "mps", "cpu")
        return next(device for device in map(torch.device, names) if _works(device))
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise ConfigurationError(f"--device {asked}: no kind of device; give cpu or cuda") from None
    if not _works(device):
        raise ConfigurationError(f"--device {asked}: there is none; leave it away, or give cpu")
    return device


def _works(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or (device.type == "mps" and torch.backends.mps.is_available())


def device_of(module: nn.Module) -> torch.device:
    """Return where a module is."""
    return next((value.device for value in module.parameters()), torch.device("cpu"))


@contextmanager
def inference(device: torch.device, fast: bool = False) -> Iterator[None]:
    """Run networks without gradients.

    Args:
        device: Where they run.
        fast: Whether in bfloat16 where that is faster: features and answers change in the third
            digit.
    """
    lower = fast and (device.type == "cuda" or cpu_precision() == "bf16-mixed")
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=lower):
        yield


def predict_batches(
    task: Any, batches: Iterable[dict[str, Any]], device: str | torch.device | None = None
) -> list[dict[str, Any]]:
    """Return what a task predicts of batches of cases, as `predict_step` returns it.

    Args:
        task: The task, which stays where it is brought to.
        batches: As data modules make them.
        device: Where it runs; see `best_device`.
    """
    place = best_device(device)
    task.to(place).eval()
    with inference(place):
        return [
            task.predict_step(on_device(batch, place), number)
            for number, batch in enumerate(batches)
        ]


def on_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return a batch whose tensors are on a device."""
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
