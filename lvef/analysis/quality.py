"""How far an analysis can be trusted, and in words why not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, generate_binary_structure

from lvef.analysis.gate import NO_HEART
from lvef.cardiac.beats import FEWEST_SECONDS

_SURE = 0.80
"""Confidence from which a mask counts as a ventricle."""
_FEWEST_FOUND = 0.6
_THERE = (0.5, 0.95)
"""Share of frames in which the ventricle is seen, from bad to good."""
_SIZES = (0.012, 0.45)
"""Share of the picture that a ventricle covers."""
_AGREEMENT = (0.4, 0.9)
"""Agreement from bad, as by chance, to good."""
_LEAST_AGREEMENT = 0.58
_LEAST_QUALITY, _FLOOR = 0.3, 1e-4
"""A part as low as the floor makes a quality that is too low, however good the others are."""
_MOST_CUT_OFF = 0.3
"""Share of the outline at or beyond the edge of the sector."""
_LEAST_EF = 2.0
"""Points of EF, by motion and contours on average, below which nothing moves."""
_LEAST_SWING = 0.12
"""Share of its largest area by which a ventricle's area changes, at least, where it beats."""
_NOTHING = "no left ventricle found"
_WIDEST_GAP = 35.0
"""Points of EF by which contours and motion may differ."""


@dataclass(frozen=True)
class Evidence:
    """What the quality of an analysis is judged by.

    Attributes:
        frames: Frames in the clip.
        fps: Frames a second.
        confidence: `(T,)` how sure the network is of each mask.
        area: `(T,)` area in prepared pixels, NaN where there is none.
        masks: `(T, H, W)` bool.
        sector: `(H, W)` bool, what the picture shows at all.
        agreement: Multiple correlation of the areas with the grey levels.
        periodicity: How well the curve repeats.
        spans: First frame of each of the n beats, and the one after its last.
        depths: `(n,)` depth of each beat against the clip's typical one.
        ef_by_motion: `(n,)` EF of each beat by motion, calibrated.
        ef_by_contours: `(n,)` EF of each beat by its two contours, calibrated.
        fault: What the screen shows in place of one picture of a heart, in words; mostly nothing.
        disorder: What is wrong with the order of the frames, in words; mostly nothing.
        other_view: That the view is another one, in words; mostly nothing.
    """

    frames: int
    fps: float
    confidence: NDArray[np.float64]
    area: NDArray[np.float64]
    masks: NDArray[np.bool_]
    sector: NDArray[np.bool_]
    agreement: float
    periodicity: float
    spans: tuple[tuple[int, int], ...]
    depths: NDArray[np.float64]
    ef_by_motion: NDArray[np.float64]
    ef_by_contours: NDArray[np.float64]
    fault: str = ""
    disorder: str = ""
    other_view: str = ""


@dataclass(frozen=True)
class Verdict:
    """The clip's quality, that of each beat (0 where it is not used), and why it is refused.

    `gated` says that it is for the view, or for the order of the frames.
    """

    quality: float
    beats: tuple[float, ...]
    reason: str
    gated: bool = False


def judge(evidence: Evidence) -> Verdict:
    """Judge an analysis.

    What is no beating four-chamber view is refused in these words: of such a clip nothing else
    means anything. Its quality is what it would have been. Where no ventricle is found, that is
    said, but for a view that is known.
    """
    verdict = _judged(evidence)
    wrong = evidence.other_view or evidence.disorder
    if verdict.reason.startswith(_NOTHING):
        wrong = "" if evidence.other_view.startswith(NO_HEART) else evidence.other_view
    if not wrong or evidence.fault or evidence.frames < FEWEST_SECONDS * evidence.fps:
        return verdict
    return Verdict(verdict.quality, verdict.beats, wrong, gated=True)


def _judged(evidence: Evidence) -> Verdict:
    """Judge an analysis of a beating four-chamber view.

    Each part is 0 to 1; a clip's quality is their geometric mean, so that one bad part is enough.
    """
    height, width = evidence.masks.shape[1:]
    share = np.nan_to_num(evidence.area) / (height * width)
    seen = (evidence.confidence >= _SURE) & (share >= _SIZES[0]) & (share <= _SIZES[1])
    share_seen = float(seen.mean())
    nothing = tuple(0.0 for _ in evidence.depths)
    if evidence.fault:
        return Verdict(0.0, nothing, evidence.fault)
    length = f"{evidence.frames} frames ({evidence.frames / evidence.fps:.2f} s)"
    if evidence.frames < FEWEST_SECONDS * evidence.fps:
        return Verdict(0.0, nothing, f"no whole beat: {length}")
    if share_seen < _FEWEST_FOUND:
        missed = f"{_NOTHING} in {100 * (1 - share_seen):.0f} % of frames"
        return Verdict(share_seen * 0.2, nothing, missed)
    if not len(evidence.depths) and _beats(evidence):
        cut = f"no whole beat: {length} hold no end-diastole with the end-systole that follows"
        return Verdict(0.0, nothing, cut)
    if not len(evidence.depths):
        return Verdict(0.0, nothing, "no beat found: nothing in the picture beats")
    gaps = np.abs(evidence.ef_by_motion - evidence.ef_by_contours)
    moves = np.isfinite(gaps) & (evidence.ef_by_motion + evidence.ef_by_contours > 2 * _LEAST_EF)
    if not np.any(moves):
        return Verdict(0.0, nothing, "no beat found: the walls do not move inwards")
    middle = float(np.median(gaps[moves]))
    there = np.array(
        [_between(float(seen[slice(*span)].mean()), *_THERE) for span in evidence.spans]
    )
    beats = np.where(
        moves & (gaps <= _WIDEST_GAP),
        there * np.clip(1 - gaps / (2 * _WIDEST_GAP), 0, 1) * np.clip(evidence.depths, 0.3, 1), 0.0,
    )  # fmt: skip
    sure = float(np.median(evidence.confidence[seen]))
    apart = "the contour and the grey levels do not move together"
    contradiction = (
        f"contours and motion disagree: EF {np.median(evidence.ef_by_contours[moves]):.0f} and "
        f"{np.median(evidence.ef_by_motion[moves]):.0f}"
    )
    parts = {
        "the contour is uncertain": _between(sure, _SURE, 0.95),
        apart: _between(evidence.agreement, *_AGREEMENT),
        "the contour comes and goes": _between(share_seen, *_THERE),
        "the ventricle is cut off by the edge of the sector": _between(
            _MOST_CUT_OFF - _cut_off(evidence.masks, evidence.sector), 0, _MOST_CUT_OFF - 0.05
        ),
        "the contour jumps": _steadiness(evidence),
        contradiction: _between(_WIDEST_GAP - middle, 0, 25.0),
    }
    if len(evidence.spans) > 1:  # one beat cannot repeat
        parts["the beats do not repeat"] = _between(evidence.periodicity, -0.2, 0.6)
    quality = float(np.exp(np.mean(np.log(np.maximum(list(parts.values()), _FLOOR)))))
    worst = min(parts, key=lambda name: parts[name])
    alone = evidence.agreement < _LEAST_AGREEMENT
    refused = quality < _LEAST_QUALITY or alone or middle > _WIDEST_GAP
    if alone:
        worst = apart
    kept = tuple(float(b * quality) for b in beats)
    if not refused and not any(kept):
        return Verdict(quality, kept, "not good enough: the contour is lost in every beat")
    return Verdict(quality, kept, f"not good enough: {worst}" if refused else "")


def _beats(evidence: Evidence) -> bool:
    """Return whether the area changes as a ventricle's does, whole beats or not."""
    low, high = np.nanpercentile(evidence.area, [5, 95])
    return bool(evidence.agreement >= _LEAST_AGREEMENT and high - low >= _LEAST_SWING * high)


def _between(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))


def _cut_off(masks: NDArray[np.bool_], sector: NDArray[np.bool_]) -> float:
    """Return the share of the masks' outlines that lies at or beyond the edge of the sector."""
    cross = generate_binary_structure(2, 1)[None]
    outlines = masks & ~binary_erosion(masks, cross)
    beyond = ~binary_erosion(sector)
    return float((outlines & beyond).sum() / max(int(outlines.sum()), 1))


def _steadiness(evidence: Evidence) -> float:
    """Return 1 where areas change as a ventricle's do between frames, less where they jump."""
    area = evidence.area[np.isfinite(evidence.area)]
    if len(area) < 3:
        return 0.0
    jump = np.median(np.abs(np.diff(area, n=2))) / max(float(np.median(area)), 1.0)
    return _between(0.12 - float(jump) * min(evidence.fps / 25.0, 2.0), 0.0, 0.1)
