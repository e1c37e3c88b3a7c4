"""Decoded frames as RGB pictures."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

_THREADED = 17
"""Since this version PyAV shares a frame's rows out to threads: slower for small ones, by far."""


class ToRGB:
    """Turns frames of one clip into RGB: a converter for each would take longer."""

    def __init__(self) -> None:
        self._converter = VideoReformatter()
        threaded = int(av.__version__.split(".")[0]) >= _THREADED
        self._options: dict[str, Any] = {"threads": 1} if threaded else {}

    def __call__(self, frame: Any) -> NDArray[np.uint8]:
        """Return `(H, W, 3)` of a frame of PyAV."""
        rgb: Any = self._converter.reformat(frame, format="rgb24", **self._options)
        return np.asarray(rgb.to_ndarray(), dtype=np.uint8)
