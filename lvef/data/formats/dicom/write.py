"""Write loops as ultrasound DICOM files, in the transfer syntaxes that archives are full of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items

from lvef.data.formats.write import encode
from lvef.files import replacing

Frames = NDArray[np.uint8]
Syntax = Literal["native", "deflated", "rle", "jpeg", "mpeg4"]
"""How a file holds its pixels; see `write_dicom`."""
SYNTAXES: tuple[Syntax, ...] = get_args(Syntax)
_UIDS = {
    "native": uid.ExplicitVRLittleEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg": uid.JPEGBaseline8Bit,
    "mpeg4": uid.MPEG4HP41,
}
_CENTIMETRES = 3
"""Unit of a region's scale (DICOM PS3.3, C.8.5.5.1.15)."""


def write_dicom(
    path: Path,
    frames: Frames,
    fps: float,
    syntax: Syntax = "native",
    box: Sequence[int] | None = None,
    centimetres: float | None = None,
    patient: str = "PHANTOM",
) -> None:
    """Write a loop as an ultrasound multi-frame image (DICOM PS3.3, A.7).

    Args:
        path: File to write.
        frames: `(T, H, W)` grey frames.
        fps: Frames a second.
        syntax: `native` and `deflated` hold the grey frames as they are, `rle` the same in colour
            (RGB, lossless), `jpeg` in colour (YBR_FULL_422, quality 95), `mpeg4` a video stream
            (H.264; even sizes).
        box: The ultrasound region: its left, upper, right and lower pixel, the last ones within.
        centimetres: Size of a pixel there; None leaves it unsaid.
        patient: Name and number of whom it shows. UIDs follow from it and the file's name, so that
            the same arguments give the same file.

    Raises:
        OutputError: The file cannot be written.
    """
    colour = syntax in ("rle", "jpeg", "mpeg4")
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = _UIDS[syntax]
    dataset.file_meta.MediaStorageSOPClassUID = uid.UltrasoundMultiFrameImageStorage
    instance = uid.generate_uid(entropy_srcs=[patient, path.stem])
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    models = {"jpeg": "YBR_FULL_422", "mpeg4": "YBR_PARTIAL_420", "rle": "RGB"}
    known: dict[str, Any] = {
        "SOPClassUID": uid.UltrasoundMultiFrameImageStorage, "SOPInstanceUID": instance,
        "StudyInstanceUID": uid.generate_uid(entropy_srcs=[patient]),
        "SeriesInstanceUID": uid.generate_uid(entropy_srcs=[patient, "series"]),
        "Modality": "US", "PatientName": patient, "PatientID": patient,
        "FrameTime": f"{1000 / fps:.6f}", "NumberOfFrames": len(frames),
        "Rows": frames.shape[1], "Columns": frames.shape[2],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": models.get(syntax, "MONOCHROME2"),
        "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
    }  # fmt: skip
    if colour:
        known["PlanarConfiguration"] = 0
    for keyword, value in known.items():
        setattr(dataset, keyword, value)
    if box is not None:
        dataset.SequenceOfUltrasoundRegions = Items([_region(box, centimetres)])
    dataset.PixelData = _pixels(frames, fps, syntax)
    dataset["PixelData"].VR = "OB"
    if syntax == "rle":  # pydicom packs what is native
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        dataset.compress(uid.RLELossless, generate_instance_uid=False)
    with replacing(path) as unfinished:
        dataset.save_as(unfinished, enforce_file_format=True)


def _region(box: Sequence[int], centimetres: float | None) -> Dataset:
    """Return the region of the tissue's picture."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0  # 2D, tissue
    item.RegionLocationMinX0, item.RegionLocationMinY0 = box[:2]
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box[2:]
    if centimetres is not None:
        item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = _CENTIMETRES
        item.PhysicalDeltaX = item.PhysicalDeltaY = centimetres
    return item


def _pixels(frames: Frames, fps: float, syntax: Syntax) -> bytes:
    """Return what the element of pixels holds."""
    if syntax == "jpeg":
        return encapsulate([_jpeg(frame) for frame in frames])
    if syntax == "mpeg4":
        video = io.BytesIO()
        encode(video, ".mp4", frames, fps)
        return encapsulate([video.getvalue()])
    shown = np.repeat(frames[..., None], 3, axis=-1) if syntax == "rle" else frames
    data = shown.tobytes()
    return data + bytes(len(data) % 2)


def _jpeg(frame: Frames) -> bytes:
    colour = np.repeat(frame[..., None], 3, axis=-1)
    done, data = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return data.tobytes()
