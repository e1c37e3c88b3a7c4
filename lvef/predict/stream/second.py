"""The two clips of a new study: beats of the one take the best beat of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lvef.data.layouts.clip_list.table import read_list
from lvef.data.layouts.clip_list.two_chamber import GIVEN
from lvef.data.looks import VIEW
from lvef.data.names import expanded
from lvef.data.slots import A2C, NO_A2C, asks_for_a2c
from lvef.errors import ConfigurationError
from lvef.predict.clip_beats import told_of
from lvef.predict.stream.inputs import ClipInput, is_list

_TAKEN = ("num_frames", "ed_frame", "es_frame", "mid_frame", VIEW)


def check_pairs(where: Sequence[str | Path], frames: Sequence[str]) -> None:
    """Refuse clips that come singly, where a model sees two of each heart.

    Args:
        where: Files, folders and patterns of clips.
        frames: What the model sees.

    Raises:
        ConfigurationError: They do, or a list names no clip of the two-chamber view.
    """
    if not asks_for_a2c(frames):
        return
    single = [each for each in where if not is_list(expanded(each))]
    single += [each for each in where if each not in single
               and GIVEN not in read_list(expanded(each), labelled=False)[0]]  # fmt: skip
    if single:
        raise ConfigurationError(
            f"the model sees {', '.join(frames)}, of two clips of a heart: give a CSV file with "
            f"columns path and {A2C.column('path')}, a study a row, in place of {single[0]}"
        )


def with_second_beat(
    clip: ClipInput,
    rows: list[dict[str, Any]],
    look: Callable[[ClipInput], list[dict[str, Any]]],
) -> None:
    """Give the beats of a four-chamber clip the best beat of the two-chamber clip of its study.

    Args:
        clip: The clip, which may have another.
        rows: A row a beat; one that can be used takes the columns of the other clip, or a reason.
        look: Returns the beats of a clip, a row each.
    """
    usable = [row for row in rows if not row["reason"]]
    if not usable:
        return
    if clip.a2c is None:
        found: dict[str, Any] = {"reason": NO_A2C}
    else:
        path = clip.a2c.path
        others = [{**clip.a2c.row, **row} for row in look(clip.a2c)]
        best = max(others, key=_goodness)
        why = f"A2C: {told_of(best, str(best['reason']))}" if best["reason"] else ""
        found = {"reason": why, A2C.column("path"): path}
        found |= {A2C.column(name): best[name] for name in _TAKEN}
    for row in usable:
        row.update(found)


def _goodness(row: dict[str, Any]) -> tuple[bool, float]:
    """Return what is larger for a beat that can be used, and for one that was found well."""
    quality = float(row["beat_quality"])
    return not row["reason"], 0.0 if np.isnan(quality) else quality
