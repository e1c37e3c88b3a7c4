"""Real clips are large and full of text: find the sector, crop square around it, shrink.

As EchoNet-Dynamic was prepared (Ouyang et al., Nature 2020): what lies outside the sector is
blanked, the picture is cropped square around it and brought to 112 x 112 pixels. A clip that has
that size already stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE, survey
from lvef.data.decode import DecodedClip, check_length, decode_clip
from lvef.data.flow import flow_share
from lvef.data.formats import open_clip
from lvef.data.sector import find_sector
from lvef.data.timing import Timing, checked_rate
from lvef.errors import VideoError

_AT_ONCE = 64
_SHAPE = (PICTURE_SIZE, PICTURE_SIZE)


@dataclass(frozen=True)
class Square:
    """A square cut from a frame; it may reach beyond it, where it is black.

    Attributes:
        left: Left edge in pixels.
        top: Upper edge in pixels.
        side: Height and width in pixels.
    """

    left: int
    top: int
    side: int

    def cut(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the square of `(n, H, W, ...)` frames, `(n, side, side, ...)`."""
        height, width = frames.shape[1:3]
        out = np.zeros((len(frames), self.side, self.side, *frames.shape[3:]), frames.dtype)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, height), min(self.left + self.side, width)
        out[:, top - self.top : bottom - self.top, left - self.left : right - self.left] = frames[
            :, top:bottom, left:right
        ]
        return out

    def shrink(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return what a `(H, W)` mask of the whole frame is in the prepared square."""
        cut = self.cut(mask[None].astype(np.uint8) * 255)[0]
        return np.asarray(cv2.resize(cut, _SHAPE, interpolation=cv2.INTER_AREA) > 127)

    def paste(self, mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
        """Return a `(H, W)` mask of the whole frame from one of the prepared `(n, n)` square."""
        large = cv2.resize(
            mask.astype(np.float32), (self.side, self.side), interpolation=cv2.INTER_LINEAR
        )
        out = np.zeros((height, width), dtype=bool)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, height), min(self.left + self.side, width)
        out[top:bottom, left:right] = (
            large[top - self.top : bottom - self.top, left - self.left : right - self.left] > 0.5
        )
        return out


@dataclass(frozen=True)
class PreparedClip:
    """A clip as the segmenter sees it.

    Attributes:
        frames: `(T, 112, 112)` uint8 grey frames.
        fps: Frames a second.
        height: Height of the clip's own frames in pixels.
        width: Width of them.
        square: What was cut from them.
        millimetres_per_pixel: Scale of the clip's own frames; None where it is not known.
        sector: `(112, 112)` bool, where the frames show anything at all.
        first: `(H, W, 3)` uint8, the first frame as it came.
        stored: Height and width of the pictures in the file, and left and top of these frames
            in them; None where they are the same, as in all but a DICOM with its 2D region.
        timing: Which frames are shown at evenly spaced moments, where `frames` are not evenly
            spaced; else None.
        flow: Share of the sector that is painted with flow, see `flow_share`.
    """

    frames: NDArray[np.uint8]
    fps: float
    height: int
    width: int
    square: Square
    millimetres_per_pixel: float | None
    sector: NDArray[np.bool_]
    first: NDArray[np.uint8]
    stored: tuple[int, int, int, int] | None = None
    timing: Timing | None = None
    flow: float = 0.0

    @property
    def pixels(self) -> float:
        """Pixels of the clip's own frames that a prepared pixel stands for."""
        return self.square.side / PICTURE_SIZE


def sector_square(shape: tuple[int, ...], sector: NDArray[np.bool_]) -> Square:
    """Return the square around a sector; all of a frame that is 112 x 112 already.

    Args:
        shape: Height and width of a frame in pixels.
        sector: `(H, W)` mask of `find_sector`.
    """
    height, width = shape
    if height == width == PICTURE_SIZE:
        return Square(0, 0, PICTURE_SIZE)
    rows, columns = np.flatnonzero(sector.any(1)), np.flatnonzero(sector.any(0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    side = max(bottom - top, right - left)
    return Square((left + right - side) // 2, (top + bottom - side) // 2, side)


def prepare_file(path: Path | str, fps: float | None = None) -> PreparedClip:
    """Read a whole clip file and prepare it.

    Args:
        path: The file.
        fps: Frames a second, in place of what the file states.

    Raises:
        VideoError: See `open_clip` and `decode_clip`.
    """
    with open_clip(path) as file:
        return prepare_decoded(decode_clip(file, fps))


def prepare_decoded(clip: DecodedClip) -> PreparedClip:
    """Prepare a clip that is decoded.

    Raises:
        VideoError: It cannot be read, or not every frame that has a time can be decoded.
    """
    height, width = clip.sector.shape
    square = sector_square((height, width), clip.sector)
    pictures = np.concatenate([_shrink(part, square, clip.sector) for part in clip.stream()])
    rate = clip.timing
    if rate.moments is not None and len(pictures) != len(rate.moments):
        raise VideoError(
            f"{clip.file.path}: {len(rate.moments)} frames have a time, but {len(pictures)} can be "
            "decoded: convert it to MP4, or give its rate with --data.fps (fps= in Python)"
        )
    return PreparedClip(
        pictures,
        rate.fps,
        height,
        width,
        square,
        clip.info.millimetres_per_pixel,
        square.shrink(clip.sector),
        clip.first,
        clip.info.stored,
        rate if rate.even is not None else None,
        clip.flow,
    )


def prepare_frames(frames: NDArray[np.uint8], fps: float) -> PreparedClip:
    """Prepare a clip from memory.

    Args:
        frames: `(T, H, W)` grey or `(T, H, W, 3)` RGB uint8 frames.
        fps: Frames a second.

    Raises:
        VideoError: The array is no clip, the frame rate not one of an echo machine, or the clip has
            more than `LONGEST` frames.
    """
    fps = checked_rate(fps)
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or not len(frames):
        raise VideoError(
            f"an array of {frames.dtype} {frames.shape} is no clip: give uint8 (T, H, W) or "
            "(T, H, W, 3) frames"
        )
    if frames.ndim == 4 and frames.shape[-1] != 3:
        raise VideoError(f"frames of {frames.shape[-1]} channels: give grey or RGB ones")
    check_length(len(frames))
    probe = frames[survey(len(frames), each_once=True)]
    coloured = probe.ndim == 4
    probe = probe if coloured else np.repeat(probe[..., None], 3, axis=-1)
    sector = find_sector(probe)
    flow = flow_share(probe, sector) if coloured else 0.0
    square = sector_square(probe.shape[1:3], sector)
    height, width = frames.shape[1:3]
    starts = range(0, len(frames), _AT_ONCE)
    parts = [_shrink(frames[start : start + _AT_ONCE], square, sector) for start in starts]
    shown = square.shrink(sector)
    return PreparedClip(
        np.concatenate(parts), fps, height, width, square, None, shown, probe[0], flow=flow
    )


def _shrink(
    frames: NDArray[np.uint8], square: Square, sector: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return `(n, 112, 112)` grey frames; what lies outside the sector is black in large ones."""
    grey = frames if frames.ndim == 3 else np.stack([_grey(frame) for frame in frames])
    if square.side == PICTURE_SIZE and grey.shape[1:] == _SHAPE:
        return grey
    cut = square.cut(grey * sector)
    shrinks = square.side > PICTURE_SIZE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, _SHAPE, interpolation=how) for frame in cut])


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY))
