"""What a DICOM object is: an ultrasound loop of 2D pictures or not, its region, scale and times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.tag import Tag

from lvef.data.formats.dicom.file import OpenFile
from lvef.data.formats.dicom.pixels import Frames, locate
from lvef.data.formats.dicom.timing import RATE_TAGS, frame_times, steps_in_space
from lvef.errors import VideoError

Region = tuple[int, int, int, int]

# Colour model and layout, window, palettes: group 0028 is about pixels alone.
_PIXELS = [*range(0x00280002, 0x00280104), *range(0x00281050, 0x00281224)]
HEADER: list[Any] = [
    *(
        Tag(keyword)
        for keyword in (
            "ImageType", "SOPClassUID", "Modality", "SequenceOfUltrasoundRegions", *RATE_TAGS
        )
    ),
    *_PIXELS,
]  # fmt: skip
"""The tags that are read; none of them names a patient."""

_VOLUMES = (
    uid.EnhancedUSVolumeStorage,
    "1.2.840.113543.6.6.1.3.10001",  # Philips 3D, private
    "1.2.840.113543.6.6.1.3.10002",
)
_FORMATS = {2: "M-mode", 3: "spectral Doppler", 4: "a waveform", 5: "graphics"}
# ImageType's fourth value is a sum of these (PS3.3 C.8.5.6.1.1).
_IS_2D, _ARE_SLICES = 0x0001, 0x0400
_TRACES = {
    0x0002: "M-mode", 0x0004: "CW Doppler", 0x0008: "PW Doppler", 0x0020: "colour M-mode",
    0x0040: "a 3D rendering",
}  # fmt: skip


@dataclass(frozen=True)
class DicomHeader:
    """What is known of a loop of two or more frames before its pixels are decoded.

    Attributes:
        num_frames: How many frames it holds.
        height: Height of the stored pictures in pixels.
        width: Width of them.
        region: `(x0, y0, x1, y1)` of the 2D picture in them, `x1` and `y1` just outside it; None
            where the file does not tell.
        millimetres_per_pixel: Scale; None where the file does not tell.
        times: `(num_frames,)` seconds from the first frame; None where the file does not tell.
        untimed: Why `times` is None, else empty.
    """

    num_frames: int
    height: int
    width: int
    region: Region | None
    millimetres_per_pixel: float | None
    times: NDArray[np.float64] | None = field(repr=False, compare=False)
    untimed: str

    @property
    def fps(self) -> float | None:
        """Frames a second by the median interval."""
        if self.times is None:
            return None
        return round(float(1 / np.median(np.diff(self.times))), 6)

    def cut(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the 2D picture of `(..., H, W, 3)` frames; all of them where it is not known."""
        if self.region is None:
            return frames
        x0, y0, x1, y1 = self.region
        return np.ascontiguousarray(frames[..., y0:y1, x0:x1, :])


def read_header(file: OpenFile) -> tuple[DicomHeader, Frames]:
    """Return what a file is, and where its frames lie.

    Raises:
        VideoError: It is no ultrasound loop, or holds other frames than it says.
    """
    dataset = file.dataset
    _check_kind(dataset, file.start >= 0)
    region, scale = _region(dataset)
    frames = locate(file)
    layout = frames.layout
    times, untimed = frame_times(dataset, frames.count)
    header = DicomHeader(
        frames.count, layout.rows, layout.columns, region, scale, times, untimed
    )  # fmt: skip
    return header, frames


def _check_kind(dataset: Any, has_pixels: bool) -> None:
    """Refuse what is no loop of 2D ultrasound, by what it is."""
    kind = uid.UID(str(dataset.get("SOPClassUID") or ""))
    name = f" ({kind.name!r})" if kind.name != kind else ""  # never an identifier
    modality = dataset.get("Modality")
    if kind in _VOLUMES or _image_bits(dataset) & _ARE_SLICES or steps_in_space(dataset):
        what = f"a 3D volume{name if kind in _VOLUMES else ''}"
        raise VideoError(f"{what}, whose frames are slices and not moments: export a 2D loop")
    if "Secondary Capture" in kind.name and modality != "US":
        raise VideoError(
            f"a secondary capture{name} that does not say it is ultrasound: export the loop "
            "itself or, where you know that it is an echo, set Modality to US"
        )
    if modality == "IVUS":
        raise VideoError("intravascular ultrasound, not an echocardiogram")
    if modality != "US" and "Ultrasound" not in kind.name:
        raise VideoError(f"not an ultrasound loop{f' but {kind.name!r}' if name else ''}")
    if not has_pixels:
        raise VideoError(
            f"no pixel data{name}: a measurement, a report, or a file that is cut short"
        )


def _image_bits(dataset: Any) -> int:
    """Return what ImageType says that is seen, 0 where it does not say."""
    try:
        value = str(dataset.get("ImageType")[3])
        return int(value, 16) if len(value) == 4 else 0
    except (TypeError, ValueError, IndexError):
        return 0


def _region(dataset: Any) -> tuple[Region | None, float | None]:
    """Return the largest 2D region, tissue before colour flow, and its scale (PS3.3 C.8.5.5)."""
    regions = dataset.get("SequenceOfUltrasoundRegions") or []
    candidates = []
    for region in regions:
        box = _box(region, dataset)
        kind = region.get("RegionDataType")
        if region.get("RegionSpatialFormat") == 1 and kind in (1, 2) and box is not None:
            area = (box[2] - box[0]) * (box[3] - box[1])
            candidates.append((-kind, area, box, region))
    if not candidates:
        _check_2d(dataset, regions)
        return None, None
    _, _, box, region = max(candidates, key=lambda each: each[:2])
    units = [region.get(f"PhysicalUnits{axis}Direction") for axis in "XY"]
    x, y = (abs(float(region.get(f"PhysicalDelta{axis}") or 0)) for axis in "XY")
    scaled = units == [3, 3] and 0 < x < np.inf and abs(y / x - 1) < 0.02  # cm, both axes alike
    return box, 10 * x if scaled else None


def _box(region: Any, dataset: Any) -> Region | None:
    """Return a region's place within the picture; None where there is nothing of it."""
    try:
        x0, y0 = max(0, region.RegionLocationMinX0), max(0, region.RegionLocationMinY0)
        x1 = min(int(dataset.Columns), region.RegionLocationMaxX1 + 1)
        y1 = min(int(dataset.Rows), region.RegionLocationMaxY1 + 1)
    except (AttributeError, TypeError, ValueError):  # missing or garbled
        return None
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _check_2d(dataset: Any, regions: Any) -> None:
    """Refuse an object without a 2D region that says what it shows instead."""
    formats = {region.get("RegionSpatialFormat") for region in regions}
    shown = [name for number, name in _FORMATS.items() if number in formats]
    bits = _image_bits(dataset)
    if not regions and not bits & _IS_2D:
        shown = [name for bit, name in _TRACES.items() if bits & bit]
    if regions or shown:
        instead = f" but {' and '.join(shown)}" if shown else ""
        raise VideoError(f"no 2D picture in it{instead}: export a 2D loop")
