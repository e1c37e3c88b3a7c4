"""DICOMDIR: the file on a medium that lists the others (DICOM PS3.3, annex F)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from lvef.data.formats.dicom.file import begins_dicomdir
from lvef.errors import DatasetError

_HEAD = 512


def is_dicomdir(path: Path | str) -> bool:
    """Tell a DICOMDIR by its first bytes."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return begins_dicomdir(head)


def dicomdir_files(path: Path | str) -> Iterator[Path]:
    """Yield the files that a DICOMDIR lists, whether they are there or not.

    Capitals of folders and names are as the medium has them, which older systems change: a name
    that is not there is looked for in small letters, too.

    Raises:
        DatasetError: It cannot be read.
    """
    path = Path(path)
    try:
        records = dcmread(path).get("DirectoryRecordSequence") or []
    except (OSError, InvalidDicomError, ValueError, EOFError, AttributeError) as error:
        raise DatasetError(f"{path}: not a readable DICOMDIR ({error})") from error
    for record in records:
        name = record.get("ReferencedFileID")
        if name is None:
            continue
        parts = [name] if isinstance(name, str) else [str(part) for part in name]
        listed = path.parent.joinpath(*parts)
        small = path.parent.joinpath(*(part.lower() for part in parts))
        yield small if small.exists() and not listed.exists() else listed
