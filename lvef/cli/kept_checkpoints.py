"""Which checkpoints a fit keeps, where, and over which none is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from lvef.callbacks.checkpoints import UnhurriedCheckpointIO
from lvef.cli.run_folder import listed
from lvef.errors import ConfigurationError
from lvef.runs import RunTrainer, checkpoints_of


def refuse_to_overwrite(config: Namespace) -> None:
    """Refuse a new fit whose checkpoints would take the place of another run's.

    Raises:
        ConfigurationError: They would.
    """
    folder = config.checkpoint.dirpath
    if folder is None or config.ckpt_path:
        return
    if any(
        (Path(folder) / f"{name}.ckpt").is_file() for name in (config.checkpoint.filename, "last")
    ):
        raise ConfigurationError(
            f"checkpoint.dirpath is {folder}, where another run's checkpoints lie: give another "
            "folder, or go on from one of them with --ckpt_path"
        )


def with_checkpoint_io(plugins: Any) -> list[Any]:
    """Return the plugins of a trainer, with one that writes checkpoints."""
    given = listed(plugins)
    writes = any(isinstance(plugin, CheckpointIO) for plugin in given)
    return given if writes else [*given, UnhurriedCheckpointIO()]


def keep_in_run(trainer: RunTrainer, run: Path) -> None:
    """Let checkpoints that were given no folder lie in that of the run."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(checkpoints_of(run))


def last_epoch(folder: Path) -> ModelCheckpoint:
    """Return what keeps the last epoch.

    `save_last` writes only when an epoch is the best: a run could not go on from its end.
    """
    return ModelCheckpoint(
        folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )


def refuse_unjudged(trainer: RunTrainer) -> None:
    """Say of a fit that ended where no epoch was judged.

    Raises:
        ConfigurationError: There is no best checkpoint, and what there is was never calibrated.
    """
    best = trainer.checkpoint_callback
    if not isinstance(best, ModelCheckpoint) or not best.monitor or not best.save_top_k:
        return
    if not best.best_model_path and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        raise ConfigurationError(
            f"{trainer.run_folder}: the fit ended before its first validation, and no best.ckpt "
            "was written: give it more time (--trainer.max_time, max_epochs)"
        )
