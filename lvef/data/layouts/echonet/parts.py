"""The files of an EchoNet folder, and which of the two kinds of them it holds."""

from __future__ import annotations

import re
from pathlib import Path

from lvef.data.names import alike, match_names
from lvef.data.tables import plain_name
from lvef.errors import DatasetError

FILE_LIST, TRACINGS, VIDEOS = "FileList.csv", "VolumeTracings.csv", "Videos"
_HEADER = 4096
"""Bytes in which a header ends."""


def part(folder: Path, name: str) -> Path:
    """Return where a part of a folder is: under its name, or the only one with other capitals."""
    path = folder / name
    if path.exists() or not folder.is_dir():
        return path
    there = [each.name for each in folder.iterdir()]
    return folder / match_names([name], there).get(name, name)


def has_any_part(folder: Path) -> bool:
    """Tell a folder that holds one of the three parts, whatever its capitals."""
    parts = {alike(part) for part in (FILE_LIST, TRACINGS, VIDEOS)}
    return folder.is_dir() and any(alike(path.name) in parts for path in folder.iterdir())


def has_outlines(folder: Path) -> bool:
    """Tell a folder of EchoNet-Pediatric's kind by the columns of its tables.

    Its tracings are outlines (X, Y) in place of chords (X1, Y1, X2, Y2); its list states the
    patient's sex and age, and neither rate nor number of frames.
    """
    traced, listed = _header(part(folder, TRACINGS)), _header(part(folder, FILE_LIST))
    if traced:
        return {"x", "y"} <= traced and "x1" not in traced
    return {"sex", "age", "split"} <= listed and not {"fps", "numberofframes"} & listed


def found_parts(root: Path, advice: str) -> list[Path]:
    """Return where list, tracings and videos of a folder are.

    Args:
        root: The folder.
        advice: What to do where one is missing.

    Raises:
        DatasetError: One is missing.
    """
    paths = [part(root, name) for name in (FILE_LIST, TRACINGS, VIDEOS)]
    for path, there in zip(paths, (Path.is_file, Path.is_file, Path.is_dir), strict=True):
        if not there(path):
            raise DatasetError(f"{path} not found. {advice}")
    return paths


def _header(path: Path) -> set[str]:
    """Return what the columns of a table are called, nothing where there is none to read."""
    try:
        with path.open("rb") as file:
            text = file.read(_HEADER)
    except OSError:
        return set()
    encoding = "utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    lines = text.decode(encoding, errors="replace").lstrip().splitlines()
    lines = [line for line in lines if not line.lower().startswith(("sep=", '"sep='))]
    return {plain_name(cell) for cell in re.split(r"[,;\t|]", lines[0] if lines else "")}
