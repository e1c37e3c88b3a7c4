"""The two-chamber clips of a list: ED and ES are found in them as in those of the other view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvef.data.layouts.clip_list.two_chamber import FOUND, GIVEN
from lvef.data.slots import A2C, asks_for_a2c
from lvef.errors import DatasetError

NONE = {"path": "", "reason": ""}
"""What is known of no clip."""


def refuse_without_seconds(labels: Path, listed: pd.DataFrame, frames: Sequence[str]) -> None:
    """Refuse a list that names no two-chamber clip, where a model sees them.

    Args:
        labels: The list.
        listed: Its rows, see `read_list`.
        frames: What is asked for.

    Raises:
        DatasetError: It names none.
    """
    if asks_for_a2c(frames) and (GIVEN not in listed or (listed[GIVEN] == "").all()):
        raise DatasetError(
            f"{labels}: {', '.join(frames)} are asked for, but it names no two-chamber view: give "
            f"the clip of the same study in a column {A2C.column('path')}"
        )


def second_clips(rows: pd.DataFrame) -> list[str]:
    """Return the two-chamber clips of a list in which ED and ES are to be found."""
    if GIVEN not in rows:
        return []
    unstated = rows[A2C.column("ed")].isna() | rows[A2C.column("es")].isna()
    paths = rows.loc[unstated, A2C.column("path")]
    return [path for path in paths if path and Path(path).is_file()]


def with_found_seconds(
    table: pd.DataFrame, rows: pd.DataFrame, look: Callable[[dict[str, Any]], dict[str, Any]]
) -> pd.DataFrame:
    """Return what was made of a list, with what is known of its two-chamber clips.

    Args:
        table: A row a clip of the four-chamber view.
        rows: The rows of the list, in the same order.
        look: Returns what is known of a clip by its `given`, `path`, `ed` and `es`.
    """
    if GIVEN not in rows:
        return table
    names = ("given", "path", "ed", "es")
    known = [
        look({name: row[A2C.column(name)] for name in names}) if row[GIVEN] else NONE
        for row in rows.to_dict("records")
    ]
    seconds = pd.DataFrame(known, columns=list(FOUND), index=table.index)
    return table.join(seconds.add_suffix(A2C.suffix))


def told_of_seconds(table: pd.DataFrame) -> str:
    """Return in lines how many two-chamber clips can be used, and why the others cannot."""
    reason = A2C.column("reason")
    if reason not in table:
        return ""
    there = table[table[A2C.column("path")] != ""]
    lost = there.loc[there[reason] != "", reason]
    lines = [
        f"two-chamber views of {len(there) - len(lost):,} of {len(table):,}"
        + (f", {len(lost):,} cannot be used:" if len(lost) else "")
    ]
    lines += [f"  {count:,} {why}" for why, count in lost.value_counts().items()]
    return "".join(f"\n{line}" for line in lines)
