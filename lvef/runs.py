"""Where a run's files go, and which run is the newest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning import Trainer

from lvef.errors import ConfigurationError, OutputError

LOG_FOLDER = "lightning_logs"
_RUN = "version_"
_CHECKPOINTS = "checkpoints"
_reserved: list[Path] = []


class RunTrainer(Trainer):
    """A trainer whose `log_dir` is the run's own folder, whatever logs, or nothing does.

    Attributes:
        run_folder: That folder; None leaves it to the first logger, as Lightning does.
        typed: The words of the command that runs it, as they were typed; none from Python.
    """

    run_folder: Path | None = None
    typed: Sequence[str] = ()

    @property
    def log_dir(self) -> str | None:
        """Return where this run's files go; the same in every process, and asked for by all."""
        if self.run_folder is None:
            return super().log_dir
        return str(self.strategy.broadcast(str(self.run_folder)))


def command_with(typed: Sequence[str], checkpoint: Path | str) -> str:
    """Return a command with another checkpoint, to be pasted into a shell.

    Args:
        typed: Its words, from the name of the command on.
        checkpoint: The checkpoint.
    """
    kept: list[str] = []
    waiting = list(typed)
    while waiting:
        word = waiting.pop(0)
        if word == "--ckpt_path":
            waiting = waiting[1:]
        elif not word.startswith("--ckpt_path="):
            kept.append(word)
    return shlex.join(["python", "-m", "lvef", *kept, "--ckpt_path", str(checkpoint)])


def data_options(config: Any) -> Any:
    """Return the options of the data module that a run's configuration states.

    Args:
        config: The configuration, a mapping; its `data` are options, or a class path with options.
    """
    options = config.get("data") or {}
    return options.get("init_args", {}) if "class_path" in options else options


def log_folder(root: str | None) -> Path:
    """Return the folder of all runs, absolute.

    Args:
        root: `trainer.default_root_dir`; None for the default.

    Raises:
        ConfigurationError: It is not on a disk.
    """
    folder = str(root or LOG_FOLDER)
    if "://" in folder:
        raise ConfigurationError(
            f"trainer.default_root_dir is {folder}, but runs are written to a local folder: give "
            "one, and copy it when the run is over"
        )
    return Path(folder).expanduser().resolve()


def reserve(runs: Path) -> Path:
    """Make the folder of a new run, which no other run has.

    Args:
        runs: The folder of an experiment.

    Raises:
        OutputError: It cannot be made.
    """
    while True:
        run = next_run(runs)
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            if run.is_dir():
                continue  # another run was quicker
            raise OutputError(f"{runs} is not a folder: runs of this experiment go there") from None
        except OSError as error:
            raise OutputError.of(run, error) from error
        _reserved.append(run)
        return run


def discard_empty() -> None:
    """Remove the folders that this process made for runs which then wrote nothing."""
    while _reserved:
        with suppress(OSError):  # it holds something
            _reserved.pop().rmdir()


def next_run(runs: Path) -> Path:
    """Return the folder that the next run of an experiment will have."""
    numbers = [number_of(path) for path in runs.glob(f"{_RUN}*")]
    newest = max((number for number in numbers if number is not None), default=-1)
    return runs / f"{_RUN}{newest + 1}"


def number_of(run: Path) -> int | None:
    """Return the number in the name of a run's folder; None where there is none."""
    number = run.name.removeprefix(_RUN)
    return int(number) if number.isdigit() else None


def run_of(checkpoint: Path | str) -> Path | None:
    """Return the run's folder that a checkpoint lies in; None where it lies elsewhere."""
    folder = Path(checkpoint).resolve().parent
    run = folder.parent if folder.name == _CHECKPOINTS else folder
    return run if run.name.startswith(_RUN) else None


def checkpoints_of(run: Path) -> Path:
    """Return the folder of a run's checkpoints."""
    return run / _CHECKPOINTS


def newest_run(folder: Path) -> Path | None:
    """Return the run under a folder whose checkpoints are the newest, or None."""
    checkpoints = [*folder.glob(f"**/{_CHECKPOINTS}/*.ckpt"), *folder.glob("**/hpc_ckpt_*.ckpt")]
    if not checkpoints:
        return None
    newest = max(checkpoints, key=lambda path: (path.stat().st_mtime_ns, str(path)))
    return newest.parent.parent if newest.parent.name == _CHECKPOINTS else newest.parent


def checkpoint_in(run: Path, name: str) -> Path | None:
    """Return a run's checkpoint: best, last, or hpc, that of a job that was interrupted."""
    if name != "hpc":
        path = checkpoints_of(run) / f"{name}.ckpt"
        return path if path.is_file() else None
    saved = {path.stem.removeprefix("hpc_ckpt_"): path for path in run.glob("hpc_ckpt_*.ckpt")}
    numbers = [int(number) for number in saved if number.isdigit()]
    return saved[str(max(numbers))] if numbers else None
