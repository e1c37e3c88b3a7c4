"""Which checkpoint a configuration means, and what the two must agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lvef.errors import CheckpointError
from lvef.models.loading import describe

LOG_FOLDER = "lightning_logs"
_MUST_AGREE = ("frames", "image_size", "remove_artifacts")


def newest(config: Namespace) -> str:
    """Return the best checkpoint of the newest run of this experiment.

    Raises:
        CheckpointError: There is none.
    """
    folder = _log_folder(config) / config.experiment
    found = _newest_in(folder)
    if found is None:
        raise CheckpointError(
            f"no checkpoint in {folder}: train with python -m lvef fit first, or give one with "
            "--ckpt_path"
        )
    print(f"Checkpoint: {found}")
    return str(found)


def match(config: Namespace, command: str) -> None:
    """Take the architecture from a checkpoint, and refuse one of another task.

    Raises:
        CheckpointError: The checkpoint is missing, unreadable, or of another task.
    """
    path = config.ckpt_path
    if path in ("best", "last", "hpc", "registry"):
        return
    about = describe(path)
    asked = config.model.class_path.rsplit(".", 1)[-1]
    if about["task"] != asked:
        raise CheckpointError(f"{path} holds a {about['task']}, but the config asks for {asked}")
    for name in _MUST_AGREE:
        _agree(about, config, name, path)
    if about["data"].get("is_phantom") and command == "predict" and config.data.videos:
        print("Note: this model was trained on phantoms; what it says of patients means nothing.")
    if command == "fit":
        _resume(config, about)
        return
    asked_level = config.model.init_args.get("uncertainty.level")
    for name, value in about["hparams"].items():
        if name == "uncertainty" and asked_level is not None:
            # What VAL taught travels with the checkpoint, so that any level can be asked for.
            value = {**value, "level": asked_level}
        if isinstance(value, dict):
            config.model.init_args[name] = namespace(**value)
        elif name != "frames":
            config.model.init_args[name] = value


def members(config: Namespace) -> list[str]:
    """Return the checkpoints of an ensemble's members, given as files, folders or experiments.

    Raises:
        CheckpointError: One is missing, or saw other pictures than the config makes.
    """
    found = []
    for member in config.model.init_args.members:
        path = Path(str(member))
        if not path.is_file():
            runs = path if path.is_dir() else _log_folder(config) / str(member)
            best = _newest_in(runs)
            if best is None:
                raise CheckpointError(
                    f"ensemble member {member!r}: neither a checkpoint nor an experiment with one "
                    f"in {_log_folder(config)}; fit it first, or set --model.members"
                )
            path = best
        about = describe(path)
        for name in ("image_size", "remove_artifacts"):
            _agree(about, config, name, str(path))
        found.append(str(path))
    return found


def namespace(**values: Any) -> Namespace:
    """Return a configuration of these values."""
    return Namespace(**values)  # type: ignore[no-untyped-call]


def _resume(config: Namespace, about: dict[str, Any]) -> None:
    """Go on where a run stopped.

    Same architecture, best checkpoint beside the one resumed, and no weights to fetch that the
    checkpoint would overwrite.
    """
    arguments = config.model.init_args
    for name in ("head", "gp"):
        if name in about["hparams"]:
            arguments[name] = namespace(**about["hparams"][name])
    for name in ("members", "weighting"):
        if name in about["hparams"]:
            arguments[name] = about["hparams"][name]
    if "backbone" in about["hparams"]:
        arguments.backbone.weights = None
        arguments.backbone.checkpoint = None
    folder = str(Path(config.ckpt_path).resolve().parent)
    config.checkpoint.dirpath = config.checkpoint.dirpath or folder


def _agree(about: dict[str, Any], config: Namespace, name: str, path: str) -> None:
    if name in about["data"] and about["data"][name] != config.data[name]:
        raise CheckpointError(
            f"{path} was trained with data.{name} = {about['data'][name]}, but the config "
            f"says {config.data[name]}"
        )


def _newest_in(folder: Path) -> Path | None:
    """Return the best checkpoint of the newest run under a folder, or None."""
    found = sorted(folder.glob("**/checkpoints/best.ckpt"), key=lambda p: p.stat().st_mtime)
    return found[-1] if found else None


def _log_folder(config: Namespace) -> Path:
    return Path(config.trainer.default_root_dir or LOG_FOLDER)
