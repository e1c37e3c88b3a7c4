"""What tells two files apart that are called alike: a digest of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
