"""The folder of a run: which it is, what logs there, and the configuration that lies in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.utilities import rank_zero_only
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from lvef.files import write_text
from lvef.runs import next_run, number_of, reserve, run_of


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


def run_and_loggers(runs: Path, logger: Any, resumed: str | None) -> tuple[Path, list[Logger]]:
    """Return the run's folder and what logs.

    Args:
        runs: The folder of the experiment, in which a new run gets a folder.
        logger: What the configuration says logs.
        resumed: The checkpoint that a fit goes on from; it goes on in the folder of its run.
    """
    run = run_of(resumed) if resumed else None
    run = run or _new_run(runs, listed(logger))
    if logger in (None, True):
        return run, [_own_logger(run)]
    if resumed:  # one that a run's own config.yaml named in earlier versions
        return run, [
            _own_logger(run) if isinstance(one, TensorBoardLogger)
            and Path(one.root_dir).resolve() == run.parent else one
            for one in listed(logger)
        ]  # fmt: skip
    return run, listed(logger)


def listed(given: Any) -> list[Any]:
    """Return what may be one thing, several or none as a list."""
    if given in (None, True, False):
        return []
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _new_run(runs: Path, loggers: list[Logger]) -> Path:
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


def _own_logger(run: Path) -> TensorBoardLogger:
    """Return what logs into a run's folder."""
    number = number_of(run)  # a progress bar shows it, and the end of a text
    version = run.name if number is None else number
    return TensorBoardLogger(
        str(run.parent.parent), run.parent.name, version, default_hp_metric=False
    )


def _is_first_process() -> bool:
    """Return whether this is the process that writes, as far as the environment says."""
    return not getattr(rank_zero_only, "rank", 0)
