"""What `predict` makes of new clips' names: numbers, and where it stands which clip each is."""

from __future__ import annotations

from pathlib import Path

from lvef.errors import ConfigurationError
from lvef.predict.numbers import check_key_place
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
    return check_key_place(anonymize, run, "the run's folder")
