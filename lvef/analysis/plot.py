"""An analysis as a matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lvef.analysis.overlay import ED, ES, NOT_REMOVED, WALL, blanked, headline
from lvef.data.sector import blank_outside, shown_sector
from lvef.notice import NOT_FOR_DIAGNOSIS

if TYPE_CHECKING:
    from lvef.analysis.result import ClipAnalysis


def plot_analysis(analysis: ClipAnalysis, before: bool = False) -> Figure:
    """Draw ED and ES of the best beat with their contours, and the area curve with all beats.

    What lies outside the sector is blanked. Where no sector can be told, the title says so.

    Args:
        analysis: What was found in a clip.
        before: Show also the first frame as it came, with what was cut from it.

    Returns:
        A matplotlib figure; `figure.savefig(path)` writes it, a notebook shows it.
    """
    figure = Figure(figsize=(12.2 if before else 9.5, 3.6), layout="constrained")
    widths = [1, 1, 1.75]
    panels = figure.subplots(1, 3 + before, width_ratios=[1.2] * before + widths)
    sector = shown_sector(analysis.clip.frames)
    pictures = blanked(analysis.clip.frames, sector)
    if before:
        _as_it_came(panels[0], analysis, sector)
        panels = panels[1:]
    best = max(analysis.beats, key=lambda beat: beat.quality, default=None)
    frames = (0, len(analysis.masks) // 2) if best is None else (best.ed_frame, best.es_frame)
    for axis, frame, name in zip(panels[:2], frames, ("end-diastole", "end-systole"), strict=True):
        axis.imshow(pictures[frame], cmap="gray", vmin=0, vmax=255)
        if analysis.masks[frame].any():
            axis.contour(analysis.masks[frame], levels=[0.5], colors=WALL, linewidths=1.4)
        axis.set_title(f"{name if best else 'no beat'}, frame {frame}", fontsize=9)
        axis.axis("off")
    _curve(panels[2], analysis)
    words = [headline(analysis), NOT_FOR_DIAGNOSIS, *([] if sector is not None else [NOT_REMOVED])]
    figure.suptitle("\n".join(words), fontsize=9)
    return figure


def _as_it_came(axis: Any, analysis: ClipAnalysis, sector: NDArray[np.bool_] | None) -> None:
    clip, square = analysis.clip, analysis.clip.square
    first = clip.first
    if sector is not None:
        first = blank_outside(first[None], square.paste(sector, clip.height, clip.width))[0]
    axis.imshow(first)
    corner = (square.left - 0.5, square.top - 0.5)
    cut = Rectangle(corner, square.side, square.side, fill=False, edgecolor=WALL, clip_on=False)
    axis.add_patch(cut)
    text = ", text blanked" if sector is not None else ""
    axis.set_title(f"as it came, {clip.width} x {clip.height}{text}", fontsize=9)
    axis.axis("off")


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
        if analysis.reason:  # a two-chamber view: its beats have no EF of their own
            continue
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
