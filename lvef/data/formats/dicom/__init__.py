"""Read ultrasound loops from DICOM files: pixels, times, 2D region and scale, nothing else.

No tag is read that names a patient, no message quotes a text of the file or names a folder, and
frames are decoded one at a time. `file` opens a file and reads its tags, `header` says what it is,
`pixels` where its frames lie, `decode` and `colour` make pictures of them, `timing` knows when
they were taken. `study` alone reads which study a file is of, for whoever hashes that at once, and
`identity` alone whose it is, for objects that are made from it.
"""

from lvef.data.formats.dicom.file import DICOM_EXTENSIONS, is_dicom
from lvef.data.formats.dicom.header import DicomHeader, Region
from lvef.data.formats.dicom.reader import (
    MOST_AT_ONCE,
    DicomClip,
    dicom_header,
    iter_frames,
    read,
    read_dicom,
)
from lvef.data.formats.dicom.timing import RATE_TAGS

__all__ = [
    "DICOM_EXTENSIONS", "MOST_AT_ONCE", "RATE_TAGS", "DicomClip", "DicomHeader", "Region",
    "dicom_header", "is_dicom", "iter_frames", "read", "read_dicom",
]  # fmt: skip
