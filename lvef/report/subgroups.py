"""Subgroups as a page may show them: numbers, and names that look like names of groups."""

from __future__ import annotations

import re
from typing import Any

from lvef.evaluation.subgroups import NAMES
from lvef.report.checks import count, mapping, number, number_or_none, sequence, share, text

_NAME = re.compile(r"([<>]= )?\w[\w .,%()/+&':-]{0,59}")
_UNNAMED = "another name"
_PARTS = ("value", "lower", "upper")
_MOST = 1000


def checked_subgroups(value: Any) -> dict[str, Any]:
    """Return what metrics.json says of subgroups, of which nothing else is left.

    Names of columns and groups are those that whoever ran the test asked for, or the usual ones; a
    value that few patients share was never spelt out, see `lvef.data.subgroups`.

    Raises:
        TypeError: Something is of another type than it should be.
        ValueError: A number or a name is none that can stand there.
        KeyError: Something is missing.
    """
    report = mapping(value)
    return {
        "by": [_grouping(mapping(grouping)) for grouping in sequence(report["by"])[:_MOST]],
        "comparisons": count(report["comparisons"]),
        "min_cases": count(report["min_cases"]),
        "level": share(report["level"]),
    }


def _name(value: Any) -> str:
    return str(value) if _NAME.fullmatch(text(value)) else _UNNAMED


def _grouping(grouping: dict[str, Any]) -> dict[str, Any]:
    differences = mapping(grouping["differences"])
    return {
        "column": _name(grouping["column"]),
        "groups": [_group(mapping(group)) for group in sequence(grouping["groups"])[:_MOST]],
        "differences": {
            name: {part: number(mapping(differences[name])[part]) for part in ("p", "p_holm")}
            for name in NAMES
            if name in differences
        },
    }


def _group(group: dict[str, Any]) -> dict[str, Any]:
    measures = group["measures"]
    return {
        "group": _name(group["group"]),
        "cases": count(group["cases"]),
        "reduced": count(group["reduced"]),
        "measures": None
        if measures is None
        else {
            name: {part: number_or_none(mapping(measures[name])[part]) for part in _PARTS}
            for name in NAMES
            if name in mapping(measures)
        },
    }
