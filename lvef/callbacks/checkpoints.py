"""Checkpoints are written when there is time for it, and always at the end."""

from __future__ import annotations

import time
from typing import Any

from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH
from torch import Tensor
from torch.utils._pytree import tree_map


class UnhurriedCheckpointIO(TorchCheckpointIO):
    """Writes a file at most once in `interval` seconds; what came since is written at the end.

    With precomputed features an epoch takes a tenth of a second, and writing a hundred megabytes
    after each would take most of the run. Epochs that are longer are written one by one, as ever.

    Args:
        interval: Seconds between two writes of the same file.
    """

    def __init__(self, interval: float = 10.0) -> None:
        super().__init__()
        self.interval = interval
        self._started = time.monotonic()
        self._written: dict[str, float] = {}
        self._waiting: dict[str, dict[str, Any]] = {}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint, or hold a copy of it back for a while."""
        name = str(path)
        self._waiting.pop(name, None)
        due = self._due(name)
        if due or any(self._due(other) for other in self._waiting):
            # What came before, all of it: the last epoch's file says which epoch was the best,
            # and the best epoch's must hold that one.
            self.flush()
        if due:
            super().save_checkpoint(checkpoint, path, storage_options)
            self._written[name] = time.monotonic()
        else:
            self._waiting[name] = tree_map(_copy, checkpoint)

    def load_checkpoint(self, path: _PATH, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint, after writing what waits."""
        self.flush()
        return super().load_checkpoint(path, *args, **kwargs)

    def remove_checkpoint(self, path: _PATH) -> None:
        """Remove a checkpoint, written or waiting."""
        self._waiting.pop(str(path), None)
        super().remove_checkpoint(path)

    def teardown(self) -> None:
        """Write what waits; called at the end of every run, also of one that failed."""
        self.flush()
        super().teardown()

    def flush(self) -> None:
        """Write what waits, in the order in which it came."""
        for name in list(self._waiting):
            super().save_checkpoint(self._waiting.pop(name), name)
            self._written[name] = time.monotonic()

    def _due(self, name: str) -> bool:
        return time.monotonic() - self._written.get(name, self._started) >= self.interval


def _copy(value: Any) -> Any:
    """Return a copy in the computer's memory: a GPU's is too small for it."""
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
