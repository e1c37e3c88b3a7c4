"""A new clip: a row a beat, with its frames or why it cannot be used."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lvef.analysis.result import AnalysedBeat
from lvef.cardiac import NO_FRAME, mid_frame, no_mid_frame
from lvef.data.formats import ClipFile, ClipInfo, open_clip
from lvef.data.looks import VIEW
from lvef.data.views import ClipView
from lvef.errors import LvefError, VideoError

EMPTY: dict[str, object] = {
    "split": "", "ef_true": np.nan, "num_frames": 0,
    **dict.fromkeys(("ed_frame", "es_frame", "mid_frame"), NO_FRAME),
    "reason": "", "beat": 0, "ef_geometric": np.nan, "ef_geometric_std": np.nan,
    "ef_geometric_reach": np.nan, "beat_quality": np.nan, "quality": np.nan, VIEW: None,
}  # fmt: skip
"""What is known of a beat of a clip before it is opened, beside `video`, `shown` and `path`.

`ed_frame`, `es_frame` and `mid_frame` count from 0, `beat` too. Where beats were found,
`ef_geometric`, `ef_geometric_std` (percent), `ef_geometric_reach` (how many of the latter its
interval reaches) and `beat_quality` (0 to 1) are the beat's, `quality` is the clip's, and `VIEW` a
`ClipView`. `reason` says why it cannot be used; it is empty where it can.
"""
AMBIGUOUS = "its key frames could belong to several videos: add folders to their names"


@dataclass(frozen=True)
class FoundBeats:
    """The beats of a clip.

    Attributes:
        beats: The beats; none where the clip is refused.
        quality: Of the clip, 0 to 1.
        reason: Why the clip cannot be used, empty where it can.
        view: What the key frames are made from, so that nothing is looked for twice.
    """

    beats: Sequence[AnalysedBeat]
    quality: float
    reason: str
    view: ClipView | None = None


Finder = Callable[[ClipFile, str], FoundBeats]
"""Finds the beats of a clip, given the open file and its name in the table."""


@dataclass(frozen=True)
class Asked:
    """What is asked of given key frames: whether for MF, and the clip's rate where it is told."""

    mid_frame: bool
    fps: float | None

    def seconds(self, info: ClipInfo, ed: int, es: int) -> float:
        """Return the time from ED to ES; NaN where it is not known."""
        if self.fps is not None:
            return (es - ed) / self.fps
        return np.nan if info.times is None else float(info.times[es] - info.times[ed])


def beats_of(
    path: Path,
    name: str,
    given: Sequence[tuple[float, float]],
    problem: str,
    finder: Finder,
    asked: Asked,
) -> list[dict[str, object]]:
    """Return what is known of each beat of a video, or why there is none, whatever it is.

    Args:
        path: Its file.
        name: Its name in the table.
        given: ED and ES of beats that are known already.
        problem: Why it cannot be used, known before it is opened.
        finder: Finds the beats where none are given.
        asked: What is asked of given key frames.
    """
    try:
        with open_clip(path) as file:
            count = file.info.num_frames
            rows: list[dict[str, object]] = [{"reason": problem}] if problem else []
            rows = rows or _given(path, file.info, given, asked)
            rows = rows or _found(finder(file, name))
        return [{"num_frames": count, **row} for row in rows]
    except VideoError as error:
        return [{"reason": str(error)}]
    except LvefError:  # what is kept of it cannot be written, nor would that of the others
        raise
    except MemoryError:
        return [{"reason": "not enough memory to analyse this clip: cut it"}]
    except Exception as error:  # one file of thousands shall not cost the others
        logging.getLogger(__name__).exception("%s: an error of lvef, please report it", name)
        return [{"reason": f"an error of lvef ({type(error).__name__}), please report it"}]


def _found(clip: FoundBeats) -> list[dict[str, object]]:
    """Return what was found of each beat of a clip, or why none was."""
    of_clip = {"quality": clip.quality, VIEW: clip.view}
    if clip.reason:
        return [{**of_clip, "reason": clip.reason}]
    return [
        {
            **of_clip, "beat": number, "ed_frame": beat.ed_frame,
            "es_frame": beat.es_frame, "mid_frame": beat.mid_frame, "ef_geometric": beat.ef,
            "ef_geometric_std": beat.ef_std, "ef_geometric_reach": beat.ef_reach,
            "beat_quality": beat.quality,
        }
        for number, beat in enumerate(clip.beats)
    ]  # fmt: skip


def told_of(row: Any, reason: str) -> str:
    """Return a reason that names a file without the folders it lies in: they may name a patient.

    Args:
        row: What is known of the file: its `path` and, where it is called otherwise, `shown`.
        reason: A reason that names the file by its path, or not at all.
    """
    shown = row.get("shown", Path(str(row["path"])).name)
    return reason.replace(str(row["path"]), str(shown))


def _given(
    path: Path, info: ClipInfo, beats: Sequence[tuple[float, float]], asked: Asked
) -> list[dict[str, object]]:
    """Return the beats of a video that are given; one that cannot be used has a `reason`."""
    rows = [{"beat": n, **_beat(ed, es, info, asked)} for n, (ed, es) in enumerate(beats)]
    failed = [row for row in rows if "ed_frame" not in row]
    if 0 < len(failed) < len(rows):  # the others speak for the video, and nothing would tell
        text = f"{path.name}: a beat is left out: {failed[0]['reason']}"
        warnings.warn(text, stacklevel=3)
    return rows


def _beat(ed: float, es: float, info: ClipInfo, asked: Asked) -> dict[str, object]:
    """Return the frames of a beat of a clip, or why they cannot be."""
    count = info.num_frames
    if np.isnan(ed) or np.isnan(es):
        return {"reason": "its key frames are not both whole numbers: give frames, counted from 0"}
    if not (min(ed, es) >= 0 and max(ed, es) < count):
        return {"reason": f"key frames {ed:g} and {es:g} do not both lie in 0..{count - 1}"}
    if ed == es:
        return {"reason": f"ED and ES are the same frame, {ed:g}"}
    ed, es = int(ed), int(es)
    lacking = no_mid_frame(ed, es, asked.seconds(info, ed, es))
    if lacking and asked.mid_frame:
        return {"reason": f"{lacking}: give ED and ES of one beat, ED first"}
    return {
        "ed_frame": ed, "es_frame": es, "mid_frame": NO_FRAME if lacking else mid_frame(ed, es)
    }  # fmt: skip
