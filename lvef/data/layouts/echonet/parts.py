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


def has_any_part(folder: Path) -> bool:
    """Tell a folder that holds one of the three parts, whatever its capitals."""
    parts = {alike(part) for part in (FILE_LIST, TRACINGS, VIDEOS)}
    return folder.is_dir() and any(alike(path.name) in parts for path in folder.iterdir())


def has_outlines(folder: Path) -> bool:
    """Tell a folder of EchoNet-Pediatric's kind by the columns of its tables.

    Its tracings are outlines (X, Y) in place of chords (X1, Y1, X2, Y2); its list states the
    patient's sex and age, and neither rate nor number of frames.
    """
    traced, listed = _header(folder / TRACINGS), _header(folder / FILE_LIST)
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
    names = [path.name for path in root.iterdir()]
    paths = [root / part for part in (FILE_LIST, TRACINGS, VIDEOS)]
    for path in paths:
        if not (path.is_dir() if path.name == VIDEOS else path.is_file()):
            other = match_names([path.name], names).get(path.name, path.name)
            told = advice if other == path.name else f"Rename {other} to {path.name}"
            raise DatasetError(f"{path} not found. {told}")
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
