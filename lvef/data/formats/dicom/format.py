"""DICOM files as clips: of a loop with regions, the 2D picture is cut out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.base import ClipInfo, check_picture
from lvef.data.formats.dicom.file import DICOM_EXTENSIONS, begins_dicom
from lvef.data.formats.dicom.reader import dicom_header, iter_frames, read


class DicomFormat:
    """Ultrasound loops in DICOM files."""

    name = "DICOM"
    extensions: tuple[str, ...] = DICOM_EXTENSIONS

    def recognises(self, head: bytes) -> bool:
        """Tell a DICOM file by its prefix, a bare data set by its first elements."""
        return begins_dicom(head)

    def info(self, file: BinaryIO) -> ClipInfo:
        """Return what the tags say."""
        header = dicom_header(file)
        check_picture(header.height, header.width)
        stored = None
        if header.region is not None:
            stored = (header.height, header.width, *header.region[:2])
        untimed = (
            "the file does not say how many frames a second it holds "
            f"({header.untimed}; set FrameTime)"
        )
        return ClipInfo(
            header.num_frames,
            header.times,
            untimed if header.times is None else "",
            header.millimetres_per_pixel,
            stored,
        )

    def read(self, file: BinaryIO, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return the frames asked for."""
        return dicom_header(file).cut(read(file, indices))

    def stream(self, file: BinaryIO) -> Iterator[NDArray[np.uint8]]:
        """Yield every frame."""
        header = dicom_header(file)
        for picture in iter_frames(file):
            yield header.cut(picture)
