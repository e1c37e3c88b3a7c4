"""The old address of `EchoNetDataModule`, which needs what lies above this room."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NOW = "lvef.predict.datamodule"


def __getattr__(name: str) -> Any:
    """Return what is asked for from where it is now."""
    if name == "EchoNetDataModule":
        return getattr(import_module(_NOW), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
