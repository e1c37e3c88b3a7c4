"""What is found in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvef.data.prepare import PreparedClip
from lvef.evaluation.uncertainty import LEVEL, normal_reach


@dataclass(frozen=True)
class AnalysedBeat:
    """One beat.

    Attributes:
        ed_frame: End-diastolic frame, counted from 0.
        es_frame: End-systolic frame.
        mid_frame: The frame half-way between.
        ef: Geometric EF in percent.
        ef_std: Expected error of the geometric EF of a beat, in percent.
        edv: End-diastolic volume in the unit of `ClipAnalysis.volume`.
        esv: End-systolic volume that goes with `ef`.
        quality: 0 to 1.
        by_motion: EF by optical flow before calibration.
        by_contours: EF between the contours at ED and ES before calibration.
        contrast: How well the edge is seen, see `lvef.cardiac.edge_contrast`.
        ef_reach: How many times `ef_std` the stated interval reaches to either side of `ef`.
    """

    ed_frame: int
    es_frame: int
    mid_frame: int
    ef: float
    ef_std: float
    edv: float
    esv: float
    quality: float
    by_motion: float
    by_contours: float
    contrast: float = 0.0
    ef_reach: float = float(normal_reach(LEVEL))


@dataclass(frozen=True)
class ClipAnalysis:
    """What was found in a clip.

    Attributes:
        clip: The prepared clip.
        masks: `(T, 112, 112)` bool, the ventricle in the prepared frames.
        area: `(T,)` area of the ventricle in square pixels of the file's own pictures, NaN where
            none was found.
        length: `(T,)` its long axis in those pixels.
        volume: `(T,)` its single-plane volume by the method of disks, in `volume_unit`.
        volume_unit: "mL" where the clip states its scale, else "cubic pixels".
        curve: `(T,)` how full the ventricle is, the curve that beats were found in; around 0.
        beats: The good beats; none where the clip is refused, but for a two-chamber view.
        ef: Median geometric EF of the good beats in percent; NaN where the clip is refused.
        ef_std: Spread of EF over the good beats and expected error of geometry, in percent.
        quality: 0 to 1.
        reason: Why the clip is refused, in words; empty where it is not.
        contours: Carried contours by beat: from ED to ES, `(n, points, 2)` in prepared pixels.
        view: The view that was seen, see `lvef.models.segmentation.view_head.VIEWS`, or `other`;
            empty where the weights have no head that sees it.
        p_a4c: Probability of an upright apical four-chamber view; NaN likewise.
        gated: Whether the clip is refused for its view or for the order of its frames. A
            two-chamber view that is refused so keeps its beats.
        forwards: Log-odds, on phantoms, that time runs forwards; NaN where that is not known.
    """

    clip: PreparedClip = field(repr=False)
    masks: NDArray[np.bool_] = field(repr=False)
    area: NDArray[np.float64] = field(repr=False)
    length: NDArray[np.float64] = field(repr=False)
    volume: NDArray[np.float64] = field(repr=False)
    volume_unit: str
    curve: NDArray[np.float64] = field(repr=False)
    beats: tuple[AnalysedBeat, ...]
    ef: float
    ef_std: float
    quality: float
    reason: str
    contours: tuple[NDArray[np.float64], ...] = field(default=(), repr=False)
    view: str = ""
    p_a4c: float = float("nan")
    gated: bool = False
    forwards: float = float("nan")

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.clip.fps

    @cached_property
    def lv_masks(self) -> NDArray[np.bool_]:
        """The ventricle in every frame, `(T, H, W)` at the size of the file's own pictures."""
        return self.lv_masks_of(range(len(self.masks)))

    def lv_masks_of(self, frames: Sequence[int]) -> NDArray[np.bool_]:
        """Return the ventricle in some frames, `(n, H, W)` as `lv_masks` has it.

        Args:
            frames: Which, counted from 0.
        """
        clip, masks = self.clip, self.masks[list(frames)]
        unchanged = clip.square.side == clip.height == clip.width == masks.shape[1]
        if unchanged and clip.stored is None:
            return masks
        height, width, left, top = clip.stored or (clip.height, clip.width, 0, 0)
        whole = np.zeros((len(masks), height, width), bool)
        inner = whole[:, top : top + clip.height, left : left + clip.width]
        for place, mask in zip(inner, masks, strict=True):
            place[:] = clip.square.paste(mask, clip.height, clip.width)
        return whole

    def plot(self, before: bool = False) -> Any:
        """Return a matplotlib figure: frames with contours, the curve, the beats and the EF.

        Args:
            before: Show also the first frame and what was cut from it. Text outside the sector is
                blanked in all of them; the title says where that could not be done.
        """
        from lvef.analysis.plot import plot_analysis

        return plot_analysis(self, before)

    def _repr_png_(self) -> bytes:
        """Show the figure where a notebook's cell ends in an analysis."""
        picture = BytesIO()
        self.plot().savefig(picture, dpi=90)
        return picture.getvalue()
