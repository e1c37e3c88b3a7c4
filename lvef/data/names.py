"""Names of clips as people, spreadsheets and other systems write them.

What the label files and `clip_inputs` know of clip formats comes in here, and nowhere else.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from lvef.data.formats import (
    CLIP_EXTENSIONS,
    clip_info,
    is_clip,
    read_frames,
    read_label_map,
    require_nibabel,
)
from lvef.data.timing import timing
from lvef.errors import VideoError

__all__ = [
    "CLIP_EXTENSIONS", "alike", "expanded", "frame_rate", "frames_and_rate", "is_absolute",
    "is_clip", "match_names", "picture_size", "read_label_map",
    "require_nibabel", "stem",
]  # fmt: skip

_ABSOLUTE = re.compile(r"^(/|[A-Za-z]:)")


def expanded(path: str | Path) -> Path:
    """Return a path with `~` spelt out, which a shell does not do in `--option=~/clips`."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # of a user that there is not
        return Path(path)


def stem(written: object) -> str:
    """Return a name or path as it was written, with `/` between folders and no clip's extension."""
    text = str(written).strip().strip("\"'").strip().replace("\\", "/").removeprefix("./")
    folders, _, name = text.rpartition("/")
    for extension in CLIP_EXTENSIONS:
        if name.lower().endswith(extension):
            name = name[: -len(extension)]
            break
    return f"{folders}/{name}" if folders or text.startswith("/") else name


def is_absolute(written: str) -> bool:
    """Tell a path that begins at a root or a drive, of this machine or another."""
    return _ABSOLUTE.match(written) is not None


def alike(name: str) -> str:
    """Return what names share that differ in capitals alone, or in how an umlaut is stored."""
    return unicodedata.normalize("NFC", name).casefold()


def match_names(wanted: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return which known name each wanted one means.

    The same, or else the only one that is `alike`; what means none or several is left out.
    """
    exact = set(known)
    by_look: dict[str, list[str]] = {}
    for name in sorted(exact):
        by_look.setdefault(alike(name), []).append(name)
    meant = {}
    for name in wanted:
        others = by_look.get(alike(name), [])
        if name in exact:
            meant[name] = name
        elif len(others) == 1:
            meant[name] = others[0]
    return meant


def picture_size(path: str | Path) -> tuple[int, int]:
    """Return height and width in pixels of a clip's pictures, as they are decoded.

    Raises:
        VideoError: It cannot be read.
    """
    height, width = read_frames(path, [0]).shape[1:3]
    return int(height), int(width)


def frame_rate(path: str | Path) -> float:
    """Return the frames a second of a clip.

    Raises:
        VideoError: It cannot be read, or states none.
    """
    info = clip_info(path)
    if info.times is None:
        raise VideoError(f"{path}: {info.untimed}")
    return timing(info.times).fps


def frames_and_rate(path: str | Path) -> tuple[int, float]:
    """Return how many frames a clip holds and how many a second, NaN where it does not say.

    Raises:
        VideoError: It cannot be read.
    """
    info = clip_info(path)
    return info.num_frames, math.nan if info.times is None else timing(info.times).fps
