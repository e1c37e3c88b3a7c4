"""What a value of a file that anybody may have written must be; nothing of it is trusted.

Each returns the value, or raises TypeError where it is of another type and ValueError where it is
none that can stand there.
"""

from __future__ import annotations

import math
import re
from typing import Any


def number(value: Any) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("no number")
    finite = float(value)
    if not math.isfinite(finite):
        raise ValueError("not finite")
    return finite


def number_or_none(value: Any) -> float | None:
    """Return a number, or None for null, which stands for one that could not be calculated."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return number(value)


def share(value: Any) -> float:
    """Return a number between 0 and 1."""
    within = number(value)
    if not 0 <= within <= 1:
        raise ValueError("not between 0 and 1")
    return within


def count(value: Any) -> int:
    """Return a whole number, 0 or more."""
    whole = number(value)
    if whole < 0 or whole % 1:
        raise ValueError("no count")
    return int(whole)


def flag(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def text(value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """Return an object of JSON."""
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def sequence(value: Any) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def one_of(allowed: tuple[str, ...], value: Any) -> str:
    """Return a text that is one of those that are allowed."""
    if value not in allowed:
        raise ValueError("not one of these")
    return str(value)


def matching(pattern: re.Pattern[str], value: Any) -> str:
    """Return a text of a form."""
    if not pattern.fullmatch(text(value)):
        raise ValueError("of another form")
    return str(value)
