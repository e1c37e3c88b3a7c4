"""Make the README's pictures, of phantoms only: `python tests/pictures.py .github/images`."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from lvef.data.sector import blank_outside, find_sector, sector_probe
from lvef.phantom import PhantomClip

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
        seen = np.repeat(clip.frames(sector_probe(50))[..., None], 3, axis=-1)
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


def enlarge(frame: np.ndarray) -> np.ndarray:
    """Return a frame at twice its size."""
    return cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    contact_sheet(folder / "phantoms.png")
    before_and_after(folder / "artifact_removal.png")
