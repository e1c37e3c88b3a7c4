"""Make the README's pictures, of phantoms only: `python tests/pictures.py .github/images`."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from helpers import on_screen
from matplotlib.figure import Figure

import lvef
from lvef.cardiac import chords_to_polygon, survey
from lvef.data.prepare import prepare_frames
from lvef.data.sector import blank_outside, find_sector
from lvef.phantom import PhantomClip
from lvef.phantom.solid import SolidClip, SolidStudy
from lvef.phantom.views import KINDS, ViewClip

SEED = 5


def contact_sheet(path: Path) -> None:
    """ED, mid and ES frames of six phantoms."""
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axes = figure.subplots(3, 6)
    for column in range(6):
        clip = PhantomClip(SEED, column)
        middle = (clip.ed_frame + clip.es_frame) // 2
        frames = clip.frames([clip.ed_frame, middle, clip.es_frame])
        for row, (name, frame) in enumerate(zip(("EDF", "MF", "ESF"), frames, strict=True)):
            axis = axes[row, column]
            axis.imshow(enlarge(frame), cmap="gray", vmin=0, vmax=255)
            axis.set_xticks([])
            axis.set_yticks([])
            if column == 0:
                axis.set_ylabel(name)
        edv, esv = clip.volume(clip.ed_frame), clip.volume(clip.es_frame)
        axes[0, column].set_title(f"EF {100 * (edv - esv) / edv:.0f} %", fontsize=9)
    figure.suptitle("PHANTOMS: synthetic hearts, no patient", fontsize=10)
    figure.savefig(path, dpi=100)


def before_and_after(path: Path) -> None:
    """Artifact removal on phantoms with text, ruler, scale, logo and ECG."""
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axes = figure.subplots(2, 4)
    for column in range(4):
        clip = PhantomClip(SEED, 30 + column, marks="heavy")
        seen = np.repeat(clip.frames(survey(51))[..., None], 3, axis=-1)
        cleaned = blank_outside(seen[:1], find_sector(seen))
        for axis, name, frame in (
            (axes[0, column], "before", seen[0]), (axes[1, column], "after", cleaned[0]),
        ):  # fmt: skip
            axis.imshow(enlarge(frame))
            axis.set_xticks([])
            axis.set_yticks([])
            if column == 0:
                axis.set_ylabel(name)
    figure.suptitle("PHANTOMS: artifact removal (data.remove_artifacts)", fontsize=10)
    figure.savefig(path, dpi=100)


def randomised(path: Path) -> None:
    """ED of domain-randomised phantoms, with the traced contour on every other one."""
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axes = figure.subplots(3, 6).ravel()
    for index, axis in enumerate(axes):
        clip = PhantomClip(SEED, index, breadth=1.0)
        axis.imshow(enlarge(clip.frames([clip.ed_frame])[0]), cmap="gray", vmin=0, vmax=255)
        contour = 2 * chords_to_polygon(clip.tracing(clip.ed_frame)[1:]) + 0.5
        if index % 2:
            axis.plot(*np.concatenate([contour, contour[:1]]).T, color="#ffb000", linewidth=1)
        axis.set_axis_off()
    figure.suptitle("PHANTOMS, domain-randomised, at end-diastole; contour on every other", size=10)
    figure.savefig(path, dpi=100)


def solid(path: Path) -> None:
    """ED and ES of phantoms of the second generator, with the contour that a reader would draw."""
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axes = figure.subplots(3, 6)
    for index in range(9):
        clip = SolidClip(SEED, index)
        contours = clip.truth()["contour"]
        for moment, frame in enumerate((clip.ed_frame, clip.es_frame)):
            axis = axes[index // 3, 2 * (index % 3) + moment]
            axis.imshow(enlarge(clip.frames([frame])[0]), cmap="gray", vmin=0, vmax=255)
            contour = 2 * contours[frame] + 0.5
            if moment:
                axis.plot(*np.concatenate([contour, contour[:1]]).T, color="#ffb000", linewidth=1)
            axis.set_title(f"EF {clip.patient.ef:.0f} %" if not moment else "ES", fontsize=8)
            axis.set_axis_off()
    figure.suptitle("PHANTOMS of the second generator; contour at end-systole", size=10)
    figure.savefig(path, dpi=100)


def two_views(path: Path) -> None:
    """Studies of the second generator: both views of a heart at both moments, with the contour."""
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    axes = figure.subplots(2, 4)
    for row, index in zip(axes, (2, 3), strict=True):
        study = SolidStudy(1, index)
        for view, clip in enumerate((study.a4c, study.a2c)):
            for moment, frame in enumerate((clip.ed_frame, clip.es_frame)):
                axis = row[2 * view + moment]
                axis.imshow(enlarge(clip.frames([frame])[0]), cmap="gray", vmin=0, vmax=255)
                contour = 2 * chords_to_polygon(clip.tracings[frame][1:]) + 0.5
                axis.plot(*np.concatenate([contour, contour[:1]]).T, color="#ffb000", linewidth=1)
                axis.set_title(f"{('A4C', 'A2C')[view]}, {('ED', 'ES')[moment]}", fontsize=8)
                axis.set_axis_off()
        row[0].set_title(f"A4C, ED. EF of the cavity: {study.patient.ef:.0f} %", fontsize=8)
    figure.suptitle("PHANTOM studies: a four-chamber and a two-chamber view of one heart", size=10)
    figure.savefig(path, dpi=100)


def views(path: Path) -> None:
    """One frame of each kind of clip but the four-chamber views, and of one of these."""
    kinds = ["A4C solid", *(name for name, kind in KINDS.items() if not kind.ef)]
    figure = Figure(figsize=(9.6, 7.6), layout="constrained")
    for axis in (axes := figure.subplots(4, 7).ravel()):
        axis.set_axis_off()
    for axis, kind in zip(axes, kinds, strict=False):
        clip = ViewClip(SEED, kind, 1)
        frame = clip.frames([clip.num_frames // 2])[0]
        axis.imshow(enlarge(frame), cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{kind}{' (held out)' * clip.held_out}", fontsize=6)
    figure.suptitle("PHANTOMS by what they show", size=10)
    figure.savefig(path, dpi=100)


def preparation(path: Path) -> None:
    """A clip as a machine shows it, and as the models see it."""
    figure = Figure(figsize=(9, 2.5), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=[4, 3, 4, 3])
    for column, index in enumerate((31, 30)):
        clip = PhantomClip(SEED, index, marks=False)
        frames = on_screen(clip.frames(range(40)))
        before, after = axes[2 * column : 2 * column + 2]
        before.imshow(frames[0], cmap="gray", vmin=0, vmax=255)
        before.set_title(f"as it comes, {frames.shape[2]} x {frames.shape[1]}", fontsize=9)
        prepared = prepare_frames(frames, clip.patient.fps).frames[0]
        after.imshow(enlarge(prepared), cmap="gray", vmin=0, vmax=255)
        after.set_title("prepared, 112 x 112", fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    figure.suptitle("PHANTOMS: preparation of clips that are not 112 x 112", fontsize=10)
    figure.savefig(path, dpi=100)


def analysis(path: Path) -> None:
    """What `analyse_clip` finds in a phantom, the README's first one."""
    clip = PhantomClip(21, 0)
    figure = lvef.analyse_clip(clip.frames(), clip.patient.fps).plot()
    figure.suptitle(f"PHANTOM. {figure.get_suptitle()}", fontsize=9)
    figure.savefig(path, dpi=110)


def enlarge(frame: np.ndarray) -> np.ndarray:
    """Return a frame at twice its size."""
    return cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    contact_sheet(folder / "phantoms.png")
    before_and_after(folder / "artifact_removal.png")
    randomised(folder / "randomised.png")
    solid(folder / "solid.png")
    two_views(folder / "two_views.png")
    views(folder / "views.png")
    preparation(folder / "preparation.png")
    analysis(folder / "analysis.png")
