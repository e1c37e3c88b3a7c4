"""DICOM files as clips: of a loop with regions, the 2D picture is cut out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvef.data.dicom import DICOM_EXTENSIONS, RATE_TAGS, dicom_header, read_dicom
from lvef.data.formats.base import ClipInfo, check_range


class DicomFormat:
    """Ultrasound loops in DICOM files."""

    name = "DICOM"
    extensions: tuple[str, ...] = DICOM_EXTENSIONS

    def recognises(self, head: bytes) -> bool:
        """Tell a DICOM file by its prefix."""
        return head[128:132] == b"DICM"

    def info(self, path: Path) -> ClipInfo:
        """Return what the tags say."""
        header = dicom_header(path)
        times = None if header.fps is None else np.arange(header.num_frames) / header.fps
        stored = None
        if header.region is not None:
            stored = (header.height, header.width, *header.region[:2])
        untimed = "" if header.fps else (
            "the file does not say how many frames a second it holds "
            f"({', '.join(RATE_TAGS)} are missing or none of an echo machine)"
        )  # fmt: skip
        return ClipInfo(header.num_frames, times, untimed, header.millimetres_per_pixel, stored)

    def read(self, path: Path, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return the frames asked for."""
        frames = _pictures(path, path.stat().st_mtime_ns)
        check_range(indices, len(frames))
        return frames[list(indices)]

    def stream(self, path: Path) -> Iterator[NDArray[np.uint8]]:
        """Yield every frame."""
        yield from _pictures(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _pictures(path: Path, _changed: int) -> NDArray[np.uint8]:
    """Return the 2D picture of every frame; the last file is kept, for whoever asks again."""
    clip = read_dicom(path)
    if clip.region is None:
        return clip.frames
    x0, y0, x1, y1 = clip.region
    return np.ascontiguousarray(clip.frames[:, y0:y1, x0:x1])
