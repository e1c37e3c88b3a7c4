"""Frames of one heart beat."""

from __future__ import annotations

NO_FRAME = -1
"""Stands in tables for a frame that there is not."""
LONGEST_SYSTOLE = 0.6
"""Seconds from ED to ES above which they are of two beats.

From the Q wave to the aortic valve's closure a man's heart takes 0.546 s - 0.0021 s a beat a minute
(Weissler et al., *Circulation* 37:149, 1968): 0.46 s at 40 a minute. The rest is left to readers,
and to hearts that conduct slowly.
"""


def mid_frame(ed_frame: int, es_frame: int) -> int:
    """Return the mid frame (MF), half-way between ED and ES of the same beat.

    Whether they are of the same beat, `no_mid_frame` tells.

    Args:
        ed_frame: End-diastolic frame number, counted from 0.
        es_frame: End-systolic frame number of the same beat.

    Returns:
        The frame number half-way between the two, halves rounded down.
    """
    return (int(ed_frame) + int(es_frame)) // 2


def no_mid_frame(ed_frame: int, es_frame: int, seconds: float) -> str:
    """Return why two frames have no mid frame between them; empty where they do.

    MF is the middle of a systole. Where ES comes before ED, a diastole lies between them.

    Args:
        ed_frame: End-diastolic frame number.
        es_frame: End-systolic frame number.
        seconds: Time from ED to ES; NaN where it is not known, and the order alone tells.
    """
    if es_frame < ed_frame:
        return "no mid frame, as ES comes before ED"
    if seconds > LONGEST_SYSTOLE:
        return (
            f"no mid frame, as ED and ES are of two beats (more than {LONGEST_SYSTOLE:g} s apart)"
        )
    return ""
