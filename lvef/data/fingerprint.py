"""What data a run saw, so that it can be told whether they are the same: digests, no names."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lvef.data.digest import file_digest
from lvef.data.layouts import find_layout
from lvef.data.names import expanded
from lvef.errors import DatasetError

__all__ = ["clips_fingerprint", "file_digest", "folder_fingerprint"]


def folder_fingerprint(root: Path | str, layout: str | None = None) -> dict[str, Any]:
    """Return what tells a folder of labelled clips from one that was changed.

    The labels count by content, every video by name and size, which costs no time.

    Args:
        root: The folder.
        layout: Name of its layout; by default what lies in it tells.

    Returns:
        The SHA-256 of each label file (of several of one name, one of all), `videos`, the number
        of files, `bytes`, and `names_and_sizes`, their SHA-256.

    Raises:
        DatasetError: It cannot be read, or is of no known layout.
    """
    found, root = find_layout(root, layout), expanded(root)
    sizes: list[tuple[str, int]] = []
    try:
        base = root.parent if root.is_file() else root
        labels = _digests(found.label_files(root), base)
        sizes += [(clip.name, clip.stat().st_size) for clip in found.clip_files(root)]
    except OSError as error:
        raise DatasetError(f"{error.filename or root}: {error.strerror or error}") from error
    return {**labels, **_names_and_sizes(sizes)}


def _digests(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the SHA-256 of each file; of files of one name, one a patient, one of all."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_name[path.name].append(path)
    digests = {}
    for name, (first, *others) in by_name.items():
        if not others:
            digests[Path(os.path.relpath(first, root)).as_posix()] = file_digest(first)
            continue
        each = "".join(f"{path.parent.name}\0{file_digest(path)}\n" for path in (first, *others))
        digests[name] = hashlib.sha256(os.fsencode(each)).hexdigest()
    return digests


def clips_fingerprint(paths: Iterable[Path | str]) -> dict[str, Any]:
    """Return the same of clips: their folders do not count.

    Args:
        paths: The files; of one that is missing the size is -1.
    """
    sizes = []
    for path in sorted({str(path) for path in paths}):
        try:
            sizes.append((os.path.basename(path), os.stat(path).st_size))
        except OSError:
            sizes.append((os.path.basename(path), -1))
    return _names_and_sizes(sizes)


def _names_and_sizes(sizes: list[tuple[str, int]]) -> dict[str, Any]:
    lines = "".join(f"{name}\0{size}\n" for name, size in sorted(sizes))
    # One digest of all: that of a single name could be guessed.
    return {
        "videos": len(sizes),
        "bytes": sum(max(size, 0) for _, size in sizes),
        "names_and_sizes": hashlib.sha256(os.fsencode(lines)).hexdigest(),
    }
