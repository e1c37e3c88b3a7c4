"""Colour flow that a machine paints over its grey picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SEEN = 112
"""Rows and columns, about, that are looked at."""
_CODED = 16
"""Grey levels by which the channels of a grey picture differ at most, however it was coded, and by
which a picture that stands still changes."""
_LEVELS = 16
_COLOURED = 36
"""Grey levels of chroma from which a pixel is of another colour than its brightness has here."""
_CHANGES = 24
"""Grey levels of chroma by which flow changes in a clip; marks and writing stay as they are."""
_SHOWN = 90
"""Percentile over frames: blood does not flow everywhere at all times."""


def flow_share(frames: NDArray[np.uint8], sector: NDArray[np.bool_]) -> float:
    """Return how much of a sector is painted with flow, in the frames that show much of it.

    A picture may have a tint, which is one colour for each brightness. What has another one, and
    changes it, is flow, or the speed of tissue. What stands still is neither.

    Args:
        frames: `(n, H, W, 3)` uint8 RGB frames spread over a clip.
        sector: `(H, W)` bool, where the picture is.

    Returns:
        0 in a grey picture and in a single frame; 1 where all of it is flow.
    """
    step = max(min(sector.shape) // _SEEN, 1)
    pixels = frames[:, ::step, ::step][:, sector[::step, ::step]].astype(np.int16)
    count = pixels.shape[1]
    pixels = pixels[:, (np.ptp(pixels, axis=0) > _CODED).any(-1)]
    red, green, blue = np.moveaxis(pixels, -1, 0)
    if not pixels.size or max(np.abs(red - green).max(), np.abs(blue - green).max()) <= _CODED:
        return 0.0
    brightness = pixels.sum(-1) // 3
    chroma = np.stack([red, blue], -1) - brightness[..., None]
    level = brightness * _LEVELS // 256
    for number in range(_LEVELS):
        own = level == number
        if own.any():
            chroma[own] -= np.median(chroma[own], axis=0).astype(np.int16)
    painted = np.hypot(*np.moveaxis(chroma.astype(np.float32), -1, 0)) > _COLOURED
    painted &= (np.ptp(chroma, axis=0) > _CHANGES).any(-1)
    return float(np.percentile(painted.sum(1) / count, _SHOWN))
