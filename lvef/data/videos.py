"""New videos to predict: which files, and which of their frames are ED and ES."""

from __future__ import annotations

import glob
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef.cardiac import mid_frame
from lvef.data.formats import CLIP_EXTENSIONS, clip_info, is_clip
from lvef.data.numbers import number_clips
from lvef.errors import DatasetError, LvefError, VideoError
from lvef.files import append_csv, printable

Finder = Callable[[Path, str], Any]
"""Finds the beats of a file, given its path and its name in the table.

What it returns has `beats` (each with `ed_frame`, `es_frame`, `mid_frame`, `ef` and `ef_std` in
percent, and `quality`), the clip's `quality` from 0 to 1, and `reason`: why the clip cannot be
used, empty where it can.
"""
_EMPTY: dict[str, object] = {
    "split": "", "ef": np.nan, "num_frames": 0, "ed_frame": -1, "es_frame": -1, "mid_frame": -1,
    "reason": "", "beat": 0, "ef_geometric": np.nan, "ef_geometric_std": np.nan,
    "beat_quality": np.nan, "quality": np.nan,
}  # fmt: skip
_KEY_COLUMNS = ("video", "ed", "es")
_NO_FRAMES = "ED and ES frames unknown: give them with --data.keyframes FILE.csv (video, ed, es)"


def find_videos(where: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the video files that a path, or several, stand for, sorted, each once.

    Args:
        where: A file, a folder (searched for `.avi`, `.mp4` and DICOM files) or a glob pattern.

    Raises:
        DatasetError: Nothing is there.
    """
    if not isinstance(where, (str, Path)):
        return sorted({path for each in where for path in find_videos(each)})
    path = Path(where)
    if path.is_file():
        return [path]
    found = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(where), recursive=True))
    videos = sorted(p for p in found if p.is_file() and is_clip(p))
    if not videos:
        kinds = ", ".join(CLIP_EXTENSIONS)
        what = f"holds no {kinds} file" if path.is_dir() else "is no file, folder or pattern of one"
        raise DatasetError(f"{where} {what}; --data.videos takes a file, a folder or a glob")
    return videos


def read_keyframes(path: str | Path) -> pd.DataFrame:
    """Read a key-frame file: `video`, `ed` and `es`, frames counted from 0.

    `video` is a file name or the end of a path, such as `study7/a4c.avi`; the extension may be
    missing.

    Returns:
        `ed` and `es` (float, NaN where they are no whole number) by `video` without extension.

    Raises:
        DatasetError: The file or a column is missing, or a video stands there twice.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path} not found; --data.keyframes takes a CSV file: video, ed, es")
    try:
        table = pd.read_csv(path, skipinitialspace=True, dtype={"video": str})
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise DatasetError(f"{path}: not a readable CSV file ({error})") from error
    missing = [name for name in _KEY_COLUMNS if name not in table.columns]
    if missing:
        raise DatasetError(f"{path}: column {', '.join(missing)} not found; it needs video, ed, es")
    frames: pd.DataFrame = table[["ed", "es"]].apply(pd.to_numeric, errors="coerce")
    frames = frames.where(frames % 1 == 0)
    frames.index = pd.Index([_name(video) for video in table["video"]])
    twice = frames.index[frames.index.duplicated()]
    if len(twice):
        raise DatasetError(f"{path}: {twice[0]} stands there twice")
    return frames


def video_table(
    where: str | Path | Sequence[str | Path],
    keyframes: str | Path | None,
    finder: Finder | None = None,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
    journal: Path | None = None,
    key: Path | None = None,
) -> pd.DataFrame:
    """Return the table of new videos, a row a beat; a video that cannot be used has one row.

    No video stops the others, whatever is wrong with it.

    Args:
        where: See `find_videos`.
        keyframes: See `read_keyframes`; a video that stands there has the one beat it names.
        finder: Finds the beats of the others.
        progress: Wraps the files to show how far it has come.
        key: CSV file that tells which clip each number stands for; where it is given, clips are
            named by numbers (see `number_clips`).
        journal: CSV file to which the rows of each video are added as soon as they are known, so
            that an interruption loses none.

    Returns:
        Columns as `EchoNetFolder.table`, `ef` all NaN, and `reason`: why a video cannot be used,
        empty where it can. `shown` is what reasons call the file. `video` is the file's name
        without extension, with as many folders before it as tell it from the others. `beat`
        counts from 0; where beats were found, `ef_geometric`, `ef_geometric_std` (percent) and
        `beat_quality` (0 to 1) are the beat's, `quality` the clip's.

    Raises:
        DatasetError: There is no video, or the key frames or the key cannot be read.
        OutputError: The journal or the key cannot be written.
    """
    paths = find_videos(where)
    if not paths:
        raise DatasetError("there is no video to predict")
    frames = None if keyframes is None else read_keyframes(keyframes)
    bare = Counter(_name(path) for path in paths)
    # How many videos each ending of a path stands for; two containers of one clip are one.
    endings = Counter(ending for name in bare for ending in _endings(name))
    if frames is not None:
        _tell_unused(frames.index.difference(list(endings)), len(frames), keyframes)
    numbers = None if key is None else number_clips(paths, key)
    key_frames = partial(_read_row, frames=frames, endings=endings)
    rows: list[dict[str, object]] = []
    for path in progress(paths):
        name = _name(path)
        # Where one path is the end of another, as a4c is of study/a4c, its whole self tells it.
        short = next((ending for ending in _endings(name) if endings[ending] == 1), name)
        own = printable(short if bare[name] == 1 else short + path.suffix)
        row = {"video": own if numbers is None else numbers[path], **_EMPTY, "path": str(path)}
        row["shown"] = printable(path.name) if numbers is None else numbers[path]
        added = [{**row, **known} for known in _known(path, str(row["video"]), key_frames, finder)]
        for each in added:
            each["reason"] = told_of(each, str(each["reason"]))
        if journal is not None:
            _append(added, journal)
        rows += added
    return pd.DataFrame(rows)


def _known(
    path: Path,
    name: str,
    key_frames: Callable[[Path], dict[str, object]],
    finder: Finder | None,
) -> list[dict[str, object]]:
    """Return what is known of each beat of a video, or why there is none."""
    try:
        read = key_frames(path)
        if finder is None or read.get("reason") != _NO_FRAMES:
            return [read]
        return [{**read, **beat} for beat in _found(finder, path, name)]
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
    table = pd.DataFrame(rows).reindex(columns=["video", *_EMPTY]).drop(columns=["split", "ef"])
    append_csv(journal, table)


def _found(finder: Finder, path: Path, name: str) -> list[dict[str, object]]:
    """Return what is known of each beat that a finder finds, or why it finds none."""
    clip = finder(path, name)
    about = {"quality": clip.quality}
    if clip.reason:
        return [{**about, "reason": clip.reason}]
    return [
        {
            **about, "reason": "", "beat": number, "ed_frame": beat.ed_frame,
            "es_frame": beat.es_frame, "mid_frame": beat.mid_frame, "ef_geometric": beat.ef,
            "ef_geometric_std": beat.ef_std, "beat_quality": beat.quality,
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


def _tell_unused(names: pd.Index[str], count: int, keyframes: str | Path | None) -> None:
    """Warn of key frames that no video has: most likely a name is misspelt."""
    if len(names):
        some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        warnings.warn(
            f"{keyframes}: {len(names)} of {count} rows belong to no video given: {some}",
            stacklevel=3,
        )


def _name(video: object) -> str:
    path = Path(str(video).strip())
    return (path.with_suffix("") if path.suffix.lower() in CLIP_EXTENSIONS else path).as_posix()


def _endings(name: str) -> list[str]:
    """Return the ends of a path, shortest first: a4c, study7/a4c, ..."""
    parts = name.split("/")
    return ["/".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]


def _read_row(path: Path, frames: pd.DataFrame | None, endings: Counter[str]) -> dict[str, object]:
    """Return what is known of a video's frames, and `reason` where it cannot be used."""
    count = clip_info(path).num_frames
    known = [e for e in _endings(_name(path)) if frames is not None and e in frames.index]
    if frames is None or not known:
        return {"num_frames": count, "reason": _NO_FRAMES}
    if endings[known[-1]] > 1:
        reason = "its key frames could belong to several videos: add folders to their names"
        return {"num_frames": count, "reason": reason}
    ed, es = frames.loc[known[-1], ["ed", "es"]].to_numpy(np.float64)
    if not (min(ed, es) >= 0 and max(ed, es) < count):
        reason = f"key frames {ed:g} and {es:g} do not both lie in 0..{count - 1}"
    elif ed == es:
        reason = f"ED and ES are the same frame, {ed:g}"
    else:
        reason = ""
    if reason:
        return {"num_frames": count, "reason": reason}
    return {
        "num_frames": count,
        "ed_frame": int(ed),
        "es_frame": int(es),
        "mid_frame": mid_frame(int(ed), int(es)),
    }
