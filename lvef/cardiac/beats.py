"""Beats of a clip: end-diastole, end-systole and what lies between, from a curve of fullness."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.signal import find_peaks

from lvef.cardiac.beat import mid_frame

SLOWEST, FASTEST = 30.0, 190.0
"""Heart rates, beats a minute, that beats are looked for at."""
FEWEST_SECONDS = 0.45
"""A clip shorter than this holds no whole systole that could be told from noise."""
_COMPONENTS, _COMPONENT = 4, 0.3
"""Principal components of the grey levels, and seconds of a clip for each."""
_DRIFT = 0.7
_NOISE = 0.035
_SYSTOLE = (0.1, 0.65)
_WEAKEST = 0.25
"""Share of the clip's typical fall below which nothing is a beat."""
_FULL = 0.85
"""Share of the other beats' fall from which a systole at either end of a clip is whole."""
MOST_MISSING = 0.06
"""Seconds by which such a systole may be shorter than theirs."""
_LEAN = 0.4
"""Share of the swing, for each second, that a later end-diastole may be less full."""
_NEAR = 0.02
"""Seconds within which end-diastole is the fullest frame, late or early."""
_FILLS = 0.01
"""Share of the swing by which a ventricle that fills again is fuller than at its emptiest."""
_PAUSE = (0.03, 0.06)
"""Share of the swing, and seconds, within which a ventricle at the end of a clip has emptied."""


@dataclass(frozen=True)
class FoundBeat:
    """One beat whose whole systole lies in the clip.

    Attributes:
        ed_frame: End-diastolic frame, counted from 0.
        es_frame: End-systolic frame.
        end_frame: The next end-diastole; the last frame of the clip where it lies beyond.
        whole: Whether the next end-diastole lies in the clip.
        depth: How far the curve falls, relative to the clip's typical beat.
    """

    ed_frame: int
    es_frame: int
    end_frame: int
    whole: bool
    depth: float

    @property
    def mid_frame(self) -> int:
        """Frame half-way between ED and ES."""
        return mid_frame(self.ed_frame, self.es_frame)


def grey_components(
    frames: NDArray[np.uint8], region: NDArray[np.bool_], fps: float
) -> NDArray[np.float64]:
    """Return how the grey levels around the ventricle change, without any contour.

    The first principal components over time of the log grey levels in a region, at heart rates.
    Of a heart that beats well the first one is its beat; of one that hardly does it may be the
    probe's or the breath's motion, and the beat one of the next.

    Args:
        frames: `(T, H, W)` grey frames.
        region: `(H, W)` mask, the ventricle and its walls.
        fps: Frames a second.

    Returns:
        `(T, n)` orthonormal columns, strongest first, of unknown sign: n = 4, fewer in a clip of
        less than 1.2 s, where four could follow anything.
    """
    y, x = np.nonzero(region)
    keep = slice(None, None, max(1, len(x) // 1500))
    grey = np.stack([cv2.GaussianBlur(f, (0, 0), 2.0)[y[keep], x[keep]] for f in frames])
    band = at_heart_rates(np.log(20.0 + grey.astype(np.float64)), fps)
    left, values, _ = np.linalg.svd(band, full_matrices=False)
    count = int(np.clip(len(frames) / fps / _COMPONENT, 1, _COMPONENTS))
    return np.asarray(left[:, :count][:, values[:count] > 0])


def shared_curve(
    curve: NDArray[np.float64], components: NDArray[np.float64], fps: float
) -> tuple[NDArray[np.float64], float]:
    """Return a curve with what the grey levels do not tell of it halved, and how large that is.

    A contour and the grey levels see the same heart by different means, and err differently: the
    mean of the curve and its projection on the components is steadier than either.

    Args:
        curve: `(T,)` without NaN, such as the ventricle's area.
        components: `(T, n)` orthonormal columns, such as `grey_components`.
        fps: Frames a second.

    Returns:
        `(T,)` that mean, at heart rates, around 0, in the unit of `curve`; and the curve's multiple
        correlation with the components, 0 to 1. Two curves that have nothing in common reach
        about 0.5 by chance in the two seconds of a usual clip.
    """
    band = at_heart_rates(curve, fps)
    shared = components @ (components.T @ band)
    size = float(np.linalg.norm(band))
    return (band + shared) / 2, float(np.linalg.norm(shared)) / size if size > 0 else 0.0


def periodicity(curve: NDArray[np.float64], fps: float) -> tuple[float, float]:
    """Return the period of a curve in seconds and how well it repeats, 0 to 1.

    Both by the highest peak of the autocorrelation between the slowest and the fastest heart
    rate. A clip of less than one and a half beats cannot repeat: its score is 0.
    """
    band = at_heart_rates(curve, fps)
    count = len(band)
    lags = np.arange(max(2, int(60 / FASTEST * fps)), min(int(60 / SLOWEST * fps), count * 2 // 3))
    if len(lags) < 3 or not np.any(band):
        return 60 / 75, 0.0
    score = np.array([_correlation(band[lag:], band[:-lag]) for lag in lags])
    peaks, _ = find_peaks(score)
    if not len(peaks) or score[peaks].max() <= 0:
        return 60 / 75, 0.0
    # Two periods repeat as well as one: the first peak that is nearly the highest counts.
    best = next(p for p in peaks if score[p] >= 0.85 * score[peaks].max())
    return float(lags[best] / fps), float(np.clip(score[best], 0, 1))


def find_beats(curve: NDArray[np.float64], fps: float) -> list[FoundBeat]:
    """Find the beats of a clip.

    Args:
        curve: `(T,)` how full the ventricle is in each frame, in any unit; NaN where unknown.
        fps: Frames a second.

    Returns:
        Beats in order, each with its end-diastole and end-systole inside the clip. A clip may
        begin at end-diastole and end at end-systole: a systole at either end counts where the
        other beats say that it is whole, and one that is cut off is left out.
    """
    if len(curve) < FEWEST_SECONDS * fps or np.isfinite(curve).sum() < 4:
        return []
    clean = _despiked(curve, fps)
    smooth = gaussian_filter1d(at_heart_rates(clean, fps), _NOISE * fps)
    swing = float(np.subtract(*np.percentile(smooth, [95, 5])))
    if swing <= 0:
        return []
    period = periodicity(clean, fps)[0] * fps
    troughs, _ = find_peaks(-_padded(smooth), prominence=_WEAKEST * swing, distance=0.25 * period)
    troughs = troughs[(troughs > 1) & (troughs <= len(smooth))] - 1
    edges = [0, *troughs.tolist(), len(smooth) - 1]
    longest = int(_SYSTOLE[1] * fps)
    leaning = smooth + _LEAN * swing / fps * np.arange(len(smooth))
    diastoles = [_fullest(leaning, start, end, longest) for start, end in pairwise(edges[:-1])]
    diastoles.append(_fullest(leaning, edges[-2], edges[-1], len(smooth)))
    near = max(round(_NEAR * fps), 1)
    diastoles = [_highest(smooth, frame - near, frame + near) for frame in diastoles]
    return _beats(smooth, troughs.tolist(), diastoles, swing, fps)


def _beats(
    curve: NDArray[np.float64],
    troughs: list[int],
    diastoles: list[int],
    swing: float,
    fps: float,
) -> list[FoundBeat]:
    """Return the beats between the troughs of a curve, each with the diastole before and after."""
    if not troughs:
        return []
    last = len(curve) - 1
    refilled = curve[diastoles[-1]] - curve[troughs[-1]]
    stops = troughs[-1] == last or refilled < _FILLS * swing
    if stops:
        troughs = [*troughs[:-1], _emptied(curve, diastoles[-2], swing)]
    systoles = np.stack([diastoles[:-1], troughs], axis=1)
    falls, seconds = -np.diff(curve[systoles])[:, 0], np.diff(systoles)[:, 0] / fps
    typical = float(np.median(falls))
    likely = (falls >= _WEAKEST * typical) & (seconds >= _SYSTOLE[0]) & (seconds <= _SYSTOLE[1])
    at_start = systoles[:, 0] < 1
    at_end = np.arange(len(systoles)) == (len(systoles) - 1 if stops else -1)
    inner = likely & (falls >= typical / 2) & ~at_start & ~at_end
    beats = []
    for number in np.flatnonzero(likely):
        (ed, es), following = systoles[number].tolist(), diastoles[number + 1]
        others = systoles[inner & (np.arange(len(systoles)) != number)]
        begun = not at_start[number] or (
            _agrees(curve, (ed, es), others, 0, fps)
            if len(others)
            else falls[number] >= _FULL * max(typical, curve[following] - curve[es])
        )
        paused = last - es >= _PAUSE[1] * fps
        emptied = not at_end[number] or paused or _agrees(curve, (ed, es), others, 1, fps)
        if begun and emptied:
            whole = number + 1 < len(systoles) or (not stops and following < last - 1)
            end = following if whole else last
            depth = float(falls[number] / typical)
            beats.append(FoundBeat(ed, es, int(end), bool(whole), depth))
    return beats


def _agrees(
    curve: NDArray[np.float64],
    systole: tuple[int, int],
    others: NDArray[np.int64],
    side: int,
    fps: float,
) -> bool:
    """Return whether a systole that begins or ends with the clip is whole, by the other beats.

    It is about as long as theirs, and falls as far or, in a weaker beat, from or to their level.

    Args:
        curve: `(T,)`.
        systole: Its first and last frame.
        others: `(n, 2)` the same of the beats that lie well inside the clip, perhaps none.
        side: Which of its two frames lies at the end of the clip.
        fps: Frames a second.
    """
    if not len(others):
        return False
    full, empty = np.median(curve[others], axis=0)
    slack = (1 - _FULL) * (full - empty)
    begin, end = curve[list(systole)]
    level = begin >= full - slack if side == 0 else end <= empty + slack
    missing = np.median(np.diff(others)) - (systole[1] - systole[0])
    return bool((begin - end >= full - empty - slack or level) and missing <= MOST_MISSING * fps)


def _fullest(leaning: NDArray[np.float64], start: int, end: int, longest: int) -> int:
    """Return the frame of end-diastole between two frames: the fullest, late rather than early.

    Filling may pause for long, and the curve drifts; end-diastole is where systole starts, not
    where the pause does: the curve leans towards the later. Where the fullest lies further before
    the end than `longest`, the longest systole, the fullest peak within that is taken, if there
    is one.
    """
    fullest, earliest = _highest(leaning, start, end), max(end - longest, start)
    if fullest < earliest:
        peaks = find_peaks(leaning[earliest : end + 1])[0] + earliest
        fullest = int(max(peaks, key=leaning.__getitem__, default=fullest))
    return fullest


def _highest(curve: NDArray[np.float64], first: int, last: int) -> int:
    first = max(first, 0)
    return first + int(np.argmax(curve[first : last + 1]))


def _emptied(curve: NDArray[np.float64], start: int, swing: float) -> int:
    """Return the frame after `start` from which the curve stays at its lowest until its end."""
    higher = np.flatnonzero(curve[start:] > curve[start:].min() + _PAUSE[0] * swing)
    return start + int(higher[-1] if len(higher) else 0) + 1


def _padded(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let a minimum at either end of the clip count as one."""
    return np.concatenate([[curve.max()], curve, [curve.max()]])


def _despiked(curve: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    known = np.isfinite(curve)
    filled = np.interp(np.arange(len(curve)), np.flatnonzero(known), curve[known])
    size = 2 * round(0.04 * fps) + 1  # below 12.5 frames a second, a systole may be one frame
    return np.asarray(median_filter(filled, size=size, mode="nearest"))


def at_heart_rates(values: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Take drift and mean away along the first axis, and light noise with them."""
    slow = gaussian_filter1d(values, _DRIFT * fps, axis=0, mode="reflect")
    quick = gaussian_filter1d(values, 0.02 * fps, axis=0, mode="nearest")
    band = quick - slow
    return np.asarray(band - band.mean(0))


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt(np.dot(one, one) * np.dot(other, other))
    return float(np.dot(one, other) / scale) if scale > 0 else 0.0
