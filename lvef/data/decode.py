"""A clip file that is decoded once: its pictures, its rate, and the sector in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import survey
from lvef.data.flow import flow_share
from lvef.data.formats import (
    ClipFile,
    ClipInfo,
    FrameRangeError,
)
from lvef.data.formats.clip_file import named
from lvef.data.sector import find_sector
from lvef.data.timing import Timing, checked_rate, timing
from lvef.errors import VideoError

LONGEST = 10_000
"""Frames of a clip that are analysed at once; more would take gigabytes."""
_HELD = 192 * 2**20
"""Bytes of pictures that are kept in memory; a clip that has more is decoded in several passes."""
_AT_ONCE = 64


@dataclass(frozen=True)
class DecodedClip:
    """A clip whose sector is known.

    Attributes:
        file: Where it is from. It may be closed where all pictures are held.
        timing: When its frames are shown.
        sector: `(H, W)` bool, see `find_sector`.
        first: `(H, W, 3)` uint8, its first frame.
        pictures: `(T, H, W, 3)` uint8, all of its frames; None where they are too many.
        flow: Share of the sector that is painted with flow, see `flow_share`.
    """

    file: ClipFile
    timing: Timing
    sector: NDArray[np.bool_]
    first: NDArray[np.uint8]
    pictures: NDArray[np.uint8] | None
    flow: float = 0.0

    @property
    def info(self) -> ClipInfo:
        """What the file says of its clip."""
        return self.file.info

    def stream(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the whole clip, some `(n, H, W, 3)` frames at a time.

        Raises:
            VideoError: The file cannot be read.
        """
        if self.pictures is None:
            yield from self.file.stream()
            return
        for start in range(0, len(self.pictures), _AT_ONCE):
            yield self.pictures[start : start + _AT_ONCE]

    def frames(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Return the `(n, H, W, 3)` frames asked for.

        Raises:
            VideoError: The file cannot be read.
        """
        if self.pictures is None:
            return self.file.read(numbers)
        return self.pictures[list(numbers)]


def decode_clip(file: ClipFile, fps: float | None = None) -> DecodedClip:
    """Decode a clip, and find its sector.

    Args:
        file: The file, open.
        fps: Frames a second, in place of what the file states.

    Raises:
        VideoError: It cannot be read, its frame rate is not one of an echo machine, its frames are
            so unevenly spaced that a systole could be lost, or it has more than `LONGEST` frames.
    """
    count = file.info.num_frames
    with named(file.path):
        check_length(count)
        rate = _timing(file.info, fps)
    pictures = _all_pictures(file, count)
    if pictures is None:
        probe = _probe(file, count)
    else:  # some packets may hold no picture, so that there are fewer
        probe = pictures[survey(len(pictures), each_once=True)]
    sector = find_sector(probe)
    flow = flow_share(probe, sector)
    return DecodedClip(file, rate, sector, probe[0].copy(), pictures, flow)


def check_length(num_frames: int) -> None:
    """Refuse a clip of more than `LONGEST` frames.

    Raises:
        VideoError: It has more.
    """
    if num_frames > LONGEST:
        raise VideoError(
            f"{num_frames} frames, but at most {LONGEST} are analysed at once: cut the clip"
        )


def _timing(info: ClipInfo, fps: float | None) -> Timing:
    """Return the rate of a clip: as it is given, else as the file tells it."""
    if fps is not None:
        return Timing(checked_rate(fps))
    if info.times is None:
        raise VideoError(f"{info.untimed}: give it with --data.fps (fps= in Python)")
    return timing(info.times)


def _all_pictures(file: ClipFile, num_frames: int) -> NDArray[np.uint8] | None:
    """Return every frame of a file, None where they would not fit or are more than it says."""
    pictures: NDArray[np.uint8] | None = None
    count = 0
    for part in file.stream():
        if pictures is None and num_frames * part[0].nbytes <= _HELD:
            pictures = np.empty((num_frames, *part.shape[1:]), np.uint8)
        if pictures is None or count + len(part) > num_frames:
            return None
        pictures[count : count + len(part)] = part
        count += len(part)
    return None if pictures is None else pictures[:count]


def _probe(file: ClipFile, count: int) -> NDArray[np.uint8]:
    """Return frames spread over a clip of about `count` frames."""
    try:
        return file.read(survey(count, each_once=True).tolist())
    except FrameRangeError:  # some packets hold no picture, so that there are fewer
        shown = sum(len(frames) for frames in file.stream())
        return file.read(survey(shown, each_once=True).tolist())
