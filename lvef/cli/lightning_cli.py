"""LightningCLI for EF tasks: a choice of tasks, one data module, and the callbacks of every run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities import rank_zero_only
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from lvef.callbacks import (
    CleanStop,
    EarlyStopping,
    FitGuard,
    PredictionWriter,
    SaliencyMaps,
    StepsOfResumedFit,
    TensorBoardFigures,
    TestResults,
)
from lvef.callbacks.checkpoints import UnhurriedCheckpointIO
from lvef.callbacks.options import check_callbacks
from lvef.callbacks.run_record import recorded, words_of
from lvef.cli.option_errors import told
from lvef.cli.rules import apply_rules
from lvef.errors import ConfigurationError, LvefError
from lvef.files import write_text
from lvef.models import Task
from lvef.options import SEED, check_numbers
from lvef.predict.datamodule import EchoNetDataModule
from lvef.predict.find import refuse_expanded
from lvef.runs import (
    LOG_FOLDER,
    RunTrainer,
    checkpoints_of,
    discard_empty,
    log_folder,
    next_run,
    reserve,
    run_of,
)
from lvef.stopping import lead


class RunConfig(SaveConfigCallback):
    """Writes the configuration into the run's folder, over nothing that is there."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it, once a run; that of a run that goes on lies beside the one of before."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # all processes agree on it
        if self.already_saved or not trainer.is_global_zero:
            return
        path, number = folder / self.config_filename, 0
        while path.exists():
            number += 1
            path = folder / f"config_resumed_{number}.yaml"
        write_text(path, self.parser.dump(self.config, skip_none=False))
        self.already_saved = True


class LvefCLI(LightningCLI):
    """LightningCLI with this project's defaults; see `run`."""

    trainer: RunTrainer

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

    def before_instantiate_classes(self) -> None:
        """Complete the configuration; see `lvef.cli.rules`."""
        config = self.config[self.subcommand]
        check_callbacks(config)
        if self.subcommand == "fit":
            config.checkpoint.save_last = None  # see `_last`
        apply_rules(config, str(self.subcommand))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the trainer, with a run folder of its own, whatever logs.

        It keeps the last epoch beside the best, and writes checkpoints without hurry unless told
        otherwise.

        Raises:
            ConfigurationError: Its options cannot work.
        """
        given = self._get(self.config_init, "trainer")
        self._refuse_to_overwrite()
        run, loggers = self._run_and_loggers(given.logger)
        self._leave_out_idle_callbacks(loggers, given.enable_checkpointing)
        kwargs = {
            "plugins": _plugins(given.plugins),
            "logger": loggers or False,
            "default_root_dir": run,
            **kwargs,
        }
        trainer = super().instantiate_trainer(**kwargs)
        assert isinstance(trainer, RunTrainer)
        trainer.run_folder = run
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(checkpoints_of(run))
        if self.subcommand == "fit" and given.enable_checkpointing is not False:
            trainer.callbacks.append(self._last(run))  # type: ignore[attr-defined]
        return trainer

    def instantiate_classes(self) -> None:
        """Tell callbacks and data what the configuration has beside them."""
        super().instantiate_classes()
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, SaliencyMaps):
                callback.wanted = self._get(self.config_init, "saliency")
        labelled, new = self.datamodule.labelled, self.datamodule.new
        key = self._key()
        if new is not None:
            new.key = key
        if getattr(labelled, "feature_cache", None) == "auto":
            labelled.feature_cache = str(self._logs() / "features")

    def _key(self) -> Path | None:
        """Return where it stands which clip each number is; None where clips keep their names.

        Raises:
            ConfigurationError: It would lie beside what is passed on, or there is no new clip.
        """
        key = self._get(self.config_init, "anonymize")
        if key is None:
            return None
        if self.subcommand != "predict" or self.datamodule.videos is None:
            raise ConfigurationError(
                "--anonymize numbers new clips: it goes with predict and --data.videos"
            )
        run = Path(self.trainer.log_dir or self.trainer.default_root_dir).resolve()
        if run in Path(key).resolve().parents:
            raise ConfigurationError(
                f"--anonymize {key} lies in the run's folder: it tells which patient's clip each "
                "number is, so name a file elsewhere"
            )
        return Path(key).expanduser()

    def after_fit(self) -> None:
        """Say where no epoch was judged.

        Raises:
            ConfigurationError: There is no best checkpoint, and what there is was never calibrated.
        """
        best = self.trainer.checkpoint_callback
        if not isinstance(best, ModelCheckpoint) or not best.monitor or not best.save_top_k:
            return
        if not best.best_model_path and not self._get(self.config_init, "trainer.fast_dev_run"):
            raise ConfigurationError(
                f"{self.trainer.run_folder}: the fit ended before its first validation, and no "
                "best.ckpt was written: give it more time (--trainer.max_time, max_epochs)"
            )

    def _run_and_loggers(self, logger: Any) -> tuple[Path, list[Logger]]:
        """Return the run's folder and what logs.

        The folder is that of the run that a checkpoint to go on from lies in, else a new one of
        the experiment.

        Args:
            logger: What the configuration says.
        """
        runs = self._logs() / self._get(self.config_init, "experiment")
        resumed = self._get(self.config_init, "ckpt_path") if self.subcommand == "fit" else None
        run = run_of(resumed) if resumed else None
        run = run or self._new_run(runs, _listed(logger))
        if logger in (None, True):
            return run, [_own_logger(run)]
        if resumed:  # one that a run's own config.yaml named in earlier versions
            return run, [
                _own_logger(run) if isinstance(one, TensorBoardLogger)
                and Path(one.root_dir).resolve() == run.parent else one
                for one in _listed(logger)
            ]  # fmt: skip
        return run, _listed(logger)

    def _new_run(self, runs: Path, loggers: list[Logger]) -> Path:
        """Make the folder of a new run: that of a logger to files which logs beside the runs."""
        for logger in loggers:
            if isinstance(logger, (TensorBoardLogger, CSVLogger)):
                folder = Path(logger.log_dir).resolve()
                if folder.parent == runs and not folder.exists():
                    if _is_first_process():
                        folder.mkdir(parents=True)
                    return folder
        # Others ask the first one, once they are processes of one run; see `RunTrainer.log_dir`.
        return reserve(runs) if _is_first_process() else next_run(runs)

    def _refuse_to_overwrite(self) -> None:
        """Refuse a new fit whose checkpoints would take the place of another run's.

        Raises:
            ConfigurationError: They would.
        """
        about = self._get(self.config, "checkpoint")
        resumed = self._get(self.config, "ckpt_path")
        if self.subcommand != "fit" or about.dirpath is None or resumed:
            return
        held = [Path(about.dirpath) / f"{name}.ckpt" for name in (about.filename, "last")]
        if any(path.is_file() for path in held):
            raise ConfigurationError(
                f"checkpoint.dirpath is {about.dirpath}, where another run's checkpoints lie: give "
                "another folder, or go on from one of them with --ckpt_path"
            )

    def _leave_out_idle_callbacks(self, loggers: list[Logger], checkpoints: bool | None) -> None:
        """Leave out those of our callbacks that Lightning refuses where they have nothing to do."""
        parser = self._parser(self.subcommand)
        idle = [] if loggers else ["lr_monitor"]
        idle += ["checkpoint"] if checkpoints is False else []
        parser.callback_keys = [name for name in parser.callback_keys if name not in idle]

    def _last(self, run: Path) -> ModelCheckpoint:
        """Return what keeps the last epoch.

        `save_last` writes only when an epoch is the best: a run could not go on from its end.
        """
        return ModelCheckpoint(
            self._get(self.config, "checkpoint.dirpath") or checkpoints_of(run),
            filename="last",
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )

    def _logs(self) -> Path:
        return log_folder(self._get(self.config, "trainer.default_root_dir"))


def run(words: list[str]) -> LvefCLI:
    """Run a Lightning command.

    Args:
        words: Command and options.

    Raises:
        LvefError: The options, the data or the checkpoint cannot work.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    refuse_expanded(words)
    lead()
    try:
        return LvefCLI(
            Task,
            EchoNetDataModule,
            RunConfig,
            subclass_mode_model=True,
            args=None if words == sys.argv[1:] else words,
            seed_everything_default=0,
            trainer_class=RunTrainer,
            trainer_defaults={
                "callbacks": [
                    CleanStop(),
                    StepsOfResumedFit(),
                    FitGuard(),
                    PredictionWriter(),
                    TestResults(),
                    TensorBoardFigures(),
                    SaliencyMaps(),
                ],
            },
            parser_kwargs={
                command: {"exit_on_error": False, "prog": f"python -m lvef {command}"}
                for command in ("fit", "validate", "test", "predict")
            }
            | {"exit_on_error": False},
            auto_configure_optimizers=False,
        )
    except LvefError:
        discard_empty()
        raise
    except Exception as error:
        discard_empty()
        line = told(error)
        if line is None:
            raise
        raise line from error


def _own_logger(run: Path) -> TensorBoardLogger:
    """Return what logs into a run's folder."""
    number = run.name.removeprefix("version_")  # a progress bar shows it, and the end of a text
    version = int(number) if number.isdigit() else run.name
    return TensorBoardLogger(
        str(run.parent.parent), run.parent.name, version, default_hp_metric=False
    )


def _listed(given: Any) -> list[Any]:
    """Return what may be one thing, several or none as a list."""
    if given in (None, True, False):
        return []
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _plugins(given: Any) -> list[Any]:
    """Return the plugins, with one that writes checkpoints."""
    plugins = _listed(given)
    if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        plugins.append(UnhurriedCheckpointIO())
    return plugins


def _is_first_process() -> bool:
    """Return whether this is the process that writes, as far as the environment says."""
    return not getattr(rank_zero_only, "rank", 0)
