"""What `predict` keeps of an analysed clip, for the report."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvef.analysis.result import ClipAnalysis
from lvef.files import write_arrays

_LONGEST = 200
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
    """

    fps: float
    area: NDArray[np.float64]
    beats: NDArray[np.float64]
    contours: dict[int, NDArray[np.float64]]
    square: tuple[int, int, int]
    ef: float
    quality: float


def write_record(analysis: ClipAnalysis, path: Path) -> None:
    """Write the record of an analysis.

    Args:
        analysis: The analysis.
        path: A `.npz` file; its folder is made.

    Raises:
        OutputError: It cannot be written.
    """
    square = analysis.clip.square
    outlines = {frame: _contour(mask) for frame, mask in enumerate(analysis.masks) if mask.any()}
    corner = np.array([square.left, square.top])
    contours = {  # pixel centres lie on whole numbers
        f"contour_{frame}": ((outline + 0.5) * analysis.clip.pixels - 0.5 + corner).astype("f4")
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
    }
    write_arrays(path, {**arrays, **contours})


def read_record(path: Path) -> ClipRecord | None:
    """Return a record, or None where there is none."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as held:
        prefix = "contour_"
        left, top, side = (int(value) for value in held["square"])
        return ClipRecord(
            float(held["fps"]),
            held["area"],
            held["beats"],
            {int(n.removeprefix(prefix)): held[n] for n in held.files if n.startswith(prefix)},
            (left, top, side),
            float(held["ef"]),
            float(held["quality"]),
        )


def record_path(folder: Path, video: str) -> Path:
    """Return where the record of a video lies in a log folder."""
    return folder / FOLDER / f"{file_name(video)}.npz"


def file_name(video: str) -> str:
    """Return a file's name, without extension, that stands for one video's name in the table."""
    name = quote(video, safe=" ")
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 41]} {sha1(video.encode()).hexdigest()}"


def _contour(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the outline of a mask, `(k, 2)` x, y; empty where there is none."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return np.zeros((0, 2))
    return np.asarray(max(found, key=cv2.contourArea)[:, 0], np.float64)
