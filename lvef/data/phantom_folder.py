"""What tells a folder of phantoms from one of patients, and what is known of every frame there."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvef.errors import DatasetError

MARKER = "phantom.json"
"""The file that tells a folder of phantoms from one of patients."""
TRUTH = "Truth"
"""The folder of what is known of every frame, a file `NAME.npz` a phantom."""
GENERATOR = 2
"""Version of what `lvef.phantom` draws, both generators together, which a folder's marker states.

A change after which any seed gives another picture or another truth raises it, and figures that
documents state are then measured again, or name the version that they were measured with. Folders
that state none are of version 1.
"""
_DEEPEST = 5
"""How many folders a clip of phantoms lies below their root at most, as in files/p10/p1/s1."""
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


def prepared_folder(labels: Path | str) -> Path:
    """Return where what is made of clips is kept: beside a list, or in the folder of clips."""
    path = Path(labels)
    return path / "keyframes" if path.is_dir() else path.with_name(f"{path.stem}.keyframes")


def is_phantom(root: Path | str) -> bool:
    """Tell whether a folder, or a list, has phantoms, of which no figure tells of patients."""
    return _marker(root).is_file()


def _marker(root: Path | str) -> Path:
    root = Path(root)
    return (prepared_folder(root) if root.is_file() else root) / MARKER


def phantom_of(clip: Path | str) -> Path | None:
    """Return the folder of phantoms that a clip lies in, None where it lies in none."""
    above = list(Path(clip).absolute().parents)[:_DEEPEST]
    return next((folder for folder in above if is_phantom(folder)), None)


def read_marker(root: Path | str) -> dict[str, Any]:
    """Return what the marker of a folder of phantoms says, its `generator` always.

    Raises:
        DatasetError: It cannot be read.
    """
    path = _marker(root)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return {**settings, "generator": int(settings.get("generator", 1))}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged: write the phantoms again") from error


def other_generator(root: Path | str) -> str:
    """Return what tells a folder of phantoms of another version; empty where there is nothing.

    The clips of such a folder are what they are, and so is their truth: models may be trained and
    tested on them.
    """
    if not is_phantom(root):
        return ""
    try:
        version = read_marker(root)["generator"]
    except DatasetError:
        version = "unknown"
    if version == GENERATOR:
        return ""
    return f"PHANTOMS of generator {version}, and this version of lvef draws generator {GENERATOR}"


def refuse_other_generator(root: Path | str) -> None:
    """Refuse a folder of phantoms that this version would draw otherwise; others pass.

    Raises:
        DatasetError: It is one.
    """
    if told := other_generator(root):
        raise DatasetError(
            f"{root} holds {told}: make the folder anew with python -m lvef phantom, or use the "
            "version of lvef that made it"
        )


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
