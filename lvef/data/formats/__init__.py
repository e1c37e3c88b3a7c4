"""Clip files: a file a format, and one registry of them.

To read another kind of file, write a class that has what `ClipFormat` asks for and add it to
`FORMATS`; everything else (enumerating, key frames, analysis, overlays) follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.base import HEAD, ClipFormat, ClipInfo, FrameRangeError
from lvef.data.formats.decord_reader import read_with_decord
from lvef.data.formats.dicom.format import DicomFormat
from lvef.data.formats.ffmpeg import VideoFormat
from lvef.data.formats.write import write_video
from lvef.errors import VideoError

__all__ = [
    "CLIP_EXTENSIONS",
    "FORMATS",
    "ClipFormat",
    "ClipInfo",
    "FrameRangeError",
    "clip_info",
    "format_of",
    "is_clip",
    "named",
    "read_frames",
    "stream_frames",
    "write_video",
]

FORMATS: list[ClipFormat] = [DicomFormat(), VideoFormat()]
"""Every format, in the order in which a file's first bytes are shown to them."""
CLIP_EXTENSIONS = tuple(ending for each in FORMATS for ending in each.extensions)
_AT_ONCE = 32 * 2**20
"""Bytes of frames in memory at a time."""


def format_of(path: Path | str) -> ClipFormat | None:
    """Return the format of a file: by its first bytes, else by its extension, else None."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""
    for each in FORMATS:
        if each.recognises(head):
            return each
    ending = path.suffix.lower()
    return next((each for each in FORMATS if ending in each.extensions), None)


def is_clip(path: Path | str) -> bool:
    """Return whether a file may be a clip: by its extension or, where that says nothing, its bytes.

    An unreadable `.avi` is one: it shall be told, not left out.
    """
    path = Path(path)
    return path.suffix.lower() in CLIP_EXTENSIONS or format_of(path) is not None


def clip_info(path: Path | str) -> ClipInfo:
    """Return what a file says of its clip, without decoding it.

    Raises:
        VideoError: The file is missing, empty or unreadable.
    """
    path = Path(path)
    with named(path):
        return _format(path).info(path)


def read_frames(
    path: Path | str, indices: Sequence[int], reader: Literal["auto", "decord"] = "auto"
) -> NDArray[np.uint8]:
    """Decode just the frames asked for.

    Args:
        path: A clip file; of a DICOM the 2D picture is cut out.
        indices: Frame numbers from 0, in any order, repeats allowed.
        reader: `decord` reads by it, where it is proven right.

    Returns:
        `(len(indices), H, W, 3)` uint8 RGB frames in the order asked for.

    Raises:
        VideoError: The file is missing, empty or unreadable.
        FrameRangeError: A frame lies outside the clip.
    """
    path = Path(path)
    with named(path):
        if any(index < 0 for index in indices):
            raise FrameRangeError(f"frame {min(indices)} asked for, but frames count from 0")
        own = _format(path)
        if reader == "decord":
            return read_with_decord(path, indices, own.info(path).num_frames)
        return own.read(path, indices)


def stream_frames(path: Path | str) -> Iterator[NDArray[np.uint8]]:
    """Decode a whole clip from start to end, a few frames at a time.

    Yields:
        `(n, H, W, 3)` uint8 RGB frames, at most some 32 MiB of them.

    Raises:
        VideoError: The file is missing, empty or unreadable.
    """
    path = Path(path)
    waiting: list[NDArray[np.uint8]] = []
    with named(path):
        for frame in _format(path).stream(path):
            waiting.append(frame)
            if (len(waiting) + 1) * frame.nbytes > _AT_ONCE:
                yield np.stack(waiting)
                waiting.clear()
        if waiting:
            yield np.stack(waiting)


def _format(path: Path) -> ClipFormat:
    if not path.is_file():
        raise VideoError("no such file")
    if path.stat().st_size == 0:
        raise VideoError("the file is empty")
    # What nobody recognises is given to FFmpeg, which knows more containers than are named here.
    return format_of(path) or FORMATS[-1]


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put the file's name before what a format says of it."""
    try:
        yield
    except VideoError as error:
        reason = str(error).removeprefix(f"{path.name}: ")
        raise type(error)(f"{path}: {reason}") from error
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror or error}") from error
