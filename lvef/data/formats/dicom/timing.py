"""When each frame of a DICOM loop was taken (PS3.3 C.7.6.5, C.7.6.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import RATES

RATE_TAGS = ("FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate")
_POINTED = {
    0x00181063: "FrameTime", 0x00181065: "FrameTimeVector", 0x00180040: "CineRate",
    0x00082144: "RecommendedDisplayFrameRate",
}  # fmt: skip
_SPATIAL = (0x00182005, 0x3004000C, 0x00540080)  # vectors of slices' places


def steps_in_space(dataset: Any) -> bool:
    """Tell whether FrameIncrementPointer says that the frames are slices."""
    return any(tag in _SPATIAL for tag in _pointers(dataset))


def frame_times(dataset: Any, count: int) -> tuple[NDArray[np.float64] | None, str]:
    """Return when the frames were taken, by the tag that FrameIncrementPointer names.

    Without it, or where that tag is missing, it is FrameTime, FrameTimeVector, or a rate that is
    plausible; a vector that is impossible, or contradicts a FrameTime, is not guessed around.

    Args:
        dataset: The tags.
        count: Frames of the loop.

    Returns:
        `(count,)` seconds from the first frame, None where the file does not tell; and why not.
    """
    named = [_POINTED[tag] for tag in _pointers(dataset) if tag in _POINTED]
    vector = "FrameTimeVector"
    has_vector = vector in dataset
    # Where no tag is named, a vector is judged first: it says whether a FrameTime may be believed.
    rest = [vector, "FrameTime", "CineRate", "RecommendedDisplayFrameRate"]
    for keyword in [*named, *(each for each in rest if each not in named)]:
        if keyword == vector and has_vector:
            times, wrong = _by_vector(_numbers(dataset, vector), count)
            single = _rate(dataset, "FrameTime")
            if times is not None and not named and single is not None:
                apart = np.abs(times - np.arange(count) / single).max()
                if apart > 0.5 / single:
                    return None, (
                        "FrameTime and FrameTimeVector disagree, and no FrameIncrementPointer says "
                        "which one counts"
                    )
            return times, wrong
        rate = None if keyword == vector else _rate(dataset, keyword)
        if rate is not None:
            return np.arange(count) / rate, ""
    return None, f"{', '.join(RATE_TAGS)} are missing or none of an echo machine"


def _pointers(dataset: Any) -> list[int]:
    try:
        value = dataset.get("FrameIncrementPointer")
        return [int(tag) for tag in (value if hasattr(value, "__len__") else [value])]
    except (TypeError, ValueError):  # missing or garbled
        return []


def _numbers(dataset: Any, keyword: str) -> NDArray[np.float64] | None:
    """Return a tag's finite numbers; None where there are none or some are garbled."""
    try:
        values = np.atleast_1d(np.asarray(dataset.get(keyword, []), dtype=np.float64))
    except (TypeError, ValueError):
        return None
    return values if values.size and np.isfinite(values).all() else None


def _rate(dataset: Any, keyword: str) -> float | None:
    """Return frames a second by a tag of one number, where an ultrasound loop can have them."""
    values = _numbers(dataset, keyword)
    if values is None or len(values) != 1 or values[0] <= 0:
        return None
    rate = 1000 / values[0] if keyword == "FrameTime" else values[0]
    return float(rate) if RATES[0] <= rate <= RATES[1] else None


def _by_vector(
    values: NDArray[np.float64] | None, count: int
) -> tuple[NDArray[np.float64] | None, str]:
    """Return the times by milliseconds since the frame before, the first of which says nothing."""
    if values is None:
        return None, "FrameTimeVector is garbled"
    # Some write the intervals alone, without the 0 of the first frame.
    bare = len(values) == count - 1 and values[0] > 0
    if len(values) != count and not bare:
        return None, f"FrameTimeVector has {len(values)} values for {count} frames"
    intervals = values if bare else values[1:]
    if intervals.min() <= 0:
        return None, "FrameTimeVector holds intervals of zero or less"
    if np.all(np.diff(intervals) > 0) and intervals[-1] > 2 * intervals[0]:
        return None, "FrameTimeVector seems to hold times, but it should hold intervals"
    if not RATES[0] <= 1000 / np.median(intervals) <= RATES[1]:
        return None, "the intervals of FrameTimeVector are none of an echo machine"
    return np.concatenate([[0.0], np.cumsum(intervals)]) / 1000, ""
