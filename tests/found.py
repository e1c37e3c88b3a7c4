"""What is found in clips by the work that every door has done to them, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lvef.data.views import FrameOptions
from lvef.predict.clip_beats import Finder
from lvef.predict.stream.found import asked_clips, rows_of
from lvef.predict.stream.pool import inline
from lvef.predict.stream.work import ClipWork, WorkOptions


def found_rows(
    where: str | Path | Sequence[str | Path],
    keyframes: Path | None = None,
    find: Finder | None = None,
    frames: Sequence[str] = (),
    fps: float | None = None,
) -> pd.DataFrame:
    """Return a row a beat of clips; `find` finds the beats in place of the segmenter."""
    seen = FrameOptions(tuple(frames), 32) if frames else None
    work = ClipWork(WorkOptions(seen=seen, fps=fps, records=False))
    if find is not None:
        work.find = find
    places = [where] if isinstance(where, (str, Path)) else list(where)
    ended = inline(work, asked_clips(places, keyframes))
    return pd.DataFrame([row for each in ended for row in rows_of(each).rows])
