"""JSON files that any reader accepts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


def write_json(path: Path, about: dict[str, Any]) -> None:
    """Write plain data; what is no finite number becomes null, as JSON has no NaN."""
    path.write_text(json.dumps(finite(about), indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return plain data with None in place of NaN and infinity."""
    if isinstance(value, dict):
        return {name: finite(own) for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
