"""Lines and cells of a table in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def header(cells: Sequence[str]) -> list[str]:
    """Return the two lines that a table begins with."""
    return [line(cells), line(["---"] * len(cells))]


def line(cells: Sequence[str]) -> str:
    """Return a row."""
    return "| " + " | ".join(cells) + " |"


def number(value: float | None) -> str:
    """Return a number; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}"
    return "0.000" if text == "-0.000" else text


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def cell(metric: Mapping[str, Any] | None) -> str:
    """Return a metric with its interval: `value`, `lower` and `upper`.

    Where no resample differs, as in a width that is the same in every case, it has none, and the
    cell says so.
    """
    if metric is None or number(metric["value"]) == "-":
        return "-"
    if "-" in (number(metric["lower"]), number(metric["upper"])):
        return f"{number(metric['value'])} [none]"
    return f"{number(metric['value'])} [{number(metric['lower'])}, {number(metric['upper'])}]"


def share_cell(share: Mapping[str, Any]) -> str:
    """Return a share with its interval in percent."""
    if percent(share["value"]) == "-":
        return "-"
    return f"{percent(share['value'])} [{100 * share['lower']:.1f}, {100 * share['upper']:.1f}]"


def p_value(value: float) -> str:
    """Return a p-value."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
