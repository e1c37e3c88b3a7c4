"""LightningCLI for EF tasks: a choice of tasks, one data module, and the callbacks of every run."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentError
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning import Trainer
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lvef.callbacks import PredictionWriter, SaliencyMaps, TensorBoardFigures, TestResults
from lvef.callbacks.checkpoints import UnhurriedCheckpointIO
from lvef.callbacks.options import check_callbacks
from lvef.callbacks.run_record import recorded, words_of
from lvef.config_checkpoint import LOG_FOLDER, match, members, namespace, newest
from lvef.data.datamodule import EchoNetDataModule
from lvef.errors import ConfigurationError, LvefError, one_line
from lvef.models import EFEnsemble, LVSegmenter, Task
from lvef.options import SEED, check_numbers
from lvef.precision import cpu_precision

_CONVERTING = ("16-true", "bf16-true", "64-true", "64", "transformer-engine")


class LvefCLI(LightningCLI):
    """LightningCLI with this project's defaults; see `run`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks of every run, whose options can be set by name."""
        parser.usage = (
            "python -m lvef COMMAND --config configs/EXPERIMENT.yaml [--config MORE.yaml] "
            "[--data.root DIR] [options]"
        )
        parser.description = (
            "Options of the tasks: --model.help lvef.models.EFClassifier (or EFRegressor, "
            "EFGaussianProcess, EFEnsemble, LVSegmenter). "
            "--print_config after other options shows the whole configuration."
        )
        parser.add_argument(
            "--experiment", default="run", help=f"Name of the run's folder under {LOG_FOLDER}."
        )
        parser.add_argument(
            "--saliency",
            type=bool | None,
            default=None,
            help="Save heat maps: true in predict for every video, false in test for none; by "
            "default test saves those of a few chosen cases.",
        )
        parser.add_argument(
            "--anonymize",
            type=str | None,
            default=None,
            help="predict: name new clips case_0001 and so on in tables, records and pictures, and "
            "keep which is which in this CSV file, which must lie outside the run's folder.",
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(LearningRateMonitor, "lr_monitor")
        parser.set_defaults(
            {
                "checkpoint.filename": "best",
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

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line, and keep it for `run.json`."""
        self.words = words_of(args)
        super().parse_arguments(parser, args)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run a command, and write down with what."""
        config = self._parser(subcommand).dump(self.config[subcommand], skip_none=False)
        with recorded(self.trainer, subcommand, config, self.words):
            super()._run_subcommand(subcommand)

    def _set_seed(self) -> None:
        """Seed everything, by a seed that can be one."""
        asked = {"seed_everything": self._get(self.config, "seed_everything")}
        check_numbers("", {"seed_everything": SEED}, asked)
        super()._set_seed()

    def _parse_ckpt_path(self) -> None:
        """Leave checkpoints to `before_instantiate_classes`, which says what does not fit."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the trainer, which keeps the last epoch beside the best.

        It writes checkpoints without hurry unless told otherwise.
        """
        given = self._get(self.config_init, "trainer.plugins") or []
        plugins = list(given) if isinstance(given, (list, tuple)) else [given]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(UnhurriedCheckpointIO())
        trainer = super().instantiate_trainer(**{"plugins": plugins, **kwargs})
        if self.subcommand == "fit":
            # `save_last` writes only when an epoch is the best: a run could not go on from its end.
            last = ModelCheckpoint(
                self._get(self.config, "checkpoint.dirpath"),
                filename="last",
                enable_version_counter=False,
                save_on_train_epoch_end=True,
            )
            trainer.callbacks.append(last)  # type: ignore[attr-defined]
        return trainer

    def instantiate_classes(self) -> None:
        """Let `predict` find the beats of new videos."""
        super().instantiate_classes()
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, SaliencyMaps):
                callback.wanted = self._get(self.config_init, "saliency")
        datamodule = self.datamodule
        if self.subcommand == "predict" and datamodule.videos is not None:
            from lvef.analysis.finder import BeatFinder

            datamodule.run_folder = self._run_folder
            datamodule.key = self._key()

            datamodule.finder = BeatFinder(
                datamodule.segmenter, self._overlay_folder, self._run_folder, datamodule.fps
            )

    def _key(self) -> Path | None:
        """Return where it stands which clip each number is; None where clips keep their names.

        Raises:
            ConfigurationError: It would lie beside what is passed on.
        """
        key = self._get(self.config_init, "anonymize")
        if key is None:
            return None
        run = Path(self.trainer.log_dir or self.trainer.default_root_dir).resolve()
        if run in Path(key).resolve().parents:
            raise ConfigurationError(
                f"--anonymize {key} lies in the run's folder: it tells which patient's clip each "
                "number is, so name a file elsewhere"
            )
        return Path(key).expanduser()

    def _overlay_folder(self) -> Path | None:
        """Return where overlays go, None where they are not wanted or another process writes."""
        folder = self._run_folder() if self.datamodule.save_overlays else None
        return None if folder is None else folder / "overlays"

    def _run_folder(self) -> Path | None:
        """Return the log folder, None where another process writes."""
        folder = self.trainer.log_dir or self.trainer.default_root_dir  # all processes agree on it
        return Path(folder) if self.trainer.is_global_zero else None

    def before_instantiate_classes(self) -> None:
        """Name the logger, choose what to monitor, and match the checkpoint."""
        config = self.config[self.subcommand]
        check_callbacks(config)
        task = _task_class(config.model.class_path)
        for part in ("checkpoint", "early_stopping"):
            config[part].monitor = config[part].monitor or task.monitor
            if config[part].monitor == task.monitor:
                config[part].mode = task.monitor_mode
        own_logger = config.trainer.logger in (None, True)
        if own_logger:
            config.trainer.logger = namespace(
                class_path="lightning.pytorch.loggers.TensorBoardLogger",
                init_args=namespace(
                    # As a checkpoint that is resumed will call it, wherever that is done from.
                    save_dir=_absolute(config.trainer.default_root_dir or LOG_FOLDER),
                    name=config.experiment,
                    default_hp_metric=False,
                ),
            )
        if config.trainer.precision is None and _on_cpu(config):
            config.trainer.precision = cpu_precision()
        if str(config.trainer.precision) in _CONVERTING:
            raise ConfigurationError(
                f"trainer.precision {config.trainer.precision} would change the labels' precision "
                "and a Gaussian process's too: choose 32-true, bf16-mixed or 16-mixed"
            )
        if self.subcommand == "fit":
            config.checkpoint.save_last = None  # see instantiate_trainer
        if self.subcommand == "test":
            config.verbose = False  # the table of TestResults has the same figures and more
        if self.subcommand == "predict" and config.data.videos and config.trainer.devices == "auto":
            config.trainer.devices = 1  # a few videos cannot be shared among many devices
        if self.subcommand == "predict" and task is LVSegmenter:
            _take_segmenter(config)
        elif self.subcommand != "fit":
            config.ckpt_path = config.get("ckpt_path") or newest(config)
        elif task is EFEnsemble and not config.get("ckpt_path"):
            config.model.init_args.members = members(config)
        if config.get("ckpt_path"):
            match(config, self.subcommand or "")
            if self.subcommand == "fit" and own_logger:
                _log_on(config)


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
            Task,
            EchoNetDataModule,
            subclass_mode_model=True,
            args=None if words == sys.argv[1:] else words,
            seed_everything_default=0,
            trainer_defaults={
                "callbacks": [
                    PredictionWriter(),
                    TestResults(),
                    TensorBoardFigures(),
                    SaliencyMaps(),
                ],
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
        if LVSegmenter.__name__ in str(error) and "'backbone." in str(error):
            raise ConfigurationError(
                "an LV segmenter has no backbone, which configs/phantom.yaml is about: leave that "
                "away, and name the folder of phantoms with --data.root"
            ) from error
        raise one_line(error) from error
    except ValueError as error:
        raise _own_error(error) or error from None


def _own_error(error: BaseException | None) -> LvefError | None:
    """Return our own error from under the wrapping that jsonargparse gives it, if there is one."""
    while error is not None and not isinstance(error, LvefError):
        error = error.__cause__ or error.__context__
    return error


def _task_class(class_path: str) -> type[Task]:
    module, name = class_path.rsplit(".", 1)
    task: type[Task] = getattr(__import__(module, fromlist=[name]), name)
    return task


def _on_cpu(config: Namespace) -> bool:
    accelerator = config.trainer.accelerator
    if accelerator == "auto":
        return not (torch.cuda.is_available() or torch.backends.mps.is_available())
    return bool(accelerator == "cpu")


def _take_segmenter(config: Namespace) -> None:
    """Let a segmenter's checkpoint find the beats, or else the shipped weights.

    Raises:
        ConfigurationError: There is no clip to find them in, or their frames are given.
    """
    if config.data.videos is None:
        raise ConfigurationError(
            "an LV segmenter predicts clips: give a file, a folder or a glob with --data.videos"
        )
    if config.data.keyframes is not None:
        raise ConfigurationError(
            "an LV segmenter finds the beats itself; --data.keyframes is for a model of EF"
        )
    config.data.segmenter = config.get("ckpt_path") or config.data.segmenter
    config.ckpt_path = None


def _log_on(config: Namespace) -> None:
    """Let the log of a run that is resumed go on in its folder, where its checkpoints go on."""
    checkpoint = Path(config.ckpt_path).resolve()
    run = checkpoint.parent.parent
    kept = checkpoint.parent == run / "checkpoints" == Path(config.checkpoint.dirpath or "")
    if kept and run.name.startswith("version_"):  # a run's folder, not one of the user's own
        log = config.trainer.logger.init_args
        log.save_dir, log.name, log.version = str(run.parent.parent), run.parent.name, run.name


def _absolute(folder: str) -> str:
    return folder if "://" in folder else str(Path(folder).resolve())
