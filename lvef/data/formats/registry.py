"""Every format of clips, and which of them a file has."""

from __future__ import annotations

from pathlib import Path

from lvef.data.formats.base import HEAD, ClipFormat
from lvef.data.formats.dicom.format import DicomFormat
from lvef.data.formats.ffmpeg import VideoFormat
from lvef.data.formats.nifti import NiftiFormat

FORMATS: list[ClipFormat] = [DicomFormat(), NiftiFormat(), VideoFormat()]
"""Every format, in the order in which a file's first bytes are shown to them."""
CLIP_EXTENSIONS = tuple(ending for each in FORMATS for ending in each.extensions)


def format_of(path: Path | str) -> ClipFormat | None:
    """Return the format of a file: by its first bytes, else by its extension, else None."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""
    return format_by(head, path)


def format_by(head: bytes, path: Path) -> ClipFormat | None:
    """Return the format of a file by its first `HEAD` bytes, else by its extension, else None."""
    for each in FORMATS:
        if each.recognises(head):
            return each
    return next((each for each in FORMATS if _ends(path, each.extensions)), None)


def is_clip(path: Path | str) -> bool:
    """Return whether a file may be a clip: by its extension or, where that says nothing, its bytes.

    An unreadable `.avi` is one: it shall be told, not left out.
    """
    path = Path(path)
    return _ends(path, CLIP_EXTENSIONS) or format_of(path) is not None


def _ends(path: Path, endings: tuple[str, ...]) -> bool:
    """Tell a name that has an ending and something before it; an ending may have two dots."""
    return path.name[1:].lower().endswith(endings)
