"""Key-frame files: which frames of which clips are ED and ES, as people and programs write them."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lvef.data.names import alike, expanded, is_absolute, stem
from lvef.data.tables import numbers, read_table
from lvef.errors import DatasetError

_COLUMNS = {
    "video": ("file name", "file", "name", "path", "clip"),
    "ed": ("ed frame", "edf", "end diastole", "end diastolic frame", "diastole"),
    "es": ("es frame", "esf", "end systole", "end systolic frame", "systole"),
}


@dataclass(frozen=True)
class AssignedFrames:
    """The key frames of some videos.

    Attributes:
        beats: ED and ES frame of each beat of a video, NaN where it is no whole number.
        ambiguous: The name in the file that may mean a video or another.
        unused: Names in the file that are no video's.
        by_name: Names in the file that lie in folders of elsewhere.
    """

    beats: dict[Path, list[tuple[float, float]]] = field(default_factory=dict)
    ambiguous: dict[Path, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    by_name: list[str] = field(default_factory=list)


def keyframes_of(paths: Sequence[Path], source: str | Path) -> AssignedFrames:
    """Return the key frames that a file has of videos.

    Warns of rows that no video has, most likely misspelt, and of videos that were known by their
    file name alone.

    Args:
        paths: The videos.
        source: See `read_keyframes`.

    Raises:
        DatasetError: The file cannot be read.
    """
    frames = read_keyframes(source)
    assigned = assign_keyframes(frames, paths)
    for names, what in (
        (assigned.unused, "belong to no video given"),
        (assigned.by_name, "name a folder of another machine: taken for the video of that name"),
    ):
        if names:
            count = int(frames.index.isin(names).sum())
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            text = f"{source}: {count} of {len(frames)} rows {what}: {some}"
            warnings.warn(text, stacklevel=3)
    return assigned


def read_keyframes(path: str | Path) -> pd.DataFrame:
    """Read a key-frame file: `video`, `ed` and `es`, frames counted from 0, a row a beat.

    `video` is a file name or the end of a path, such as `study7/a4c.avi`; the extension may be
    missing. Headers such as `FileName, EDFrame, ESFrame`, and the tables that `predict` writes,
    are understood, too. ED is what the file says, even where it comes after ES: a warning tells
    where that holds of every row.

    Returns:
        `ed` and `es` (float, NaN where they are no whole number) by `video` without extension.

    Raises:
        DatasetError: The file or a column is missing, or it cannot be read.
    """
    path = expanded(path)
    if not path.is_file():
        raise DatasetError(f"{path} not found; --data.keyframes takes a CSV file: video, ed, es")
    table = read_table(path, _COLUMNS, tuple(_COLUMNS), ("video",))
    frames = pd.DataFrame({name: numbers(table[name]) for name in ("ed", "es")})
    frames = frames.where(frames % 1 == 0)
    frames.insert(0, "video", table["video"].map(stem))
    frames = frames[frames["video"] != ""].drop_duplicates()
    if len(frames) and (frames["ed"] > frames["es"]).all():
        warnings.warn(
            f"{path}: ES comes before ED in every row: taken as it is written, but see that the "
            "columns are not swapped (EF would be of the wrong frames)",
            stacklevel=2,
        )
    return frames.set_index("video")


def assign_keyframes(frames: pd.DataFrame, paths: Iterable[Path]) -> AssignedFrames:
    """Find the key frames of videos.

    A name means the videos whose path ends in it, and the longest name counts; capitals do not
    matter where that leaves one. A whole path of another machine means the one video of that file
    name.

    Args:
        frames: As `read_keyframes` returns them.
        paths: The videos; two containers of one clip are one.
    """
    videos: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        videos[stem(path.absolute().as_posix())].append(path)
    endings = _Endings(videos)
    assigned = AssignedFrames()
    meant: dict[str, dict[str, _Rank]] = defaultdict(dict)
    shared = set()
    for name in dict.fromkeys(frames.index):
        videos_meant, rank = endings.of(name)
        if len(videos_meant) > 1:
            shared.add(name)
        for video in videos_meant:
            meant[video][name] = rank
    used = set(shared)
    beats: dict[str, list[tuple[float, float]]] = defaultdict(list)
    in_order = frames.sort_values("ed", kind="stable")
    for name, ed, es in zip(in_order.index, in_order["ed"], in_order["es"], strict=True):
        beats[name].append((float(ed), float(es)))
    for video, ranks in meant.items():
        best = max(ranks.values())
        names = [name for name, rank in ranks.items() if rank == best]
        used.update(names)
        if len(names) > 1 or names[0] in shared:
            assigned.ambiguous.update(dict.fromkeys(videos[video], names[0]))
            continue
        if not best[0]:
            assigned.by_name.append(names[0])
        assigned.beats.update(dict.fromkeys(videos[video], beats[names[0]]))
    assigned.unused.extend(name for name in dict.fromkeys(frames.index) if name not in used)
    return assigned


_Rank = tuple[bool, int, bool]
"""How sure it is that a name means a video: it ends the path, how long it is, in its capitals."""


class _Endings:
    """The ends of paths: a4c, study7/a4c, ..., and the paths that end so."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.exact: dict[str, list[str]] = defaultdict(list)
        self.alike: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            parts = path.split("/")
            for start in range(len(parts)):
                ending = "/".join(parts[start:])
                self.exact[ending].append(path)
                self.alike[alike(ending)].append(path)

    def of(self, name: str) -> tuple[list[str], _Rank]:
        """Return the paths that a name may mean, and how sure that is."""
        parts = name.split("/")
        # A folder that is there is no other machine's: the name means a clip in it.
        elsewhere = is_absolute(name) and not Path(name).parent.is_dir()
        for start in range(len(parts) if elsewhere else 1):
            ending = "/".join(parts[start:])
            videos_meant = self.exact.get(ending) or self.alike.get(alike(ending)) or []
            if videos_meant:
                return videos_meant, (start == 0, len(parts) - start, ending in self.exact)
        return [], (False, 0, False)
