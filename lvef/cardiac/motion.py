"""How a contour moves with the tissue, by dense optical flow.

Two contours drawn apart in a hazy picture differ by whatever their drawer mistakes; a contour that
is carried from end-diastole to end-systole by the motion of the picture hardly depends on where it
started.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac.beats import FoundBeat

PHASES = 16
"""Phases of a composite beat: 0 is end-diastole, 8 end-systole."""


def composite_beat(
    frames: NDArray[np.uint8], beats: Sequence[FoundBeat], phases: int = PHASES
) -> NDArray[np.float32]:
    """Average the frames of beats by their phase, which leaves motion and removes noise.

    Args:
        frames: `(T, H, W)` grey frames.
        beats: Whole beats; of one that is cut off, only systole and what is left is used.
        phases: Phases, half of them in systole.

    Returns:
        `(phases, H, W)` float32 composite, phase 0 at end-diastole.
    """
    total = np.zeros((phases, *frames.shape[1:]), np.float32)
    weight = np.zeros(phases, np.float32)
    for beat in beats:
        systole, diastole = beat.es_frame - beat.ed_frame, beat.end_frame - beat.es_frame
        if not beat.whole:  # as long as a diastole must at least be, so that phases stay apart
            diastole = max(diastole, 2 * systole)
        for frame in range(beat.ed_frame, min(beat.end_frame + 1, len(frames))):
            since = frame - beat.es_frame
            share = 0.5 + 0.5 * since / (systole if since < 0 else max(diastole, 1))
            place = share * phases
            low = int(place)
            for phase, part in ((low, low + 1 - place), (low + 1, place - low)):
                total[phase % phases] += part * frames[frame].astype(np.float32)
                weight[phase % phases] += part
    known = np.flatnonzero(weight > 1e-3)
    mean = total[known] / weight[known, None, None]
    nearest = np.abs(np.arange(phases)[:, None] - known).argmin(1)
    return np.asarray(mean[nearest])


def carry_contour(
    composite: NDArray[np.float32], contour: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Carry a contour from end-diastole through systole to end-systole.

    The other way round the beat, back through diastole, adds nothing: its motion is quicker and
    its end, in a beat that is cut off, not there.

    Args:
        composite: `(phases, H, W)` composite beat.
        contour: `(n, 2)` x, y in pixels at end-diastole.

    Returns:
        `(phases / 2 + 1, n, 2)` contours, the first at end-diastole, the last at end-systole.
    """
    phases = len(composite)
    pictures = [_compressed(picture) for picture in composite[: phases // 2 + 1]]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    points = np.asarray(contour, dtype=np.float32)
    carried = [points]
    for here, there in pairwise(pictures):
        field = flow.calc(here, there, None)
        moved = cv2.remap(
            field, points[:, :1], points[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        points = points + moved[:, 0]
        carried.append(points)
    return np.asarray(np.stack(carried), dtype=np.float64)


def _compressed(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lift dark tissue, which moves as the bright does, to a contrast that flow can follow."""
    return np.asarray(255 * np.log1p(picture / 20) / np.log1p(255 / 20), dtype=np.uint8)
