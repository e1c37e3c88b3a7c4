"""Read ultrasound loops from DICOM files: pixels, frame rate, 2D region and scale, nothing else.

No tag is read that names a patient, and no message quotes a value. pydicom decodes native, RLE and
JPEG 2000 pixels, FFmpeg (PyAV) videos and JPEG, as no other decoder of JPEG here both stands
damaged data without a crash or a hang and heeds the colour transform that a stream names.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import generate_frames
from pydicom.filereader import read_partial
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_windowing, convert_color_space
from pydicom.tag import Tag

from lvef.cardiac import RATES
from lvef.errors import VideoError

Region = tuple[int, int, int, int]
_Result = TypeVar("_Result")

DICOM_EXTENSIONS = (".dcm", ".dicom")
RATE_TAGS = ("FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate")
_HEADER: list[Any] = [
    Tag(keyword) for keyword in (
        "SOPClassUID", "Modality", "NumberOfFrames", "Rows", "Columns", "BitsStored",
        "SequenceOfUltrasoundRegions", *RATE_TAGS,
    )
]  # fmt: skip
_FIRST_PIXEL_TAG, _PIXEL_DATA = 0x7FE00008, 0x7FE00010
# Colour model and layout, window, palettes: group 0028 is about pixels alone.
_PIXELS = [*range(0x00280002, 0x00280104), *range(0x00281050, 0x00281224), _PIXEL_DATA]
_MOST_BYTES = 2**33
_LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
_JPEG = (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes)
_VIDEO = (*uid.MPEGTransferSyntaxes, uid.HEVCMP51, uid.HEVCM10P51)
_STRICT = {"err_detect": "explode"}  # or FFmpeg paints over what is damaged
# What a video may be: FFmpeg also knows play lists, which would open other files.
_CONTAINERS = {"format_whitelist": "mpegvideo,mpeg,mpegts,h264,hevc,mov"}


@dataclass(frozen=True)
class DicomHeader:
    """What is known of a loop of two or more frames before its pixels are decoded.

    `height` and `width` are the stored pictures' in pixels, `region` is `(x0, y0, x1, y1)` of the
    2D picture in them, `x1` and `y1` just outside it, and `fps` frames a second. What the file does
    not tell of rate, region and scale is None.
    """

    num_frames: int
    height: int
    width: int
    fps: float | None
    region: Region | None
    millimetres_per_pixel: float | None


@dataclass(frozen=True, eq=False)
class DicomClip(DicomHeader):
    """A loop with its `frames`, `(num_frames, H, W, 3)` uint8 RGB."""

    frames: NDArray[np.uint8] = field(repr=False)


def is_dicom(path: Path | str) -> bool:
    """Tell a DICOM file by its extension or, whatever that is, by its first bytes."""
    path = Path(path)
    if path.suffix.lower() in DICOM_EXTENSIONS:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM" and path.name.upper() != "DICOMDIR"
    except OSError:
        return False


def dicom_header(path: Path | str) -> DicomHeader:
    """Read what a loop is without decoding it; damage within the pixels goes unnoticed.

    Raises:
        VideoError: The file is missing, damaged, no DICOM, no ultrasound, no loop, without a 2D
            picture or pixels, or compressed in a way that cannot be read.
    """
    return _in_our_words(Path(path), _read_header)


def read_dicom(path: Path | str) -> DicomClip:
    """Decode a loop; pictures of more than 8 bits are scaled by their window or stored bits.

    Raises:
        VideoError: As `dicom_header`, or the pixel data is damaged.
    """
    return _in_our_words(Path(path), _read_clip)


def _in_our_words(path: Path, read: Callable[[Path], _Result]) -> _Result:
    """Run a reader with pydicom silent, and tell whatever goes wrong as one VideoError.

    pydicom's errors, warnings and log lines quote values: they are dropped, not even chained.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(path)
    except VideoError as refusal:
        reason = str(refusal)
    except PermissionError:
        reason = "the file may not be read (permission denied)"
    except Exception:  # a damaged file raises nearly anything
        reason = "not a readable DICOM file: damaged or cut short"
    finally:
        logger.setLevel(level)
    raise VideoError(f"{path}: {reason}")


def _read_header(path: Path) -> DicomHeader:
    if not path.is_file():
        raise VideoError("no such file")
    tags: list[int] = []

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        tags.append(tag)
        return tag >= _FIRST_PIXEL_TAG

    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            raise VideoError("not a DICOM file")
        file.seek(0)
        dataset: Any = read_partial(file, at_pixels, specific_tags=_HEADER)
    if not tags or tags[-1] != _PIXEL_DATA:
        raise VideoError("no pixel data: a measurement, a report, or a file that is cut short")
    kind = uid.UID(str(dataset.get("SOPClassUID") or ""))
    if dataset.get("Modality") != "US" and "Ultrasound" not in kind.name:
        known = kind.name != kind  # else the name is the identifier itself
        raise VideoError(f"not an ultrasound loop{f' but {kind.name!r}' if known else ''}")
    if int(dataset.get("NumberOfFrames") or 1) < 2:
        raise VideoError("a still picture (one frame), not a loop")
    _check_compression(dataset.file_meta.TransferSyntaxUID, dataset.BitsStored)
    return DicomHeader(
        int(dataset.NumberOfFrames),
        int(dataset.Rows),
        int(dataset.Columns),
        _frame_rate(dataset),
        *_region(dataset),
    )


def _check_compression(syntax: uid.UID, bits: int) -> None:
    try:
        readable = syntax in (*_JPEG, *_VIDEO) or get_decoder(syntax).is_available
    except NotImplementedError:
        readable = False
    if not readable or (syntax in _JPEG and bits > 8):
        name = repr(syntax.name) if syntax.name != syntax else "a private compression"
        raise VideoError(
            f"{name} of {bits} bits cannot be read: convert it to 'Explicit VR Little Endian', as "
            "with dcmdjpeg or gdcmconv --raw (HTJ2K: or pip install pylibjpeg pylibjpeg-openjpeg)"
        )


def _frame_rate(dataset: Any) -> float | None:
    """Return frames a second: the first tag that tells a rate that an ultrasound loop can have."""
    for keyword in RATE_TAGS:
        try:
            values = np.atleast_1d(np.asarray(dataset.get(keyword, []), dtype=np.float64))
        except (TypeError, ValueError):  # garbled
            continue
        values = values[np.isfinite(values) & (values > 0)]
        mean = float(values.mean()) if values.size else 0.0
        rate = 1000 / mean if keyword.startswith("FrameTime") and mean else mean
        if RATES[0] <= rate <= RATES[1]:
            return rate
    return None


def _region(dataset: Any) -> tuple[Region | None, float | None]:
    """Return the largest 2D region, tissue before colour flow, and its scale (PS3.3 C.8.5.5)."""
    found = []
    for region in dataset.get("SequenceOfUltrasoundRegions") or []:
        x0, y0 = max(0, region.RegionLocationMinX0), max(0, region.RegionLocationMinY0)
        x1 = min(dataset.Columns, region.RegionLocationMaxX1 + 1)
        y1 = min(dataset.Rows, region.RegionLocationMaxY1 + 1)
        kind = region.get("RegionDataType")
        if region.get("RegionSpatialFormat") == 1 and kind in (1, 2) and x0 < x1 and y0 < y1:
            found.append((-kind, (x1 - x0) * (y1 - y0), (x0, y0, x1, y1), region))
    if not found:
        if dataset.get("SequenceOfUltrasoundRegions"):
            raise VideoError("no 2D picture in it: Doppler, M-mode or a trace only")
        return None, None
    _, _, box, region = max(found, key=lambda each: each[:2])
    units = [region.get(f"PhysicalUnits{axis}Direction") for axis in "XY"]
    x, y = (abs(float(region.get(f"PhysicalDelta{axis}") or 0)) for axis in "XY")
    scaled = units == [3, 3] and 0 < x < np.inf and abs(y / x - 1) < 0.02  # cm, both axes alike
    return box, 10 * x if scaled else None


def _read_clip(path: Path) -> DicomClip:
    header = _read_header(path)
    dataset: Any = pydicom.dcmread(path, specific_tags=[*_HEADER, *_PIXELS])
    shape = (header.num_frames, int(dataset.Rows), int(dataset.Columns), 3)
    if np.prod(shape, dtype=float) > _MOST_BYTES:
        raise VideoError(f"damaged, or too large: it claims {shape[0]} frames of {shape[1:3]}")
    frames = np.empty(shape, np.uint8)
    done = 0
    try:
        for place, picture in zip(frames, _pictures(dataset, shape[0]), strict=False):
            if picture.shape != place.shape:
                raise ValueError("the stream is of another size than the header says")
            place[:] = picture
            done += 1
    except Exception:  # decoders raise anything
        raise VideoError(f"frame {done} cannot be decoded: damaged, or a rare encoding") from None
    if done < len(frames):
        raise VideoError(f"the pixel data is cut short: {done} of {len(frames)} frames")
    return DicomClip(**vars(header), frames=frames)


def _pictures(dataset: Any, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames, `(H, W, 3)` uint8 RGB."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _VIDEO:
        yield from _video(b"".join(generate_frames(dataset.PixelData, number_of_frames=1)))
    elif syntax in _JPEG:
        for data in generate_frames(dataset.PixelData, number_of_frames=count):
            yield _rgb(*_jpeg(data, syntax, dataset.PhotometricInterpretation), dataset)
    else:
        decoder = get_decoder(syntax)
        # Other plugins may be installed, some of which crash or hang.
        plugin = "pillow" if "pillow" in decoder.available_plugins else ""
        for index in range(count):  # iter_array forgets that YBR_FULL_422 has fewer bytes
            array, about = decoder.as_array(dataset, index=index, raw=True, decoding_plugin=plugin)
            yield _rgb(array, str(about["photometric_interpretation"]), dataset)


def _video(stream: bytes) -> Iterator[NDArray[np.uint8]]:
    with av.open(io.BytesIO(stream), "r", options=_CONTAINERS) as container:
        video = container.streams.video[0]
        video.codec_context.options, video.codec_context.thread_count = _STRICT, 1
        for frame in container.decode(video):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def _jpeg(data: bytes, syntax: uid.UID, model: str) -> tuple[NDArray[np.uint8], str]:
    """Decode a JPEG to `(H, W)` or `(H, W, 3)` uint8, and tell the colour model it now has.

    A lossy stream is in YCbCr unless a marker of its own, or else the file, says that it is not;
    the components of a lossless one are what the file says.
    """
    is_ls = syntax in uid.JPEGLSTransferSyntaxes
    context: Any = av.CodecContext.create("jpegls" if is_ls else "mjpeg", "r")
    context.options, context.thread_count = _STRICT, 1
    frame: Any = [*context.decode(av.Packet(data)), *context.decode(None)][0]
    if frame.format.name == "gray":
        return frame.to_ndarray(), model
    head = data[: data.find(b"\xff\xda")]
    unmarked = b"JFIF" not in head and b"Adobe" not in head
    as_stored = syntax not in _LOSSY or (unmarked and model == "RGB")
    if as_stored and frame.format.name.endswith("444p"):
        return np.moveaxis(frame.to_ndarray(), 0, -1), model
    return frame.to_ndarray(format="rgb24"), model if as_stored else "RGB"


def _rgb(array: NDArray[Any], model: str, dataset: Any) -> NDArray[np.uint8]:
    """Turn `(H, W)` or `(H, W, 3)` samples of any colour model into `(H, W, 3)` uint8 RGB."""
    if model == "PALETTE COLOR":
        colours = apply_color_lut(array, dataset)
        return (colours >> 8 if colours.dtype.itemsize == 2 else colours).astype(np.uint8)
    samples = _eight_bits(array, dataset)
    if model in ("MONOCHROME1", "MONOCHROME2"):
        grey = samples if model == "MONOCHROME2" else 255 - samples
        return np.repeat(grey[..., None], 3, axis=-1)
    if model in ("YBR_FULL", "YBR_FULL_422"):
        return convert_color_space(samples, "YBR_FULL", "RGB").astype(np.uint8)
    if model != "RGB":
        raise ValueError("a colour model of another age, such as CMYK")
    return samples


def _eight_bits(array: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Scale samples to 8 bits; grey ones of more bits by their window where they have one."""
    bits, signed = int(dataset.BitsStored), dataset.PixelRepresentation == 1
    if bits == 8 and not signed:
        return array.astype(np.uint8)
    if bits > 8 and array.ndim == 2:
        array = apply_windowing(array, dataset)
    scaled = (array.astype(np.float64) + signed * 2.0 ** (bits - 1)) * (255 / (2.0**bits - 1))
    return np.asarray(scaled.round().clip(0, 255), dtype=np.uint8)
