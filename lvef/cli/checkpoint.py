"""Which checkpoint a configuration means, and what the two must agree on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lvef.errors import CheckpointError
from lvef.models.loading import describe_checkpoint, task_class
from lvef.models.options import OptimizerOptions, options
from lvef.runs import checkpoint_in, data_options, log_folder, newest_run

_MUST_AGREE = ("frames", "image_size", "remove_artifacts")
_MUST_AGREE_TO_GO_ON = ("train_fold", "without_fold", "fold_seed", "calibration_share")
_NAMES = ("best", "last", "hpc")
"""What --ckpt_path may name in place of a file: one of the newest run."""


def newest_checkpoint(config: Namespace, name: str = "best") -> str:
    """Return a checkpoint of the newest run of this experiment.

    Args:
        config: The configuration.
        name: best, last or hpc.

    Raises:
        CheckpointError: There is no run, or the newest has no such checkpoint.
    """
    folder = log_folder(config.trainer.default_root_dir) / config.experiment
    run = newest_run(folder)
    if run is None:
        raise CheckpointError(
            f"no checkpoint in {folder}: train with python -m lvef fit first, or give one with "
            "--ckpt_path"
        )
    checkpoint = checkpoint_in(run, name)
    if checkpoint is None:
        others = [str(path) for one in _NAMES if (path := checkpoint_in(run, one))]
        raise CheckpointError(
            f"the newest run, {run}, has no {name} checkpoint"
            + (f" (it has {', '.join(others)})" if others else "")
            + ": give a file with --ckpt_path"
        )
    print(f"Checkpoint: {checkpoint}")
    return str(checkpoint)


def resolve(config: Namespace) -> None:
    """Put a file in the place of a name that --ckpt_path gives.

    Raises:
        CheckpointError: There is no such file.
    """
    asked = config.get("ckpt_path")
    if asked in _NAMES:
        config.ckpt_path = newest_checkpoint(config, asked)
    elif asked == "registry":
        raise CheckpointError(
            "--ckpt_path registry: this package has no registry of models; give a file, or one of "
            + ", ".join(_NAMES)
        )


def take_architecture(config: Namespace, command: str) -> None:
    """Take the architecture from a checkpoint, and refuse one of another task.

    Raises:
        CheckpointError: The checkpoint is missing, unreadable, or of another task.
    """
    path = config.ckpt_path
    metadata = describe_checkpoint(path)
    asked = config.model.class_path.rsplit(".", 1)[-1]
    if metadata["class_path"] != task_class(config.model.class_path).class_path():
        raise CheckpointError(f"{path} holds a {metadata['task']}, but the config asks for {asked}")
    new_clips = command == "predict" and data_options(config).get("videos")
    for name in (*_MUST_AGREE, *(_MUST_AGREE_TO_GO_ON if command == "fit" else ())):
        _agree(metadata, config, name, path)
    if not new_clips:
        # Otherwise TEST would be of cases that were learned; one of before knows no folds.
        metadata["data"] = {"folds": None, "fold": None, **metadata["data"]}
        seed = ("fold_seed",) if metadata["data"]["folds"] else ()
        for name in ("folds", "fold", *seed):
            _agree(metadata, config, name, path)
    if metadata["data"].get("is_phantom") and new_clips:
        print("Note: this model was trained on phantoms; what it says of patients means nothing.")
    if command == "fit":
        if metadata.get("recalibrated"):
            raise CheckpointError(
                f"{path} was recalibrated, and holds nothing that a fit could go on from: give the "
                "checkpoint that it was made of"
            )
        _resume(config, metadata)
        return
    asked_level = config.model.init_args.get("uncertainty.level")
    for name, value in metadata["hparams"].items():
        if name == "uncertainty" and asked_level is not None:
            # What VAL taught travels with the checkpoint, so that any level can be asked for.
            value = {**value, "level": asked_level}
        if isinstance(value, dict):
            config.model.init_args[name] = namespace(**value)
        elif name != "frames":
            config.model.init_args[name] = value


def locate_member(config: Namespace, name: str) -> str:
    """Return the checkpoint file that a task is built on, given as file, folder or experiment.

    Raises:
        CheckpointError: It is missing, or saw other pictures than the config makes.
    """
    path = Path(name)
    if not path.is_file():
        logs = log_folder(config.trainer.default_root_dir)
        run = newest_run(path if path.is_dir() else logs / name)
        best = None if run is None else checkpoint_in(run, "best")
        if best is None:
            raise CheckpointError(
                f"ensemble member {name!r}: neither a checkpoint nor an experiment whose "
                f"newest run has a best one in {logs}; fit it first, or set --model.members"
            )
        path = best
    metadata = describe_checkpoint(path)
    for option in ("image_size", "remove_artifacts"):
        _agree(metadata, config, option, str(path))
    return str(path)


def namespace(**values: Any) -> Namespace:
    """Return a configuration of these values."""
    return Namespace(**values)  # type: ignore[no-untyped-call]


def _resume(config: Namespace, metadata: dict[str, Any]) -> None:
    """Go on where a run stopped: same architecture, and no weights to fetch only to be replaced."""
    arguments = config.model.init_args
    if "optimizer" in metadata["hparams"]:
        _take_optimizer(arguments, metadata["hparams"]["optimizer"])
    for name in ("head", "gp"):
        if name in metadata["hparams"]:
            arguments[name] = namespace(**metadata["hparams"][name])
    for name in ("members", "weighting"):
        if name in metadata["hparams"]:
            arguments[name] = metadata["hparams"][name]
    if "backbone" in metadata["hparams"]:
        backbone = metadata["hparams"]["backbone"]
        arguments.backbone.name = backbone.get("name", arguments.backbone.name)
        arguments.backbone.arguments = backbone.get("arguments")
        arguments.backbone.weights = None
        arguments.backbone.checkpoint = None


def _take_optimizer(arguments: Namespace, stated: dict[str, Any]) -> None:
    """Go on with the optimiser and the schedule whose state the checkpoint holds."""
    before = asdict(options(OptimizerOptions, stated))  # complete, whatever version wrote it
    asked = arguments.optimizer.as_dict()
    for name, value in before.items():
        if asked.get(name, value) != value:
            print(f"Note: the fit goes on with the checkpoint's model.optimizer.{name}, {value}")
    arguments.optimizer = namespace(**before)


def _agree(metadata: dict[str, Any], config: Namespace, name: str, path: str) -> None:
    stated = metadata["data"].get(name)
    asked = data_options(config).get(name, stated)
    if name in metadata["data"] and stated != asked:
        raise CheckpointError(
            f"{path} was trained with data.{name} = {stated}, but the config says {asked}"
        )
