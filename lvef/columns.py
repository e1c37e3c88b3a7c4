"""The words of a case: every column once, with its type, unit, meaning, and where it stands.

What ends in `_true` is known of a case from elsewhere; the same word without it is an answer. A
batch, `cases.csv`, `predictions.csv`, `beats.csv`, the outputs of an exported model and the report
all use these words, and none of them has another for the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Place = Literal["batch", "table", "cases.csv", "predictions.csv", "beats.csv", "onnx"]
"""Where a column can stand; `table` is the data module's."""
SPLITS = ("TRAIN", "VAL", "TEST")
"""The splits of a labelled folder: fitted on, chosen by, judged on."""
OWN = "own:"
"""What columns of a user's own begin with in the data module's table: whatever they are called,
they are none of those that are stated here. What they are called comes after it."""
Kind = Literal["text", "number", "share", "flag", "frame", "count"]
"""What its values are: `share` lies in 0..1, `flag` is 0 or 1, `frame` counts from 0 in the decoded
clip, and -1 or nothing stands for what is not known."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: Its name.
        kind: What its values are.
        unit: Their unit; empty where they have none.
        meaning: What it says.
        places: Where it stands.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    places: tuple[Place, ...]


_ALL: tuple[Place, ...] = ("cases.csv", "predictions.csv", "beats.csv")
_PREDICTED: tuple[Place, ...] = ("predictions.csv",)
_ANSWERS: tuple[Place, ...] = (*_ALL, "onnx")
_KNOWN: tuple[Place, ...] = ("batch", "table", "cases.csv", "predictions.csv")
_STATED = [
    Column("row", "count", "", "the case's row in the data module's table", ("batch",)),
    Column("video", "text", "", "name of the clip, without folders and extension where it is the "
           "only one of that name", ("table", *_ALL)),
    Column("patient", "text", "", "whose clip it is, where a list of clips says so", ("table",)),
    Column("study", "text", "", "the examination it is of", ("table",)),
    Column("site", "text", "", "where it was taken", ("table",)),
    Column("view_true", "text", "", "the view, where a list of clips says so", ("table",)),
    Column("path_a2c", "text", "", "clip of the same heart in the apical two-chamber view, where "
           "there is one", ("table",)),
    Column("reason_a2c", "text", "", "why that clip cannot be used; empty where it can",
           ("table",)),
    Column("num_frames_a2c", "count", "", "frames that it holds", ("table",)),
    Column("fps_a2c", "number", "frames a second", "its rate", ("table",)),
    Column("ed_frame_a2c", "frame", "", "its end-diastolic frame", ("table", "predictions.csv")),
    Column("es_frame_a2c", "frame", "", "its end-systolic frame", ("table", "predictions.csv")),
    Column("mid_frame_a2c", "frame", "", "frame half-way between them; -1 where they are of no "
           "systole", ("table",)),
    Column("fold", "count", "", "fold of cross-validation of which it is TEST, from 1: in the "
           "pooled predictions of a table", ()),
    Column("status", "text", "", "ok, or failed", _PREDICTED),
    Column("reason", "text", "", "why it failed", ("table", *_PREDICTED)),
    Column("beat", "count", "", "number of the beat in the clip, from 0", ("table", "beats.csv")),
    Column("ed_frame", "frame", "", "end-diastolic frame",
           ("table", "predictions.csv", "beats.csv")),
    Column("es_frame", "frame", "", "end-systolic frame",
           ("table", "predictions.csv", "beats.csv")),
    Column("mid_frame", "frame", "", "frame half-way between them; -1 where they are of no "
           "systole",
           ("table", "predictions.csv", "beats.csv")),
    Column("ef_true", "number", "percent", "EF as the label states it", _KNOWN),
    Column("reduced_true", "flag", "", "1 where that is 40 or less", ("batch", "cases.csv")),
    Column("loss", "number", "", "loss of the case", ("cases.csv",)),
    Column("log_odds", "number", "", "of reduced EF, at the prevalence of TRAIN, before "
           "calibration", ("cases.csv",)),
    Column("ef", "number", "percent", "ejection fraction", _ANSWERS),
    Column("ef_std", "number", "percentage points", "its calibrated standard deviation", _ANSWERS),
    Column("ef_lower", "number", "percent", "lower end of its conformal interval", _ANSWERS),
    Column("ef_upper", "number", "percent", "upper end of its conformal interval", _ANSWERS),
    Column("p_reduced", "share", "", "calibrated probability of EF <= 40 % at the prevalence of "
           "the training data", _ANSWERS),
    Column("reduced", "flag", "", "1 where EF is called reduced", ("cases.csv", "predictions.csv")),
    Column("review", "flag", "", "1 where a human should look", ("cases.csv", "predictions.csv")),
    Column("num_beats", "count", "", "beats that the answer rests on", _PREDICTED),
    Column("ef_spread", "number", "points", "standard deviation of EF between beats", _PREDICTED),
    Column("ef_geometric", "number", "percent", "EF by the area-length geometry of the contours",
           ("table", "predictions.csv", "beats.csv")),
    Column("quality", "share", "", "how far the analysis of the clip (of the beat) can be relied "
           "on", ("table", "predictions.csv", "beats.csv")),
    Column("view", "text", "", "the view that was seen: A4C (an upright apical four-chamber view), "
           "another, or `other`", _PREDICTED),
    Column("p_a4c", "share", "", "probability, on phantoms, that it is an upright apical "
           "four-chamber view", _PREDICTED),
    Column("trained_on", "text", "", "phantoms, where they taught the model", _PREDICTED),
    Column("dice", "share", "", "overlap of the mask with the tracing", ("cases.csv",)),
    Column("distance", "number", "pixels", "mean distance of the two boundaries", ("cases.csv",)),
    Column("area_error", "number", "percent", "error of the area, signed", ("cases.csv",)),
    Column("lv_probability", "share", "", "probability of the left ventricle, (batch, looks, "
           "height, width)", ("onnx",)),
]  # fmt: skip

COLUMNS = {column.name: column for column in _STATED}
"""Every column by name."""

_EARLIER: dict[Place, dict[str, str]] = {
    "cases.csv": {
        "ef": "ef_true", "reduced": "reduced_true", "ef_predicted": "ef", "called": "reduced",
    },
    "predictions.csv": {"ef_label": "ef_true"},
}  # fmt: skip
"""What columns were called before they were stated here (version 0.1)."""
_TELLING = {"cases.csv": ("ef_true", "reduced_true"), "predictions.csv": ("ef_true",)}
"""Columns that only a table of this vocabulary has."""


def columns_of(place: Place) -> list[str]:
    """Return the names of the columns that can stand in a place, in their order."""
    return [column.name for column in _STATED if place in column.places]


def earlier_names(place: Place, names: Iterable[str]) -> dict[str, str]:
    """Return how to rename the columns of a table that an earlier version wrote.

    Args:
        place: Which table.
        names: The columns it has.

    Returns:
        New name by old one; empty for a table of this version.
    """
    held = set(names)
    if held & set(_TELLING.get(place, ())):
        return {}
    return {old: new for old, new in _EARLIER.get(place, {}).items() if old in held}


def is_own(name: str) -> bool:
    """Tell a column of a user's own from those that are stated here."""
    return name.startswith(OWN)


def described(name: str) -> str:
    """Return meaning and unit of a column in words."""
    column = COLUMNS[name]
    return f"{column.meaning} in {column.unit}" if column.unit else column.meaning
