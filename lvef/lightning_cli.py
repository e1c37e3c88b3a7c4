"""LightningCLI for EF tasks: a choice of tasks, one data module, and the callbacks of every run."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentError
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lvef.callbacks import PredictionWriter, TensorBoardFigures, TestResults
from lvef.data.datamodule import EchoNetDataModule
from lvef.errors import CheckpointError, one_line
from lvef.models import EFTask

LOG_FOLDER = "lightning_logs"
_MUST_AGREE = ("frames", "image_size", "remove_artifacts")


class LvefCLI(LightningCLI):
    """LightningCLI with this project's defaults; see `run`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks of every run, whose options can be set by name."""
        parser.usage = (
            "python -m lvef COMMAND --config configs/EXPERIMENT.yaml [--config MORE.yaml] "
            "[--data.root DIR] [options]"
        )
        parser.description = (
            "Options of the tasks: --model.help lvef.models.EFClassifier (or EFRegressor). "
            "--print_config after other options shows the whole configuration."
        )
        parser.add_argument(
            "--experiment", default="run", help=f"Name of the run's folder under {LOG_FOLDER}."
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(LearningRateMonitor, "lr_monitor")
        parser.set_defaults(
            {
                "checkpoint.filename": "best",
                "checkpoint.save_last": True,
                "checkpoint.enable_version_counter": False,
                "early_stopping.patience": 10,
                "early_stopping.check_finite": False,  # VAL of one class has no AUC
                # Every task copies its own metric here: one name to watch, whatever the task.
                "checkpoint.monitor": None,
                "early_stopping.monitor": "",
                "trainer.max_epochs": 40,
                "trainer.gradient_clip_val": 1.0,
                "trainer.log_every_n_steps": 10,
            }
        )
        parser.link_arguments("data.frames", "model.init_args.frames")

    def _parse_ckpt_path(self) -> None:
        """Leave checkpoints to `before_instantiate_classes`, which says what does not fit."""

    def before_instantiate_classes(self) -> None:
        """Name the logger, choose what to monitor, and match the checkpoint."""
        config = self.config[self.subcommand]
        task = _task_class(config.model.class_path)
        for part in ("checkpoint", "early_stopping"):
            config[part].monitor = config[part].monitor or task.monitor
            if config[part].monitor == task.monitor:
                config[part].mode = task.monitor_mode
        if config.trainer.logger in (None, True):
            config.trainer.logger = _namespace(
                class_path="lightning.pytorch.loggers.TensorBoardLogger",
                init_args=_namespace(
                    save_dir=config.trainer.default_root_dir or LOG_FOLDER,
                    name=config.experiment,
                    default_hp_metric=False,
                ),
            )
        if self.subcommand == "test":
            config.verbose = False  # the table of TestResults has the same figures and more
        if self.subcommand == "predict" and config.data.videos and config.trainer.devices == "auto":
            config.trainer.devices = 1  # a few videos cannot be shared among many devices
        if self.subcommand != "fit":
            config.ckpt_path = config.get("ckpt_path") or _newest(config)
        if config.get("ckpt_path"):
            _match(config, self.subcommand or "")


def run(words: list[str]) -> LvefCLI:
    """Run a Lightning command.

    Args:
        words: Command and options.

    Raises:
        LvefError: The options, the data or the checkpoint cannot work.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return LvefCLI(
            EFTask,
            EchoNetDataModule,
            subclass_mode_model=True,
            args=None if words == sys.argv[1:] else words,
            seed_everything_default=0,
            trainer_defaults={
                "callbacks": [PredictionWriter(), TestResults(), TensorBoardFigures()]
            },
            save_config_kwargs={"overwrite": True},
            parser_kwargs={
                command: {"exit_on_error": False, "prog": f"python -m lvef {command}"}
                for command in ("fit", "validate", "test", "predict")
            }
            | {"exit_on_error": False},
            auto_configure_optimizers=False,
        )
    except (ArgumentError, MisconfigurationException) as error:
        raise one_line(error) from error


def _task_class(class_path: str) -> type[EFTask]:
    module, name = class_path.rsplit(".", 1)
    task: type[EFTask] = getattr(__import__(module, fromlist=[name]), name)
    return task


def _namespace(**values: Any) -> Namespace:
    return Namespace(**values)  # type: ignore[no-untyped-call]


def _newest(config: Namespace) -> str:
    """Return the best checkpoint of the newest run of this experiment."""
    folder = Path(config.trainer.default_root_dir or LOG_FOLDER) / config.experiment
    found = sorted(folder.glob("version_*/checkpoints/best.ckpt"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise CheckpointError(
            f"no checkpoint in {folder}: train with python -m lvef fit first, or give one with "
            "--ckpt_path"
        )
    print(f"Checkpoint: {found[-1]}")
    return str(found[-1])


def _match(config: Namespace, command: str) -> None:
    """Take the architecture from a checkpoint, and refuse one of another task.

    Raises:
        CheckpointError: The checkpoint is missing, unreadable, or of another task.
    """
    path = config.ckpt_path
    if path in ("best", "last", "hpc", "registry"):
        return
    if not Path(path).is_file():
        raise CheckpointError(f"{path} not found; --ckpt_path takes a checkpoint file")
    try:
        about = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("lvef")
    except Exception as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({error})".splitlines()[0]
        ) from error
    if about is None:
        raise CheckpointError(f"{path} is not a checkpoint of this package")
    asked = config.model.class_path.rsplit(".", 1)[-1]
    if about["task"] != asked:
        raise CheckpointError(f"{path} holds a {about['task']}, but the config asks for {asked}")
    for name in _MUST_AGREE:
        if name in about["data"] and about["data"][name] != config.data[name]:
            raise CheckpointError(
                f"{path} was trained with data.{name} = {about['data'][name]}, but the config "
                f"says {config.data[name]}"
            )
    if about["data"].get("is_phantom") and command == "predict" and config.data.videos:
        print("Note: this model was trained on phantoms; what it says of patients means nothing.")
    if command == "fit":
        # The run goes on where it stopped: same head, best checkpoint beside the one resumed,
        # and no weights to fetch that the checkpoint would overwrite.
        config.model.init_args.head = _namespace(**about["hparams"]["head"])
        config.model.init_args.backbone.weights = None
        config.checkpoint.dirpath = config.checkpoint.dirpath or str(Path(path).parent)
        return
    for name, value in about["hparams"].items():
        if isinstance(value, dict):
            config.model.init_args[name] = _namespace(**value)
        elif name != "frames":
            config.model.init_args[name] = value
