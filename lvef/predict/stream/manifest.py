"""What all rows of an archive have in common, in a file beside them; and what else lies there."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from lvef.data.names import expanded
from lvef.errors import ConfigurationError
from lvef.files import write_json

MANIFEST = "manifest.json"
SHARDS, PREVIEWS, OVERLAYS = "shards", "previews", "overlays"
"""Folders beside it."""


def agreed(path: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Write what all rows of a folder have in common, or see that it is the same.

    Raises:
        ConfigurationError: It is not: rows made otherwise would be in one table.
    """
    made = json.loads(json.dumps(made))
    if not path.exists():
        write_json(path, made)
        return made
    before = read_manifest(path)
    differing = [n for n in made if n != "made_with" and before.get(n) != made[n]]
    if differing:
        what = ", ".join(f"{n} ({before.get(n)} there, {made[n]} now)" for n in differing)
        raise ConfigurationError(
            f"{path.parent} holds rows that were made otherwise: {what}. Rows of both would be in "
            "one table: do as then, or give another --output"
        )
    return before


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what all rows of a folder have in common.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        needed = {"made_with": dict, "shards": int}
        if all(isinstance(manifest[name], kind) for name, kind in needed.items()):
            return manifest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ConfigurationError(
        f"{path}: there is none of an archive, or it is damaged: begin with another --output"
    )


def digest(path: str | Path) -> str:
    """Return what tells the content of a file; its name where it is none."""
    file = expanded(path)
    return sha256(file.read_bytes()).hexdigest() if file.is_file() else str(path)


def written_beside(folder: Path) -> set[str]:
    """Return the folders of pictures, rows and DICOM objects that results in a folder come with.

    They hold no clips of anybody: an overlay is a film with a contour burnt in.

    Args:
        folder: Any; it need not be there.

    Returns:
        Their paths, normalised; none where no rows are kept.
    """
    path = folder / MANIFEST
    if not path.is_file() or not (folder / SHARDS).is_dir():
        return set()
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        objects = [told.get("dicom_sr"), told.get("dicom_seg")]
    except (OSError, ValueError, AttributeError):
        objects = []
    names = [SHARDS, PREVIEWS, OVERLAYS, *(name for name in objects if isinstance(name, str))]
    return {os.path.normpath(folder / name) for name in names}
