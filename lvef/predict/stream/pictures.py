"""Where pictures of clips go, and the preview as a file."""

from __future__ import annotations

from pathlib import Path

import cv2

from lvef.analysis.overlay import preview
from lvef.analysis.result import ClipAnalysis
from lvef.data.sector import shown_sector
from lvef.data.shown import picture_name
from lvef.files import write_bytes
from lvef.predict.record import file_name

_JPEG = 88


def picture_path(folder: Path, name: str, ending: str) -> Path:
    """Return where a picture of a clip goes: in folders as the clips lie."""
    *folders, last = (file_name(part) for part in name.split("/"))
    return folder.joinpath(*folders, f"{last}{ending}")


def write_preview(analysis: ClipAnalysis, path: Path) -> Path:
    """Write a JPEG of a clip's ED and ES with contours, the area curve, its beats and the EF.

    What lies outside the sector is blanked. Where no sector can be told, the file's name says so:
    `NAME.text-not-removed.jpg`.

    Args:
        analysis: What was found in a clip.
        path: File to write, `.jpg`; its folder is made.

    Returns:
        The file that was written.

    Raises:
        OutputError: It cannot be written.
    """
    sector = shown_sector(analysis.clip.frames)
    path = path.with_name(picture_name(path.stem, sector) + path.suffix)
    picture = cv2.cvtColor(preview(analysis, sector), cv2.COLOR_RGB2BGR)
    _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG])
    write_bytes(path, packed.tobytes())
    return path
