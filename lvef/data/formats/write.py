"""Write clips: MJPEG AVI, as EchoNet-Dynamic's, and H.264 MP4."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from lvef.errors import VideoError
from lvef.files import replacing

Frame = NDArray[np.uint8]
_CODECS = {
    ".avi": ("mjpeg", "yuvj420p", {"qmin": "2", "qmax": "3"}),
    # x264's macroblock tree and weighted prediction differ from run to run on some CPUs.
    ".mp4": (
        "libx264",
        "yuv420p",
        {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0:weightp=0"},
    ),
}
"""Codec, layout of pixels, and settings, by extension."""


def write_video(path: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write a clip: MJPEG for `.avi`, H.264 for `.mp4`.

    Args:
        path: File to write.
        frames: `(T, H, W)` grey or `(T, H, W, 3)` RGB uint8 frames, or one after the other; H.264
            wants even sizes.
        fps: Frames a second.

    Raises:
        VideoError: The extension is neither `.avi` nor `.mp4`.
        OutputError: The file cannot be written.
    """
    if path.suffix not in _CODECS:
        raise VideoError(f"{path}: cannot write {path.suffix!r}; use .avi or .mp4")
    with replacing(path) as unfinished:
        encode(str(unfinished), path.suffix, frames, fps)


def encode(target: str | BinaryIO, ending: str, frames: Iterable[Frame], fps: float) -> None:
    """Encode a clip as `write_video`, the same bytes on every machine.

    Args:
        target: A file to write, or one that is open.
        ending: `.avi` or `.mp4`.
        frames: As of `write_video`.
        fps: Frames a second.
    """
    codec, pixel_format, options = _CODECS[ending]
    coming = iter(frames)
    first = next(coming)
    with av.open(target, "w", format=ending[1:]) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        stream.options = dict(options)
        stream.codec_context.thread_count = 1
        for array in chain([first], coming):
            for packet in stream.encode(_picture(array, pixel_format)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _picture(array: NDArray[np.uint8], pixel_format: str) -> av.VideoFrame:
    """Wrap an array for the encoder.

    Grey pictures of even size are laid out here: FFmpeg's own conversion of them leaves bytes
    that differ from run to run.
    """
    height, width = array.shape[:2]
    if array.ndim == 3:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
    if height % 2 or width % 2:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="gray")
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    full_range = pixel_format == "yuvj420p"
    planes[:height] = array if full_range else np.round(16 + array * (219 / 255))
    return av.VideoFrame.from_ndarray(planes, format=pixel_format)
