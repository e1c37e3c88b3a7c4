"""What a clip format is: the one thing to write to read another kind of file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from lvef.errors import VideoError

LARGEST = 3840 * 2176
"""Most pixels of a picture: 4K, more than echo machines make. Decoders hold a score of them."""
HEAD = 512
"""Bytes at the start of a file by which its format is told."""


class FrameRangeError(VideoError):
    """A frame that lies outside the clip."""


@dataclass(frozen=True)
class ClipInfo:
    """What a file says of its clip, without decoding it.

    Attributes:
        num_frames: Frames that are shown, one after the other.
        times: `(num_frames,)` seconds at which each is shown, from 0; None where the file does
            not tell.
        untimed: Why there are no times, and what to do.
        millimetres_per_pixel: Scale of the frames; None where it is not known.
        stored: Height and width of the pictures in the file, and left and top of the frames in
            them; None where they are the same.
    """

    num_frames: int
    times: NDArray[np.float64] | None = field(default=None, repr=False)
    untimed: str = ""
    millimetres_per_pixel: float | None = None
    stored: tuple[int, int, int, int] | None = None


class ClipFormat(Protocol):
    """A kind of clip file.

    Methods are given the file open for reading, at its start; whoever opened it closes it. Every
    method but `recognises` raises `VideoError` for a file that is damaged, of another kind or too
    large; its message does not name the file, which the registry does.
    """

    name: str
    """What people call it."""
    extensions: tuple[str, ...]
    """Endings of such files, lower case, with the dot."""

    def recognises(self, head: bytes) -> bool:
        """Tell such a file by its first `HEAD` bytes."""

    def info(self, file: BinaryIO) -> ClipInfo:
        """Return what the file says of its clip."""

    def read(self, file: BinaryIO, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return the `(len(indices), H, W, 3)` RGB frames asked for, as `stream` would."""

    def stream(self, file: BinaryIO) -> Iterator[NDArray[np.uint8]]:
        """Yield every frame, `(H, W, 3)` RGB, from the first to the last."""


def check_range(indices: Sequence[int], count: int) -> None:
    """Refuse frame numbers that lie outside a clip.

    Raises:
        FrameRangeError: One does.
    """
    if count == 0:
        raise VideoError("the clip holds no frame")
    if max(indices, default=-1) >= count:
        raise FrameRangeError(
            f"frame {max(indices)} asked for, but the clip ends at frame {count - 1}"
        )


def check_picture(height: int, width: int) -> None:
    """Refuse pictures that would take gigabytes to decode.

    Raises:
        VideoError: They are larger than `LARGEST`.
    """
    if height * width > LARGEST:
        raise VideoError(
            f"pictures of {width} x {height} pixels, but at most {LARGEST:,} pixels are decoded: "
            "scale the clip down"
        )
