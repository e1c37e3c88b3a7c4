"""The whole screen of a machine around a phantom's picture, as loops leave a clinic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 600, 800
SCALE = 4
"""How many times larger the picture is."""
LEFT, TOP = 190, 90
"""Where the picture's upper left corner lies on the screen, in pixels."""
_BRIGHT, _DIM = 210, 150


@dataclass(frozen=True)
class Screen:
    """What stands around the picture.

    Attributes:
        name: The clip's name, written there.
        fps: Frames a second, written there.
        millimetres: Size of a pixel of the phantom's picture, for the scale of depth.
        seconds: How long a heartbeat takes, for the ECG.
    """

    name: str
    fps: float
    millimetres: float
    seconds: float

    @property
    def centimetres(self) -> float:
        """Size of a pixel of the screen."""
        return self.millimetres / 10 / SCALE

    def frames(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a clip `(T, H, W)`, enlarged, on its screen, `(T, 600, 800)`."""
        height, width = (SCALE * side for side in picture.shape[1:])
        shown = np.repeat(self._still(height)[None], len(picture), axis=0)
        for number, frame in enumerate(picture):
            shown[number, TOP : TOP + height, LEFT : LEFT + width] = cv2.resize(
                frame, (width, height), interpolation=cv2.INTER_LINEAR
            )
            self._ecg(shown[number], number)
        return shown

    def box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the left, upper, right and lower pixel of a picture `(height, width)` there."""
        return LEFT, TOP, LEFT + SCALE * width - 1, TOP + SCALE * height - 1

    def _still(self, height: int) -> NDArray[np.uint8]:
        """Return what is the same in every frame: words, grey scale, scale of depth."""
        screen = np.zeros((HEIGHT, WIDTH), np.uint8)
        words = ("PHANTOM", self.name, f"{self.fps:.0f} Hz", "no patient", "HR "
                 f"{60 / self.seconds:.0f}")  # fmt: skip
        for row, text in enumerate(words):
            _write(screen, text, (12, 30 + 22 * row))
        screen[TOP : TOP + 128, 14:30] = np.arange(255, -1, -2, dtype=np.uint8)[:, None]
        step = 10 / self.millimetres * SCALE  # a centimetre
        for centimetre in range(int(height / step) + 1):
            y = TOP + round(centimetre * step)
            screen[y, 700 : 712 if centimetre % 5 else 720] = _DIM
            if centimetre % 5 == 0:
                _write(screen, str(centimetre), (726, y + 5))
        return screen

    def _ecg(self, frame: NDArray[np.uint8], number: int) -> None:
        """Draw the ECG up to a frame: a wave for the atria, a spike, a wave for repolarisation."""
        x = np.arange(80, 720)
        sweep = 4.0  # seconds across the screen
        seconds = (x - x[0]) / len(x) * sweep
        now = number / self.fps % sweep
        phase = seconds / self.seconds % 1
        waves = ((0.85, 0.03, 6), (0.0, 0.008, 26), (1.0, 0.008, 26), (0.3, 0.05, 9))
        height = sum(size * np.exp(-(((phase - at) / width) ** 2)) for at, width, size in waves)
        points = np.stack([x, 580 - np.round(height)], axis=1)[seconds <= now]
        cv2.polylines(frame, [points.astype(np.int32)], False, _BRIGHT)


def on_screen(
    points: NDArray[np.float64], corner: tuple[int, int] = (LEFT, TOP)
) -> NDArray[np.float64]:
    """Return points of a phantom's picture in pixels of the enlarged one.

    Args:
        points: x, y `(..., 2)` in pixels; the middle of a pixel has whole numbers.
        corner: Where the upper left corner of the enlarged picture lies.
    """
    return np.asarray(SCALE * (points + 0.5) - 0.5 + np.array(corner), np.float64)


def truth_on_screen(truth: dict[str, Any], corner: tuple[int, int] = (LEFT, TOP)) -> dict[str, Any]:
    """Return what is known of a phantom in pixels of the enlarged picture.

    Args:
        truth: Of `PhantomClip.truth`.
        corner: As of `on_screen`.
    """
    return {
        **truth,
        "contour": on_screen(truth["contour"], corner).astype(np.float32),
        "area": truth["area"] * np.float32(SCALE**2),
        "pixels_per_mm": truth["pixels_per_mm"] * np.float32(SCALE),
    }


def _write(screen: NDArray[np.uint8], text: str, where: tuple[int, int]) -> None:
    cv2.putText(screen, text, where, cv2.FONT_HERSHEY_PLAIN, 1.1, _BRIGHT, 1, cv2.LINE_AA)
