"""A run that is told to stop, or has no disk left, ends in order."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from lvef.callbacks.checkpoints import UnhurriedCheckpointIO
from lvef.errors import LvefError, OutputError
from lvef.runs import command_with
from lvef.stopping import Stopped, active, end_if_asked, hold, nothing

_GRACE = 30.0
"""Seconds that spawned processes get to save."""


class CleanStop(Callback):
    """Writes the checkpoints that wait when a run is stopped, and ends its other processes.

    A signal ends one process at once (see `lvef.stopping`). Several agree first: the one that
    writes checkpoints goes on to the end of its training batch, so that no other is left waiting
    for a sum of gradients, and then ends the others. Lightning's own handler would broadcast from
    within, in the middle of that sum, and wait for ever.
    """

    def __init__(self) -> None:
        self._in_batch = False
        self._queueing = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the signals over from Lightning, but for what queues a cluster's job again."""
        self._in_batch = False
        if not active():
            return
        environment: Any = trainer._accelerator_connector.cluster_environment
        queues = isinstance(environment, SLURMEnvironment) and environment.auto_requeue
        if queues and environment.requeue_signal == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Lightning replaces no other handler
            return
        connector: Any = trainer._signal_connector
        # It puts this before the handler that it finds, which is ours.
        connector._sigterm_notifier_fn = nothing
        if queues:
            connector._slurm_sigusr_handler_fn = self._whole(connector._slurm_sigusr_handler_fn)
        hold(lambda: self._must_wait(trainer))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hold nothing back any more."""
        hold(None)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin what other processes wait for."""
        self._in_batch = trainer.world_size > 1

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop where that was asked for meanwhile."""
        self._in_batch = False
        if trainer.is_global_zero:
            end_if_asked()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save what waits, end the other processes, and say how to go on."""
        hold(None)
        if not trainer.is_global_zero or not isinstance(exception, (Stopped, OSError, LvefError)):
            return
        launcher: Any = trainer.strategy.launcher
        processes = list(getattr(launcher, "procs", []))
        if processes:
            # First, or Lightning ends this process as soon as it sees another ended.
            launcher.procs.clear()
        if isinstance(exception, (OSError, OutputError)):
            _tidy(trainer, exception)
        _flush(trainer)
        device = trainer.strategy.root_device
        if processes and device.type == "cuda":  # their part of the last sum, or it never ends
            torch.cuda.synchronize(device)
        _end(processes)
        if isinstance(exception, Stopped) and trainer.state.fn == "fit":
            _tell_how_to_go_on(trainer)

    def _whole(self, queue_again: Callable[..., None]) -> Callable[..., None]:
        """Return a handler that a cluster's SIGTERM, which queueing brings, does not cut short."""

        def handle(*arguments: Any) -> None:
            self._queueing = True
            try:
                queue_again(*arguments)
            finally:
                self._queueing = False
            end_if_asked()

        return handle

    def _must_wait(self, trainer: Trainer) -> bool:
        if self._in_batch:
            _flush(trainer)  # in case another machine never lets the batch end
        return self._in_batch or self._queueing or not trainer.is_global_zero


def _flush(trainer: Trainer) -> None:
    writer = trainer.strategy.checkpoint_io
    if isinstance(writer, UnhurriedCheckpointIO):
        writer.flush()


def _end(processes: list[Any]) -> None:
    """End the other processes of a run; `process` is a Popen, or with ddp_spawn a Process."""
    for process in processes:
        with suppress(OSError):
            if isinstance(process, Popen):
                process.kill()  # they wait for each other, and have nothing to save
            else:
                process.terminate()
                process.join(_GRACE)


def _tidy(trainer: Trainer, error: OSError | OutputError) -> None:
    """Remove the empty files that a full disk leaves of a log, and name the log in the error."""
    # `trainer.log_dir` would ask the other processes.
    folder = getattr(trainer, "run_folder", None) or getattr(trainer.logger, "log_dir", None)
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(folder or trainer.default_root_dir)
    if folder is None:
        return
    with suppress(OSError):
        for file in Path(folder).iterdir():
            if file.is_file() and file.stat().st_size == 0:
                file.unlink()


def _tell_how_to_go_on(trainer: Trainer) -> None:
    callbacks = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    for last in [callback for callback in callbacks if callback.filename == "last"]:
        if Path(last.best_model_path).is_file():
            typed = getattr(trainer, "typed", ())
            how = (
                command_with(typed, last.best_model_path)
                if typed
                else (f"--ckpt_path {last.best_model_path}")
            )
            rank_zero_info(f"To go on: {how}")
        else:
            rank_zero_info("No epoch was complete: there is nothing to go on from")
