"""Checkpoints of this package: what they say of themselves, and the task they hold."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from lvef.errors import CheckpointError, LvefError
from lvef.models.task import Task
from lvef.models.torch_file import UnreadableError, read_torch

TASKS = {
    "EFClassifier": "lvef.models.classifier",
    "EFEnsemble": "lvef.models.ensemble",
    "EFGaussianProcess": "lvef.models.gaussian_process",
    "EFRegressor": "lvef.models.regressor",
    "LVSegmenter": "lvef.models.segmenter",
}
"""Every task that a checkpoint can hold, and the module it lives in. Names, because an ensemble
loads its members from here."""
_SAID = {"task", "hparams", "data"}


def describe(path: Path | str) -> dict[str, Any]:
    """Return what a checkpoint says of itself.

    Args:
        path: Checkpoint file. Its tensors are not read.

    Returns:
        `task`, the name of its class; `hparams`, what that class is made with; and `data`, what
        its data module made of the pictures (`frames`, `image_size`, `remove_artifacts`,
        `is_phantom`; empty without a data module).

    Raises:
        CheckpointError: It is missing, unreadable, of another package or of another version.
    """
    about: dict[str, Any] = read_checkpoint(path)["lvef"]
    return about


def load_task(path: Path | str) -> Task:
    """Return the task that a checkpoint holds, on the CPU and in evaluation mode.

    It predicts as it did when it was saved: its weights, a Gaussian process's training samples,
    an ensemble's members, what VAL taught and what it was trained on are all restored.

    Args:
        path: Checkpoint file.

    Raises:
        CheckpointError: It is missing, unreadable, of another package or of another version.
    """
    checkpoint = read_checkpoint(path)
    name = checkpoint["lvef"]["task"]
    if name not in TASKS:
        raise CheckpointError(
            f"{path} holds a {name}, but this version of the package knows {', '.join(TASKS)}"
        )
    try:
        task: Task = getattr(import_module(TASKS[name]), name)(**checkpoint["lvef"]["hparams"])
        task.on_load_checkpoint(checkpoint)
        task.source = str(path)
        task.load_state_dict(checkpoint["state_dict"])
    except (LvefError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path}: of another version of this package ({_first_line(error)})"
        ) from error
    return task.eval()


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return a checkpoint whose tensors are mapped, and read only where they are used.

    Raises:
        CheckpointError: It is missing, unreadable, of another package or of another version.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path} not found; --ckpt_path takes a checkpoint file")
    try:
        checkpoint = read_torch(Path(path))
    except UnreadableError as error:
        raise CheckpointError(f"{path}: not a readable checkpoint: {error}") from error
    about = checkpoint.get("lvef") if isinstance(checkpoint, dict) else None
    if about is None:
        raise CheckpointError(f"{path} is not a checkpoint of this package")
    missing = sorted(_SAID - set(about))
    if missing:
        raise CheckpointError(
            f"{path}: of another version of this package (it does not say its {missing[0]})"
        )
    held: dict[str, Any] = checkpoint
    return held


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Error(s) in loading"):  # torch: what follows tells
        return lines[1][:300]
    return (lines or [type(error).__name__])[0][:300]
