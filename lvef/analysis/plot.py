"""An analysis as a picture, and as a video with contour, curve and beats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lvef.data.formats import write_video
from lvef.data.prepare import SIZE
from lvef.evaluation.summary import NOT_FOR_DIAGNOSIS

if TYPE_CHECKING:
    from lvef.analysis.result import ClipAnalysis

ED, ES, WALL = "#40b0ff", "#ffb000", "#ffb000"
"""Blue and orange, which colour-blind people tell apart; ED is also a circle and ES a square."""
_ZOOM, _STRIP = 3, 84


def plot_analysis(analysis: ClipAnalysis, before: bool = False) -> Figure:
    """Draw ED and ES of the best beat with their contours, and the area curve with all beats.

    Args:
        analysis: What was found in a clip.
        before: Show also the first frame as it came, with what was cut from it.

    Returns:
        A matplotlib figure; `figure.savefig(path)` writes it, a notebook shows it.
    """
    figure = Figure(figsize=(12.2 if before else 9.5, 3.6), layout="constrained")
    widths = [1, 1, 1.75]
    panels = figure.subplots(1, 3 + before, width_ratios=[1.2] * before + widths)
    if before:
        _as_it_came(panels[0], analysis)
        panels = panels[1:]
    best = max(analysis.beats, key=lambda beat: beat.quality, default=None)
    frames = (0, len(analysis.masks) // 2) if best is None else (best.ed_frame, best.es_frame)
    for axis, frame, name in zip(panels[:2], frames, ("end-diastole", "end-systole"), strict=True):
        axis.imshow(analysis.clip.frames[frame], cmap="gray", vmin=0, vmax=255)
        if analysis.masks[frame].any():
            axis.contour(analysis.masks[frame], levels=[0.5], colors=WALL, linewidths=1.4)
        axis.set_title(f"{name if best else 'no beat'}, frame {frame}", fontsize=9)
        axis.axis("off")
    _curve(panels[2], analysis)
    figure.suptitle(f"{headline(analysis)}\n{NOT_FOR_DIAGNOSIS}", fontsize=9)
    return figure


def _as_it_came(axis: Any, analysis: ClipAnalysis) -> None:
    clip, square = analysis.clip, analysis.clip.square
    axis.imshow(clip.first)
    corner = (square.left - 0.5, square.top - 0.5)
    cut = Rectangle(corner, square.side, square.side, fill=False, edgecolor=WALL, clip_on=False)
    axis.add_patch(cut)
    axis.set_title(f"as it came, {clip.width} x {clip.height}", fontsize=9)
    axis.axis("off")


def headline(analysis: ClipAnalysis) -> str:
    """Return what was found in one line."""
    if analysis.reason:
        return f"Refused: {analysis.reason}"
    return (
        f"Geometric EF {analysis.ef:.0f} % ± {analysis.ef_std:.0f} (median of "
        f"{len(analysis.beats)} beats), quality {analysis.quality:.2f}"
    )


def _curve(axis: Any, analysis: ClipAnalysis) -> None:
    seconds = np.arange(len(analysis.area)) / analysis.fps
    axis.plot(seconds, analysis.area, color="0.35", linewidth=1.3)
    for number, beat in enumerate(analysis.beats):
        labels = ("end-diastole", "end-systole") if number == 0 else (None, None)
        for frame, colour, marker, label in (
            (beat.ed_frame, ED, "o", labels[0]), (beat.es_frame, ES, "s", labels[1]),
        ):  # fmt: skip
            axis.plot(
                seconds[frame], analysis.area[frame], marker, color=colour, markersize=7,
                markeredgecolor="black", label=label,
            )  # fmt: skip
        axis.annotate(
            f"EF {beat.ef:.0f} %", (seconds[beat.es_frame], analysis.area[beat.es_frame]),
            xytext=(0, -14), textcoords="offset points", ha="center", fontsize=8,
        )  # fmt: skip
    axis.set_xlabel("seconds")
    axis.set_ylabel("area of the left ventricle, square pixels")
    axis.margins(y=0.25)
    if analysis.beats:
        axis.legend(fontsize=8, loc="upper center", ncols=2)
    axis.spines[["top", "right"]].set_visible(False)


def write_overlay(analysis: ClipAnalysis, path: Path) -> Path:
    """Write an MP4 of the clip with contour, area curve, phase marks and EF.

    Args:
        analysis: What was found in a clip.
        path: File to write, `.mp4`; its folder is made.

    Returns:
        The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, overlay_frames(analysis), analysis.fps)
    return path


def overlay_frames(analysis: ClipAnalysis) -> Iterator[NDArray[np.uint8]]:
    """Yield `(420, 336, 3)` RGB frames: the prepared clip enlarged, the curve below."""
    side = SIZE * _ZOOM
    strip, places = _strip(analysis, side)
    marks = {beat.ed_frame: ("ED", _rgb(ED)) for beat in analysis.beats}
    marks |= {beat.es_frame: ("ES", _rgb(ES)) for beat in analysis.beats}
    shown: tuple[str, tuple[int, int, int], int] | None = None
    for frame, (grey, mask) in enumerate(zip(analysis.clip.frames, analysis.masks, strict=True)):
        large = cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC)
        picture = cv2.cvtColor(large, cv2.COLOR_GRAY2RGB)
        fine = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
        lines, _ = cv2.findContours(
            (fine > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, lines, -1, _rgb(WALL), 1, cv2.LINE_AA)
        if frame in marks:
            shown = (*marks[frame], frame)
        if shown is not None and frame - shown[2] <= 0.16 * analysis.fps:
            _write(picture, shown[0], (side - 42, 26), 0.8, shown[1])
        _write(picture, headline(analysis)[:58], (4, side - 18), 0.35, (255, 255, 255))
        _write(picture, NOT_FOR_DIAGNOSIS, (4, side - 5), 0.32, (200, 200, 200))
        below = strip.copy()
        if places is not None:
            cv2.circle(below, places[frame].tolist(), 4, (255, 255, 255), -1, cv2.LINE_AA)
        yield np.concatenate([picture, below])


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


def _write(
    picture: NDArray[np.uint8],
    text: str,
    place: tuple[int, int],
    size: float,
    colour: tuple[int, int, int],
) -> None:
    text = text.replace("±", "+-")  # OpenCV's font has no such sign
    for width, ink in ((3, (0, 0, 0)), (1, colour)):
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, ink, width, cv2.LINE_AA)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
