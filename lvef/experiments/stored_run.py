"""A run's folder, read to be judged again: nothing that it says is trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvef.callbacks.run_record import FINISHED, RUN_RECORD, config_digest
from lvef.errors import ConfigurationError
from lvef.runs import data_options

_COMMANDS = ("fit", "validate", "test")
_DATA = (
    "frames", "batch_size", "num_workers", "image_size", "remove_artifacts", "limit",
    "max_excluded", "check_videos", "masks",
)  # fmt: skip
_LATER_DATA = (
    "train_fold", "without_fold", "fold_seed", "calibration_share", "folds", "fold"
)  # fmt: skip
_TRAINER = ("accelerator", "precision", "limit_val_batches", "limit_test_batches")
"""Options that a figure depends on; none of them can name a class or a file."""
_STATED = ("value", "mean")
"""What metrics.json calls a figure itself, beside its interval: of EF, and of masks."""


@dataclass(frozen=True)
class StoredRun:
    """What a run's folder says.

    Attributes:
        folder: The folder.
        command: fit, validate or test.
        figures: Its figures; NaN where one could not be had.
        checkpoint: Where the checkpoint lay that they are of.
        checkpoint_sha256: Its digest.
        root: Where the data lay.
        data: Their fingerprint.
        seed: The seed.
        level: Level of the intervals, where the run stated one.
        data_options: Options of the data module that a figure depends on.
        trainer_options: The same of the trainer.
        circumstances: `package`, `versions` and `machine`.
    """

    folder: Path
    command: str
    figures: dict[str, float]
    checkpoint: Path
    checkpoint_sha256: str
    root: str | None
    data: dict[str, Any]
    seed: int | bool
    level: float | None
    data_options: dict[str, Any]
    trainer_options: dict[str, Any]
    circumstances: dict[str, dict[str, Any]]


def read_stored(folder: Path) -> StoredRun:
    """Read the folder of a run that can be judged again.

    Raises:
        ConfigurationError: It is of none, or damaged.
    """
    path = folder / RUN_RECORD
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} not found; verify takes the folder of a test or a fit")
    if not path.is_file():
        raise ConfigurationError(
            f"{folder} holds no {RUN_RECORD}: it is no run's folder, or of an older version"
        )
    record = read_json(path)
    command, state = record.get("command"), record.get("state")
    if command not in _COMMANDS:
        raise ConfigurationError(
            f"{path} is of the command {command!r}: verify takes the folder of a test or a fit"
        )
    if state != FINISHED and not (command == "fit" and record.get("checkpoints")):
        raise ConfigurationError(f"{folder} is of a {command} that did not end well ({state})")
    figures = (
        figures_of_test(folder) if command == "test" else _numbers(record.get("figures"), f"{path}")
    )
    if not figures:
        raise ConfigurationError(f"{path} states no figure: no VAL was judged, or no best was kept")
    try:
        return _stored(folder, record, figures)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"{path}: damaged, or of another version ({type(error).__name__}: {error})"
        ) from error


def _stored(folder: Path, record: dict[str, Any], figures: dict[str, float]) -> StoredRun:
    """Return what a record says; anything may be missing or of another type."""
    config = record["config"]
    if config_digest(config) != record["config_sha256"]:
        raise ConfigurationError(f"{folder / RUN_RECORD}: its config was changed since the run")
    data, reader = data_options(config), config["data"].get("class_path", "")
    if reader.rpartition(".")[2] not in ("", "EchoNetDataModule"):
        raise ConfigurationError(
            f"{folder}: its data were read by a {reader}, and verify reads label folders alone"
        )
    fit = record["command"] == "fit"
    checkpoint = record["checkpoints"]["best"] if fit else record["files"]["ckpt_path"]
    uncertainty = (config["model"].get("init_args") or {}).get("uncertainty") or {}
    level = uncertainty.get("level")
    return StoredRun(
        folder=folder,
        command=record["command"],
        figures=figures,
        checkpoint=Path(checkpoint["path"]),
        checkpoint_sha256=str(checkpoint["sha256"]),
        root=None if data["root"] is None else str(data["root"]),
        data=dict(record["data"]),
        seed=_plain(config["seed_everything"]),
        level=None if level is None else float(level),
        data_options={
            name: _plain(data[name]) for name in (*_DATA, *(set(_LATER_DATA) & set(data)))
        },
        trainer_options={name: _plain(config["trainer"].get(name)) for name in _TRAINER},
        circumstances={
            part: dict(record[part]) for part in ("package", "versions", "machine")
        },
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Return a value that names no class.

    Raises:
        TypeError: It could.
    """
    words = value if isinstance(value, list) else [value]
    for word in words:
        if word is not None and not isinstance(word, (bool, int, float, str)):
            raise TypeError(f"{type(word).__name__} where a number or a name should be")
    return value


def figures_of_test(folder: Path) -> dict[str, float]:
    """Return the figures of a test's folder.

    Raises:
        ConfigurationError: They are missing or damaged.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise ConfigurationError(f"{path} not found: the test wrote no figures")
    metrics = read_json(path).get("metrics")
    if not isinstance(metrics, dict):
        raise ConfigurationError(f"{path}: damaged (it holds no metrics)")
    stated = {
        name: next((figure[key] for key in _STATED if key in figure), None)
        for name, figure in metrics.items()
        if isinstance(figure, dict)
    }
    return _numbers(stated, f"{path}")


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of JSON.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: damaged (it holds no names)")
    return content


def _numbers(figures: Any, whose: str) -> dict[str, float]:
    """Return figures by name; JSON has null where one could not be had."""
    if not isinstance(figures, Mapping):
        raise ConfigurationError(f"{whose}: damaged (it holds no figures)")
    for name, value in figures.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ConfigurationError(f"{whose}: damaged ({name} is no number)")
    return {name: math.nan if value is None else float(value) for name, value in figures.items()}
