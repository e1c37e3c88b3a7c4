"""What several benchmarks are measured on: phantoms, and a model with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.phantom import write_phantoms


def phantoms(folder: Path, count: int, container: str = "avi") -> Path:
    """Write a folder of phantoms."""
    return write_phantoms(
        folder / f"phantoms_{container}", count, seed=3, container=container, num_workers=2,
        progress=False, marks=False,
    )  # fmt: skip


def many(folder: Path, base: Path, count: int) -> Path:
    """Write a folder of as many clips as wanted, copies of a few phantoms.

    Each has bytes of its own behind its last frame: a folder sets files aside that are the same.
    """
    videos = folder / "Videos"
    videos.mkdir(parents=True)
    files = pd.read_csv(base / "FileList.csv")
    traced = dict(list(pd.read_csv(base / "VolumeTracings.csv").groupby("FileName", sort=False)))
    rows, tracings = [], []
    for number in range(count):
        row = files.iloc[number % len(files)]
        before, after = f"{row['FileName']}.avi", f"CLIP{number:06d}"
        content = (base / "Videos" / before).read_bytes()
        (videos / f"{after}.avi").write_bytes(content + b"\0JUNK" + str(number).encode())
        rows.append({**row, "FileName": after})
        tracings.append(traced[before].assign(FileName=f"{after}.avi"))
    pd.DataFrame(rows).to_csv(folder / "FileList.csv", index=False)
    pd.concat(tracings).to_csv(folder / "VolumeTracings.csv", index=False)
    shutil.copy(base / "phantom.json", folder)
    return folder


def checkpoint(folder: Path, root: Path) -> Path:
    """Return a checkpoint of `edf_esf_mlp` with random weights; how fast it is does not know."""
    from lvef.cli.lightning_cli import run

    run(fit_words(root, folder, "--data.limit", "4", "--trainer.max_epochs", "1"))
    return next(folder.rglob("best.ckpt"))


def fit_words(root: Path, folder: Path, *more: str) -> list[str]:
    """Return a fit of `edf_esf_mlp` on a CPU, from random weights."""
    return [
        "fit", "--config", "edf_esf_mlp", "--config", "phantom", "--data.root", str(root),
        "--trainer.default_root_dir", str(folder), "--trainer.accelerator", "cpu",
        "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false", *more,
    ]  # fmt: skip


def key_frames(table: pd.DataFrame, path: Path) -> Path:
    """Write which frames of the clips of a table are ED and ES."""
    named = table[["video", "ed_frame", "es_frame"]].set_axis(["video", "ed", "es"], axis=1)
    named.to_csv(path, index=False)
    return path


def read_clip(path: str, most: int | None = None) -> np.ndarray:
    """Decode a clip by OpenCV from its start, `(T, H, W, 3)` RGB, as EchoNet's loader does."""
    import cv2

    capture, frames = cv2.VideoCapture(path), []
    while most is None or len(frames) < most:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame[..., ::-1])
    return np.stack(frames)
