"""What cases lack of what a model asks for, and why: set aside for such models, and no faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lvef.cardiac import NO_FRAME, asked_clip, mid_frame, no_mid_frame
from lvef.data.layouts.checks import Check, first_reason
from lvef.data.slots import A2C, A4C, NO_A2C, View, asks_for_a2c, why_no_clip


@dataclass(frozen=True)
class Lack:
    """Something that not every case has.

    Attributes:
        what: It, in words.
        asked: How a run asks for it, in words.
        is_asked: Whether a run of these frames does.
        reasons: Why each row of a table of `LabelFolder` has none, as a run of these frames asks
            for it; empty where it has one.
        told: Whether a run that does not ask for it is told, too.
    """

    what: str
    asked: str
    is_asked: Callable[[Sequence[str]], bool]
    reasons: Callable[[pd.DataFrame, Sequence[str]], pd.Series]
    told: bool = True


def with_mid_frames(table: pd.DataFrame, view: View = A4C) -> pd.DataFrame:
    """Return a table with `mid_frame`, half-way between ED and ES where these are of one beat.

    Args:
        table: Whole numbers `ed_frame` and `es_frame`, and `fps`, NaN where it is not known.
        view: Of whose clips; `NO_FRAME` for ED and ES where there is none.
    """
    told = _why_no_mid_frame(table, view)
    frames = (table[view.column(name)] for name in ("ed_frame", "es_frame"))
    middles = [
        NO_FRAME if why or ed == NO_FRAME else mid_frame(ed, es)
        for ed, es, why in zip(*frames, told, strict=True)
    ]
    return table.assign(**{view.column("mid_frame"): np.array(middles, dtype=np.int64)})


def with_two_chamber_views(table: pd.DataFrame, told: pd.Series) -> pd.DataFrame:
    """Return a table with what is known of the two-chamber clip of each case, if there is one.

    Args:
        table: `path_a2c` (empty where there is none), `ed_frame_a2c`, `es_frame_a2c` (from 0),
            `num_frames_a2c` and `fps_a2c`, NaN where not known.
        told: Why each such clip cannot be used, as far as the layout knows; else empty.

    Returns:
        The table with `reason_a2c`, why a case has no such clip that can be used, empty where it
        has, and `mid_frame_a2c`; frames are whole numbers, `NO_FRAME` where there is no such clip.
    """
    ed, es, count = (
        table[A2C.column(name)].astype(float) for name in ("ed_frame", "es_frame", "num_frames")
    )
    told = first_reason([(table[A2C.column("path")] == "", NO_A2C)], table.index).where(
        table[A2C.column("path")] == "", told
    )
    checks = [*frame_checks(ed, es, count), (count.isna(), "number of its frames is not known")]
    reasons = told.where(told != "", first_reason(checks, table.index))
    for name, known in (("ed_frame", ed), ("es_frame", es), ("num_frames", count)):
        table = table.assign(**{
            A2C.column(name): known.where(reasons == "", NO_FRAME).astype(np.int64)
        })  # fmt: skip
    return with_mid_frames(table.assign(**{A2C.column("reason"): reasons}), A2C)


def frame_checks(ed: pd.Series, es: pd.Series, count: pd.Series) -> list[Check]:
    """Return which ED and ES, from 0, are none of a clip of so many frames."""
    frames = pd.DataFrame({"ed": ed, "es": es})
    return [
        (frames.isna().any(axis=1) | (frames % 1 != 0).any(axis=1),
         "ED or ES missing or no number"),
        (ed == es, "ED and ES are the same frame"),
        ((frames.max(axis=1) >= count) | (frames.min(axis=1) < 0), "ED or ES outside the clip"),
    ]  # fmt: skip


def lacks_of(table: pd.DataFrame) -> list[Lack]:
    """Return what cases of a table may lack: one without a column of A2Cs has none at all."""
    return list(LACKS) if A2C.column("path") in table else [MID_FRAME, WHOLE_CLIP]


def _why_no_mid_frame(table: pd.DataFrame, view: View) -> pd.Series:
    """Return why each row has no mid frame, as far as its frames tell; empty where it has one."""
    ed, es, fps = (table[view.column(name)] for name in ("ed_frame", "es_frame", "fps"))
    seconds = (es - ed) / fps.where(fps > 0)
    told = [no_mid_frame(*each) for each in zip(ed, es, seconds, strict=True)]
    return pd.Series(told, index=table.index, dtype=object).where(ed != es, "")


def _lacks_mid_frame(view: View) -> Callable[[pd.DataFrame, Sequence[str]], pd.Series]:
    """Return what tells why rows have no mid frame; a layout may know what frames do not tell."""

    def reasons(table: pd.DataFrame, _: Sequence[str]) -> pd.Series:
        without = table[view.column("mid_frame")] == NO_FRAME
        told = _why_no_mid_frame(table, view).replace("", "no mid frame").where(without, "")
        return _of_a2c(told) if view == A2C else told

    return reasons


def _lacks_a2c(table: pd.DataFrame, _: Sequence[str]) -> pd.Series:
    return _of_a2c(table[A2C.column("reason")])


def _of_a2c(told: pd.Series) -> pd.Series:
    """Return reasons that say which of the two clips they are of."""
    return told.where((told == "") | (told == NO_A2C), "A2C: " + told)


MID_FRAME = Lack("mid frame", "MF is", lambda frames: "MF" in frames, _lacks_mid_frame(A4C))
WHOLE_CLIP = Lack(
    "clip that is long enough", "a whole one is", lambda frames: asked_clip(frames) is not None,
    why_no_clip, told=False,
)  # fmt: skip
LACKS = (
    Lack("A2C", "its frames are", asks_for_a2c, _lacks_a2c),
    MID_FRAME,
    Lack("mid frame of the A2C", "MF_A2C is", lambda frames: "MF_A2C" in frames,
         _lacks_mid_frame(A2C), told=False),
    WHOLE_CLIP,
)  # fmt: skip
"""All that cases may lack; each is asked about among those that have what stands before it."""
