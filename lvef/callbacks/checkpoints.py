"""Checkpoints are written when there is time for it, and always at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH
from torch import Tensor
from torch.utils._pytree import tree_map

from lvef.files import write_bytes

_REQUEUED = "hpc_ckpt"
"""What Lightning calls a checkpoint that it writes before a cluster's job is queued again."""


class UnhurriedCheckpointIO(TorchCheckpointIO):
    """Writes a file at most once in `interval` seconds; what came since is written at the end.

    With precomputed features an epoch takes a tenth of a second, and writing a hundred megabytes
    after each would take most of the run. Epochs that are longer are written one by one, as ever.
    A file takes the place of the one before when it is whole. Lightning would write it into the
    folder for temporary files first, which may be small, and copy it from there.

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
        """Write a checkpoint, or hold a copy of it back for a while.

        Raises:
            OutputError: It cannot be written.
        """
        name = str(path)
        if "://" in name or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        # A requeued job starts anew from its checkpoint, and may be killed before the end.
        due = self._due(name) or Path(name).name.startswith(_REQUEUED)
        others = {other: waiting for other, waiting in self._waiting.items() if other != name}
        # In one step and for as long as it is not written: a signal may come at any moment.
        self._waiting = {**others, name: checkpoint if due else tree_map(_copy, checkpoint)}
        # What came before goes first, all of it: the last epoch's file says which epoch was the
        # best, and the best epoch's must hold that one.
        if due or any(self._due(other) for other in others):
            self.flush(self._waiting if due else others)

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

    def flush(self, names: Iterable[str] | None = None) -> None:
        """Write what waits, in the order in which it came.

        Raises:
            OutputError: It cannot be written; it waits on.
        """
        for name in list(self._waiting if names is None else names):
            _write(self._waiting[name], name)
            self._waiting.pop(name, None)
            self._written[name] = time.monotonic()

    def _due(self, name: str) -> bool:
        return time.monotonic() - self._written.get(name, self._started) >= self.interval


def _write(checkpoint: dict[str, Any], name: str) -> None:
    # In memory first: what PyTorch says of a full disk is no OSError.
    content = BytesIO()
    torch.save(checkpoint, content)
    write_bytes(name, content.getbuffer())


def _copy(value: Any) -> Any:
    """Return a copy in the computer's memory: a GPU's is too small for it."""
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
