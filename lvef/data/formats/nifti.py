"""NIfTI files of 2D loops, as CAMUS keeps them (`.nii`, `.nii.gz`), read by nibabel.

An array of x, y, time: x runs to the right of the picture and y down, and x is the fastest on the
disk, so that a frame is one block whose rows are the picture's (NIfTI-1.1, `nifti1.h`). What the
affine says of a patient's left and right is no matter of a sector, and nothing is turned by it.
Pixels that are not square are made so: the coarser side is enlarged.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.base import ClipInfo, check_picture, check_range
from lvef.errors import VideoError

_GZIP = b"\x1f\x8b"
_HEADER = 348
_MAGIC = slice(344, 348)
_FURTHEST = 2**20
"""Bytes before the pixels: a header and what machines add to it."""
_MILLIMETRES = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_MOST_LABELS = 3
"""Largest label of CAMUS's masks: the cavity is 1, the myocardium 2, the left atrium 3."""
_UNEVEN = 0.01
"""Difference of the sides of a pixel, as a share, that counts for none."""
_UNTIMED = (
    "a NIfTI file does not say how many frames a second it holds (of CAMUS, FrameRate in "
    "Info_4CH.cfg does)"
)


@dataclass(frozen=True)
class _Layout:
    """Where the pictures of a file lie, and what a pixel is.

    Attributes:
        width: Of a stored picture.
        height: Of a stored picture.
        count: Frames.
        dtype: Of a pixel.
        offset: Bytes before the first.
        scale: What stored values are multiplied by, and what is added then.
        sides: Width and height of a pixel in millimetres; None where they are not stated.
        interval: Seconds from frame to frame; None where they are not stated.
    """

    width: int
    height: int
    count: int
    dtype: np.dtype[Any]
    offset: int
    scale: tuple[float, float]
    sides: tuple[float, float] | None
    interval: float | None

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height of the pictures once pixels are square."""
        x, y = self.sides or (1.0, 1.0)
        if abs(x / y - 1) <= _UNEVEN:
            return self.width, self.height
        return round(self.width * x / min(x, y)), round(self.height * y / min(x, y))


class NiftiFormat:
    """2D loops in NIfTI files, packed or not."""

    name = "NIfTI"
    extensions: tuple[str, ...] = (".nii.gz", ".nii")

    def recognises(self, head: bytes) -> bool:
        """Tell a NIfTI-1 file by its magic, which lies at the end of its header."""
        if head.startswith(_GZIP):
            try:
                head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, _HEADER)
            except zlib.error:
                return False
        return head[_MAGIC] == b"n+1\0"

    def info(self, file: BinaryIO) -> ClipInfo:
        """Return what the header says."""
        with _unpacked(file) as stream:
            layout = _loop(stream)
        times: NDArray[np.float64] | None = None
        if layout.interval is not None:
            times = np.multiply(np.arange(layout.count, dtype=np.float64), layout.interval)
        return ClipInfo(
            layout.count,
            times,
            _UNTIMED if times is None else "",
            None if layout.sides is None else min(layout.sides),
        )

    def read(self, file: BinaryIO, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return the frames asked for; what comes after the last is not unpacked."""
        with _unpacked(file) as stream:
            layout = _loop(stream)
            check_range(indices, layout.count)
            wanted = set(indices)
            found = {
                number: _picture(stored, layout)
                for number, stored in enumerate(_stored(stream, layout, max(indices, default=0)))
                if number in wanted
            }
        if not found:
            return np.empty((0, *layout.shown[::-1], 3), np.uint8)
        return np.stack([found[index] for index in indices])

    def stream(self, file: BinaryIO) -> Iterator[NDArray[np.uint8]]:
        """Yield every frame."""
        with _unpacked(file) as stream:
            layout = _loop(stream)
            for stored in _stored(stream, layout, layout.count - 1):
                yield _picture(stored, layout)


def read_label_map(path: Path | str, frame: int = 0) -> NDArray[np.uint8]:
    """Return one picture of a mask.

    Args:
        path: A NIfTI file of labels, of one picture or several.
        frame: Which one, from 0.

    Returns:
        `(H, W)` labels, in the square pixels of the frames that they are of.

    Raises:
        VideoError: It cannot be read, or has no such picture.
    """
    with Path(path).open("rb") as file, _unpacked(file) as stream:
        layout = _layout(stream)
        check_range([frame], layout.count)
        *_, stored = _stored(stream, layout, frame, labels=True)
        labels = np.clip(np.rint(_values(stored, layout)), 0, 255).astype(np.uint8)
        shown = cv2.resize(labels, layout.shown, interpolation=cv2.INTER_NEAREST)
        return np.asarray(shown, dtype=np.uint8)


def require_nibabel() -> Any:
    """Return nibabel.

    Raises:
        VideoError: It is not installed.
    """
    try:
        return import_module("nibabel")
    except ImportError as error:
        raise VideoError(
            "NIfTI files are read by nibabel, which is not installed: pip install nibabel"
        ) from error


@contextmanager
def _unpacked(file: BinaryIO) -> Iterator[BinaryIO]:
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    try:
        yield gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[misc]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise VideoError("the file is damaged, or ends early") from error


def _loop(stream: BinaryIO) -> _Layout:
    """Return the layout of a loop.

    Raises:
        VideoError: It is a still.
    """
    layout = _layout(stream)
    if layout.count < 2:
        raise VideoError("a still picture (one frame), not a loop")
    return layout


def _layout(stream: BinaryIO) -> _Layout:
    nibabel = require_nibabel()
    try:
        header = nibabel.Nifti1Header(stream.read(_HEADER))
        shape = [int(length) for length in header.get_data_shape()]
        dtype, offset = header.get_data_dtype(), int(header.get_data_offset())
        zooms = [float(zoom) for zoom in header.get_zooms()]
        slope, intercept = header.get_slope_inter()
        in_space, in_time = header.get_xyzt_units()
    except (nibabel.spatialimages.HeaderDataError, nibabel.wrapstruct.WrapStructError,
            ValueError, OverflowError, KeyError, TypeError) as error:  # fmt: skip
        raise VideoError(f"the header is damaged ({error})") from error
    width, height, count = _sizes(shape)
    if dtype.fields is None and dtype.kind not in "uif":
        raise VideoError(f"pixels of the type {dtype}: pictures are grey or RGB")
    if offset > _FURTHEST:
        raise VideoError("the header is damaged (the pixels begin nowhere)")
    unit = _MILLIMETRES.get(in_space, 1.0)
    stated = all(zoom > 0 for zoom in zooms[:2]) and (in_space != "unknown" or zooms[:2] != [1, 1])
    timed = len(zooms) > 3 and zooms[3] > 0 and in_time in _SECONDS
    layout = _Layout(
        width, height, count, dtype, offset,
        (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)),
        (zooms[0] * unit, zooms[1] * unit) if stated else None,
        zooms[3] * _SECONDS[in_time] if timed else None,
    )  # fmt: skip
    check_picture(*layout.shown[::-1])
    return layout


def _sizes(shape: list[int]) -> tuple[int, int, int]:
    """Return width, height and number of frames of an array of x, y, t or x, y, 1, t.

    Raises:
        VideoError: It is another.
    """
    if len(shape) == 4 and shape[2] == 1:
        shape = [*shape[:2], shape[3]]
    if len(shape) == 2:
        shape = [*shape, 1]
    if len(shape) != 3:
        raise VideoError(f"an array of {' x '.join(map(str, shape))}, which is no loop of pictures")
    if min(shape) < 1:
        raise VideoError("the clip holds no frame")
    return shape[0], shape[1], shape[2]


def _stored(
    stream: BinaryIO, layout: _Layout, last: int, labels: bool = False
) -> Iterator[NDArray[Any]]:
    """Yield the pictures as they are stored, `(H, W)`, from the first to the last wanted.

    Raises:
        VideoError: The file ends before, or holds labels where pictures are wanted.
    """
    stream.seek(layout.offset)
    size = layout.width * layout.height * layout.dtype.itemsize
    for number in range(last + 1):
        raw = stream.read(size)
        if len(raw) < size:
            raise VideoError(f"the file ends in frame {number} of {layout.count}")
        stored = np.frombuffer(raw, layout.dtype).reshape(layout.height, layout.width)
        if number == 0 and not labels and _values(stored, layout).max() <= _MOST_LABELS:
            raise VideoError(f"nothing above {_MOST_LABELS} in its first frame: labels, no picture")
        yield stored


def _values(stored: NDArray[Any], layout: _Layout) -> NDArray[Any]:
    """Return stored numbers as what they mean; `(H, W, 3)` of colours."""
    if layout.dtype.fields is not None:
        stored = np.stack([stored[name] for name in ("R", "G", "B")], axis=-1)
    return stored if layout.scale == (1.0, 0.0) else stored * layout.scale[0] + layout.scale[1]


def _picture(stored: NDArray[Any], layout: _Layout) -> NDArray[np.uint8]:
    """Return a stored picture as `(H, W, 3)` RGB of square pixels.

    Raises:
        VideoError: Its values are none of a picture.
    """
    values = _values(stored, layout)
    if not (values.min() >= 0 and values.max() <= 255):  # NaN, too
        raise VideoError(
            f"values from {values.min():g} to {values.max():g}: pictures have 0 to 255"
        )
    grey = np.rint(values).astype(np.uint8)
    if layout.shown != (layout.width, layout.height):
        grey = cv2.resize(grey, layout.shown, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    if grey.ndim == 3:
        return np.ascontiguousarray(grey)
    return np.repeat(grey[..., None], 3, axis=-1)
