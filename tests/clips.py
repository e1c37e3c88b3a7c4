"""Clip files of every kind that the encoders at hand can make, with pictures that say their number.

Nothing here is read back by the package's own code before a test does.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 8
"""Blocks of a picture that are dark or bright: its number, least bit first."""


def numbered(count: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Return `(count, height, width, 3)` pictures; the blocks of the upper half are the number."""
    frames = np.full((count, height, width, 3), 90, np.uint8)
    block = width // BITS
    for number, frame in enumerate(frames):
        for bit in range(BITS):
            on = number >> bit & 1
            frame[: height // 2, bit * block : (bit + 1) * block] = 235 if on else 16
        frame[height // 2 :, number % width] = 200  # something that moves
    return frames


def numbers(frames: np.ndarray) -> list[int]:
    """Return what number each picture says."""
    height, width = frames.shape[1:3]
    block = width // BITS
    said = []
    for frame in frames:
        bits = [
            frame[2 : height // 2 - 2, bit * block + 1 : (bit + 1) * block - 1].mean() > 125
            for bit in range(BITS)
        ]
        said.append(sum(1 << bit for bit, on in enumerate(bits) if on))
    return said


def write_clip(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    fps: int = 50,
    pts: Sequence[int] | None = None,
) -> Path:
    """Write pictures with any encoder; `pts` are milliseconds, by default the rate's."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.options = options or {}
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = int(pts[number]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut_clip(source: Path, path: Path, seconds: float) -> Path:
    """Cut the start off without encoding anew, as editors do: an edit list hides what is before."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as cut:
        stream = whole.streams.video[0]
        kept = cut.add_stream_from_template(stream)
        lost = int(seconds / stream.time_base)
        for packet in whole.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - lost, packet.dts - lost, kept
                cut.mux(packet)
    return path


def two_sizes(path: Path) -> Path:
    """Write an MJPEG AVI whose pictures change their size in mid-clip."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=Fraction(50))
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuvj420p"
        for number, size in enumerate([64] * 12 + [96] * 12):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width, encoder.pix_fmt = size, size, "yuvj420p"
            encoder.time_base = Fraction(1, 50)
            picture = av.VideoFrame.from_ndarray(numbered(1, size, size)[0], format="rgb24")
            for packet in encoder.encode(picture.reformat(format="yuvj420p")):
                packet.stream, packet.pts, packet.dts = stream, number, number
                container.mux(packet)
    return path


def turned(source: Path, path: Path, matrix: Sequence[int]) -> Path:
    """Copy an MP4 with another display matrix `(a, b, c, d)`, as a turned phone writes it."""
    data = bytearray(source.read_bytes())
    start = data.find(b"tkhd") + 4 + 4 + 32 + 4
    a, b, c, d = (value * 0x10000 for value in matrix)
    own = [a, b, 0, c, d, 0, 0, 0, 0x40000000]
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in own)
    path.write_bytes(data)
    return path


def patched(source: Path, path: Path, *changes: tuple[bytes, int, bytes]) -> Path:
    """Copy a file with bytes changed: each change is what to look for, how far after, what to."""
    data = bytearray(source.read_bytes())
    for mark, offset, value in changes:
        start = data.find(mark)
        assert start >= 0, mark
        data[start + offset : start + offset + len(value)] = value
    path.write_bytes(data)
    return path
