"""New videos to predict: a row a beat, with its frames or why it cannot be used."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef.cardiac import NO_FRAME, mid_frame, no_mid_frame
from lvef.data.dataset import VIEW
from lvef.data.formats import CLIP_EXTENSIONS, ClipFile, ClipInfo, open_clip
from lvef.errors import DatasetError, LvefError, VideoError
from lvef.files import append_csv, printable
from lvef.predict.find import find_videos
from lvef.predict.finder import FoundBeats
from lvef.predict.keyframes import AssignedFrames, keyframes_of
from lvef.predict.numbers import number_clips

Finder = Callable[[ClipFile, str], FoundBeats]
"""Finds the beats of a clip, given the open file and its name in the table."""
EMPTY: dict[str, object] = {
    "split": "", "ef_true": np.nan, "num_frames": 0,
    **dict.fromkeys(("ed_frame", "es_frame", "mid_frame"), NO_FRAME),
    "reason": "", "beat": 0, "ef_geometric": np.nan, "ef_geometric_std": np.nan,
    "ef_geometric_reach": np.nan, "beat_quality": np.nan, "quality": np.nan, VIEW: None,
}  # fmt: skip
_NOT_IN_JOURNAL = ("split", "ef_true", VIEW)
AMBIGUOUS = "its key frames could belong to several videos: add folders to their names"
_NO_FRAMES = "ED and ES frames unknown: give them with --data.keyframes FILE.csv (video, ed, es)"


def video_table(
    where: str | Path | Sequence[str | Path],
    keyframes: str | Path | None,
    finder: Finder | None = None,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
    journal: Path | None = None,
    key: Path | None = None,
    frames: Sequence[str] = (),
    fps: float | None = None,
) -> pd.DataFrame:
    """Return the table of new videos, a row a beat; a video that cannot be used has one row.

    No video stops the others, whatever is wrong with it.

    Args:
        where: See `find_videos`.
        keyframes: See `read_keyframes`; a video that stands there has the beats it names.
        finder: Finds the beats of the others.
        progress: Wraps the files to show how far it has come.
        key: CSV file that tells which clip each number stands for; where it is given, clips are
            named by numbers (see `number_clips`).
        journal: CSV file to which the rows of each video are added as soon as they are known, so
            that an interruption loses none.
        frames: Any of EDF, ESF, MF that a model asks for: a beat that lacks one cannot be used.
        fps: Frames a second of all of them, in place of what the files state.

    Returns:
        Columns as `LabelFolder.table`, `ef_true` all NaN, and `reason`: why a video cannot be
        used, empty where it can. `shown` is what reasons call the file. `video` is the file's name
        without extension, with as many folders before it as tell it from the others. `beat`
        counts from 0; where beats were found, `ef_geometric`, `ef_geometric_std` (percent),
        `ef_geometric_reach` (how many of the latter its interval reaches) and `beat_quality` (0 to
        1) are the beat's, `quality` the clip's, and `VIEW` a `ClipView`.

    Raises:
        DatasetError: There is no video, or the key frames or the key cannot be read.
        OutputError: The journal or the key cannot be written.
    """
    paths = find_videos(where)
    if not paths:
        raise DatasetError("there is no video to predict")
    known = AssignedFrames() if keyframes is None else keyframes_of(paths, keyframes)
    bare = Counter(_name(path) for path in paths)
    # How many videos each ending of a path stands for; two containers of one clip are one.
    endings = Counter(ending for name in bare for ending in _endings(name))
    numbers = None if key is None else number_clips(paths, key)
    rows: list[dict[str, object]] = []
    for path in progress(paths):
        name = _name(path)
        # Where one path is the end of another, as a4c is of study/a4c, its whole self tells it.
        short = next((ending for ending in _endings(name) if endings[ending] == 1), name)
        own = printable(short if bare[name] == 1 else short + path.suffix)
        row = {"video": own if numbers is None else numbers[path], **EMPTY, "path": path}
        row["shown"] = printable(path.name) if numbers is None else numbers[path]
        asked = Asked("MF" in frames, fps)
        problem = AMBIGUOUS if path in known.ambiguous else ""
        given = known.beats.get(path, [])
        own_beats = beats_of(path, str(row["video"]), given, problem, finder, asked)
        added = [{**row, **each} for each in own_beats]
        for each in added:
            each["reason"] = told_of(each, str(each["reason"]))
        if journal is not None:
            _append(added, journal)
        rows += added
    return pd.DataFrame(rows)


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
    finder: Finder | None,
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
            if not rows and finder is not None:
                rows = _found(finder(file, name))
        rows = rows or [{"reason": _NO_FRAMES}]
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


def _append(rows: list[dict[str, object]], journal: Path) -> None:
    """Add rows to a journal, and bring them to the disk."""
    table = pd.DataFrame(rows).reindex(columns=["video", *EMPTY]).drop(columns=[*_NOT_IN_JOURNAL])
    append_csv(journal, table)


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


def _name(video: object) -> str:
    path = Path(str(video).strip())
    return (path.with_suffix("") if path.suffix.lower() in CLIP_EXTENSIONS else path).as_posix()


def _endings(name: str) -> list[str]:
    """Return the ends of a path, shortest first: a4c, study7/a4c, ..."""
    parts = name.split("/")
    return ["/".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]


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
