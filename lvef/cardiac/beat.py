"""Frames of one heart beat."""

from __future__ import annotations


def mid_frame(ed_frame: int, es_frame: int) -> int:
    """Return the mid frame (MF), half-way between ED and ES of the same beat.

    Args:
        ed_frame: End-diastolic frame number, counted from 0.
        es_frame: End-systolic frame number of the same beat; it may precede `ed_frame`.

    Returns:
        The frame number half-way between the two, halves rounded down.
    """
    return (int(ed_frame) + int(es_frame)) // 2
