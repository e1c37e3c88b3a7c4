"""The two-chamber clip of a listed study: a second path a row, and what was found in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.data.layouts.checks import first_reason
from lvef.data.layouts.lacking import with_two_chamber_views
from lvef.data.slots import A2C
from lvef.data.tables import numbers

COLUMNS = {
    "path_a2c": ("a2c", "a2c path", "a2c file", "file a2c", "file name a2c", "video a2c",
                 "clip a2c", "path 2ch", "2ch", "a2ch", "two chamber"),
    "ED_A2C": ("a2c ed", "ed frame a2c", "a2c ed frame", "edf a2c", "ed 2ch"),
    "ES_A2C": ("a2c es", "es frame a2c", "a2c es frame", "esf a2c", "es 2ch"),
}  # fmt: skip
"""What a list may say of the two-chamber view, and what else it is called."""
GIVEN = "given_a2c"
FOUND = ("path", "ed", "es", "quality", "fps", "num_frames", "reason")
FOUND_COLUMNS = tuple(map(A2C.column, FOUND))
"""What is kept beside a list of these clips, as of those of the four-chamber view."""


def with_second_paths(
    table: pd.DataFrame, cells: pd.DataFrame, file: Callable[[str], Path]
) -> pd.DataFrame:
    """Return the rows of a list with their two-chamber clips; as they are where it names none.

    What is added is `given_a2c` and `path_a2c`, both empty in rows without one, and `ed_a2c` and
    `es_a2c`, NaN where the list says nothing.

    Args:
        table: The rows.
        cells: What stands in the list, under the names of `COLUMNS`.
        file: Returns the file that a cell names.
    """
    if A2C.column("path") not in cells:
        return table
    given = cells[A2C.column("path")].fillna("").map(lambda text: str(text).strip().strip('"'))
    paths = [str(file(each)) if each else "" for each in given]
    table[GIVEN], table[A2C.column("path")] = given, paths
    for name in ("ED_A2C", "ES_A2C"):
        table[name.lower()] = numbers(cells[name]) if name in cells else np.nan
    return table


def unknown(listed: pd.DataFrame, made: pd.DataFrame) -> pd.Series:
    """Return the rows of a list whose two-chamber clip was not looked at yet.

    Args:
        listed: See `with_second_paths`.
        made: What was made of the list, see `Prepared.read`.
    """
    if GIVEN not in listed:
        return pd.Series(False, index=listed.index)
    known = made.set_index("path").reindex(columns=[A2C.column("path")])[A2C.column("path")]
    looked_at = listed["given"].map(known).astype(object).fillna("")
    return (listed[GIVEN] != "") & (listed[GIVEN] != looked_at)


def with_second_clips(kept: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a list with what is known of their two-chamber clips.

    Args:
        kept: See `with_second_paths`; as it is where it has no such column.
        made: What was made of the same rows, see `Prepared.read`.

    Returns:
        See `with_two_chamber_views`.
    """
    if GIVEN not in kept:
        return kept
    made = made.reset_index(drop=True).reindex(columns=list(FOUND_COLUMNS))
    given, why = (made[A2C.column(n)].astype(object).fillna("") for n in ("path", "reason"))
    paths = kept[A2C.column("path")]
    there = paths.map(lambda path: not path or (Path(path).is_file() and Path(path).stat().st_size))
    reasons = first_reason(
        [
            (~there.astype(bool), "video file missing or empty"),
            (kept[GIVEN] != given,
             "key frames not known yet: run python -m lvef keyframes"),
            *((why == each, each) for each in set(why) - {""}),
        ],
        kept.index,
    )  # fmt: skip
    for name in ("ed", "es"):
        stated = kept[A2C.column(name)]
        frames = stated.where(stated.notna(), made[A2C.column(name)])
        kept = kept.assign(**{A2C.column(f"{name}_frame"): frames})
    for name in ("fps", "num_frames"):
        kept = kept.assign(**{A2C.column(name): made[A2C.column(name)].astype(float)})
    kept = kept.drop(columns=[GIVEN, A2C.column("ed"), A2C.column("es")])
    return with_two_chamber_views(kept, reasons)
