"""Subgroups in lines, for a terminal and a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lvef.evaluation.subgroups import NAMES, OF_PROPORTION, SIGNIFICANT, TRUE_EF

_TOO_SMALL = "too small for figures"
Cells = list[str]


def subgroup_table(report: Mapping[str, Any]) -> tuple[Cells, list[Cells]]:
    """Return the heading and the rows of a table of groups, as text; none where all are too small.

    Args:
        report: See `subgroup_report`.
    """
    names = _measured(report)
    if not names:
        return [], []
    heading = ["group", "cases", "EF <= 40", *(_heading(name, report) for name in names)]
    rows = []
    for grouping in report["by"]:
        for group in grouping["groups"]:
            cells = [f"{grouping['column']}: {group['group']}", f"{group['cases']:,}"]
            cells.append(f"{group['reduced']:,}")
            measures = group["measures"]
            cells += [_TOO_SMALL if name == names[0] else "" for name in names if not measures]
            cells += [_figure(name, measures[name]) for name in names if measures]
            rows.append(cells)
    return heading, rows


def subgroup_notes(report: Mapping[str, Any]) -> list[str]:
    """Return what must be known to read the table, and which groups differ."""
    if not report["by"]:
        return []
    names, count, least = _measured(report), report["comparisons"], report["min_cases"]
    if not names:
        return [f"TEST is too small for subgroups: none has {least} cases."]
    notes = [
        f"Groups of TEST, with 95 % intervals; of fewer than {least} cases there are no figures, "
        "and small ones tell little: overlapping intervals are no proof of likeness."
    ]
    if "bias" in names and any(grouping["column"] == TRUE_EF for grouping in report["by"]):
        notes.append(
            "By true EF a model that is drawn to the mean is biased upward at low and downward at "
            "high EF, whatever the patients."
        )
    if not count:
        return notes
    differing = [
        f"{NAMES[name]} by {grouping['column']} (p = {_p(found['p'])}, "
        f"after Holm {_p(found['p_holm'])})"
        for grouping in report["by"]
        for name, found in grouping["differences"].items()
        if name in NAMES and found["p_holm"] < SIGNIFICANT
    ]
    told = "; ".join(differing) if differing else "none"
    notes.append(
        f"Differences between groups that hold after Holm's correction for {count} "
        f"comparison{'s' * (count > 1)} (permutation tests): {told}."
    )
    return notes


def format_subgroups(report: Mapping[str, Any]) -> list[str]:
    """Return table and notes as lines of text."""
    heading, rows = subgroup_table(report)
    if not rows:
        return subgroup_notes(report)
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in (heading, *rows)
    ]
    return ["", *lines, *subgroup_notes(report), ""]


def _measured(report: Mapping[str, Any]) -> list[str]:
    """Return the measures that groups have, in order."""
    for grouping in report["by"]:
        for group in grouping["groups"]:
            if group["measures"]:
                return [name for name in NAMES if name in group["measures"]]
    return []


def _heading(name: str, report: Mapping[str, Any]) -> str:
    return f"coverage {100 * report['level']:.0f} %" if name == "coverage" else NAMES[name]


def _figure(name: str, figure: Mapping[str, Any]) -> str:
    value, lower, upper = (
        math.nan if figure[part] is None else float(figure[part])
        for part in ("value", "lower", "upper")
    )
    if math.isnan(value):
        return "-"
    digits = 3 if name in (*OF_PROPORTION, "roc_auc") else 2
    interval = "none" if math.isnan(lower) else f"{lower:.{digits}f}, {upper:.{digits}f}"
    return f"{value:.{digits}f} [{interval}]"


def _p(value: float) -> str:
    return f"{value:.4f}" if value < 0.01 else f"{value:.2f}"
