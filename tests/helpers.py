"""What tests of the command line share."""

from __future__ import annotations

import json
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from lvef.data.layouts import read_labels

CONFIGS = Path(__file__).parents[1] / "configs"
PATIENT = "MUSTERMANN ERIKA 19500229"
WARD = "ward of Dr Doe [3] 'Größe' & <b>"
SMALL = ["--data.image_size", "32", "--data.num_workers", "0", "--data.batch_size", "8"]


def on_screen(frames: np.ndarray, height: int = 300, width: int = 400) -> np.ndarray:
    """Put a clip `(T, 112, 112)`, twice as large, on a screen as machines make them."""
    screen = np.zeros((len(frames), height, width), np.uint8)
    screen[:, 40 : 40 + 224, 120 : 120 + 224] = frames.repeat(2, axis=1).repeat(2, axis=2)
    for row, text in enumerate(("PHANTOM", "12 cm", "50 Hz")):
        cv2.putText(screen[0], text, (6, 20 + 16 * row), cv2.FONT_HERSHEY_PLAIN, 0.9, 200)
    screen[0, 40:264:20, 385:392] = 180
    still = screen[0] * (np.arange(width) < 118) + screen[0] * (np.arange(width) > 380)
    return np.maximum(screen, still)


def touch(folder: Path, *names: str) -> Path:
    """Make empty files in a folder, which is returned."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def write_list(root: Path, labels: Path, unknown: int = 1) -> None:
    """Write a list of a folder's clips, with path, EF and, but for the first, ED and ES."""
    table = read_labels(root).table
    listed = table[["path", "ef_true", "ed_frame", "es_frame"]].astype({"ed_frame": "Int64"})
    listed = listed.set_axis(["path", "EF", "ED", "ES"], axis=1).astype({"ES": "Int64"})
    listed.loc[listed.index[:unknown], ["ED", "ES"]] = pd.NA
    listed.assign(path=[str(Path(path).absolute()) for path in listed["path"]]).to_csv(
        labels, index=False
    )


def told(error: str) -> list[str]:
    """Return the lines that tell an error."""
    return [line for line in error.splitlines() if line.startswith("error: ")]


def words(command: str, config: str, root: Path, logs: Path, *more: str) -> list[str]:
    """Return a small command on phantoms; `test` makes heat maps only where that is asked for."""
    if command == "test" and "--saliency" not in more:
        more = (*more, "--saliency", "false")
    return [
        command, "--config", str(CONFIGS / f"{config}.yaml"), "--config",
        str(CONFIGS / "phantom.yaml"), "--data.root", str(root), "--trainer.default_root_dir",
        str(logs), "--trainer.max_epochs", "1", *SMALL, *more,
    ]  # fmt: skip


def another_place(
    root: Path, folder: Path, keep: Callable[[pd.DataFrame], pd.Series] | None = None
) -> Path:
    """Return the folder of phantoms under other names, as a place that taught no model."""
    listed = pd.read_csv(root / "FileList.csv")
    traced = pd.read_csv(root / "VolumeTracings.csv")
    if keep is not None:
        listed = listed[keep(listed)]
        traced = traced[traced["FileName"].str.removesuffix(".avi").isin(listed["FileName"])]
    (folder / "Videos").mkdir(parents=True)
    for name in listed["FileName"]:
        (folder / "Videos" / f"X{name}.avi").symlink_to(root / "Videos" / f"{name}.avi")
    shutil.copyfile(root / "phantom.json", folder / "phantom.json")
    listed.assign(FileName="X" + listed["FileName"]).to_csv(folder / "FileList.csv", index=False)
    traced.assign(FileName="X" + traced["FileName"]).to_csv(
        folder / "VolumeTracings.csv", index=False
    )
    return folder


def newest(folder: Path, name: str) -> Path:
    """Return the newest file of a name under a folder."""
    return max(folder.rglob(name), key=lambda path: path.stat().st_mtime)


def best(logs: Path, experiment: str) -> Path:
    """Return the best checkpoint of an experiment's first run."""
    return logs / experiment / "version_0" / "checkpoints" / "best.ckpt"


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file grow beyond a size in bytes, as `ulimit -f` does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def is_drawn(path: Path) -> bool:
    """Return whether a picture can be decoded, is no thumbnail, and shows something."""
    picture = cv2.imread(str(path))
    if picture is None or min(picture.shape[:2]) < 100:
        return False
    background = np.median(picture.reshape(-1, 3), axis=0)
    ink = np.abs(picture - background).max(-1) > 40
    return bool(0.005 < ink.mean() < 0.95 and np.ptp(picture) > 100)


def data_of(page: Path) -> dict:
    """Return the data that a report holds."""
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(),
                     re.DOTALL)  # fmt: skip
    assert held
    return json.loads(held[1])


def in_folder_of(script: str, name: str, folder: Path, monkeypatch: Any) -> Iterator[Path]:
    """Yield a folder with a script of a user's, in which commands are run."""
    (folder / f"{name}.py").write_text(script)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    sys.modules.pop(name, None)
