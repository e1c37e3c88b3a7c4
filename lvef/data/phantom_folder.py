"""What tells a folder of phantoms from one of patients, and what is known of every frame there."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvef.errors import DatasetError

MARKER = "phantom.json"
"""The file that tells a folder of phantoms from one of patients."""
TRUTH = "Truth"
"""The folder of what is known of every frame, a file `NAME.npz` a phantom."""
_UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, IndexError, EOFError, MemoryError, AttributeError,
    NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class PhantomTruth:
    """What is known of a phantom's left ventricle.

    Attributes:
        contour: `(T, k, 2)` x, y in pixels of every frame.
        area: `(T,)` in square pixels.
        ed_frames: End-diastolic frames.
        es_frames: End-systolic frames.
    """

    contour: NDArray[np.float64]
    area: NDArray[np.float64]
    ed_frames: list[int]
    es_frames: list[int]


def is_phantom(root: Path | str) -> bool:
    """Tell whether a folder holds phantoms, of which no figure says anything about patients."""
    return (Path(root) / MARKER).is_file()


def truth_path(root: Path | str, video: str) -> Path:
    """Return where a folder keeps the truth of a video; patients have none.

    Args:
        root: The folder.
        video: The video's name without extension.
    """
    return Path(root) / TRUTH / f"{video}.npz"


def read_truth(root: Path | str, video: str) -> PhantomTruth | None:
    """Return what is known of a phantom, or None where there is no such file.

    Args:
        root: The folder.
        video: The video's name without extension.

    Raises:
        DatasetError: It cannot be read.
    """
    path = truth_path(root, video)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            contour, area = (arrays[name].astype(np.float64) for name in ("contour", "area"))
            ed, es = (arrays[name].astype(int).tolist() for name in ("ed_frames", "es_frames"))
        whole = contour.shape == (len(area), contour.shape[1], 2)
    except _UNREADABLE as error:
        raise DatasetError(f"{path} is damaged: write the phantoms again") from error
    inside = all(0 <= frame < len(area) for frame in (*ed, *es))
    if not (whole and inside and np.isfinite(contour).all() and np.isfinite(area).all()):
        raise DatasetError(f"{path} is damaged: write the phantoms again")
    return PhantomTruth(contour, area, ed, es)
