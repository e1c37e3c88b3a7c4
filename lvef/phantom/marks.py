"""What machines burn into a picture: logo, rulers, text, and the ECG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.scanner import Scanner

_WORDS = ("PHANTOM", "Adult Echo", "TIS0.8 MI1.2", "62 bpm", "M4", "50Hz", "14cm")


@dataclass(frozen=True)
class Marks:
    """Marks of one clip.

    Attributes:
        still: `(112, 112)` uint8 overlay that is the same in every frame.
        ecg: Whether an ECG runs along the bottom edge.
        period: Frames between the spikes of the ECG.
    """

    still: NDArray[np.uint8]
    ecg: bool
    period: float

    def burn(self, frame: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Return frame number `index` with the marks drawn over it."""
        frame = np.maximum(frame, self.still)
        if self.ecg:
            _draw_ecg(frame, index, self.period)
        return frame


def sample_marks(
    scanner: Scanner, period: float, rng: np.random.Generator, heavy: bool | None = None
) -> Marks:
    """Draw the marks of a clip.

    Args:
        scanner: Tells where the sector is, beside which the marks stand.
        period: Frames a beat, for the ECG.
        rng: Source of randomness.
        heavy: Text, ruler and ECG too; by default in one clip of seven. The small logo and
            scale that EchoNet-Dynamic clips keep are nearly always there.
    """
    return marks_at(scanner.origin, period, rng, heavy)


def marks_at(
    origin: tuple[float, float],
    period: float,
    rng: np.random.Generator,
    heavy: bool | None = None,
) -> Marks:
    """Draw the marks of a clip whose probe is at x, y in pixels; see `sample_marks`."""
    heavy = rng.random() < 1 / 7 if heavy is None else heavy
    still = np.zeros((PICTURE_SIZE, PICTURE_SIZE), np.uint8)
    x, y = origin
    if rng.random() < 0.8:
        centre = (round(x + 4 + rng.integers(-3, 4)), max(1, round(y) - 5))
        cv2.ellipse(still, centre, (2, 1), 30, 0, 360, 170, -1)
    if rng.random() < 0.8:
        start = (round(x + rng.uniform(30, 38)), round(y + rng.uniform(16, 26)))
        end = (start[0] + 12, start[1] + 12)
        cv2.line(still, start, end, int(rng.integers(90, 220)), 1, cv2.LINE_AA)
        cv2.circle(still, (start[0] - 4, start[1] + 6), 0, 180, -1)
    if heavy:
        words = rng.choice(_WORDS, size=int(rng.integers(1, 4)), replace=False)
        for row, word in enumerate(words):
            cv2.putText(
                still, str(word), (1, 7 + 8 * row), cv2.FONT_HERSHEY_PLAIN, 0.5, 200, 1, cv2.LINE_AA
            )
        for tick in range(10, PICTURE_SIZE, 9):
            length = 2 if tick % 45 else 5
            start, end = (PICTURE_SIZE - 2 - length, tick), (PICTURE_SIZE - 2, tick)
            cv2.line(still, start, end, 180, 1)
    return Marks(still, bool(heavy and rng.random() < 0.8), period)


def _draw_ecg(frame: NDArray[np.uint8], index: int, period: float) -> None:
    columns = np.arange(PICTURE_SIZE)
    phase = ((index + columns * 0.9) % period) / period
    height = (
        9.0 * np.exp(-(((phase - 0.10) / 0.018) ** 2))
        - 3.0 * np.exp(-(((phase - 0.14) / 0.02) ** 2))
        + 2.5 * np.exp(-(((phase - 0.40) / 0.06) ** 2))
    )
    points = np.stack([columns, PICTURE_SIZE - 4 - height], axis=1).round().astype(np.int32)
    cv2.polylines(frame, [points], False, 210, 1)
