"""The slots of a case: which frames of which apical view a model sees, and what columns tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import NO_FRAME, asked_clip
from lvef.data import apical

NO_A2C = "no two-chamber view"
"""Why a case without that clip cannot be used by a model that sees it."""


@dataclass(frozen=True)
class View:
    """An apical view of the heart, a clip of which a case may have.

    Attributes:
        name: A4C or A2C, as `view_true` has it.
        suffix: What the columns of a clip of this view end in.
        slot_suffix: What the names of its frames end in.
    """

    name: str
    suffix: str = ""
    slot_suffix: str = ""

    def column(self, name: str) -> str:
        """Return what a column of a clip, such as `path` or `ed_frame`, is called for this view."""
        return name + self.suffix


A4C = View(apical.A4C)
A2C = View(apical.A2C, "_a2c", "_A2C")
VIEWS = (A4C, A2C)
_OF_CLIP = {"EDF": "ed_frame", "ESF": "es_frame", "MF": "mid_frame"}
_VIEW_OF = {name + view.slot_suffix: view for view in VIEWS for name in _OF_CLIP}
FRAME_COLUMNS = {
    name + view.slot_suffix: view.column(column)
    for view in VIEWS for name, column in _OF_CLIP.items()
}  # fmt: skip
"""The frames a model can ask for, and the column of the table that tells which they are."""
A4C_FRAMES, A2C_FRAMES = (
    tuple(name for name, of in _VIEW_OF.items() if of == view) for view in VIEWS
)
"""Those of each view."""


def view_of(frame: str) -> View:
    """Return the view that a frame such as `ESF_A2C` is of; whole clips are four-chamber views."""
    return A4C if asked_clip([frame]) else _VIEW_OF[frame]


def slots_by_view(frames: Sequence[str]) -> dict[View, list[int]]:
    """Return the places of the pictures of each view that is asked for, in slot order."""
    clip = asked_clip(frames)
    if clip is not None:
        return {A4C: list(range(clip.length))}
    return {
        view: slots for view in VIEWS
        if (slots := [place for place, name in enumerate(frames) if view_of(name) == view])
    }  # fmt: skip


def asks_for_a2c(frames: Sequence[str] | None) -> bool:
    """Return whether a model of these frames sees the two-chamber view."""
    return any(view_of(name) == A2C for name in frames or ())


def frame_numbers(table: pd.DataFrame, frames: Sequence[str]) -> NDArray[np.int64]:
    """Return which pictures of its clips each case consists of.

    Args:
        table: Rows with the frame columns; with `num_frames` and `fps` where a whole clip is asked
            for.
        frames: What is asked for.

    Returns:
        `(n, F)` frame numbers from 0, `NO_FRAME` where there is none.
    """
    clip = asked_clip(frames)
    if clip is None:
        asked = [table[FRAME_COLUMNS[name]].to_numpy(np.int64) for name in frames]
        return np.stack(asked, axis=1)
    columns = (table[name].tolist() for name in ("ed_frame", "num_frames", "fps"))
    rows = [
        np.full(clip.length, NO_FRAME) if clip.why_not(count, fps) else clip.frames(ed, count, fps)
        for ed, count, fps in zip(*columns, strict=True)
    ]
    return np.array(rows, np.int64).reshape(len(rows), clip.length)


def why_no_clip(table: pd.DataFrame, frames: Sequence[str]) -> pd.Series:
    """Return why each row has no whole clip as it is asked for; empty where it has, or none is."""
    clip = asked_clip(frames)
    if clip is None:
        return pd.Series("", index=table.index, dtype=object)
    known = zip(table["num_frames"].tolist(), table["fps"].tolist(), strict=True)
    return pd.Series([clip.why_not(*each) for each in known], index=table.index, dtype=object)
