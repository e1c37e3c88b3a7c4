"""What loggers show beside the curves: pictures, and hyperparameters with their results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lvef.callbacks.logged_figures import log_figure, takes_figures
from lvef.cardiac import asked_clip, num_pictures, survey
from lvef.data.dataset import KeyFrameDataset
from lvef.data.sector import shown_sector
from lvef.data.shown import shown_frames
from lvef.data.transforms import augmented_views
from lvef.figures.data import sample_sheet
from lvef.files import write_figure
from lvef.models.task import Task

_OF_A_CLIP = 4
"""Pictures of a whole clip that a sheet shows."""


class RunFigures(Callback):
    """Logs a sample batch, how VAL is predicted, and the hyperparameters with the best metrics.

    After `test` the same figures of TEST are also saved as PNG in the log folder.

    Args:
        max_samples: Cases on the sample sheet.
        interval: Least seconds between two sets of figures of VAL; the end has its own.
    """

    def __init__(self, max_samples: int = 8, interval: float = 20.0) -> None:
        self.max_samples = max_samples
        self.interval = interval
        self._drawn, self._drawn_epoch = -interval, -1
        self._best: dict[str, float] = {}

    @property
    def state_key(self) -> str:
        """Return what its state is called in checkpoints: what it was called before."""
        return "TensorBoardFigures"

    def state_dict(self) -> dict[str, Any]:
        """Return the best metrics so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know what was the best before an interruption."""
        self._best = dict(state_dict.get("best", {}))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show cases of the first batch, augmented as the model sees them."""
        first = trainer.global_step == 0 and batch_idx == 0 and "frames" in batch
        if first and takes_figures(trainer):
            rows = batch["row"][: self.max_samples].cpu().numpy()
            frames = cast(Task, pl_module).frames
            places, names = _shown(frames)
            sheet = sample_sheet(
                _samples(trainer, frames, rows).numpy()[:, places],
                names,
                batch["ef_true"][: self.max_samples].cpu().numpy(),
                f"{_data(trainer)}TRAIN: of the first batch, augmented",
            )
            log_figure(trainer, "sample_batch", sheet)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how VAL is predicted, and keep the best metrics for the hyperparameters."""
        task = cast(Task, pl_module)
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if time.monotonic() - self._drawn >= self.interval:
            self._draw(trainer, task)
        now = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        better = {"max": float.__gt__, "min": float.__lt__}[task.monitor_mode]
        if not self._best or better(now[task.monitor], self._best[task.monitor]):
            self._best = now

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how VAL is predicted in the last epoch."""
        task = cast(Task, pl_module)
        if task.cases and self._drawn_epoch != trainer.current_epoch:
            self._draw(trainer, task)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the hyperparameters with the metrics of the best epoch."""
        if not self._best:
            return
        best = {f"best_{name}": value for name, value in self._best.items()}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(pl_module.hparams), best)
            else:
                logger.log_metrics(best, step=trainer.global_step)
                logger.save()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how TEST is predicted, by the loggers and as PNG."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if not trainer.is_global_zero:
            return
        for name, figure in _figures(trainer, cast(Task, pl_module), "TEST").items():
            write_figure(folder / f"{name}.png", figure, dpi=120)
            log_figure(trainer, f"test/{name}", figure)

    def _draw(self, trainer: Trainer, task: Task) -> None:
        self._drawn, self._drawn_epoch = time.monotonic(), trainer.current_epoch
        for name, figure in _figures(trainer, task, "VAL").items():
            log_figure(trainer, f"val/{name}", figure)


def _figures(trainer: Trainer, task: Task, split: Literal["VAL", "TEST"]) -> dict[str, Figure]:
    table = trainer.datamodule.table  # type: ignore[attr-defined]
    return task.figures(split, table, _data(trainer), shown_sector)


def _shown(frames: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return which pictures of a case a sheet shows, and what they are called: of a clip some."""
    if asked_clip(frames) is None:
        return list(range(len(frames))), list(frames)
    count = num_pictures(frames)
    places = survey(count, _OF_A_CLIP, each_once=True).tolist()
    return places, [f"{place + 1} of {count}" for place in places]


def _samples(trainer: Trainer, names: list[str], rows: NDArray[np.int64]) -> Tensor:
    """Return cases augmented anew, `(n, F, 3, S, S)`, without text beside the sector.

    A batch is augmented already: in its frames a sector that was found in the clip has moved.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    dataset = KeyFrameDataset(data.table.loc[rows], names, data.image_size, data.remove_artifacts)
    black = torch.zeros(num_pictures(names), 3, data.image_size, data.image_size, dtype=torch.uint8)
    shown = (shown_frames(dataset, item) for item in range(len(rows)))
    frames = torch.stack([black if one is None else one for one in shown])
    if data.augmentation is None:
        return frames
    with torch.random.fork_rng(devices=[]):  # the run's own random numbers stay as they are
        return augmented_views(data.augmentation, frames, names)


def _data(trainer: Trainer) -> str:
    return "PHANTOM " if getattr(trainer.datamodule, "is_phantom", False) else ""  # type: ignore[attr-defined]
