"""Open DICOM files: whether a file is one, how it is encoded, and where its pixels lie.

The tags come from pydicom, but its reader would hold the pixels, inflate a deflated file whole and
believe every length: here the pixels stay in the file, and what is read or inflated has a limit.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from pydicom import uid
from pydicom.datadict import dictionary_has_tag
from pydicom.filereader import read_dataset

from lvef.data.formats.dicom.stream import MOST_INFLATED, TOO_LARGE, TOO_MUCH, Inflated, Limited
from lvef.errors import VideoError

DICOM_EXTENSIONS = (".dcm", ".dicom")
Source = Path | str | BinaryIO
"""A file: its path, or the file itself, open for reading."""
ITEM, DELIMITER = 0xFFFEE000, 0xFFFEE0DD

_HEAD = 512  # bytes that tell a DICOM file
_MOST_VALUE = 2**20  # bytes of one tag; a time vector of 100,000 frames has fewer
_FIRST_PIXEL_TAG, _PIXEL_DATA = 0x7FE00008, 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_DIRECTORY = re.compile(rb"\x02\x00\x02\x00UI..1\.2\.840\.10008\.1\.3\.10(?![.\d])", re.DOTALL)
"""Media storage SOP class of a DICOMDIR, which lists files."""
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SHORT = (
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
)  # fmt: skip
_COMPRESSED = (
    *uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes, *uid.JPEG2000TransferSyntaxes,
    *uid.RLETransferSyntaxes,
)  # fmt: skip
_JPEG_FRAMES = {
    0xC0: uid.JPEGBaseline8Bit,
    0xC1: uid.JPEGExtended12Bit,
    0xC3: uid.JPEGLossless,
    0xF7: uid.JPEGLSLossless,
}
"""Transfer syntaxes by the marker that begins a JPEG's frame."""


@dataclass(frozen=True)
class OpenFile:
    """A DICOM file whose tags are read and whose pixels are not.

    Attributes:
        dataset: The tags that were asked for.
        syntax: Transfer syntax of the pixels; where the file does not tell, or they contradict
            it, what they are.
        stream: The file, inflated.
        start: Where the value of PixelData begins in it, -1 where there is none.
        stored: Bytes of it that are there.
        fragments: Whether the pixels lie there in fragments.
        swapped: Whether samples of 8 bits are swapped in pairs: big-endian words.
    """

    dataset: Any
    syntax: uid.UID
    stream: IO[bytes] | Inflated
    start: int
    stored: int
    fragments: bool
    swapped: bool

    @property
    def little_endian(self) -> bool:
        """Whether samples of 16 bits begin with the lower byte."""
        return bool(self.syntax != uid.ExplicitVRBigEndian)

    def read(self, place: int, size: int) -> bytes:
        """Return bytes of the pixel data, fewer where it ends."""
        self.stream.seek(self.start + place)
        return self.stream.read(min(size, max(0, self.stored - place)))


def is_dicom(path: Path | str) -> bool:
    """Tell a DICOM file by its first 512 bytes or, where they do not tell, by its extension.

    A data set without preamble counts, a DICOMDIR does not.
    """
    path = Path(path)
    named = path.suffix.lower() in DICOM_EXTENSIONS
    try:
        if not path.is_file():
            return named
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return named
    return begins_dicom(head) or (named and head[128:132] != b"DICM")


def begins_dicomdir(head: bytes) -> bool:
    """Tell a DICOMDIR by its first 512 bytes."""
    return head[128:132] == b"DICM" and _DIRECTORY.search(head) is not None


def begins_dicom(head: bytes) -> bool:
    """Tell a DICOM file, which is no DICOMDIR, by its first 512 bytes."""
    if head[128:132] == b"DICM":
        return _DIRECTORY.search(head) is None
    return bare_encoding(head) is not None


def bare_encoding(head: bytes) -> tuple[bool, bool] | None:
    """Tell whether bytes are a data set's first, without any preamble, and how it is encoded.

    Returns:
        Whether its value representations are implicit, and whether it is little-endian; None where
        the bytes do not begin with three elements of the dictionary in rising order.
    """
    for implicit, little in ((True, True), (False, True), (False, False)):
        if _begins_with_elements(head, implicit, little):
            return implicit, little
    return None


def _begins_with_elements(head: bytes, implicit: bool, little: bool) -> bool:
    order, place, tags = "<" if little else ">", 0, [-1]
    while len(tags) < 4:
        if place + 12 > len(head):
            return False
        group, element, kind, length = struct.unpack_from(f"{order}HH2sH", head, place)
        size = 8
        if implicit:
            (length,) = struct.unpack_from(f"{order}L", head, place + 4)
        elif kind in _LONG:
            (length,), size = struct.unpack_from(f"{order}L", head, place + 8), 12
        elif kind not in _SHORT:
            return False
        tag = group << 16 | element
        known = dictionary_has_tag(tag) if element else length == 4  # 0: a group's length
        if tag <= tags[-1] or not known or length % 2:
            return False
        tags.append(tag)
        place += size + length
    return tags[1] >> 16 in (0, 2, 8)


def error_name(error: Exception) -> str:
    """Return what kind an error is, without its words, which may quote the file."""
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


@contextmanager
def opened(source: Source, tags: Sequence[Any]) -> Iterator[OpenFile]:
    """Open a DICOM file, or a bare data set, and read the tags before its pixels.

    Args:
        source: The file; one that is open stays open.
        tags: What to read.

    Raises:
        VideoError: It is no DICOM file, or has too much before its pixels. pydicom's own errors,
            which may quote values, come through where the tags are damaged.
    """
    with _from_start(source) as file:
        head = file.read(_HEAD)
        if head[128:132] == b"DICM":
            file.seek(132)
        elif bare_encoding(head):
            file.seek(0)
        else:
            raise VideoError("not a DICOM file")
        yield _read(file, tags)


@contextmanager
def _from_start(source: Source) -> Iterator[BinaryIO]:
    if not isinstance(source, Path | str):
        source.seek(0)
        yield source
        return
    if not Path(source).is_file():
        raise VideoError("no such file")
    with Path(source).open("rb") as file:
        yield file


def name_of(source: Source) -> str:
    """Return the name of a file, without the folders it lies in: they may name a patient."""
    return Path(source if isinstance(source, Path | str) else source.name).name


def _read(file: IO[bytes], tags: Sequence[Any]) -> OpenFile:
    limited: Any = Limited(file)
    meta: Any = read_dataset(limited, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    stated = str(meta.get("TransferSyntaxUID") or "")
    stream: IO[bytes] | Inflated = file
    size = os.fstat(file.fileno()).st_size
    if stated == uid.DeflatedExplicitVRLittleEndian:
        stream, size = Inflated(file), 2**63
        limited = Limited(stream)
    at_pixels: list[tuple[int, bytes | str | None, int]] = []

    def stop(tag: int, kind: bytes | str | None, length: int) -> bool:
        if tag >= _FIRST_PIXEL_TAG:
            at_pixels.append((tag, kind, length))
        return tag >= _FIRST_PIXEL_TAG

    implicit, little = _encoding(stated, stream)
    try:
        dataset: Any = read_dataset(
            limited, implicit, little, stop_when=stop, defer_size=_MOST_VALUE,
            specific_tags=list(tags),
        )  # fmt: skip
    except OSError:  # within a sequence, pydicom makes it one
        if limited.exceeded:
            raise VideoError(TOO_MUCH) from None
        raise
    implicit, _ = dataset.original_encoding
    native = _native(bool(implicit), little)
    if not at_pixels or at_pixels[-1][0] != _PIXEL_DATA:
        return OpenFile(dataset, uid.UID(stated) if stated else native, stream, -1, 0, False, False)
    _, kind, length = at_pixels[-1]
    start = stream.tell() + (12 if str(kind).encode() in _LONG else 8)
    remaining = size - start
    stream.seek(start)
    first = stream.read(4096)
    items = first[:4] == struct.pack("<HH", 0xFFFE, 0xE000)
    fragments = items and (length == _UNDEFINED or stated in _COMPRESSED)
    if length == _UNDEFINED and (not items or stream is not file):
        raise VideoError("the pixel data is damaged: it has neither a length nor fragments")
    if length > MOST_INFLATED and stream is not file:
        raise VideoError(TOO_LARGE)
    stored = remaining if length == _UNDEFINED else min(length, remaining)
    if fragments and (not stated or stated in uid.UncompressedTransferSyntaxes):
        syntax = _sniffed(first)
    elif not fragments and stated in ("", *_COMPRESSED, *uid.UncompressedTransferSyntaxes):
        syntax = native
    else:
        syntax = uid.UID(stated)
    return OpenFile(
        dataset, syntax, stream, start, stored, fragments, swapped=not little and kind == "OW"
    )


def _encoding(stated: str, stream: IO[bytes] | Inflated) -> tuple[bool, bool]:
    """Return whether the tags are implicit and little-endian, as implicit ones are by default."""
    if stated:  # read_dataset finds out where implicit and explicit are confused
        return stated == uid.ImplicitVRLittleEndian, stated != uid.ExplicitVRBigEndian
    place = stream.tell()
    head = stream.read(_HEAD)
    stream.seek(place)
    return bare_encoding(head) or (True, True)


def _native(implicit: bool, little: bool) -> uid.UID:
    if not little:
        return uid.ExplicitVRBigEndian
    return uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian


def _sniffed(first: bytes) -> uid.UID:
    """Return the transfer syntax of fragments that the file does not tell, or tells wrongly."""
    (table,) = struct.unpack_from("<L", first, 4)
    data = first[8 + table + 8 :]
    if data[:4] == b"\xff\x4f\xff\x51":
        return uid.JPEG2000
    if len(data) > 8 and struct.unpack_from("<LL", data)[1] == 64 and 0 < data[0] < 16:
        return uid.RLELossless
    place = 2
    while data[:2] == b"\xff\xd8" and place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] in _JPEG_FRAMES:
            return _JPEG_FRAMES[data[place + 1]]
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    raise VideoError("the pixels are compressed, but the file does not say how: no transfer syntax")
