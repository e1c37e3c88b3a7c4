"""What the report shows of one case."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lvef.cardiac import PICTURE_SIZE
from lvef.figures.heat_maps import overlay_image

_QUALITY = 82


@dataclass(frozen=True)
class CaseFrame:
    """A key frame.

    Attributes:
        name: EDF, ESF or MF, and of the two-chamber view EDF_A2C, ESF_A2C or MF_A2C.
        number: Which frame of the clip, from 0.
        picture: The frame as a data URI.
        heat: Its heat map as a data URI; None where the model did not see the frame.
        contour: LV contour as x, y in pixels of the picture; None where there is none.
        contour_source: Who drew it.
    """

    name: str
    number: int
    picture: str
    heat: str | None = None
    contour: list[list[float]] | None = None
    contour_source: str = ""


@dataclass(frozen=True)
class CaseCurve:
    """The LV area over time.

    Attributes:
        fps: Frames a second.
        area: A value a frame in square pixels; None where no ventricle was found.
        source: Who measured it.
        ed_frames: End-diastolic frames of the beats.
        es_frames: End-systolic frames of the beats.
    """

    fps: float
    area: list[float | None]
    source: str
    ed_frames: list[int] = field(default_factory=list)
    es_frames: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class CaseBeat:
    """A beat: its frames, and EF in percent by the model and by geometry."""

    ed_frame: int
    es_frame: int
    mid_frame: int | None
    ef: float | None
    ef_geometric: float | None
    p_reduced: float | None


@dataclass(frozen=True)
class ReportCase:
    """A case; EF in percent, None where it is not known.

    Attributes:
        number: Its number in the report, from 1; no file is named.
        status: `ok` or `failed`.
        reason: Why it failed.
        ef_true: True EF.
        ef: Predicted EF.
        ef_std: Its standard deviation.
        ef_lower: Lower end of the interval.
        ef_upper: Upper end of the interval.
        p_reduced: Probability of EF <= 40.
        reduced: Whether it was called reduced.
        wrong: Whether that is wrong.
        review: Whether a human should look.
        why: Why, in words.
        picture_size: Height and width of the pictures in pixels.
        frames: EDF, ESF and, where ED and ES are of one beat, MF.
        beats: Beats that were found.
        curve: The LV area, where it is known.
    """

    number: int
    status: str = "ok"
    reason: str = ""
    ef_true: float | None = None
    ef: float | None = None
    ef_std: float | None = None
    ef_lower: float | None = None
    ef_upper: float | None = None
    p_reduced: float | None = None
    reduced: bool | None = None
    wrong: bool | None = None
    review: bool = False
    why: str = ""
    picture_size: int = PICTURE_SIZE
    frames: list[CaseFrame] = field(default_factory=list)
    beats: list[CaseBeat] = field(default_factory=list)
    curve: CaseCurve | None = None

    def plain(self) -> dict[str, Any]:
        """Return the case as plain data."""
        return asdict(self)


def picture_uri(frame: NDArray[np.uint8]) -> str:
    """Return a `(3, H, W)` or `(H, W, 4)` uint8 picture as a data URI."""
    image = Image.fromarray(frame if frame.shape[-1] == 4 else np.moveaxis(frame, 0, -1))
    if image.mode == "RGB" and (frame[0] == frame[1]).all() and (frame[0] == frame[2]).all():
        image = image.convert("L")
    written = BytesIO()
    image.save(written, "WEBP", quality=_QUALITY, method=3)
    return "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode()


def heat_uri(saliency: NDArray[np.floating], scale: float) -> str:
    """Return a heat map `(H, W)` as a data URI, clear where nothing was found."""
    return picture_uri(overlay_image(saliency, scale))
