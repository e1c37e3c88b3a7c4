"""An analysis as a video and as a preview picture, with contour, curve and beats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.analysis.caption import Caption, fitted
from lvef.cardiac import PICTURE_SIZE
from lvef.data.formats import write_video
from lvef.data.sector import shown_sector
from lvef.data.shown import picture_name
from lvef.notice import NOT_FOR_DIAGNOSIS

if TYPE_CHECKING:
    from lvef.analysis.result import ClipAnalysis

ED, ES, WALL = "#40b0ff", "#ffb000", "#ffb000"
"""Blue and orange, which colour-blind people tell apart; ED is also a circle and ES a square."""
_ZOOM, _STRIP = 3, 84
_WORDS, _SMALL, _MARK = 13, 11, 26
"""Heights of letters in the overlay, in pixels."""
NOT_REMOVED = "Text in the picture could not be told from tissue, and was not removed."


def headline(analysis: ClipAnalysis) -> str:
    """Return what was found in one line."""
    if analysis.reason:
        return f"Refused: {analysis.reason}"
    seen = f", view {analysis.view}" if analysis.view else ""
    return (
        f"Geometric EF {analysis.ef:.0f} % ± {analysis.ef_std:.0f} (median of "
        f"{len(analysis.beats)} beats), quality {analysis.quality:.2f}{seen}"
    )


def write_overlay(analysis: ClipAnalysis, path: Path) -> Path:
    """Write an MP4 of the clip with contour, area curve, phase marks and EF.

    What lies outside the sector is blanked. Where no sector can be told, the file's name says so:
    `NAME.text-not-removed.mp4`.

    Args:
        analysis: What was found in a clip.
        path: File to write, `.mp4`; its folder is made.

    Returns:
        The file that was written.
    """
    sector = shown_sector(analysis.clip.frames)
    path = path.with_name(picture_name(path.stem, sector) + path.suffix)
    write_video(path, overlay_frames(analysis, sector), analysis.fps)
    return path


def overlay_frames(
    analysis: ClipAnalysis, sector: NDArray[np.bool_] | None
) -> Iterator[NDArray[np.uint8]]:
    """Yield `(420, 336, 3)` RGB frames: the prepared clip enlarged, the curve below.

    Args:
        analysis: What was found in a clip.
        sector: What may be shown of it, see `shown_sector`; None for all.
    """
    side = PICTURE_SIZE * _ZOOM
    strip, places = _strip(analysis, side)
    marks = {beat.ed_frame: Caption.of("ED", _MARK, _rgb(ED)) for beat in analysis.beats}
    marks |= {beat.es_frame: Caption.of("ES", _MARK, _rgb(ES)) for beat in analysis.beats}
    words = _words(analysis, side)
    shown: tuple[Caption, int] | None = None
    pictures = blanked(analysis.clip.frames, sector)
    for frame, (grey, mask) in enumerate(zip(pictures, analysis.masks, strict=True)):
        picture = _outlined(grey, mask, side)
        if frame in marks:
            shown = (marks[frame], frame)
        if shown is not None and frame - shown[1] <= 0.16 * analysis.fps:
            shown[0].put(picture, side - shown[0].width - 4, 4)
        for caption, top in words:
            caption.put(picture, 4, top)
        below = strip.copy()
        if places is not None:
            cv2.circle(below, places[frame].tolist(), 4, (255, 255, 255), -1, cv2.LINE_AA)
        yield np.concatenate([picture, below])


def preview(analysis: ClipAnalysis, sector: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return a `(H, 672, 3)` RGB picture: ED and ES of the best beat, the curve, what was found.

    Args:
        analysis: What was found in a clip.
        sector: What may be shown of it, see `shown_sector`; None for all.
    """
    side = PICTURE_SIZE * _ZOOM
    best = max(analysis.beats, key=lambda beat: beat.quality, default=None)
    frames = (0, len(analysis.masks) // 2) if best is None else (best.ed_frame, best.es_frame)
    names = ("", "") if best is None else ("ED ", "ES ")
    pictures = []
    for frame, name, colour in zip(frames, names, (ED, ES), strict=True):
        grey = blanked(analysis.clip.frames[frame][None], sector)[0]
        picture = _outlined(grey, analysis.masks[frame], side)
        Caption.of(f"{name}frame {frame}", _WORDS + 2, _rgb(colour)).put(picture, 5, 3)
        pictures.append(picture)
    strip, _ = _strip(analysis, 2 * side)
    words = [headline(analysis), NOT_FOR_DIAGNOSIS, *([] if sector is not None else [NOT_REMOVED])]
    captions = [
        Caption.of(line, _WORDS, (255, 255, 255))
        for text in words
        for line in fitted(text, _WORDS, 2 * side - 12, most=2)
    ]
    foot = np.zeros((sum(c.height + 3 for c in captions) + 5, 2 * side, 3), np.uint8)
    top = 3
    for caption in captions:
        caption.put(foot, 6, top)
        top += caption.height + 3
    return np.concatenate([np.concatenate(pictures, axis=1), strip, foot])


def _outlined(grey: NDArray[np.uint8], mask: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    """Return a frame enlarged, `(side, side, 3)` RGB, with the outline of a mask."""
    large = cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC)
    picture = cv2.cvtColor(large, cv2.COLOR_GRAY2RGB)
    fine = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    lines, _ = cv2.findContours(
        (fine > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(picture, lines, -1, _rgb(WALL), 1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def _words(analysis: ClipAnalysis, side: int) -> list[tuple[Caption, int]]:
    """Return what stands at the foot of the picture, and how far down each line is."""
    white, grey = (255, 255, 255), (200, 200, 200)
    lines_of_text = fitted(headline(analysis), _WORDS, side - 8, most=2)
    captions = [Caption.of(line, _WORDS, white) for line in lines_of_text]
    captions += [
        Caption.of(line, _SMALL, grey) for line in fitted(NOT_FOR_DIAGNOSIS, _SMALL, side - 8, 2)
    ]
    top, placed = side - 2, []
    for caption in reversed(captions):
        top -= caption.height
        placed.append((caption, top))
    return placed


def _strip(
    analysis: ClipAnalysis, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """Return the area curve with its beats, and where on it each frame is."""
    strip = np.full((_STRIP, width, 3), 24, np.uint8)
    known = np.isfinite(analysis.area)
    if known.sum() < 2:
        return strip, None
    area = np.interp(np.arange(len(known)), np.flatnonzero(known), analysis.area[known])
    span = max(float(np.ptp(area)), 1e-6)
    x = np.linspace(6, width - 7, len(area))
    y = _STRIP - 10 - (area - area.min()) / span * (_STRIP - 20)
    places = np.stack([x, y], axis=1).round().astype(np.int64)
    cv2.polylines(strip, [places.astype(np.int32)], False, (170, 170, 170), 1, cv2.LINE_AA)
    for beat in analysis.beats:
        cv2.circle(strip, places[beat.ed_frame].tolist(), 4, _rgb(ED), -1, cv2.LINE_AA)
        corner = places[beat.es_frame]
        cv2.rectangle(strip, (corner - 3).tolist(), (corner + 3).tolist(), _rgb(ES), -1)
    return strip, places


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def blanked(frames: NDArray[np.uint8], sector: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return `(T, H, W)` frames without what lies outside the sector; all where that is None."""
    return frames if sector is None else frames * sector
