"""New videos to predict: which files, and which of their frames are ED and ES."""

from __future__ import annotations

import glob
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.cardiac import mid_frame
from lvef.data.video import VIDEO_EXTENSIONS, count_frames
from lvef.errors import DatasetError, VideoError

_EMPTY: dict[str, object] = {
    "split": "", "ef": np.nan, "num_frames": 0, "ed_frame": -1, "es_frame": -1, "mid_frame": -1,
    "reason": "",
}  # fmt: skip
_KEY_COLUMNS = ("video", "ed", "es")
_NO_FRAMES = "ED and ES frames unknown: give them with --data.keyframes FILE.csv (video, ed, es)"


def find_videos(where: str | Path) -> list[Path]:
    """Return the video files that a path stands for, sorted.

    Args:
        where: A file, a folder (searched for `.avi` and `.mp4`) or a glob pattern.

    Raises:
        DatasetError: Nothing is there.
    """
    path = Path(where)
    if path.is_file():
        return [path]
    found = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(where), recursive=True))
    videos = sorted(p for p in found if p.suffix.lower() in VIDEO_EXTENSIONS)
    if not videos:
        kinds = " or ".join(VIDEO_EXTENSIONS)
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


def video_table(where: str | Path, keyframes: str | Path | None) -> pd.DataFrame:
    """Return the table of new videos, a row a file.

    Args:
        where: See `find_videos`.
        keyframes: See `read_keyframes`; without it, no frame is known.

    Returns:
        Columns as `EchoNetFolder.table`, `ef` all NaN, and `reason`: why a video cannot be used,
        empty where it can. `video` is the file's name without extension, with as many folders
        before it as tell it from the others.
    """
    paths = find_videos(where)
    frames = None if keyframes is None else read_keyframes(keyframes)
    bare = Counter(_name(path) for path in paths)
    # How many videos each ending of a path stands for; two containers of one clip are one.
    endings = Counter(ending for name in bare for ending in _endings(name))
    rows = []
    for path in paths:
        name = _name(path)
        short = next(ending for ending in _endings(name) if endings[ending] == 1)
        row = {"video": short if bare[name] == 1 else short + path.suffix, **_EMPTY}
        rows.append({**row, "path": str(path), **_read_row(path, frames, endings)})
    return pd.DataFrame(rows)


def _name(video: object) -> str:
    path = Path(str(video).strip())
    return (path.with_suffix("") if path.suffix.lower() in VIDEO_EXTENSIONS else path).as_posix()


def _endings(name: str) -> list[str]:
    """Return the ends of a path, shortest first: a4c, study7/a4c, ..."""
    parts = name.split("/")
    return ["/".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]


def _read_row(path: Path, frames: pd.DataFrame | None, endings: Counter[str]) -> dict[str, object]:
    """Return what is known of a video's frames, and `reason` where it cannot be used."""
    try:
        count = count_frames(path)
    except VideoError as error:
        return {"reason": str(error)}
    known = [e for e in _endings(_name(path)) if frames is not None and e in frames.index]
    if frames is None or not known:
        return {"num_frames": count, "reason": _NO_FRAMES}
    if endings[known[-1]] > 1:
        reason = f"key frames of {known[-1]} could belong to several videos: add folders"
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
