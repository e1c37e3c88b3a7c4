"""What `predict` makes of new clips: names that are numbers, and beats that are found."""

from __future__ import annotations

from pathlib import Path

from lvef.data.datamodule import EchoNetDataModule
from lvef.errors import ConfigurationError
from lvef.runs import RunTrainer


def find_key(anonymize: str | None, new_clips: bool, trainer: RunTrainer) -> Path | None:
    """Return the file that says which clip each number is; None where clips keep their names.

    Args:
        anonymize: What was asked for.
        new_clips: Whether there are new clips to number.
        trainer: What runs.

    Raises:
        ConfigurationError: It would lie beside what is passed on, or there is no new clip.
    """
    if anonymize is None:
        return None
    if not new_clips:
        raise ConfigurationError(
            "--anonymize numbers new clips: it goes with predict and --data.videos"
        )
    run = Path(trainer.log_dir or trainer.default_root_dir)
    if run.resolve() in Path(anonymize).resolve().parents:
        raise ConfigurationError(
            f"--anonymize {anonymize} lies in the run's folder: it tells which patient's clip each "
            "number is, so name a file elsewhere"
        )
    return Path(anonymize).expanduser()


def find_beats(datamodule: EchoNetDataModule, trainer: RunTrainer) -> None:
    """Let a data module find the beats of new clips, and draw them into the run's folder."""
    from lvef.predict.finder import BeatFinder

    def run_folder() -> Path | None:
        """Return it, None where another process writes."""
        folder = trainer.log_dir or trainer.default_root_dir  # all processes agree on it
        return Path(folder) if trainer.is_global_zero else None

    def overlay_folder() -> Path | None:
        """Return where overlays go, None where they are not wanted or another process writes."""
        folder = run_folder() if datamodule.save_overlays else None
        return None if folder is None else folder / "overlays"

    datamodule.run_folder = run_folder
    datamodule.finder = BeatFinder(datamodule.segmenter, overlay_folder, run_folder, datamodule.fps)
