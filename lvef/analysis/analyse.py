"""From a clip to its beats, contours and EF, with a reason where it cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from lvef.analysis.calibration import GeometryCalibration
from lvef.analysis.evened import evened, in_own_frames
from lvef.analysis.fullness import areas, filled, fullness
from lvef.analysis.gate import NO_GATE, Seen, ViewGate, in_colour
from lvef.analysis.layout import layout_fault, usable_beats
from lvef.analysis.order import order_fault
from lvef.analysis.quality import Evidence, judge
from lvef.analysis.result import AnalysedBeat, ClipAnalysis
from lvef.analysis.segment import confidence, look_closely, one_ventricle
from lvef.cardiac import (
    FoundBeat,
    carry_contour,
    chords_to_polygon,
    composite_beat,
    contour_volume,
    edge_contrast,
    ejection_fraction,
    find_beats,
    mask_tracing,
    mask_volume,
    periodicity,
)
from lvef.data.apical import A2C, A4C
from lvef.data.prepare import PreparedClip, prepare_file, prepare_frames
from lvef.data.timing import checked_rate
from lvef.errors import WeightsError
from lvef.models.inference import best_device
from lvef.models.segmentation.network import LVSegmentationNet, Painter, for_inference
from lvef.models.segmentation.weights import (
    SHIPPED,
    fill,
    read_weights,
    recalibration_of,
    weights_file,
)

_STEADY = 0.02
"""Seconds over which volumes are smoothed."""
_LEVEL = (0.7, 1.4)
"""How far the average beat may correct the EF by motion of single ones."""


class ClipAnalyser:
    """Finds the ventricle, its beats and its EF in clips.

    Args:
        weights: "shipped", or a file of segmenter weights or a checkpoint of an `LVSegmenter`.
        device: Where the network runs; see `best_device`.
        fast: Whether the network runs in bfloat16 where that is faster: on GPUs, and on CPUs that
            multiply it. EF then differs by hundredths of a point from what single precision
            finds on every machine, of one clip in twenty by more than a tenth.

    Raises:
        WeightsError: The weights cannot be read.
    """

    def __init__(
        self,
        weights: str | Path = SHIPPED,
        device: str | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        self.fast = fast
        net = LVSegmentationNet()
        tensors, metadata = read_weights(weights)
        fill(net, tensors, weights)
        self.net: Painter = for_inference(net).to(best_device(device))
        self.recalibrated = recalibration_of(metadata)
        self.trained_on = metadata.get("trained_on", "")
        if self.recalibrated.get("phantom"):
            self.trained_on = "phantoms"
        try:
            self.gate = ViewGate.read(tensors, metadata)
            if "calibration" not in metadata and weights_file(SHIPPED).is_file():
                metadata = read_weights(SHIPPED)[1]
            self.calibration = GeometryCalibration.read(metadata.get("calibration", "{}"))
        except WeightsError as error:
            raise WeightsError(f"{weights}: {error}") from error

    @property
    def remark(self) -> str:
        """What must be told of every clip that it analyses; mostly nothing."""
        return NO_GATE if self.gate is None else ""

    def __call__(
        self,
        source: str | Path | NDArray[np.uint8] | PreparedClip,
        fps: float | None = None,
        view: str = A4C,
    ) -> ClipAnalysis:
        """Analyse a clip.

        Args:
            source: A clip file, `(T, H, W)` or `(T, H, W, 3)` uint8 frames, or a
                clip that is prepared.
            fps: Frames a second; needed for frames, and overrides what a file states.
            view: A2C where it is known that the clip is a two-chamber view: such a one is then
                measured, too.

        Raises:
            VideoError: The clip cannot be read, or no echo machine has such a frame rate.
        """
        if isinstance(source, PreparedClip):
            given = {} if fps is None else {"fps": checked_rate(fps), "timing": None}
            clip = replace(source, **given)  # type: ignore[arg-type]
        elif isinstance(source, (str, Path)):
            clip = prepare_file(source, fps)
        elif fps is None:
            raise TypeError(
                "frames from memory need their frame rate: analyse_clip(frames, fps=50)"
            )
        else:
            clip = prepare_frames(source, fps)
        even = evened(clip)
        seen = Seen()

        def worth_it(told: NDArray[np.float32]) -> bool:
            nonlocal seen
            seen = Seen() if self.gate is None else self.gate.see(told, view)
            seen = in_colour(seen, even.flow)
            return _worth_measuring(seen)

        probability, _ = look_closely(self.net, even.frames, even.fps, self.fast, worth_it=worth_it)
        return in_own_frames(_analyse(even, probability, self.calibration, self.gate, seen), clip)


@lru_cache(maxsize=2)
def _shared(weights: str, _changed: int) -> ClipAnalyser:
    return ClipAnalyser(weights)


def analyse_clip(
    path_or_frames: str | Path | NDArray[np.uint8],
    fps: float | None = None,
    weights: str | Path = SHIPPED,
    view: str = A4C,
) -> ClipAnalysis:
    """Find the left ventricle, its beats and its geometric EF in a clip.

    Research use only, not for diagnosis. The shipped weights learned from phantoms alone.

    Args:
        path_or_frames: A clip file, or `(T, H, W)` or `(T, H, W, 3)` uint8 frames.
        fps: Frames a second; needed for frames, and overrides what a file states.
        weights: "shipped", or a file of segmenter weights or a checkpoint of an `LVSegmenter`.
        view: A2C where it is known that the clip is an apical two-chamber view.

    Returns:
        The analysis. A clip in which no ventricle or no beat is found, or which shows another view
        or frames out of order, has a `reason` and an `ef` of NaN.

    Raises:
        VideoError: The clip cannot be read.
        WeightsError: The weights cannot be read.
    """
    file = weights_file(weights)
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    return _shared(str(weights), changed)(path_or_frames, fps, view)


def _worth_measuring(seen: Seen) -> bool:
    """Return whether the ventricle is measured: a two-chamber view may serve biplane."""
    return not seen.fault or seen.view == A2C


def _analyse(
    clip: PreparedClip,
    probability: NDArray[np.float32],
    calibration: GeometryCalibration,
    gate: ViewGate | None,
    seen: Seen,
) -> ClipAnalysis:
    masks = one_ventricle(probability)
    sure = confidence(probability, masks)
    area = areas(masks)
    shapes = np.array([mask_volume(mask) for mask in masks])
    curve, agreement = fullness(clip.frames, clip.fps, masks)
    found = find_beats(curve, clip.fps) if _worth_measuring(seen) else []
    usable = usable_beats(found, clip.frames, clip.fps)
    motions = _motions(clip, masks, shapes[:, 0], usable)
    pairs = [calibration.both(m.ef_by_motion, m.ef_by_contours, m.contrast) for m in motions]
    efs = np.array(pairs).reshape(-1, 2).T
    evidence = Evidence(
        frames=len(masks),
        fps=clip.fps,
        confidence=sure,
        area=area,
        masks=masks,
        sector=clip.sector,
        agreement=agreement,
        periodicity=periodicity(curve, clip.fps)[1] if usable else 0.0,
        spans=tuple((beat.ed_frame, beat.end_frame + 1) for beat in usable),
        depths=np.array([beat.depth for beat in usable]),
        ef_by_motion=efs[0],
        ef_by_contours=efs[1],
        fault=layout_fault(clip),
        disorder=order_fault(clip.frames, clip.fps, curve, usable, gate),
        other_view=seen.fault,
    )
    verdict = judge(evidence)
    refused = bool(verdict.reason)
    kept = not refused or (verdict.gated and seen.view == A2C)
    pixels, scale = clip.pixels, clip.millimetres_per_pixel
    cubic = pixels**3 * (scale**3 / 1000 if scale else 1.0)
    beats, contours = [], []
    for beat, motion, quality in zip(usable, motions, verdict.beats, strict=True):
        if not kept or quality <= 0:
            continue
        ef = calibration.combined(motion.ef_by_motion, motion.ef_by_contours, motion.contrast)
        edv = motion.edv * cubic
        beats.append(
            AnalysedBeat(
                beat.ed_frame,
                beat.es_frame,
                beat.mid_frame,
                ef,
                calibration.std,
                edv,
                edv * (1 - ef / 100),
                quality,
                motion.ef_by_motion,
                motion.ef_by_contours,
                motion.contrast,
                calibration.reach,
            )
        )
        contours.append(motion.contours)
    efs = np.array([beat.ef for beat in beats])
    return ClipAnalysis(
        clip=clip,
        masks=masks,
        area=area * pixels**2,
        length=shapes[:, 1] * pixels,
        volume=shapes[:, 0] * cubic,
        volume_unit="mL" if scale else "cubic pixels",
        curve=curve,
        beats=tuple(beats),
        ef=float("nan") if refused else float(np.median(efs)),
        ef_std=float("nan") if refused else float(np.hypot(calibration.std, efs.std())),
        quality=verdict.quality if kept or not verdict.gated else 0.0,
        reason=verdict.reason,
        contours=tuple(contours),
        view=seen.view,
        p_a4c=seen.p_a4c,
        gated=verdict.gated,
        forwards=float("nan") if gate is None else gate.forwards(curve, clip.fps),
    )


@dataclass(frozen=True)
class _Motion:
    """EF of a beat in percent by both ways, uncalibrated; EDV and contours in prepared pixels.

    `contrast` is that of the edge, mean of ED and ES.
    """

    ef_by_motion: float
    ef_by_contours: float
    contrast: float
    edv: float
    contours: NDArray[np.float64]


def _motions(
    clip: PreparedClip,
    masks: NDArray[np.bool_],
    volumes: NDArray[np.float64],
    beats: Sequence[FoundBeat],
) -> list[_Motion]:
    """Return what each beat shows, their EF by motion brought to the level of the average beat.

    Averaged frames have less noise to lead the flow astray; how beats differ, each tells itself.
    """
    if not beats:
        return []
    steady = gaussian_filter1d(filled(volumes), _STEADY * clip.fps)
    motions = [_motion(clip, masks, [beat]) for beat in beats]
    average = _motion(clip, masks, beats).ef_by_motion if len(beats) > 1 else np.nan
    alone = np.array([motion.ef_by_motion for motion in motions])
    middle = float(np.median(alone[np.isfinite(alone)])) if np.isfinite(alone).any() else 0.0
    known = np.isfinite(average) and middle > 1.0
    level = float(np.clip(average / middle, *_LEVEL)) if known else 1.0
    return [
        replace(
            motion,
            ef_by_motion=level * motion.ef_by_motion,
            ef_by_contours=float(ejection_fraction(steady[beat.ed_frame], steady[beat.es_frame])),
            contrast=_contrast(clip, masks, beat),
        )
        for motion, beat in zip(motions, beats, strict=True)
    ]


def _motion(clip: PreparedClip, masks: NDArray[np.bool_], beats: Sequence[FoundBeat]) -> _Motion:
    """Return how the contour that the beats have on average at ED is carried to ES."""
    nan = float("nan")
    composite = composite_beat(clip.frames, beats)
    painted = composite_beat(masks.astype(np.uint8) * 255, beats)[0] > 127
    start = mask_tracing(painted)
    if start is None:
        return _Motion(nan, nan, 0.0, nan, np.empty((0, 0, 2)))
    carried = carry_contour(composite, chords_to_polygon(start[1:]))
    edv, esv = contour_volume(carried[0]), contour_volume(carried[-1])
    return _Motion(float(ejection_fraction(edv, esv)), nan, 0.0, edv, carried)


def _contrast(clip: PreparedClip, masks: NDArray[np.bool_], beat: FoundBeat) -> float:
    ends = (beat.ed_frame, beat.es_frame)
    return float(np.mean([edge_contrast(clip.frames[frame], masks[frame]) for frame in ends]))
