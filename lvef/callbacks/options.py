"""What the options of Lightning's callbacks may be, which it takes as they come."""

from __future__ import annotations

from typing import Any

from lvef.errors import ConfigurationError
from lvef.options import COUNT, FINITE, NOT_NEGATIVE, Range, check_numbers

RANGES = {
    "checkpoint": {
        "save_top_k": Range(-1),
        "every_n_train_steps": COUNT,
        "every_n_epochs": COUNT,
    },
    "early_stopping": {
        "min_delta": NOT_NEGATIVE,
        "patience": NOT_NEGATIVE,
        "stopping_threshold": FINITE,
        "divergence_threshold": FINITE,
    },
}
"""Numbers that the callbacks of every run take."""


def check_callbacks(config: Any) -> None:
    """Refuse options of the callbacks of every run that cannot work.

    Args:
        config: The configuration of a command.

    Raises:
        ConfigurationError: One of them cannot.
    """
    for part, ranges in RANGES.items():
        check_numbers(f"{part}.", ranges, config[part])
    kept, name = config.checkpoint.save_top_k, config.checkpoint.filename or "{epoch}"
    if kept not in (0, 1) and "{" not in name:  # each would replace the one before, best or not
        raise ConfigurationError(
            f"checkpoint.save_top_k is {kept}, but all would be called {name}.ckpt: give a "
            "--checkpoint.filename with {epoch}"
        )
