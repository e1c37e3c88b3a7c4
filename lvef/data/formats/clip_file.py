"""A clip file that is opened once, whatever is asked of it, and by any format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.base import HEAD, ClipFormat, ClipInfo, FrameRangeError
from lvef.data.formats.decord_reader import read_with_decord
from lvef.data.formats.registry import FORMATS, format_by
from lvef.errors import VideoError

_AT_ONCE = 32 * 2**20
"""Bytes of frames in memory at a time."""


class ClipFile:
    """A clip file that is open; see `open_clip`.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, file: BinaryIO, form: ClipFormat) -> None:
        self.path = path
        self._file = file
        self._format = form

    @cached_property
    def info(self) -> ClipInfo:
        """What the file says of its clip, without decoding it.

        Raises:
            VideoError: It is unreadable.
        """
        with named(self.path):
            return self._format.info(self._from_start())

    def read(
        self, indices: Sequence[int], reader: Literal["auto", "decord"] = "auto"
    ) -> NDArray[np.uint8]:
        """Decode just the frames asked for; see `read_frames`."""
        with named(self.path):
            if any(index < 0 for index in indices):
                raise FrameRangeError(f"frame {min(indices)} asked for, but frames count from 0")
            if reader == "decord":
                return read_with_decord(self._file, indices, self.info.num_frames)
            return self._format.read(self._from_start(), indices)

    def stream(self) -> Iterator[NDArray[np.uint8]]:
        """Decode the whole clip; see `stream_frames`. One stream at a time."""
        waiting: list[NDArray[np.uint8]] = []
        with named(self.path):
            for frame in self._format.stream(self._from_start()):
                waiting.append(frame)
                if (len(waiting) + 1) * frame.nbytes > _AT_ONCE:
                    yield np.stack(waiting)
                    waiting.clear()
            if waiting:
                yield np.stack(waiting)

    def _from_start(self) -> BinaryIO:
        self._file.seek(0)
        return self._file


@contextmanager
def open_clip(path: Path | str) -> Iterator[ClipFile]:
    """Open a clip file: its format is told by its first bytes, and nothing more is read yet.

    Raises:
        VideoError: The file is missing or empty.
    """
    path = Path(path)
    with named(path):
        if not path.is_file():
            raise VideoError("no such file")
        file = path.open("rb")
    with file:
        with named(path):
            head = file.read(HEAD)
            if not head:
                raise VideoError("the file is empty")
        # What nobody recognises is given to FFmpeg, which knows more containers than are named.
        yield ClipFile(path, file, format_by(head, path) or FORMATS[-1])


def clip_info(path: Path | str) -> ClipInfo:
    """Return what a file says of its clip, without decoding it.

    Raises:
        VideoError: The file is missing, empty or unreadable.
    """
    with open_clip(path) as clip:
        return clip.info


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
    with open_clip(path) as clip:
        return clip.read(indices, reader)


def stream_frames(path: Path | str) -> Iterator[NDArray[np.uint8]]:
    """Decode a whole clip from start to end, a few frames at a time.

    Yields:
        `(n, H, W, 3)` uint8 RGB frames, at most some 32 MiB of them.

    Raises:
        VideoError: The file is missing, empty or unreadable.
    """
    with open_clip(path) as clip:
        yield from clip.stream()


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put the file's name before what a format says of it."""
    try:
        yield
    except VideoError as error:
        reason = str(error).removeprefix(f"{path.name}: ").removeprefix(f"{path}: ")
        raise type(error)(f"{path}: {reason}") from error
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror or error}") from error
