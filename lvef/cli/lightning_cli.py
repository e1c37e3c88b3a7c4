"""LightningCLI for this package's tasks; each rule of a run is a function in a file beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
from lightning import LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger

from lvef.callbacks import (
    CleanStop,
    FitGuard,
    PredictionWriter,
    RunFigures,
    SaliencyMaps,
    StepsOfResumedFit,
    TestResults,
)
from lvef.callbacks.options import check_callbacks
from lvef.callbacks.run_record import recorded
from lvef.cli.arguments import add_arguments
from lvef.cli.bare import with_flags, with_task
from lvef.cli.configs import ConfigAction, ConfigParser
from lvef.cli.data_module import DEFAULT, names_data_module
from lvef.cli.imports import take_imports
from lvef.cli.kept_checkpoints import (
    keep_in_run,
    last_epoch,
    refuse_to_overwrite,
    refuse_unjudged,
    with_checkpoint_io,
)
from lvef.cli.nested_options import as_typed
from lvef.cli.new_clips import find_key
from lvef.cli.option_errors import user_error
from lvef.cli.rules import apply_rules
from lvef.cli.run_folder import RunConfig, run_and_loggers
from lvef.cli.short_help import ALL
from lvef.errors import LvefError
from lvef.models import Task, import_all
from lvef.options import SEED, check_numbers
from lvef.predict.datamodule import EchoNetDataModule
from lvef.predict.find import refuse_expanded
from lvef.runs import RunTrainer, checkpoints_of, command_with, discard_empty, log_folder
from lvef.stopping import lead

_FLAGS: dict[str, type] = {"trainer.": Trainer, "data.": EchoNetDataModule}


class LvefCLI(LightningCLI):
    """LightningCLI with this project's defaults; see `run`."""

    trainer: RunTrainer

    def __init__(self, *args: Any, command: str, typed: Sequence[str], **kwargs: Any) -> None:
        self.typed = list(typed)
        every = LightningCLI.subcommands()
        # The parsers of the others take a third of a second to make.
        self.subcommands = lambda: {command: every[command]}  # type: ignore[method-assign]
        super().__init__(*args, **kwargs)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Return a parser that knows the package's configs by name."""
        kwargs.setdefault("dump_header", [f"lightning.pytorch=={lightning.__version__}"])
        parser = ConfigParser(**kwargs)
        parser.add_argument(
            "-c", "--config", action=ConfigAction,
            help="An experiment (esf_cls, edf_esf_mlp, ...), an overlay (phantom) or a YAML file; "
            "may be given several times, and what comes later wins.",
        )  # fmt: skip
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what every run takes; see `lvef.cli.arguments`."""
        add_arguments(parser)
        named = self.subclass_mode_data
        frames = "data.init_args.frames" if named else "data.frames"
        parser.link_arguments(frames, "model.init_args.frames")
        if named:
            parser.set_defaults({"data": {"class_path": DEFAULT}})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words of the command, whoever gave them.

        Lightning's own would warn of words that are not those of the process.
        """
        self.config = parser.parse_args(as_typed(args))

    def _set_seed(self) -> None:
        """Seed everything, by a seed that can be one."""
        seed = {"seed_everything": self._get(self.config, "seed_everything")}
        check_numbers("", {"seed_everything": SEED}, seed)
        super()._set_seed()

    def _parse_ckpt_path(self) -> None:
        """Leave checkpoints to `before_instantiate_classes`, which says what does not fit."""

    def before_instantiate_classes(self) -> None:
        """Complete the configuration; see `lvef.cli.rules`."""
        config = self.config[self.subcommand]
        check_callbacks(config)
        apply_rules(config, str(self.subcommand))
        if self.subcommand == "fit":
            config.checkpoint.save_last = None  # see `last_epoch`
            refuse_to_overwrite(config)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the trainer, with a run folder of its own, whatever logs.

        It keeps the last epoch beside the best, and writes checkpoints without hurry unless told
        otherwise.

        Raises:
            ConfigurationError: Its options cannot work.
        """
        given, fits = self._get(self.config_init, "trainer"), self.subcommand == "fit"
        resumed = self._get(self.config_init, "ckpt_path") if fits else None
        run, loggers = run_and_loggers(self._experiment_folder(), given.logger, resumed)
        self._leave_out_idle_callbacks(loggers, given.enable_checkpointing)
        kwargs = {
            "plugins": with_checkpoint_io(given.plugins),
            "logger": loggers or False,
            "default_root_dir": run,
            **kwargs,
        }
        trainer = super().instantiate_trainer(**kwargs)
        assert isinstance(trainer, RunTrainer)
        trainer.run_folder, trainer.typed = run, self.typed
        keep_in_run(trainer, run)
        if fits and given.enable_checkpointing is not False:
            folder = self._get(self.config, "checkpoint.dirpath") or checkpoints_of(run)
            trainer.callbacks.append(last_epoch(Path(folder)))  # type: ignore[attr-defined]
        return trainer

    def instantiate_classes(self) -> None:
        """Tell the parts of a run what only the command line knows."""
        super().instantiate_classes()
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, SaliencyMaps):
                callback.wanted = self._get(self.config_init, "saliency")
        data: Any = self.datamodule
        new_clips = self.subcommand == "predict" and getattr(data, "videos", None) is not None
        key = find_key(self._get(self.config_init, "anonymize"), new_clips, self.trainer)
        if new_clips:
            data.key = key
        if getattr(data, "feature_cache", None) == "auto":
            data.feature_cache = str(self._log_folder() / "features")

    def after_fit(self) -> None:
        """Say where no epoch was judged, or else which is the best, and how to judge it on TEST."""
        refuse_unjudged(self.trainer)
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if best and self.trainer.is_global_zero:
            imported = [word for name in take_imports(self.typed)[1] for word in ("--import", name)]
            print(f"Best epoch: {best}")
            print(f"Judge it on TEST: {command_with(['test', *imported], best)}")

    def _run_subcommand(self, subcommand: str) -> None:
        """Run a command, and write down with what."""
        config = self._parser(subcommand).dump(self.config[subcommand], skip_none=False)
        with recorded(self.trainer, subcommand, config, self.typed):
            super()._run_subcommand(subcommand)

    def _leave_out_idle_callbacks(self, loggers: list[Logger], checkpoints: bool | None) -> None:
        """Leave out those of our callbacks that Lightning refuses where they have nothing to do."""
        parser = self._parser(self.subcommand)
        idle = [] if loggers else ["lr_monitor"]
        idle += ["checkpoint"] if checkpoints is False else []
        parser.callback_keys = [name for name in parser.callback_keys if name not in idle]

    def _log_folder(self) -> Path:
        return log_folder(self._get(self.config, "trainer.default_root_dir"))

    def _experiment_folder(self) -> Path:
        return self._log_folder() / str(self._get(self.config, "experiment"))


def run(words: Sequence[str], typed: Sequence[str] | None = None) -> LvefCLI:
    """Run a Lightning command.

    Args:
        words: Command and options.
        typed: What the user typed, for the record of the run; by default the words.

    Raises:
        LvefError: The options, the data or the checkpoint cannot work.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    refuse_expanded(words)
    import_all()
    lead()
    ConfigParser.every_option = ALL in words
    words = ["--help" if word == ALL else word for word in words]
    words = with_task(with_flags(words, _FLAGS))
    named = names_data_module(words)
    try:
        return LvefCLI(
            Task,
            LightningDataModule if named else EchoNetDataModule,
            RunConfig,
            args=words,
            command=words[0],
            typed=words if typed is None else typed,
            subclass_mode_model=True,
            subclass_mode_data=named,
            seed_everything_default=0,
            trainer_class=RunTrainer,
            trainer_defaults={
                "callbacks": [
                    CleanStop(),
                    StepsOfResumedFit(),
                    FitGuard(),
                    PredictionWriter(),
                    TestResults(),
                    RunFigures(),
                    SaliencyMaps(),
                ],
            },
            parser_kwargs={
                words[0]: {"exit_on_error": False, "prog": f"python -m lvef {words[0]}"},
                "exit_on_error": False,
            },
            auto_configure_optimizers=False,
        )
    except LvefError:
        discard_empty()
        raise
    except Exception as error:
        discard_empty()
        line = user_error(error)
        if line is None:
            raise
        raise line from error
