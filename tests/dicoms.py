"""Write ultrasound loops as DICOM files, the way machines and archives do."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space

from lvef.data.formats.dicom import read_dicom
from lvef.errors import VideoError
from lvef.phantom import PhantomClip

ROOT = "1.2.826.0.1.3680043.10.9999."
PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "MRN-778899",
    "PatientBirthDate": "19501231",
    "InstitutionName": "Secret Hospital",
    "AccessionNumber": "ACC-4455",
    "OperatorsName": "Roe^Richard",
    "StudyInstanceUID": ROOT + "1",
    "SOPInstanceUID": ROOT + "2",
}
"""Tags that no message, picture of an object or log line may show."""

Encoder = Callable[[np.ndarray], bytes]


def region(box: Sequence[int], spatial: int = 1, data: int = 1, step: float = 0.03) -> Dataset:
    """Return an ultrasound region: inclusive pixel box, format, data type, centimetres a pixel."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = spatial, data, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = box[:2]
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box[2:]
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = step
    return item


def write_dicom(
    path: Path,
    frames: np.ndarray,
    syntax: uid.UID = uid.ExplicitVRLittleEndian,
    model: str = "RGB",
    encode: Encoder | None = None,
    planar: int = 0,
    **tags: Any,
) -> Path:
    """Write a loop.

    Args:
        path: File to write.
        frames: `(T, H, W)` or `(T, H, W, 3)` samples in the colour model that is named.
        syntax: Transfer syntax.
        model: Photometric interpretation.
        encode: Makes a frame's bitstream, for the encapsulated syntaxes but RLE.
        planar: 1 stores native colours plane by plane.
        tags: More elements, by keyword; None takes one out.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = uid.UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = PATIENT["SOPInstanceUID"]
    dataset = Dataset()
    dataset.file_meta = meta
    bits = frames.dtype.itemsize * 8
    known = {
        "SOPClassUID": uid.UltrasoundMultiFrameImageStorage, "Modality": "US", **PATIENT,
        "FrameTime": "20.00000", "NumberOfFrames": len(frames), "Rows": frames.shape[1],
        "Columns": frames.shape[2], "SamplesPerPixel": 3 if frames.ndim == 4 else 1,
        "PhotometricInterpretation": model, "BitsAllocated": bits, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": 0,
    }  # fmt: skip
    if frames.ndim == 4:
        known["PlanarConfiguration"] = planar
    for keyword, value in {**known, **tags}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in tags:
        dataset.save_as(path, enforce_file_format=True)
        return path
    if encode is not None:
        dataset.PixelData = encapsulate([encode(frame) for frame in frames])
    elif syntax in _VIDEOS:
        dataset.PixelData = encapsulate([_video(frames, *_VIDEOS[syntax])])
    else:
        dataset.PixelData = _native(frames, syntax, model, planar)
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    if syntax == uid.RLELossless:
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def ybr(frames: np.ndarray) -> np.ndarray:
    """Return RGB frames in full-range YCbCr."""
    return convert_color_space(frames, "RGB", "YBR_FULL")


def paletted(path: Path, frames: np.ndarray, **tags: Any) -> Path:
    """Write `(T, H, W)` grey frames of at most 256 values through a palette that is red only."""
    ramp, nothing = (np.arange(256, dtype="<u2") * 257).tobytes(), bytes(512)
    tables = {"Red": ramp, "Green": nothing, "Blue": nothing}
    for colour, table in tables.items():
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{colour}PaletteColorLookupTableData"] = table
    return write_dicom(path, frames, model="PALETTE COLOR", **tags)


def jpeg(frame: np.ndarray) -> bytes:
    """Encode RGB or grey with a JFIF marker, as YCbCr."""
    stored = frame[..., ::-1] if frame.ndim == 3 else frame
    return cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def jpeg_unmarked(frame: np.ndarray) -> bytes:
    """Encode as `jpeg`, without a marker that would tell the colour model."""
    data = jpeg(frame)
    return data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]


def jpeg_adobe(frame: np.ndarray) -> bytes:
    """Encode as `jpeg`, with the marker by which Adobe's tools say YCbCr."""
    data = jpeg_unmarked(frame)
    return data[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01" + data[2:]


def jpeg_untransformed(frame: np.ndarray) -> bytes:
    """Encode the samples of RGB as they are, unmarked: only the header's model tells so."""
    picture = Image.frombytes("YCbCr", frame.shape[1::-1], frame.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=98, subsampling=0)
    data = buffer.getvalue()
    return data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]


def jpeg_2000(frame: np.ndarray, **options: Any) -> bytes:
    """Encode a JPEG 2000 codestream, reversible unless told otherwise."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG2000", no_jp2=True, **options)
    return buffer.getvalue()


def jpeg_lossless(frame: np.ndarray) -> bytes:
    """Encode three components as they are, in lossless JPEG (process 14, first predictor)."""
    planes = np.ascontiguousarray(np.moveaxis(frame, -1, 0))
    return _picture(av.VideoFrame.from_ndarray(planes, format="yuvj444p"), "ljpeg")


def jpeg_ls(frame: np.ndarray) -> bytes:
    """Encode RGB or grey in lossless JPEG-LS."""
    name = "rgb24" if frame.ndim == 3 else "gray"
    return _picture(av.VideoFrame.from_ndarray(frame, format=name), "jpegls")


def _picture(frame: av.VideoFrame, codec: str) -> bytes:
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base, encoder.thread_count, frame.pts = Fraction(1, 25), 1, 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode()])


_VIDEOS = {
    uid.MPEG2MPML: ("mpeg2video", "mpegts", {"qmin": "1", "qmax": "3"}),
    uid.MPEG4HP41: ("libx264", "mp4", {"crf": "12", "preset": "veryfast"}),
    uid.MPEG4HP41BD: ("libx264", "h264", {"crf": "12", "preset": "veryfast"}),
    uid.HEVCMP51: (
        "libx265", "mp4", {"crf": "12", "preset": "ultrafast", "x265-params": "log-level=none"}
    ),
}  # fmt: skip


def _video(frames: np.ndarray, codec: str, container: str, options: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=50)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.options, stream.codec_context.thread_count = options, 1
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return buffer.getvalue()


def _native(frames: np.ndarray, syntax: uid.UID, model: str, planar: int) -> bytes:
    if model == "YBR_FULL_422":  # Y Y Cb Cr, one pair of colours for two pixels
        luma = frames[..., 0].reshape(*frames.shape[:2], -1, 2)
        frames = np.concatenate([luma, frames[:, :, ::2, 1:]], axis=-1)
    elif planar:
        frames = np.moveaxis(frames, -1, 1)
    if syntax == uid.ExplicitVRBigEndian:
        frames = frames.astype(frames.dtype.newbyteorder(">"))
    return frames.tobytes()


def rle(frame: np.ndarray) -> bytes:
    """Encode RGB or grey in DICOM's RLE, without packing anything: 128 literal bytes a run."""
    planes = np.atleast_3d(frame).reshape(-1, 1 if frame.ndim == 2 else 3).T
    segments = []
    for plane in planes:
        data = plane.tobytes()
        runs = [data[start : start + 128] for start in range(0, len(data), 128)]
        segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
        segments.append(segment + bytes(len(segment) % 2))
    offsets = np.cumsum([64, *map(len, segments)])[:-1]
    head = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments)))
    return head + b"".join(segments)


def bare(content: bytes) -> bytes:
    """Return a DICOM file without its preamble and group 2."""
    meta = pydicom.filereader.read_partial(io.BytesIO(content), lambda *_: True).file_meta
    return content[132 + 12 + meta.FileMetaInformationGroupLength :]


def deflated_bomb(
    path: Path, frames: int, rows: int, columns: int, held: int | None = None, before: int = 0
) -> None:
    """Write a deflated loop of zeros, a thousandth of their size.

    Args:
        path: File to write.
        frames: How many frames it says.
        rows: Height of each.
        columns: Width of each.
        held: How many frames it holds, if not as many.
        before: Megabytes of a tag of undefined length before the pixels.
    """
    write_dicom(
        path, np.zeros((2, 8, 8, 3), np.uint8), uid.DeflatedExplicitVRLittleEndian, Rows=rows,
        Columns=columns, NumberOfFrames=frames,
    )  # fmt: skip
    content = path.read_bytes()
    start = len(content) - len(bare(content))
    tags = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    tags = tags[: tags.rindex(b"\xe0\x7f\x10\x00")]
    zeros, packer = bytes(2**20), zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    parts = [packer.compress(tags)]
    if before:
        parts += [packer.compress(b"\x29\x00\x10\x10UN\0\0" + struct.pack("<L", 0xFFFFFFFF))]
        parts += [packer.compress(zeros) for _ in range(before)]
    size = frames * rows * columns * 3
    parts += [packer.compress(b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<L", size))]
    size = (frames if held is None else held) * rows * columns * 3
    parts += [packer.compress(zeros[: min(2**20, size - at)]) for at in range(0, size, 2**20)]
    path.write_bytes(content[:start] + b"".join(parts) + packer.flush())


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Return a file with damage of one to thirty kinds, half of it among the tags."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        place = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 1200))
        size = rng.choice((1, 2, 4, 16, 300))
        how = rng.randrange(7)
        if how == 0:
            data[place : place + size] = rng.randbytes(size)
        elif how == 1:
            del data[place : min(place + size, len(data) - 2)]
        elif how == 2:
            data[place:place] = rng.randbytes(size)
        elif how == 3:
            data[place : place + size] = bytes(size)
        elif how == 4:
            data[place : place + 4] = b"\xff\xff\xff\xff"
        elif how == 5:
            other = rng.randrange(len(data))
            data[place : place + size] = data[other : other + size]
        elif rng.random() < 0.2:
            del data[max(place, 2) :]
    return bytes(data)


ENCODED = {
    "native": (uid.ExplicitVRLittleEndian, "RGB", None),
    "deflated": (uid.DeflatedExplicitVRLittleEndian, "RGB", None),
    "rle": (uid.RLELossless, "RGB", None),
    "jpeg": (uid.JPEGBaseline8Bit, "YBR_FULL_422", jpeg),
    "jpeg_lossless": (uid.JPEGLosslessSV1, "RGB", jpeg_lossless),
    "jpeg_ls": (uid.JPEGLSLossless, "RGB", jpeg_ls),
    "jpeg_2000": (uid.JPEG2000Lossless, "YBR_RCT", jpeg_2000),
    "mpeg2": (uid.MPEG2MPML, "YBR_PARTIAL_420", None),
    "mpeg4": (uid.MPEG4HP41, "YBR_PARTIAL_420", None),
}
"""Transfer syntax, colour model and encoder of frames in RGB, by a name."""

GREY = PhantomClip(3, 0).frames(range(4))
PATCHES = {(16, 24): (220, 30, 20), (16, 80): (20, 200, 40), (96, 56): (10, 40, 230)}


def coloured() -> np.ndarray:
    frames = np.repeat(GREY[..., None], 3, axis=-1)
    for (y, x), colour in PATCHES.items():
        frames[:, y - 8 : y + 8, x - 16 : x + 16] = colour
    return frames


COLOUR = coloured()


def refusal(path: Path | str) -> str:
    with pytest.raises(VideoError) as caught:
        read_dicom(path)
    return str(caught.value)
