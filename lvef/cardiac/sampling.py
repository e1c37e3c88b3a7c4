"""In which pictures and at which moments a clip is looked at, whatever its size and frame rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PICTURE_SIZE = 112
"""Height and width in pixels of EchoNet-Dynamic's pictures, and of what is prepared like them."""
CLIP_FPS = 25.0
"""Looks a second at a beating ventricle: 40 ms, a third of the shortest systole's fastest part."""
RATES = (5.0, 400.0)
"""Frames a second that an echo machine can make."""
SURVEY_FRAMES = 10
"""Frames spread over a clip that tell what moves in it and what does not."""


def looks(num_frames: int, fps: float) -> NDArray[np.int64]:
    """Return the frames, `CLIP_FPS` a second, that a clip is looked at in.

    Args:
        num_frames: Frames in the clip.
        fps: Frames a second of the clip.

    Returns:
        Rising frame numbers from 0; every frame of a clip that is slower than `CLIP_FPS`.
    """
    step = max(fps / CLIP_FPS, 1.0)
    return np.unique(np.round(np.arange(0, num_frames - 0.5, step)).astype(np.int64))


def survey(
    num_frames: int, count: int = SURVEY_FRAMES, each_once: bool = False
) -> NDArray[np.int64]:
    """Return frame numbers spread evenly over a clip.

    Args:
        num_frames: Frames in the clip.
        count: How many of them.
        each_once: Whether a clip that has fewer gives fewer, in place of some that repeat.
    """
    frames = np.round(np.linspace(0, max(num_frames - 1, 0), count)).astype(np.int64)
    return np.unique(frames) if each_once else frames


def window(around: int, length: int, num_frames: int, fps: float) -> NDArray[np.int64]:
    """Return `length` looks, `CLIP_FPS` a second, with the one at `around` among them.

    The window is moved to lie inside the clip; where the clip is shorter, its ends are repeated.

    Args:
        around: Frame that must be looked at.
        length: Number of looks.
        num_frames: Frames in the clip.
        fps: Frames a second of the clip.
    """
    step = max(fps / CLIP_FPS, 1.0)
    before = min(length // 2, int(around / step))
    after = int((num_frames - 1 - around) / step)
    before = max(before, min(length - 1 - after, int(around / step)))
    frames = np.round(around + step * (np.arange(length) - before))
    return np.clip(frames, 0, num_frames - 1).astype(np.int64)
