"""What is the matter with a screen: two pictures, a negative, dark frames, a loop played again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import FoundBeat
from lvef.cardiac.beats import FEWEST_SECONDS
from lvef.data.prepare import PreparedClip
from lvef.data.sector import moving_tissue

SIDE_BY_SIDE = "two pictures side by side: cut one of them out"
NEGATIVE = "a negative, bright where blood should be dark: invert it"
_WIDE, _VALLEY = 1.5, 0.45
"""Width against height of two sectors beside each other, and how much of their height is left
where they meet. One sector is tallest there; of 48 phantoms and three real clips none is wider
than 1.15 and none falls below 0.5."""
_BRIGHT = 128
_RIM = 3
"""Pixels at the edge of a picture. Beside the sector they are dark at any gain: in phantoms at most
0.19 of them are bright, and 0.81 at least in a negative."""
_DARK = 0.5
"""Brightness of a frame, relative to the clip's, below which it shows nothing of the heart."""
_ALIKE = 0.45
"""Change from one pass of a loop to the next, as a share of the usual change between two frames,
below which they are the same frames, perhaps coded anew; 0.28 in H.264. Beats of 48 phantoms, which
are more alike than those of patients, differ by 0.83 at least, of three real clips by 4.7."""
_SAME = 0.1
"""The same where less than a second pass is shown, and frames must be coded one by one: 0 in such
clips. A phantom that lies still before it fills again comes to 0.33."""
_FILLING = 0.1
"""Seconds that a loop must go on after end-systole."""
_THUMB, _COMPARED = 28, 12


def layout_fault(clip: PreparedClip) -> str:
    """Return in words what keeps a clip from being one picture of a heart, or nothing."""
    frames = clip.frames
    tissue = moving_tissue(frames)
    if tissue is None or not tissue.any():
        return ""
    if _is_side_by_side(tissue):
        return SIDE_BY_SIDE
    if np.median(frames[:, tissue]) > _BRIGHT and _is_bright_around(clip):
        return NEGATIVE
    return ""


def _is_bright_around(clip: PreparedClip) -> bool:
    """Return whether the edge of a clip's first picture is bright, where no sector is."""
    picture = clip.square.cut(clip.first.max(-1)[None])[0]
    picture = cv2.resize(picture, clip.sector.shape, interpolation=cv2.INTER_AREA)
    rim = np.ones(picture.shape, bool)
    rim[_RIM:-_RIM, _RIM:-_RIM] = False
    beside = rim & ~clip.sector
    return bool((picture[beside if beside.any() else rim] > _BRIGHT).mean() > 0.5)


def _is_side_by_side(tissue: NDArray[np.bool_]) -> bool:
    rows, columns = np.flatnonzero(tissue.any(1)), np.flatnonzero(tissue.any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    if width < _WIDE * height:
        return False
    inner = tissue[:, columns[0] : columns[-1] + 1]
    tall = np.array([np.ptp(np.flatnonzero(c)) + 1 if c.any() else 0 for c in inner.T])
    valley = tall[int(0.4 * width) : int(0.6 * width) + 1].min()
    sides = min(tall[: width // 2].max(), tall[width // 2 :].max())
    return bool(valley < _VALLEY * sides)


def usable_beats(
    beats: Sequence[FoundBeat], frames: NDArray[np.uint8], fps: float
) -> list[FoundBeat]:
    """Return the beats whose frames show a heart, each once.

    Left out are beats with an ED, ES or mid frame that is nearly black, as where a clip fades in,
    and those after the first pass of a clip that is a loop played several times. A beat of the
    first pass whose filling is cut off by the next one ends there.

    Args:
        beats: Beats that were found.
        frames: `(T, H, W)` grey frames.
        fps: Frames a second.
    """
    if not beats:
        return []
    level = frames.mean(axis=(1, 2))
    dark = level < _DARK * np.median(level)
    lit = [b for b in beats if not dark[[b.ed_frame, b.mid_frame, b.es_frame]].any()]
    once = pass_length(frames, fps)
    if once is None:
        return lit
    # A ventricle that the pass does not show filling may not have emptied when it ended.
    emptied = [beat for beat in lit if beat.es_frame < once - _FILLING * fps]
    return [_ended(beat, once - 1) for beat in emptied]


def _ended(beat: FoundBeat, last: int) -> FoundBeat:
    return beat if beat.end_frame <= last else replace(beat, end_frame=last, whole=False)


def pass_length(frames: NDArray[np.uint8], fps: float, shortest: int | None = None) -> int | None:
    """Return after how many frames a clip begins anew, the same frames again; None where it never.

    A heart that beats regularly is not meant: its frames come back alike, not the same.

    Args:
        frames: `(T, H, W)` grey frames.
        fps: Frames a second.
        shortest: Fewest frames of a pass; by default as many as a systole needs.
    """
    if shortest is None:
        shortest = max(int(FEWEST_SECONDS * fps), 2)
    if len(frames) < shortest + _COMPARED:
        return None
    size = (_THUMB, _THUMB)
    small = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])
    small = small.astype(np.int16)
    steps = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    usual = float(np.median(steps))
    if usual <= 0:
        return None
    # All that follows must be alike, not a part for a moment.
    for start in range(shortest, len(frames) - _COMPARED + 1):
        alike = _ALIKE if start <= len(frames) // 2 else _SAME
        after = small[start : start + _COMPARED]
        if np.abs(after - small[: len(after)]).mean() < alike * usual:
            again = np.abs(small[start:] - small[:-start]).mean(axis=(1, 2))
            if again.max() < alike * usual:
                return start
    return None
