"""Whose a DICOM file is, and which: what objects that are derived from it take over from it.

Nothing else in this package reads these tags. Values that DICOM does not allow are taken for not
known, as the objects that take them over would be refused.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from lvef.data.formats.dicom.file import OpenFile, opened
from lvef.data.formats.dicom.header import HEADER
from lvef.data.formats.dicom.pixels import locate
from lvef.data.formats.dicom.reader import in_our_words
from lvef.errors import VideoError

_KNOWN = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""What is stated even where it is not known, and then empty (type 2)."""
_FURTHER = (
    "IssuerOfPatientID", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight",
    "InstanceNumber", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber",
    "SoftwareVersions", "StationName", "InstitutionName", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
_UIDS = {
    "StudyInstanceUID": "study", "SeriesInstanceUID": "series", "SOPInstanceUID": "instance",
    "SOPClassUID": "class",
}  # fmt: skip
_TAGS = [
    *HEADER,
    *map(Tag, (*_KNOWN, *_FURTHER, *_UIDS, "SpecificCharacterSet", "LossyImageCompression")),
]
_SEXES = ("M", "F", "O")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_AGE = re.compile(r"\d{3}[DWMY]")
_LOSSY = {
    uid.JPEGBaseline8Bit: "ISO_10918_1", uid.JPEGExtended12Bit: "ISO_10918_1",
    uid.MPEG2MPML: "ISO_13818_2", uid.MPEG2MPHL: "ISO_13818_2",
    uid.MPEG4HP41: "ISO_14496_10", uid.MPEG4HP41BD: "ISO_14496_10",
    uid.MPEG4HP422D: "ISO_14496_10", uid.MPEG4HP423D: "ISO_14496_10",
    uid.MPEG4HP42STEREO: "ISO_14496_10", uid.HEVCMP51: "ISO_23008_2",
    uid.HEVCM10P51: "ISO_23008_2",
}  # fmt: skip
"""What LossyImageCompressionMethod calls transfer syntaxes that always lose something."""


def read_identity(path: Path) -> Dataset:
    """Return whose a loop is, of which study and series, and which instance it is.

    Args:
        path: The file.

    Returns:
        `StudyInstanceUID`, `SeriesInstanceUID`, `SOPInstanceUID`, `SOPClassUID`, `NumberOfFrames`,
        `Rows`, `Columns`, `SamplesPerPixel`, `Modality`, `LossyImageCompression`, what names
        the patient and the study (empty where it is not known), and as far as they are stated age,
        size and weight, the machine and where it stood. Text is decoded; `SpecificCharacterSet` is
        there, as UTF-8, where it goes beyond ASCII.

    Raises:
        VideoError: It cannot be read, holds other frames than it says, or does not say which
            instance of which study it is.
    """

    def read() -> Dataset:
        with opened(path, _TAGS) as file:
            return _identity(file)

    return in_our_words(path, read)


def _identity(file: OpenFile) -> Dataset:
    stated = file.dataset
    found = Dataset()
    for keyword, what in _UIDS.items():
        value = _text(stated, keyword)
        if not value:
            raise VideoError(f"no {keyword}: nothing can say of which {what} it is")
        setattr(found, keyword, value)
    frames = locate(file)
    layout = frames.layout
    found.Modality = "US"
    found.NumberOfFrames, found.Rows, found.Columns = frames.count, layout.rows, layout.columns
    found.SamplesPerPixel = layout.samples
    for keyword in _KNOWN:
        setattr(found, keyword, _allowed(keyword, _text(stated, keyword)))
    for keyword in _FURTHER:
        value = _allowed(keyword, _text(stated, keyword))
        if value:
            setattr(found, keyword, value)
    _state_loss(found, file, _text(stated, "LossyImageCompression"))
    if not all(str(element.value).isascii() for element in found):
        found.SpecificCharacterSet = "ISO_IR 192"
    return found


def _text(dataset: Any, keyword: str) -> str:
    """Return a value as text, several with backslashes between; empty where it is not readable."""
    try:
        value = dataset.get(keyword)
        several = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
        return "\\".join("" if each is None else str(each) for each in several).strip(" \0")
    except Exception:  # a garbled value raises nearly anything
        return ""


def _allowed(keyword: str, value: str) -> str:
    """Return a value, or nothing where DICOM has none such."""
    if keyword in ("PatientBirthDate", "StudyDate"):
        return value if _is_date(value) else ""
    if keyword == "StudyTime":
        return value if _TIME.fullmatch(value) else ""
    if keyword == "PatientSex":
        return value if value in _SEXES else ""
    if keyword == "PatientAge":
        return value if _AGE.fullmatch(value) else ""
    if keyword in ("PatientSize", "PatientWeight"):
        return value if re.fullmatch(r"\d+(\.\d+)?", value) and len(value) <= 16 else ""
    if keyword == "InstanceNumber":
        return value if re.fullmatch(r"[1-9]\d{0,8}", value) else ""
    return value


def _is_date(value: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{8}", value) and datetime.strptime(value, "%Y%m%d"))
    except ValueError:
        return False


def _state_loss(found: Dataset, file: OpenFile, stated: str) -> None:
    """State whether the pixels were ever compressed with a loss, as what is made of them must."""
    method = _LOSSY.get(file.syntax)
    lossy = stated == "01" or method is not None
    found.LossyImageCompression = "01" if lossy else "00"
    if not lossy:
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            found.pop(keyword, None)
    elif method is not None and "LossyImageCompressionMethod" not in found:
        samples = found.Rows * found.Columns * found.NumberOfFrames * found.SamplesPerPixel
        found.LossyImageCompressionRatio = f"{samples / max(1, file.stored):.2f}"
        found.LossyImageCompressionMethod = method
