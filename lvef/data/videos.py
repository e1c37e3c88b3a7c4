"""New videos to predict: which files, and which of their frames are ED and ES."""

from __future__ import annotations

import glob
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.cardiac import mid_frame
from lvef.data.video import VIDEO_EXTENSIONS, count_frames
from lvef.errors import DatasetError, VideoError

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
    """Read a key-frame file: `video` (name or path, extension optional), `ed`, `es` from 0.

    Returns:
        `ed` and `es` by the name of the video without folder and extension.

    Raises:
        DatasetError: The file or a column is missing, a frame is no whole number, or a video
            stands there twice.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path} not found; --data.keyframes takes a CSV file: video, ed, es")
    try:
        table = pd.read_csv(path, skipinitialspace=True)
        missing = [name for name in _KEY_COLUMNS if name not in table.columns]
        if missing:
            raise DatasetError(
                f"{path}: column {', '.join(missing)} not found; it needs video, ed, es"
            )
        table["ed"], table["es"] = table["ed"].astype(np.int64), table["es"].astype(np.int64)
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise DatasetError(f"{path}: not a readable key-frame file ({error})") from error
    table.index = pd.Index([_name(video) for video in table["video"]], name="name")
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise DatasetError(f"{path}: {twice[0]} stands there twice")
    return table[["ed", "es"]]


def video_table(where: str | Path, keyframes: str | Path | None) -> pd.DataFrame:
    """Return the table of new videos, a row a file.

    Args:
        where: See `find_videos`.
        keyframes: See `read_keyframes`; without it, no frame is known.

    Returns:
        Columns as `EchoNetFolder.table`, `ef` all NaN, and `reason`: why a video cannot be used,
        empty where it can.
    """
    videos = find_videos(where)
    known = read_keyframes(keyframes) if keyframes is not None else None
    return pd.DataFrame([_row(path, known) for path in videos])


def _name(video: object) -> str:
    path = Path(str(video).strip())
    return path.stem if path.suffix.lower() in VIDEO_EXTENSIONS else path.name


def _row(path: Path, known: pd.DataFrame | None) -> dict[str, object]:
    row: dict[str, object] = {
        "video": path.stem, "path": str(path), "split": "", "ef": np.nan,
        "num_frames": 0, "ed_frame": -1, "es_frame": -1, "mid_frame": -1, "reason": "",
    }  # fmt: skip
    try:
        row["num_frames"] = count = count_frames(path)
    except VideoError as error:
        return {**row, "reason": str(error)}
    if known is None or path.stem not in known.index:
        return {**row, "reason": _NO_FRAMES}
    ed, es = (int(known[moment].loc[path.stem]) for moment in ("ed", "es"))
    row.update(ed_frame=ed, es_frame=es, mid_frame=mid_frame(ed, es))
    if not (min(ed, es) >= 0 and max(ed, es) < count):
        row["reason"] = f"key frames {ed} and {es} do not both lie in 0..{count - 1}"
    elif ed == es:
        row["reason"] = f"ED and ES are the same frame, {ed}"
    return row
