"""Which study a DICOM file is of, and which view of the heart it says that it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.tag import Tag

from lvef.data.formats.dicom.file import is_dicom, opened
from lvef.data.formats.dicom.reader import in_our_words
from lvef.errors import VideoError

OTHER = "other"
"""A view that is stated, and is neither of the two apical ones."""
_TAGS = [Tag("StudyInstanceUID"), Tag("ViewCodeSequence")]
_APICAL = {
    "399214001": "A4C", "G-A19C": "A4C", "399232001": "A2C", "G-A19B": "A2C",
}  # fmt: skip
"""Codes of the two views (PS3.16, CID 12226): of SNOMED CT, and of its earlier identifiers."""
_SCHEMES = ("SCT", "SRT", "DCM", "SNM3", "99SDM")


@dataclass(frozen=True)
class DicomStudy:
    """What a file says of its study.

    Attributes:
        uid: StudyInstanceUID, which a hospital's archive finds a patient by: to be hashed at once,
            and never written, printed or put into a message. Empty where none is stated.
        view: "A4C", "A2C", `OTHER`, or empty where no view is stated by a known code.
    """

    uid: str = field(default="", repr=False)
    view: str = ""


def dicom_study(path: Path) -> DicomStudy:
    """Return what a file says of its study; nothing of one that is no DICOM, or cannot be read.

    What is wrong with a file is told by whoever reads its pictures.
    """

    def read() -> DicomStudy:
        with opened(path, _TAGS) as file:
            uid = str(file.dataset.get("StudyInstanceUID") or "").strip().strip("\0")
            return DicomStudy(uid, _view(file.dataset))

    try:
        return in_our_words(path, read) if is_dicom(path) else DicomStudy()
    except VideoError:
        return DicomStudy()


def _view(dataset: Any) -> str:
    """Return the view that a code states (PS3.3, C.8.5.6.1.19); codes of a maker's own are none."""
    for item in dataset.get("ViewCodeSequence") or []:
        if str(item.get("CodingSchemeDesignator") or "") in _SCHEMES:
            return _APICAL.get(str(item.get("CodeValue") or ""), OTHER)
    return ""
