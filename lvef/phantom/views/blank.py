"""Screens without an organ: words, noise, black, and a probe in the air."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE
from lvef.phantom.views.place import Place
from lvef.phantom.views.rendered import Rendered, sample_timing
from lvef.phantom.views.speckle import Tissue, sample_array
from lvef.streams import Use

Array = NDArray[np.float64]
_WORDS = (
    "PHANTOM", "no patient", "EDV", "ESV", "LVIDd", "IVSd", "cm", "mL", "m/s", "EF", "VTI", "HR",
    "AV", "MV", "E/A", "TR", "report", "page", "mmHg", "Summary", "Doppler",
)  # fmt: skip


def words(place: Place) -> Rendered:
    """Return a screen of words and numbers: a report, a work list, a table of measurements."""
    rng = place.stream(Use.VIEW_CLIP)
    ground = int(rng.choice([0, 0, 0, 20, 60, 230]))
    ink = int(rng.integers(120, 250)) if ground < 100 else int(rng.integers(0, 90))
    page = np.full((PICTURE_SIZE, PICTURE_SIZE), ground, np.uint8)
    size, step = rng.uniform(0.45, 0.8), int(rng.integers(7, 14))
    lefts = (3, int(rng.integers(50, 70))) if rng.random() < 0.6 else (3,)
    for row in range(step, PICTURE_SIZE - 2, step):
        for left in lefts:
            if rng.random() < 0.85:
                text = f"{rng.choice(_WORDS)} {rng.uniform(0, 200):.1f}"
                at = (left, row)
                cv2.putText(page, text, at, cv2.FONT_HERSHEY_PLAIN, size, ink, 1, cv2.LINE_AA)
    if rng.random() < 0.3:
        _chart(page, ink, rng)
    if rng.random() < 0.3:
        cv2.rectangle(page, (0, 0), (111, step), ink // 2 + ground // 2, -1)
    cursor = (int(rng.integers(5, 100)), int(rng.integers(5, 100))) if rng.random() < 0.4 else None
    noise = rng.choice([0.0, rng.uniform(0.5, 3)])

    def draw(seconds: float, own: np.random.Generator) -> NDArray[np.uint8]:
        frame = page.copy()
        if cursor is not None and seconds % 1 < 0.5:
            cv2.rectangle(frame, cursor, (cursor[0] + 3, cursor[1] + 5), ink, -1)
        return _noisy(frame, noise, own)

    return Rendered(place, sample_timing(rng), draw)


def _noisy(frame: NDArray[np.uint8], spread: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    if not spread:
        return frame
    noisy = frame + spread * rng.standard_normal(frame.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _chart(page: NDArray[np.uint8], ink: int, rng: np.random.Generator) -> None:
    """Draw a target of segments, or a curve, into the lower half of a page."""
    cv2.rectangle(page, (10, 52), (102, 108), int(page[0, 0]), -1)
    if rng.random() < 0.5:
        for radius in (26, 18, 9):
            cv2.circle(page, (56, 80), radius, ink, 1, cv2.LINE_AA)
        for angle in np.arange(6) * np.pi / 3:
            end = (round(56 + 26 * np.cos(angle)), round(80 + 26 * np.sin(angle)))
            cv2.line(page, (56, 80), end, ink, 1, cv2.LINE_AA)
        return
    x = np.linspace(12, 100, 60)
    y = 80 + 20 * np.sin(x / rng.uniform(4, 15)) * np.exp(-x / 200)
    cv2.polylines(page, [np.stack([x, y], 1).round().astype(np.int32)], False, ink, 1, cv2.LINE_AA)
    cv2.line(page, (12, 106), (100, 106), ink, 1)


def noise(place: Place) -> Rendered:
    """Return noise: over the whole picture or in a sector, fine or in blobs, with stripes."""
    rng = place.stream(Use.VIEW_CLIP)
    size, level, spread = rng.uniform(0.3, 3.0), rng.uniform(30, 140), rng.uniform(20, 80)
    stripes = rng.uniform(0, 50) if rng.random() < 0.3 else 0.0
    column, _ = sample_array(str(rng.choice(["phased", "convex", "linear"])), rng).scan()
    seen = column >= 0 if rng.random() < 0.6 else np.ones(column.shape, bool)

    def draw(seconds: float, own: np.random.Generator) -> NDArray[np.uint8]:
        field = cv2.GaussianBlur(own.standard_normal((PICTURE_SIZE, PICTURE_SIZE)), (0, 0), size)
        grey = level + spread * field / field.std()
        rows = np.arange(PICTURE_SIZE)[:, None]
        grey = grey + stripes * (np.sin(rows / 3 + 20 * seconds) > 0.9)
        return np.asarray(np.clip(grey, 0, 255) * seen, np.uint8)

    return Rendered(place, sample_timing(rng), draw)


def black(place: Place) -> Rendered:
    """Return an empty screen: black or of one grey, now and then with a logo or faint noise."""
    rng = place.stream(Use.VIEW_CLIP)
    ground = _ground(rng)
    page = np.full((PICTURE_SIZE, PICTURE_SIZE), ground, np.uint8)
    if rng.random() < 0.4:
        at = (int(rng.integers(2, 50)), int(rng.integers(10, 108)))
        cv2.putText(page, "PHANTOM", at, cv2.FONT_HERSHEY_PLAIN, 0.7, 180, 1, cv2.LINE_AA)
    spread = float(rng.choice([0.0, 0.0, rng.uniform(0.3, 3)]))
    return Rendered(place, sample_timing(rng), lambda _, own: _noisy(page, spread, own))


def _ground(rng: np.random.Generator) -> int:
    """Return a grey level: black, nearly black or white."""
    chance = rng.random()
    if chance < 0.65:
        return 0
    return int(rng.integers(1, 40) if chance < 0.85 else rng.integers(200, 256))


def in_air(place: Place) -> Rendered:
    """Return what a probe shows that touches nothing: bands below it, and noise."""
    rng = place.stream(Use.VIEW_CLIP)
    array = sample_array(str(rng.choice(["phased", "phased", "convex"])), rng)
    apart, fades, level = rng.uniform(4, 14), rng.uniform(8, 40), rng.uniform(0.5, 2.5)

    def scene(x: Array, y: Array) -> Array:
        deep = np.hypot(x, y + array.radius) - array.radius
        return np.asarray(
            level * np.exp(-np.maximum(deep, 0) / fades) * (0.6 + 0.4 * np.cos(6.3 * deep / apart))
        )

    tissue = Tissue(array, scene, lambda x, y, _: (0 * x, 0 * y), place.stream(Use.VIEW_TISSUE))
    return Rendered(place, sample_timing(rng), tissue.frame)
