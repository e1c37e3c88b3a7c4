"""New clips as a table, a row a beat, found one after the other in this process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from lvef.predict.clip_beats import Asked, Finder, beats_of, told_of
from lvef.predict.find import Search
from lvef.predict.stream.found import asked_clips
from lvef.predict.stream.inputs import ClipInput


def video_table(
    where: str | Path | Sequence[str | Path],
    keyframes: str | Path | None,
    finder: Finder | None = None,
    progress: Callable[[Sequence[ClipInput]], Iterable[ClipInput]] = iter,
    frames: Sequence[str] = (),
    fps: float | None = None,
) -> pd.DataFrame:
    """Return the table of new videos, a row a beat; a video that cannot be used has one row.

    No video stops the others, whatever is wrong with it.

    Args:
        where: A file, a folder or a glob, or several; see `clip_inputs`.
        keyframes: See `read_keyframes`; a video that stands there has the beats it names.
        finder: Finds the beats of the others.
        progress: Wraps the clips to show how far it has come.
        frames: Any of EDF, ESF, MF that a model asks for: a beat that lacks one cannot be used.
        fps: Frames a second of all of them, in place of what the files state.

    Returns:
        Columns as `LabelFolder.table`, `ef_true` all NaN, and `reason`: why a video cannot be
        used, empty where it can. `shown` is what reasons call the file, `video` the clip's name,
        see `clip_inputs`. `beat` counts from 0; where beats were found, `ef_geometric`,
        `ef_geometric_std` (percent), `ef_geometric_reach` (how many of the latter its interval
        reaches) and `beat_quality` (0 to 1) are the beat's, `quality` the clip's, and `VIEW` a
        `ClipView`.

    Raises:
        DatasetError: There is no video, or the key frames cannot be read.
    """
    search = Search()
    places = [where] if isinstance(where, (str, Path)) else list(where)
    clips = {clip.path: clip for clip in asked_clips(places, keyframes, search)}
    for remark in search.remarks(None):
        warnings.warn(remark, stacklevel=2)
    rows: list[dict[str, object]] = []
    for clip in progress(list(clips.values())):
        asked = Asked("MF" in frames, fps)
        beats = beats_of(clip.path, clip.name, clip.beats, clip.problem, finder, asked)
        added = [{**clip.row, **each} for each in beats]
        for each in added:
            each["reason"] = told_of(each, str(each["reason"]))
        rows += added
    return pd.DataFrame(rows)
