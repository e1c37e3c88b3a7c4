"""What `predict` keeps of an analysed clip, for the report."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvef.analysis.result import ClipAnalysis
from lvef.errors import RecordError
from lvef.files import write_bytes

_LONGEST = 200
_LARGEST = 200_000_000
"""Bytes that a record may unpack to: contours of an hour at 50 frames a second have less."""
_PREFIX = "contour_"
FOLDER = "analysis"
"""Where records go, in the log folder."""


@dataclass(frozen=True)
class ClipRecord:
    """The curve, beats and contours of a clip.

    Attributes:
        fps: Frames a second.
        area: `(T,)` LV area in square pixels of the clip's own frames, NaN where none was found.
        beats: `(n, 5)`: ED, ES and mid frame, geometric EF in percent, quality.
        contours: By frame, `(k, 2)` x, y in pixels of the clip's own frames.
        square: Left, top and side of what was cut from these frames.
        ef: Geometric EF in percent, NaN where the clip was refused.
        quality: 0 to 1.
        view: See `ClipAnalysis.view`.
        p_a4c: See `ClipAnalysis`.
    """

    fps: float
    area: NDArray[np.float64]
    beats: NDArray[np.float64]
    contours: dict[int, NDArray[np.float64]]
    square: tuple[int, int, int]
    ef: float
    quality: float
    view: str = ""
    p_a4c: float = float("nan")


def write_record(analysis: ClipAnalysis, path: Path) -> None:
    """Write the record of an analysis, whole or not at all.

    Args:
        analysis: The analysis.
        path: A `.npz` file; its folder is made.

    Raises:
        OutputError: It cannot be written.
    """
    write_bytes(path, packed_record(analysis))


def packed_record(analysis: ClipAnalysis) -> bytes:
    """Return the record of an analysis, as a `.npz` file holds it."""
    square = analysis.clip.square
    outlines = {frame: _contour(mask) for frame, mask in enumerate(analysis.masks) if mask.any()}
    corner = np.array([square.left, square.top])
    contours = {  # pixel centres lie on whole numbers
        f"{_PREFIX}{frame}": ((outline + 0.5) * analysis.clip.pixels - 0.5 + corner).astype("f4")
        for frame, outline in outlines.items()
    }
    beats = [[b.ed_frame, b.es_frame, b.mid_frame, b.ef, b.quality] for b in analysis.beats]
    arrays: dict[str, ArrayLike] = {
        "fps": analysis.fps,
        "area": analysis.area,
        "beats": np.array(beats).reshape(-1, 5),
        "square": np.array([square.left, square.top, square.side]),
        "ef": analysis.ef,
        "quality": analysis.quality,
        "view": analysis.view,
        "p_a4c": analysis.p_a4c,
    }
    packed = BytesIO()
    np.savez_compressed(packed, **arrays, **contours)  # type: ignore[arg-type]
    return packed.getvalue()


def read_record(path: Path) -> ClipRecord | None:
    """Return a record, or None where there is none.

    Raises:
        RecordError: It cannot be read, or holds something else than a record.
    """
    return unpacked_record(path, path) if path.exists() else None


def unpacked_record(packed: Path | BytesIO, where: Path) -> ClipRecord:
    """Return a record from what `packed_record` made.

    Args:
        packed: A file, or its content.
        where: What an error names.

    Raises:
        RecordError: It cannot be read, or holds something else than a record.
    """
    try:
        with zipfile.ZipFile(packed) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LARGEST:
                raise ValueError("it unpacks to more than a record can hold")
        with np.load(packed, allow_pickle=False) as arrays:
            return _checked(arrays)
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, NotImplementedError,
        RuntimeError, OverflowError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise RecordError(f"{where}: not a readable record of a clip ({reason})") from error


def _checked(arrays: Mapping[str, NDArray[np.generic]]) -> ClipRecord:
    """Return what a file holds as a record; ValueError, KeyError or TypeError where it is none."""
    area, beats = _numbers(arrays["area"], 1), _numbers(arrays["beats"], 2)
    left, top, side = _numbers(arrays["square"], 1)
    fps, ef, quality = (float(_numbers(arrays[name], 0)) for name in ("fps", "ef", "quality"))
    frames = beats[:, :3]
    if beats.shape[1] != 5 or not ((frames >= 0) & (frames < len(area))).all():
        raise ValueError("its beats do not lie in the clip")
    if not (np.isfinite(fps) and fps > 0) or np.isinf(area).any():
        raise ValueError("its numbers are not finite")
    contours = {
        int(name.removeprefix(_PREFIX)): _numbers(arrays[name], 2)
        for name in arrays
        if name.startswith(_PREFIX)
    }
    if not all(c.shape[1] == 2 and np.isfinite(c).all() for c in contours.values()):
        raise ValueError("its contours are no points")
    place = int(left), int(top), int(side)
    view, p_a4c = _seen(arrays)
    return ClipRecord(fps, area, beats, contours, place, ef, quality, view, p_a4c)


def _seen(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[str, float]:
    """Return the view that was seen and its probability; nothing of an earlier version's record."""
    if "view" not in arrays:
        return "", float("nan")
    view = arrays["view"]
    if view.ndim or view.dtype.kind != "U" or view.dtype.itemsize > _LONGEST:
        raise ValueError("its view is no word")
    return str(view), float(_numbers(arrays["p_a4c"], 0))


def _numbers(array: NDArray[np.generic], dimensions: int) -> NDArray[np.float64]:
    """Return an array of real numbers with as many dimensions; ValueError where it is none."""
    if not isinstance(array, np.ndarray):  # a part of an archive that is no array comes as bytes
        raise TypeError("a part of it is no array")
    if array.ndim != dimensions or array.dtype.kind not in "fiu":
        raise ValueError(f"{array.dtype} of {array.ndim} axes is not what a record holds")
    return array.astype(np.float64)


def record_path(folder: Path, video: str) -> Path:
    """Return where the record of a video lies in a log folder."""
    return folder / FOLDER / f"{file_name(video)}.npz"


def file_name(video: str) -> str:
    """Return a file's name, without extension, that stands for one video's name in the table."""
    name = quote(os.fsencode(video), safe=" ")  # a name need not be UTF-8
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 41]} {sha1(os.fsencode(video)).hexdigest()}"


def _contour(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the outline of a mask, `(k, 2)` x, y; empty where there is none."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return np.zeros((0, 2))
    return np.asarray(max(found, key=cv2.contourArea)[:, 0], np.float64)
