"""Video files (AVI, MP4 and what else archives and phones write), read by PyAV, which is FFmpeg.

Frame n of a clip is the n-th that a player would show: packets may lie in another order than
pictures are shown in (B-frames), and some are never shown (edit lists). So a clip is decoded from
its start, up to the last frame asked for. Where every packet is a picture of its own, as in the
MJPEG AVIs of EchoNet-Dynamic, those that are not asked for are not decoded; of H.264 and HEVC, only
what `needed` finds that they need.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.base import LARGEST, ClipInfo, check_picture, check_range
from lvef.data.formats.needed import Needed
from lvef.data.formats.rgb import ToRGB
from lvef.errors import VideoError

# FFmpeg also knows play lists and image sequences, which open other files.
_CONTAINERS = {
    "format_whitelist": "avi,mov,matroska,webm,asf,mpeg,mpegts,mpegvideo,m4v,h264,hevc,ivf,ogg,dv"
}
_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"0&\xb2u\x8ef\xcf\x11",  # ASF: WMV
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
)
_Turn = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
# By display matrix (ISO 14496-12, 6.2.2): what turns a stored picture upright.
_TURNS: dict[tuple[float, ...], _Turn] = {
    (1, 0, 0, 1): lambda picture: picture,
    (0, 1, -1, 0): lambda picture: np.rot90(picture, -1),
    (-1, 0, 0, -1): lambda picture: np.rot90(picture, 2),
    (0, -1, 1, 0): lambda picture: np.rot90(picture, 1),
    (-1, 0, 0, 1): lambda picture: picture[:, ::-1],
    (1, 0, 0, -1): lambda picture: picture[::-1],
    (0, 1, 1, 0): lambda picture: picture.swapaxes(0, 1),
    (0, -1, -1, 0): lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
}


class VideoFormat:
    """Any video file that FFmpeg opens by itself, without opening others."""

    name = "video"
    extensions: tuple[str, ...] = (
        ".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".wmv", ".asf", ".mpg", ".mpeg", ".ogv",
    )  # fmt: skip

    def recognises(self, head: bytes) -> bool:
        """Tell the common containers by their first bytes."""
        is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
        return is_avi or head[4:8] == b"ftyp" or head.startswith(_STARTS)

    def info(self, file: BinaryIO) -> ClipInfo:
        """Return what the packets say; they are read, not decoded."""
        with _opened(file) as (container, stream):
            stamps = [
                packet.dts if packet.pts is None else packet.pts
                for packet in container.demux(stream)
                if _is_shown(packet)
            ]
            unit = float(stream.time_base or 0)
        times, untimed = _times(stamps, unit, file)
        return ClipInfo(len(stamps), times, untimed)

    def read(self, file: BinaryIO, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return the frames asked for."""
        wanted, pictures, plans = frozenset(indices), None, False
        try:
            with _opened(file) as (container, stream):
                plans = Needed.can_plan(container, stream)
                if plans:
                    needed = Needed.plan(container, stream, wanted)
                    if needed is not None:
                        pictures = needed.decoded(stream.codec_context, _Pictures())
                else:
                    pictures = _wanted(container, stream, indices)
        except VideoError:
            if not plans:
                raise
        if pictures is None:  # what is wrong is told from the start, if it is met there
            file.seek(0)
            with _opened(file) as (container, stream):
                pictures = _wanted(container, stream, indices)
        return np.stack([pictures[index] for index in indices])

    def stream(self, file: BinaryIO) -> Iterator[NDArray[np.uint8]]:
        """Yield every frame."""
        with _opened(file) as (container, stream):
            picture = _Pictures()
            for frame in container.decode(stream):
                yield picture(frame)


class _Pictures:
    """Turns decoded frames of one clip into RGB pictures, all of one size, upright."""

    def __init__(self) -> None:
        self._to_rgb = ToRGB()
        self._size: tuple[int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return `(H, W, 3)`."""
        if frame.is_corrupt:
            raise VideoError("a picture in it is damaged")
        size = (frame.height, frame.width)
        if self._size not in (None, size):
            raise VideoError("the pictures change their size in mid-clip: cut the clip there")
        self._size = size
        return np.ascontiguousarray(_TURNS[_matrix(frame)](self._to_rgb(frame)))


@contextmanager
def _opened(file: BinaryIO) -> Iterator[tuple[Any, Any]]:
    """Read a file at its first video stream, and tell whatever goes wrong in one line."""
    try:
        with av.open(file, options=_CONTAINERS) as container:
            if not container.streams.video:
                raise VideoError("no picture in it: the file holds no video stream")
            stream = container.streams.video[0]
            context: Any = stream.codec_context
            if context is None:
                raise VideoError("its compression is not known to FFmpeg: convert it to MP4")
            check_picture(context.height, context.width)
            context.thread_count = 1
            context.options = {"max_pixels": str(LARGEST)}
            yield container, stream
    except (av.FFmpegError, IndexError, ValueError, EOFError) as error:
        raise VideoError(f"not a readable video ({_reason(error)})") from error
    except MemoryError:
        raise VideoError("not enough memory to decode it") from None


def _wanted(container: Any, stream: Any, indices: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """Return the frames wanted, by number, from the start of the clip on.

    Raises:
        FrameRangeError: The clip ends before one of them.
    """
    wanted = frozenset(indices)
    last = max(wanted, default=-1)
    convert, pictures, count = _Pictures(), {}, 0
    context = stream.codec_context
    alone = bool(context.codec.intra_only)
    for packet in container.demux(stream):
        if alone and (not _is_shown(packet) or count not in wanted):
            count += _is_shown(packet)  # a picture of its own that no other needs
        else:
            for frame in context.decode(packet):
                if count in wanted:
                    pictures[count] = convert(frame)
                count += 1
        if count > last:
            break
    check_range(indices, count)
    return pictures


def _is_shown(packet: Any) -> bool:
    """Return whether a packet holds a picture that is shown: not what was cut away, nor nothing."""
    return bool(packet.size and not packet.is_discard)


def _times(
    stamps: list[int | None], unit: float, file: BinaryIO
) -> tuple[NDArray[np.float64] | None, str]:
    """Return the seconds at which frames are shown, from 0; or why they are not known."""
    if _is_avi_without_rate(file):
        return None, "the AVI states no frame rate"
    if not stamps or unit <= 0 or any(stamp is None for stamp in stamps):
        return None, "the file states no times of its frames"
    times = np.sort(np.asarray(stamps, np.float64)) * unit
    return times - times[0], ""


def _is_avi_without_rate(file: BinaryIO) -> bool:
    """Return whether an AVI states no rate of its video: FFmpeg would take it for 25 a second."""
    file.seek(0)
    head = file.read(4096)
    stream = head.find(b"strh")
    if head[8:12] != b"AVI " or stream < 0 or head[stream + 8 : stream + 12] != b"vids":
        return False
    scale, rate = struct.unpack_from("<II", head, stream + 28)
    main = head.find(b"avih")
    microseconds = struct.unpack_from("<I", head, main + 8)[0] if main > 0 else 0
    return not (scale and rate) and not microseconds


def _matrix(frame: av.VideoFrame) -> tuple[float, ...]:
    """Return how a picture is to be turned and mirrored, `(a, b, c, d)` of its display matrix."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return (1, 0, 0, 1)
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    turn = tuple(round(value / 65536, 2) for value in (a, b, c, d))
    if turn not in _TURNS:
        raise VideoError("the picture stands askew: turn the clip upright")
    return turn


def _reason(error: Exception) -> str:
    """The first line of a codec's complaint, without the name of a file and without a stack."""
    if isinstance(error, av.FFmpegError) and error.strerror:
        return str(error.strerror)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160] if lines else type(error).__name__
