"""What a data module can be asked for, and what it cannot."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lvef.data.dataset import FRAME_COLUMNS
from lvef.errors import ConfigurationError

_MOST_WORKERS = 8


def default_workers() -> int:
    """Return one worker a core that this process may use, 8 at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MOST_WORKERS)


def check_options(
    frames: Sequence[str],
    batch_size: int,
    feature_batch_size: int,
    image_size: int,
    limit: int | None,
    max_excluded: float,
) -> None:
    """Refuse options of the data module that cannot work.

    Raises:
        ConfigurationError: One of them cannot.
    """
    unknown = [name for name in frames if name not in FRAME_COLUMNS]
    if unknown or not frames:
        raise ConfigurationError(
            f"data.frames is {list(frames)}, but a frame is one of {', '.join(FRAME_COLUMNS)}"
        )
    if len(set(frames)) != len(frames):
        raise ConfigurationError(f"data.frames names a frame twice: {list(frames)}")
    for name, value, least in (
        ("batch_size", batch_size, 1), ("feature_batch_size", feature_batch_size, 1),
        ("image_size", image_size, 32), ("limit", limit, 1),
    ):  # fmt: skip
        if value is not None and value < least:
            raise ConfigurationError(f"data.{name} is {value}, but must be at least {least}")
    if not 0 <= max_excluded <= 1:
        raise ConfigurationError(f"data.max_excluded is {max_excluded}, but is a share, 0 to 1")
