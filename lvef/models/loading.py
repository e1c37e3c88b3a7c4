"""Checkpoints of this package: what they say of themselves, and the task they hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvef.errors import CheckpointError, DamagedError, LvefError, PartError
from lvef.models.checkpoint_format import brought_up
from lvef.models.task import Task
from lvef.models.torch_file import UnreadableError, read_torch

if TYPE_CHECKING:
    from lvef.models.base import EFTask

_STATED = {"task", "hparams", "data"}
"""What a checkpoint of every version says."""


def describe_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return what a checkpoint says of itself.

    Args:
        path: Checkpoint file. Its tensors are not read.

    Returns:
        `task` and `class_path`, name and path of its class; `hparams`, what that class is made
        with; and `data`, what its data module made of the pictures (`frames`, `image_size`,
        `remove_artifacts`, `is_phantom`; empty without a data module).

    Raises:
        CheckpointError: It is missing, unreadable, of another package or of a later version.
    """
    metadata: dict[str, Any] = read_checkpoint(path)["lvef"]
    return metadata


def load_task(path: Path | str, trusted: Iterable[str] = ()) -> Task:
    """Return the task that a checkpoint holds, on the CPU and in evaluation mode.

    It predicts as it did when it was saved: its weights, a Gaussian process's training samples,
    an ensemble's members, what VAL taught and what it was trained on are all restored.

    Args:
        path: Checkpoint file.
        trusted: Modules outside this package that may be imported for it; see `task_class`.

    Raises:
        CheckpointError: It is missing, unreadable, of another package or version, or names a
            class that may not be imported.
    """
    checkpoint = read_checkpoint(path)
    metadata = checkpoint["lvef"]
    _import(trusted)  # all of them: an ensemble's members may be of others than itself
    try:
        kind = task_class(metadata["class_path"], trusted)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        task = kind(**metadata["hparams"])
        task.on_load_checkpoint(checkpoint)
        task.source = str(path)
        task.load_state_dict(checkpoint["state_dict"])
    except (PartError, DamagedError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (LvefError, KeyError, RuntimeError, TypeError) as error:
        whose = "this package" if kind.class_path().startswith("lvef.") else kind.__module__
        raise CheckpointError(
            f"{path}: of another version of {whose} ({_first_line(error)})"
        ) from error
    return task.eval()


def load_ef_task(path: Path | str, trusted: Iterable[str] = ()) -> EFTask:
    """Return the task that a checkpoint holds, where it is one of EF from key frames.

    Raises:
        CheckpointError: See `load_task`; or it holds another task.
    """
    from lvef.models.base import EFTask

    task = load_task(path, trusted)
    if not isinstance(task, EFTask):
        raise CheckpointError(f"{path} holds a {type(task).__name__}, which says no EF")
    return task


def task_class(class_path: str, trusted: Iterable[str] = ()) -> type[Task]:
    """Return the task that a class path names.

    Importing a module runs its code. So a path is followed only inside this package, into a module
    that is imported already, or into one that the caller trusts.

    Args:
        class_path: Such as lvef.models.EFRegressor or my_models.MyRegressor.
        trusted: Modules that may be imported.

    Raises:
        CheckpointError: It may not be followed, leads nowhere, or to what is no task.
    """
    module, _, name = class_path.rpartition(".")
    if module.split(".")[0] != "lvef" and module not in sys.modules and module not in trusted:
        raise CheckpointError(
            f"it holds a {class_path}, which is not part of lvef and would run code of that "
            f"module: if you trust it, add --import {module} (in Python, import it first or give "
            f"trusted=[{module!r}])"
        )
    try:
        found = getattr(import_module(module), name, None)
    except (ImportError, ValueError) as error:
        raise CheckpointError(
            f"it holds a {class_path}, but {module or 'no module'} cannot be imported ({error})"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise CheckpointError(f"it names {class_path}, which is no task that this version knows")
    return found


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return a checkpoint whose tensors are mapped, and read only where they are used.

    Raises:
        CheckpointError: It is missing, unreadable, of another package or of a later version.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path} not found; --ckpt_path takes a checkpoint file")
    try:
        checkpoint = read_torch(Path(path))
    except UnreadableError as error:
        raise CheckpointError(f"{path}: not a readable checkpoint: {error}") from error
    metadata = checkpoint.get("lvef") if isinstance(checkpoint, dict) else None
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} is not a checkpoint of this package")
    missing = sorted(_STATED - set(metadata))
    if missing:
        raise CheckpointError(
            f"{path}: of another version of this package (it does not say its {missing[0]})"
        )
    try:
        return {**checkpoint, "lvef": brought_up(metadata)}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _import(trusted: Iterable[str]) -> None:
    for module in trusted:
        try:
            import_module(module)
        except ImportError as error:
            raise CheckpointError(f"trusted module {module} cannot be imported: {error}") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Error(s) in loading"):  # torch: what follows tells
        return lines[1][:300]
    return (lines or [type(error).__name__])[0][:300]
