"""Where the frames of a DICOM lie in its pixel data, and whether they are as many as it says.

Nothing is decoded: a frame is a place in the file, so that no claim of the tags costs memory and
any frame can be read alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from lvef.data.formats.dicom.colour import grey_share
from lvef.data.formats.dicom.file import DELIMITER, ITEM, OpenFile
from lvef.errors import VideoError

MOST_PIXELS = 2**23
"""Pixels of a picture: 8 million, as of 3840 x 2160."""
MOST_FRAMES = 100_000
MOST_STREAM = 2**29
"""Bytes of a compressed frame or video, which is held in memory: 512 MiB."""

JPEG = (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes)
VIDEO = (*uid.MPEGTransferSyntaxes, uid.HEVCMP51, uid.HEVCM10P51)
_WITH_START = (*JPEG, *uid.JPEG2000TransferSyntaxes)
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
_MOST_FRAGMENTS = 3 * MOST_FRAMES
_MODELS = {
    1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
    3: (
        "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420",
        "YBR_PARTIAL_422",
    ),
}  # fmt: skip

Fragment = tuple[int, int]
"""Place in the pixel data, and bytes."""


@dataclass(frozen=True)
class PixelLayout:
    """How a picture is stored.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        samples: Samples of a pixel, 1 or 3.
        allocated: Bits that a sample takes.
        bits: Bits of them that are used.
        high: The highest of those.
        signed: Whether they are signed.
        planes: Whether colours lie plane by plane.
        model: Photometric interpretation.
        halved: Whether two pixels share their chroma (native YBR_FULL_422).
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    bits: int
    high: int
    signed: bool
    planes: bool
    model: str
    halved: bool = False

    @property
    def size(self) -> int:
        """Bytes of a native picture."""
        samples = 2 if self.halved else self.samples
        return self.rows * self.columns * samples * self.allocated // 8


@dataclass(frozen=True)
class Frames:
    """Where the frames lie: fragments of each, or of the whole video; native ones have none."""

    syntax: uid.UID
    layout: PixelLayout
    count: int
    fragments: Sequence[Sequence[Fragment]] = ()


def locate(file: OpenFile) -> Frames:
    """Find the frames of a loop.

    Raises:
        VideoError: It is a still picture, holds other frames than NumberOfFrames says, claims what
            no machine makes, or cannot be read.
    """
    layout = _layout(file.dataset, file.syntax)
    stated = _number(file.dataset, "NumberOfFrames", 1)
    if file.syntax in VIDEO:
        return _video(file, layout, stated)
    if file.fragments:
        _check_compression(file.syntax, layout.bits)
        groups, whole = _by_frame(file)
        count = len(groups)
    else:
        if file.syntax not in uid.UncompressedTransferSyntaxes:
            _check_compression(file.syntax, layout.bits)
            raise VideoError("the pixel data is damaged: compressed, but not in fragments")
        layout = _native(file, layout, stated)
        groups, count, whole = [], file.stored // layout.size, True
    if count != stated:
        raise VideoError(_mismatch(file.dataset, stated, count, whole))
    if stated == 1:
        raise VideoError("a still picture (one frame), not a loop")
    if stated > MOST_FRAMES:
        raise VideoError(f"{stated} frames, but at most {MOST_FRAMES} can be read")
    return Frames(file.syntax, layout, stated, groups)


def _mismatch(dataset: Any, stated: int, count: int, whole: bool) -> str:
    missing = "NumberOfFrames" not in dataset
    says = "NumberOfFrames is missing" if missing else f"NumberOfFrames says {stated}"
    if count < stated:
        cut = " whole" if not whole else ""
        return f"{says}, but the pixel data holds {count}{cut} frames: it is cut short or damaged"
    return f"{says}, but the pixel data holds {count} frames: export it again, or correct the tag"


def _layout(dataset: Any, syntax: uid.UID) -> PixelLayout:
    samples = _number(dataset, "SamplesPerPixel")
    model = str(dataset.get("PhotometricInterpretation") or "")
    if model not in _MODELS.get(samples, ()):
        known = next((name for names in _MODELS.values() for name in names if name == model), "")
        what = f"{known!r} of {samples} samples a pixel" if known else "missing or an unusual one"
        raise VideoError(f"its colour model (PhotometricInterpretation) cannot be read: {what}")
    rows, columns = _number(dataset, "Rows"), _number(dataset, "Columns")
    if not 0 < rows * columns <= MOST_PIXELS:
        raise VideoError(
            f"pictures of {rows} x {columns} pixels: damaged, or too large (at most {MOST_PIXELS} "
            "pixels can be read)"
        )
    allocated, bits = _number(dataset, "BitsAllocated"), _number(dataset, "BitsStored")
    high = _number(dataset, "HighBit", bits - 1)
    if allocated not in (8, 16) or not 0 < bits <= high + 1 <= allocated:
        raise VideoError(
            f"samples of {bits} bits in {allocated} (BitsStored, BitsAllocated, HighBit) cannot be "
            "read"
        )
    return PixelLayout(
        rows, columns, samples, allocated, bits, high,
        signed=_number(dataset, "PixelRepresentation", 0) == 1,
        planes=_number(dataset, "PlanarConfiguration", 0) == 1,
        model=model,
        halved=model == "YBR_FULL_422" and syntax in uid.UncompressedTransferSyntaxes,
    )  # fmt: skip


def _number(dataset: Any, keyword: str, default: int | None = None) -> int:
    """Return a whole number that a tag holds, or a default where there is no such tag."""
    try:
        value = dataset.get(keyword)
        if value in (None, "") and default is not None:
            return default
        number = int(value)
    except (TypeError, ValueError, OverflowError):  # a list, or garbled
        number = -1
    if number < 0:
        raise VideoError(f"damaged: {keyword} is missing or garbled")
    return number


def _check_compression(syntax: uid.UID, bits: int) -> None:
    try:
        readable = syntax in (*JPEG, uid.RLELossless) or get_decoder(syntax).is_available
    except NotImplementedError:
        readable = False
    if not readable or (syntax in JPEG and bits > 8):
        name = repr(syntax.name) if syntax.name != syntax else "a private compression"
        raise VideoError(
            f"{name} of {bits} bits cannot be read: convert it to 'Explicit VR Little Endian', as "
            "with dcmdjpeg or gdcmconv --raw (HTJ2K: or pip install pylibjpeg pylibjpeg-openjpeg)"
        )


def _native(file: OpenFile, layout: PixelLayout, stated: int) -> PixelLayout:
    """Return how native pictures are stored.

    Archives that decompress a JPEG loop leave YBR_FULL_422, which halves the chroma of native
    pixels, on pictures with three bytes a pixel. As many bytes are there where the loop has half
    as many frames again as it says, so the picture is asked as well.
    """
    full = PixelLayout(**{**vars(layout), "halved": False})
    stored, stored_in_full = file.stored // layout.size, file.stored // full.size
    if not layout.halved or stored == stated or stored_in_full != stated:
        return layout
    first = np.frombuffer(file.read(0, full.size), np.uint8)
    if layout.allocated != 8 or _halved_share(first) > max(_full_shares(first, full)):
        return layout
    return full


def _halved_share(picture: NDArray[np.uint8]) -> float:
    """Return how much of a picture is grey if two pixels share their chroma: Y Y Cb Cr."""
    first, second, blue, red = picture[: len(picture) // 4 * 4].reshape(-1, 4).T
    return grey_share("YBR_FULL", np.stack([(first // 2 + second // 2), blue, red], axis=-1))


def _full_shares(picture: NDArray[np.uint8], layout: PixelLayout) -> tuple[float, float]:
    """Return how much of a picture is grey as RGB and as YCbCr, with three samples a pixel."""
    pixels = picture.reshape(3, -1).T if layout.planes else picture.reshape(-1, 3)
    return grey_share("RGB", pixels), grey_share("YBR_FULL", pixels)


def _video(file: OpenFile, layout: PixelLayout, stated: int) -> Frames:
    if not file.fragments:
        raise VideoError("the pixel data is damaged: a video, but not in fragments")
    if stated < 2:
        raise VideoError(
            "NumberOfFrames is missing or says 1, but the pixel data is a video: correct the tag"
        )
    if stated > MOST_FRAMES:
        raise VideoError(f"{stated} frames, but at most {MOST_FRAMES} can be read")
    _, fragments, _ = _fragments(file)
    return Frames(file.syntax, layout, stated, [fragments])


def _fragments(file: OpenFile) -> tuple[list[int], list[Fragment], bool]:
    """Return the offset table, the fragments that hold anything, and whether they end as due."""
    place, table = 0, None
    fragments: list[Fragment] = []
    while len(fragments) < _MOST_FRAGMENTS:
        head = file.read(place, 8)
        group, element, size = struct.unpack("<HHL", head) if len(head) == 8 else (0, 0, 0)
        tag = group << 16 | element
        if tag != ITEM or place + 8 + size > file.stored:
            return table or [], fragments, tag == DELIMITER
        if table is None:
            raw = file.read(place + 8, min(size, 4 * _MOST_FRAGMENTS))
            table = [int(offset) for offset in np.frombuffer(raw[: len(raw) // 4 * 4], "<u4")]
        elif size:
            fragments.append((place + 8, size))
        place += 8 + size
    raise VideoError(f"damaged: more than {_MOST_FRAGMENTS} fragments")


def _by_frame(file: OpenFile) -> tuple[list[list[Fragment]], bool]:
    """Return the fragments of each frame, and whether they end as they should.

    A compressed picture says where it begins; where its kind does not, the offset table is
    believed if it fits, and else each fragment is a frame.
    """
    table, fragments, whole = _fragments(file)
    firsts = list(range(len(fragments)))
    if file.syntax in _WITH_START:
        begin = [i for i, (place, _) in enumerate(fragments) if _starts(file.read(place, 12))]
        if begin[:1] == [0]:
            return _grouped(fragments, begin), whole
    if fragments:
        zero = fragments[0][0] - 8
        where = {place - 8 - zero: number for number, (place, _) in enumerate(fragments)}
        known = [where.get(offset, -1) for offset in table]
        if known[:1] == [0] and -1 not in known and sorted(set(known)) == known:
            firsts = known
    return _grouped(fragments, firsts), whole


def _starts(data: bytes) -> bool:
    return data.startswith(_STARTS)


def _grouped(fragments: list[Fragment], firsts: list[int]) -> list[list[Fragment]]:
    ends = [*firsts[1:], len(fragments)]
    return [fragments[first:end] for first, end in zip(firsts, ends, strict=True)]
