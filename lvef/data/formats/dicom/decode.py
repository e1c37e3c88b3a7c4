"""Decode the frames of a DICOM one by one.

FFmpeg (PyAV) decodes videos and JPEG, as no other decoder of JPEG here both stands damaged data
without a crash or a hang and heeds the colour transform that a stream names; pydicom decodes
JPEG 2000, Pillow unpacks RLE.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Any, TypeVar

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from lvef.data.formats.dicom.colour import eight_bits, to_rgb, true_model
from lvef.data.formats.dicom.file import OpenFile, error_name
from lvef.data.formats.dicom.pixels import (
    JPEG,
    MOST_FRAMES,
    MOST_STREAM,
    VIDEO,
    Frames,
    PixelLayout,
)
from lvef.data.formats.rgb import ToRGB
from lvef.errors import VideoError

_Result = TypeVar("_Result")
Samples = tuple[NDArray[Any], str]
"""`(H, W)` or `(H, W, 3)` samples, and their colour model; `_DONE` if they are RGB for certain."""

_DONE = "RGB, as its decoder says"
_LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
_STRICT = {"err_detect": "explode"}  # or FFmpeg paints over what is damaged
# What a video may be: FFmpeg also knows play lists, which would open other files.
_CONTAINERS = {"format_whitelist": "mpegvideo,mpeg,mpegts,h264,hevc,mov"}


def decode(
    file: OpenFile, frames: Frames, wanted: Sequence[int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Decode frames, one after the other.

    Args:
        file: The file.
        frames: Where they lie.
        wanted: Which ones, in rising order; None for all. Of a video all are decoded, as nothing
            else tells how many it holds.

    Yields:
        `(H, W, 3)` uint8 RGB pictures.

    Raises:
        VideoError: A frame is damaged, or a video holds other frames than it says.
    """
    shape = (frames.layout.rows, frames.layout.columns, 3)
    pictures = (_video if frames.syntax in VIDEO else _pictures)(
        file, frames, range(frames.count) if wanted is None else wanted
    )
    for number, picture in pictures:
        if picture.shape != shape:
            raise VideoError(
                f"frame {number} cannot be decoded: its stream is of another size than Rows and "
                "Columns say"
            )
        yield picture


def _frame(number: int, run: Callable[[], _Result]) -> _Result:
    """Decode a frame, and tell what a decoder says of it without the words of the file."""
    try:
        return run()
    except VideoError as refusal:
        cause = str(refusal)
    except MemoryError:
        cause = "not enough memory"
    except av.FFmpegError as error:
        cause = f"damaged, or a rare encoding (FFmpeg: {error.strerror})"
    except Exception as error:  # decoders raise anything
        cause = f"damaged, or a rare encoding ({error_name(error)})"
    raise VideoError(f"frame {number} cannot be decoded: {cause}")


def _pictures(
    file: OpenFile, frames: Frames, wanted: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    model = _frame(0, partial(_settled, file, frames))  # by the first, whichever are wanted
    for number in wanted:
        yield number, _frame(number, partial(_picture, file, frames, number, model))


def _picture(file: OpenFile, frames: Frames, number: int, model: str) -> NDArray[np.uint8]:
    samples, stated = _samples(file, frames, number)
    if stated == _DONE:
        model = "RGB"
    elif samples.ndim == 2:  # grey, whatever the file says
        model = stated if frames.layout.samples == 1 else "MONOCHROME2"
    return to_rgb(samples, model, file.dataset)


def _settled(file: OpenFile, frames: Frames) -> str:
    """Return the colour model of the frames as stored; files get it wrong."""
    samples, stated = _samples(file, frames, 0)
    if samples.ndim == 2 or stated not in ("RGB", "YBR_FULL", "YBR_FULL_422"):
        return stated
    doubtful = stated == "YBR_FULL_422" and not frames.layout.halved  # no chroma is halved here
    return true_model(stated, eight_bits(samples, file.dataset), doubtful)


def _samples(file: OpenFile, frames: Frames, number: int) -> Samples:
    layout = frames.layout
    if not frames.fragments:
        return _native(file, layout, number), layout.model
    data = _joined(file, frames.fragments[number])
    if frames.syntax in JPEG:
        return _jpeg(data, frames.syntax, layout)
    if frames.syntax == uid.RLELossless:
        return _rle(data, layout), layout.model
    return _jpeg_2000(data, frames.syntax, layout)


def _joined(file: OpenFile, fragments: Sequence[tuple[int, int]]) -> bytes:
    if sum(size for _, size in fragments) > MOST_STREAM:
        raise VideoError(f"a compressed stream of more than {MOST_STREAM >> 20} MB")
    return b"".join(file.read(place, size) for place, size in fragments)


def _native(file: OpenFile, layout: PixelLayout, number: int) -> NDArray[Any]:
    """Return a native picture, its chroma spread where two pixels share it."""
    start, size = number * layout.size, layout.size
    if file.swapped and layout.allocated == 8:  # words of 16 bits, the higher byte first
        odd = start % 2
        words = file.read(start - odd, size + odd + (size + odd) % 2)
        data = np.frombuffer(words, "u2").byteswap().tobytes()[odd : odd + size]
    else:
        data = file.read(start, size)
    if len(data) < size:
        raise VideoError("the pixel data is cut short")
    order = "<" if file.little_endian else ">"
    samples = np.frombuffer(data, "u1" if layout.allocated == 8 else f"{order}u2")
    if layout.halved:
        luma = samples.reshape(-1, 4)[:, :2]  # Y Y Cb Cr
        chroma = np.repeat(samples.reshape(-1, 4)[:, None, 2:], 2, axis=1)
        samples = np.concatenate([luma[..., None], chroma], axis=-1).reshape(-1)
    return _used_bits(_shaped(samples, layout, layout.planes and not layout.halved), layout)


def _shaped(samples: NDArray[Any], layout: PixelLayout, planes: bool) -> NDArray[Any]:
    """Return `(H, W)` or `(H, W, 3)` of a flat picture."""
    if layout.samples == 1:
        return samples.reshape(layout.rows, layout.columns)
    if planes:
        return np.moveaxis(samples.reshape(3, layout.rows, layout.columns), 0, -1)
    return samples.reshape(layout.rows, layout.columns, 3)


def _used_bits(samples: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Drop the bits that hold no sample, as overlays of old, and extend the sign."""
    kind = f"{'i' if layout.signed else 'u'}{layout.allocated // 8}"
    if layout.bits == layout.allocated:
        return samples.astype(kind, copy=False)
    lifted = samples.astype(f"u{kind[1:]}") << (layout.allocated - 1 - layout.high)
    return np.asarray(lifted.view(kind) >> (layout.allocated - layout.bits))


def _rle(data: bytes, layout: PixelLayout) -> NDArray[Any]:
    """Unpack the planes of a picture, the higher bytes of samples first (PS3.5 annex G)."""
    depth, pixels = layout.allocated // 8, layout.rows * layout.columns
    offsets = [*np.frombuffer(data[:64], "<u4")[1 : 1 + layout.samples * depth], len(data)]
    if len(data) < 64 or data[0] != layout.samples * depth or offsets[0] != 64:
        raise VideoError("damaged, or another number of RLE segments than the samples need")
    planes = np.empty((layout.samples, pixels, depth), np.uint8)
    for number, (start, end) in enumerate(pairwise(offsets)):
        # As one long row: packed runs may cross the rows.
        row = Image.frombytes("L", (pixels, 1), data[start:end], "packbits", "L")
        planes[number // depth, :, number % depth] = np.asarray(row)[0]
    samples = planes.view(f">u{depth}").reshape(-1)
    return _used_bits(_shaped(samples, layout, planes=True), layout)


def _jpeg_2000(data: bytes, syntax: uid.UID, layout: PixelLayout) -> Samples:
    """Decode a codestream by pydicom."""
    start = max(data.find(b"\xff\x4f\xff\x51"), 0)  # it may lie in a JP2 file
    right, bottom, left, top = (
        int.from_bytes(data[start + place : start + place + 4], "big") for place in (8, 12, 16, 20)
    )
    if (bottom - top, right - left) != (layout.rows, layout.columns):
        raise VideoError("its stream is of another size than Rows and Columns say")
    decoder: Any = get_decoder(syntax)
    # Other plugins may be installed, some of which crash or hang.
    plugin = "pillow" if "pillow" in decoder.available_plugins else ""
    options = {
        "number_of_frames": 1, "rows": layout.rows, "columns": layout.columns,
        "samples_per_pixel": layout.samples, "bits_allocated": layout.allocated,
        "bits_stored": layout.bits, "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.model, "planar_configuration": 0,
        "pixel_keyword": "PixelData", "decoding_plugin": plugin,
    }  # fmt: skip
    try:
        encapsulated = encapsulate([data[start:]])
        array, metadata = decoder.as_array(encapsulated, index=0, raw=True, **options)
    except RuntimeError:
        raise VideoError("damaged, or a rare encoding (no decoder reads its JPEG 2000)") from None
    return array, str(metadata["photometric_interpretation"])


def _jpeg(data: bytes, syntax: uid.UID, layout: PixelLayout) -> Samples:
    """Decode a JPEG.

    A lossy stream is in YCbCr unless a marker of its own, or else the file, says that it is not;
    the components of a lossless one are what the file says.
    """
    is_ls = syntax in uid.JPEGLSTransferSyntaxes
    context: Any = av.CodecContext.create("jpegls" if is_ls else "mjpeg", "r")
    context.options, context.thread_count = _options(layout), 1
    pictures: list[Any] = [*context.decode(av.Packet(data)), *context.decode(None)]
    if not pictures:
        raise VideoError("damaged, or a rare encoding (FFmpeg finds no picture)")
    frame = pictures[0]
    if frame.format.name == "gray":
        return frame.to_ndarray(), layout.model
    head = data[: data.find(b"\xff\xda")]
    unmarked = b"JFIF" not in head and b"Adobe" not in head
    as_stored = syntax not in _LOSSY or (unmarked and layout.model == "RGB")
    if as_stored and frame.format.name.endswith("444p"):
        return np.moveaxis(frame.to_ndarray(), 0, -1), layout.model
    return ToRGB()(frame), layout.model if as_stored else _DONE


def _options(layout: PixelLayout) -> dict[str, str]:
    """Return FFmpeg's options; a stream that claims a far larger picture than the tags is refused.

    Codecs pad pictures to whole blocks.
    """
    return {**_STRICT, "max_pixels": str((layout.rows + 64) * (layout.columns + 64))}


def _video(
    file: OpenFile, frames: Frames, wanted: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the frames wanted of a video, and check how many it holds."""
    coming, count, asked = _decoded_video(file, frames), 0, set(wanted)
    picture_of = ToRGB()

    def following() -> Any:
        frame = next(coming, None)
        if frame is None or count not in asked or count >= frames.count:
            return frame
        return picture_of(frame)

    while (picture := _frame(count, following)) is not None:
        if isinstance(picture, np.ndarray):
            yield count, picture
        count += 1
    if count != frames.count:
        raise VideoError(
            f"NumberOfFrames says {frames.count}, but the video holds {count} frames: it is cut "
            "short, or the tag is to be corrected"
        )


def _decoded_video(file: OpenFile, frames: Frames) -> Iterator[av.VideoFrame]:
    stream = _joined(file, frames.fragments[0])
    with av.open(io.BytesIO(stream), "r", options=_CONTAINERS) as container:
        video = container.streams.video[0]
        video.codec_context.options = _options(frames.layout)
        video.codec_context.thread_count = 1
        yield from islice(container.decode(video), MOST_FRAMES)
