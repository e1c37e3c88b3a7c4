"""Read single frames of echo videos, and write videos. The only file that knows the codecs.

decord reads where it has a wheel (it is the fastest on MJPEG AVI), PyAV everywhere else; both
give the same pixels for the same file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from lvef.data import dicom
from lvef.data.dicom import DICOM_EXTENSIONS, dicom_header, is_dicom
from lvef.errors import VideoError

try:
    import decord
except ImportError:  # no wheel, for example Linux on Arm
    decord = None

Backend = Literal["auto", "decord", "pyav"]
VIDEO_EXTENSIONS = (".avi", ".mp4")
CLIP_EXTENSIONS = (*VIDEO_EXTENSIONS, *DICOM_EXTENSIONS)


def read_frames(
    path: Path | str, indices: Sequence[int], backend: Backend = "auto"
) -> NDArray[np.uint8]:
    """Decode just the frames asked for.

    Args:
        path: An AVI, MP4 or DICOM file; of a DICOM the 2D picture is cut out.
        indices: Frame numbers from 0, in any order, repeats allowed.
        backend: `decord`, `pyav`, or decord where it is installed (`auto`).

    Returns:
        `(len(indices), H, W, 3)` uint8 RGB frames in the order asked for.

    Raises:
        VideoError: The file is missing, empty or unreadable, or a frame lies outside the clip.
    """
    path = Path(path)
    if any(index < 0 for index in indices):
        raise VideoError(f"{path}: frame {min(indices)} asked for, but frames count from 0")
    _check_file(path)
    if is_dicom(path):
        return dicom_header(path).cut(dicom.read(path, indices))
    if backend == "pyav" or (backend == "auto" and decord is None):
        return _read_with_pyav(path, indices)
    if decord is None:
        raise VideoError(f"{path}: backend 'decord' asked for, but decord is not installed")
    return _read_with_decord(path, indices)


def stream_frames(path: Path | str, at_once: int = 64) -> Iterator[NDArray[np.uint8]]:
    """Decode a whole clip from start to end, a few frames at a time.

    Args:
        path: An AVI, MP4 or DICOM file; of a DICOM the 2D picture is cut out.
        at_once: Most frames at a time.

    Yields:
        `(n, H, W, 3)` uint8 RGB frames.

    Raises:
        VideoError: The file is missing, empty or unreadable.
    """
    path = Path(path)
    _check_file(path)
    if is_dicom(path):
        header, pictures = dicom_header(path), dicom.iter_frames(path)
        for first in pictures:  # no list of them is kept while it is read on
            some = chain([first], islice(pictures, at_once - 1))
            yield np.stack([header.cut(picture) for picture in some])
        return
    waiting: list[NDArray[np.uint8]] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            converter = VideoReformatter()
            for frame in container.decode(stream):
                waiting.append(_rgb(frame, converter))
                if len(waiting) == at_once:
                    yield np.stack(waiting)
                    waiting.clear()
            if waiting:
                yield np.stack(waiting)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise VideoError(f"{path}: not a readable video ({_reason(error)})") from error


def count_frames(path: Path | str) -> int:
    """Return how many frames a video holds, by reading its packets without decoding them.

    Raises:
        VideoError: The file is missing, empty or unreadable.
    """
    path = Path(path)
    _check_file(path)
    if is_dicom(path):
        return dicom_header(path).num_frames
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            packets = container.demux(stream)
            # What lies before the cut, in a clip cut without encoding it anew, is not shown.
            return sum(1 for packet in packets if packet.size and not packet.is_discard)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise VideoError(f"{path}: not a readable video ({_reason(error)})") from error


def frame_rate(path: Path | str) -> float:
    """Return the frames a second that a video states.

    Raises:
        VideoError: The file is unreadable or states none.
    """
    path = Path(path)
    _check_file(path)
    if is_dicom(path):
        header = dicom_header(path)
        if header.fps is None:
            raise VideoError(
                f"{path}: the file does not say how many frames a second it holds "
                f"({header.untimed}): give them with --data.fps (fps= in Python), or set FrameTime"
            )
        return header.fps
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.base_rate
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise VideoError(f"{path}: not a readable video ({_reason(error)})") from error
    if not rate:
        raise VideoError(f"{path}: states no frame rate: give it with --data.fps (fps= in Python)")
    return float(rate)


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float) -> None:
    """Write a clip: MJPEG for `.avi`, H.264 for `.mp4`.

    Args:
        path: File to write.
        frames: `(T, H, W)` grey or `(T, H, W, 3)` RGB uint8 frames, or one after the other; H.264
            wants even sizes.
        fps: Frames a second.

    Raises:
        VideoError: The extension is neither `.avi` nor `.mp4`.
    """
    if path.suffix == ".avi":
        codec, pixel_format, options = "mjpeg", "yuvj420p", {"qmin": "2", "qmax": "3"}
    elif path.suffix == ".mp4":
        # x264's macroblock tree and weighted prediction differ from run to run on some CPUs.
        steady = {"x264-params": "mbtree=0:weightp=0"}
        codec, pixel_format = "libx264", "yuv420p"
        options = {"crf": "18", "preset": "veryfast", **steady}
    else:
        raise VideoError(f"{path}: cannot write {path.suffix!r}; use .avi or .mp4")
    coming = iter(frames)
    first = next(coming)
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        stream.options = options
        stream.codec_context.thread_count = 1  # the same bytes on every machine
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


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise VideoError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty")


def _read_with_decord(path: Path, indices: Sequence[int]) -> NDArray[np.uint8]:
    try:
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        # decord counts what an MP4 keeps before a cut, too, and makes up frames for it at the end.
        held = count_frames(path) if path.suffix.lower() == ".mp4" else len(reader)
        _check_range(path, indices, held)
        # In rising order and once each, or decord seeks back and decodes again.
        ordered, places = np.unique(np.asarray(indices), return_inverse=True)
        frames = reader.get_batch(ordered.tolist()).asnumpy()
        return np.asarray(frames[places], dtype=np.uint8)
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        raise VideoError(f"{path}: not a readable video ({_reason(error)})") from error


def _read_with_pyav(path: Path, indices: Sequence[int]) -> NDArray[np.uint8]:
    wanted, last = set(indices), max(indices, default=-1)
    found: dict[int, NDArray[np.uint8]] = {}
    count = 0
    try:
        with av.open(str(path)) as container, warnings.catch_warnings():
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            converter = VideoReformatter()
            for frame in container.decode(stream):
                if count in wanted:
                    found[count] = _rgb(frame, converter)
                count += 1
                if count > last:
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise VideoError(f"{path}: not a readable video ({_reason(error)})") from error
    _check_range(path, indices, count)
    return np.stack([found[index] for index in indices])


def _rgb(frame: av.VideoFrame, converter: VideoReformatter) -> NDArray[np.uint8]:
    """Return `(H, W, 3)`; the clip's own converter, as a new one for each frame takes longer."""
    return np.asarray(converter.reformat(frame, format="rgb24").to_ndarray(), dtype=np.uint8)


def _check_range(path: Path, indices: Sequence[int], count: int) -> None:
    if count == 0:
        raise VideoError(f"{path}: the video holds no frame")
    if max(indices) >= count:
        raise VideoError(
            f"{path}: frame {max(indices)} asked for, but the clip ends at frame {count - 1}"
        )


def _reason(error: Exception) -> str:
    """The first line of a codec's complaint, without its file name and stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    return first.split("] ")[-1][:160]
