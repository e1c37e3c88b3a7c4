"""What numbers an option may have: declared once, beside the option, and told in one style."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, ClassVar

from lvef.errors import ConfigurationError, LvefError

_KEY = "range"


@dataclass(frozen=True)
class Range:
    """Numbers that an option may have; NaN and infinity are none of them.

    Args:
        least: The smallest.
        most: The largest.
        above: Whether the smallest itself is excluded.
        below: Whether the largest itself is excluded.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        """Return whether a number is one of them."""
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        return math.isfinite(value) and low and high

    def __str__(self) -> str:
        """Return what a number must be, in words."""
        words = []
        if math.isfinite(self.least):
            words.append(f"{'above' if self.above else 'at least'} {self.least:.10g}")
        if math.isfinite(self.most):
            words.append(f"{'below' if self.below else 'at most'} {self.most:.10g}")
        return " and ".join(words) or "finite"


FINITE = Range()
COUNT = Range(1)
"""A number of things of which there must be one."""
NOT_NEGATIVE = Range(0)
SHARE = Range(0, 1)
PROPER_SHARE = Range(0, 1, above=True, below=True)
"""A share that is neither nothing nor all."""
SEED = Range(0, 2**32 - 1)
"""What NumPy takes for a seed."""
WORKERS = Range(0, 1024)
"""More processes than any machine has cores for end it, instead of being faster."""
LEARNING_RATE = Range(0, 10, above=True)
"""Rates above it have never been of use, and end in NaN."""
WEIGHT_DECAY = Range(0, 100)


def check_numbers(
    where: str,
    ranges: Mapping[str, Range],
    values: Mapping[str, Any],
    error: type[LvefError] = ConfigurationError,
) -> None:
    """Refuse options that cannot work.

    Args:
        where: What stands before an option's name where the user types it: `data.` or `--`.
        ranges: What each number may be.
        values: The options by name; those without a range, None, true and false are left alone.
        error: What is raised.

    Raises:
        LvefError: A number is out of its range, or is none.
    """
    for name, allowed in ranges.items():
        value = values[name]
        if value is None or isinstance(value, bool):
            continue
        if not isinstance(value, Real):
            raise error(f"{where}{name} is {value!r:.40}, but must be a number")
        if float(value) not in allowed:
            raise error(f"{where}{name} is {float(value):.10g}, but must be {allowed}")


def ranged(default: Any, allowed: Range) -> Any:
    """Return the field of a `CheckedOptions`: its default, and what else it may be."""
    return field(default=default, metadata={_KEY: allowed})


def ranges_of(kind: Any) -> dict[str, Range]:
    """Return what the fields of a dataclass may be that were made by `ranged`."""
    return {each.name: each.metadata[_KEY] for each in fields(kind) if _KEY in each.metadata}


@dataclass(frozen=True)  # itself one: jsonargparse would take its subclasses for classes
class CheckedOptions:
    """Base of dataclasses of options that refuse what cannot work.

    Attributes:
        where: What stands before an option's name where the user types it.
    """

    where: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Refuse numbers out of their ranges."""
        check_numbers(self.where, ranges_of(self), vars(self))
