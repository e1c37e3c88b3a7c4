"""What a command makes of its configuration before anything is built: one rule, one function."""

from __future__ import annotations

import os

import torch
from jsonargparse import Namespace

from lvef.cli.checkpoint import locate_member, newest_checkpoint, resolve, take_architecture
from lvef.cli.noise import mute
from lvef.errors import ConfigurationError
from lvef.models.loading import task_class
from lvef.models.task import Task
from lvef.precision import cpu_precision
from lvef.runs import checkpoint_in, data_options, log_folder, newest_run

_CONVERTING = ("16-true", "bf16-true", "64-true", "64", "transformer-engine")
_NEEDED = {
    "fit": {"limit_train_batches": "trains on nothing", "max_epochs": "trains on nothing",
            "max_steps": "trains on nothing", "limit_val_batches": "leaves no VAL, by which the "
            "best epoch is chosen and the uncertainty learned"},
    "validate": {"limit_val_batches": "judges nothing"},
    "test": {"limit_test_batches": "judges nothing"},
    "predict": {"limit_predict_batches": "predicts nothing"},
}  # fmt: skip
"""Trainer arguments of which 0 leaves a command nothing to do, and why."""
_AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch")
"""Trainer arguments that Lightning divides by."""


def apply_rules(config: Namespace, command: str) -> None:
    """Complete the configuration of a command, and refuse what cannot work.

    Raises:
        ConfigurationError: An option cannot work.
        CheckpointError: The checkpoint that is meant is not there, or does not fit.
    """
    task = task_class(config.model.class_path)
    refuse_nothing_to_do(config, command)
    refuse_barebones(config)
    take_what_the_task_needs(config, task, command)
    watch_the_tasks_metric(config, task)
    choose_precision(config)
    print_less(config, command)
    predict_on_one_device(config, command)
    choose_checkpoint(config, command, task)
    mute_what_is_meant(config, command, task)


def refuse_nothing_to_do(config: Namespace, command: str) -> None:
    """Refuse a trainer that is told to do nothing.

    Raises:
        ConfigurationError: It is.
    """
    for name, why in _NEEDED[command].items():
        value = config.trainer[name]
        if value == 0 and value is not None and not isinstance(value, bool):
            raise ConfigurationError(f"--trainer.{name} {value} {why}: give more, or leave it away")
    for name in _AT_LEAST_ONE:
        value = config.trainer[name]
        if value is not None and value < 1:
            raise ConfigurationError(f"--trainer.{name} is {value}, but must be at least 1")


def refuse_barebones(config: Namespace) -> None:
    """Refuse a trainer that measures Lightning's own speed.

    Raises:
        ConfigurationError: It is asked for.
    """
    if config.trainer.barebones:
        raise ConfigurationError(
            "--trainer.barebones true would leave no checkpoint, no metric and no log: for a quick "
            "try take --trainer.fast_dev_run true"
        )


def take_what_the_task_needs(config: Namespace, task: type[Task], command: str) -> None:
    """Give trainer and data module the arguments without which the task cannot work."""
    options = data_options(config)
    for name, value in task.data_arguments.items():
        if name in options:  # a data module for this kind of task alone need not be told
            options[name] = value
    if command == "fit":
        for name, value in task.trainer_arguments.items():
            config.trainer[name] = value


def watch_the_tasks_metric(config: Namespace, task: type[Task]) -> None:
    """Let the task say which metric chooses the best epoch, and ends a fit."""
    for part in ("checkpoint", "early_stopping"):
        config[part].monitor = config[part].monitor or task.monitor
        if config[part].monitor == task.monitor:
            config[part].mode = task.monitor_mode


def choose_precision(config: Namespace) -> None:
    """Take the precision that a CPU is fastest in, and refuse one that changes the labels.

    Raises:
        ConfigurationError: It would.
    """
    if config.trainer.precision is None and _on_cpu(config):
        config.trainer.precision = cpu_precision()
    if str(config.trainer.precision) in _CONVERTING:
        raise ConfigurationError(
            f"trainer.precision {config.trainer.precision} would change the labels' precision "
            "and a Gaussian process's too: choose 32-true, bf16-mixed or 16-mixed"
        )


def print_less(config: Namespace, command: str) -> None:
    """Leave Lightning's table away: that of `TestResults` has the same figures and more."""
    if command == "test":
        config.verbose = False


def predict_on_one_device(config: Namespace, command: str) -> None:
    """Take one device for new videos: a few cannot be shared among many."""
    if (
        command == "predict"
        and data_options(config).get("videos")
        and config.trainer.devices == "auto"
    ):
        config.trainer.devices = 1


def choose_checkpoint(config: Namespace, command: str, task: type[Task]) -> None:
    """Find the checkpoint that is meant, and let it say what the model is.

    Raises:
        CheckpointError: It is not there, or does not fit.
        ConfigurationError: A segmenter has no clip to look at.
    """
    resolve(config)
    if command == "predict" and task.finds_beats:
        _take_segmenter(config)
    elif command != "fit":
        config.ckpt_path = config.get("ckpt_path") or newest_checkpoint(config)
    elif not config.get("ckpt_path"):
        config.ckpt_path = _requeued(config)
        if config.ckpt_path is None:
            given = config.model.init_args.as_dict()  # parts of an option as plain dicts, too
            complete = task.complete_arguments(given, lambda name: locate_member(config, name))
            for name, value in complete.items():
                if value != given.get(name):
                    config.model.init_args[name] = value
    if config.get("ckpt_path"):
        take_architecture(config, command)


def mute_what_is_meant(config: Namespace, command: str, task: type[Task]) -> None:
    """Leave out Lightning's warnings of what this very fit was asked for, and of no other."""
    if command != "fit":
        return
    backbone = config.model.init_args.get("backbone")
    if not task.learns or (backbone is not None and backbone.get("freeze")):
        mute(r"Found \d+ module\(s\) in eval mode at the start of training")
    if config.get("ckpt_path"):  # it goes on beside its own checkpoints
        mute(r"Checkpoint directory .* exists and is not empty")


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
    options = data_options(config)
    if options.get("videos") is None:
        raise ConfigurationError(
            "an LV segmenter predicts clips: give a file, a folder or a glob with --data.videos"
        )
    if options.get("keyframes") is not None:
        raise ConfigurationError(
            "an LV segmenter finds the beats itself; --data.keyframes is for a model of EF"
        )
    options.segmenter = config.get("ckpt_path") or options.segmenter
    if "masks" not in options:
        options.frames = None  # there is no batch to predict: the beats are found already
    config.ckpt_path = None


def _requeued(config: Namespace) -> str | None:
    """Return what a SLURM job saved when it was put back into the queue, of the newest run."""
    if not int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0):
        return None
    run = newest_run(log_folder(config.trainer.default_root_dir) / config.experiment)
    saved = None if run is None else checkpoint_in(run, "hpc")
    return None if saved is None else str(saved)
