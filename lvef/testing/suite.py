"""What the checks of a task are run with: copies of it, planted data, and a fit."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from lvef.models.task import Task
from lvef.testing.planted import TOLD, PlantedData

EPOCHS = 2
"""Epochs of a fit."""


class Suite:
    """A task under test: new copies of it, and one that is fitted."""

    def __init__(self, task: Task, folder: Path) -> None:
        self.task = task
        self.folder = folder
        self.history = History(task.monitor)
        self._fitted: Task | None = None
        self._trainer: Trainer | None = None

    def fresh(self) -> Task:
        """Return the task as it was given."""
        return copy.deepcopy(self.task)

    def data(self, **changes: Any) -> PlantedData:
        """Return planted data for it."""
        backbone = getattr(self.task, "backbone", None)
        num_features = getattr(backbone, "num_features", TOLD)  # members look at frames
        return PlantedData(list(self.task.frames), num_features, **changes)

    def trainer(self, folder: Path, *callbacks: Callback) -> Trainer:
        """Return a trainer that keeps the best and the last checkpoint in a folder."""
        arguments = {"max_epochs": EPOCHS, **self.task.trainer_arguments}
        kept: list[Callback] = [
            ModelCheckpoint(
                folder, "best", monitor=self.task.monitor, mode=self.task.monitor_mode,
                save_weights_only=True, enable_version_counter=False,
            ),
            ModelCheckpoint(
                folder, "last", save_on_train_epoch_end=True, save_weights_only=True,
                every_n_epochs=arguments["max_epochs"], enable_version_counter=False,
            ),
        ]  # fmt: skip
        return Trainer(
            accelerator="cpu", devices=1, logger=False, callbacks=[*kept, *callbacks],
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            default_root_dir=folder, **arguments,
        )  # fmt: skip

    def fit(self, folder: Path, **changes: Any) -> tuple[Task, Trainer]:
        """Fit a new copy to planted data."""
        torch.manual_seed(0)
        task, trainer = self.fresh(), self.trainer(folder, self.history)
        trainer.fit(task, datamodule=self.data(**changes))
        return task, trainer

    @property
    def fitted(self) -> Task:
        """The task that was fitted first."""
        if self._fitted is None:
            self._fitted, self._trainer = self.fit(self.folder / "fit")
        return self._fitted

    def judge(self, task: Task, **changes: Any) -> dict[str, Tensor]:
        """Return the cases of TEST as a task judges them."""
        trainer = self.trainer(self.folder / "judge")
        trainer.test(task, datamodule=self.data(**changes), verbose=False)
        return task.cases

    def metric(self, task: Task, **changes: Any) -> float:
        """Return the monitored metric of a task on VAL."""
        trainer = self.trainer(self.folder / "judge")
        metrics = trainer.validate(task, datamodule=self.data(**changes), verbose=False)[0]
        return float(metrics[task.monitor])

    def predict(self, task: Task, **changes: Any) -> dict[str, Tensor]:
        """Return what a task predicts of TEST, by column."""
        batches: Any = self.trainer(self.folder / "judge").predict(
            task, datamodule=self.data(**changes)
        )
        names = [name for name, value in batches[0].items() if isinstance(value, Tensor)]
        return {name: torch.cat([batch[name] for batch in batches]) for name in names}


class History(Callback):
    """The losses of every epoch of the first fit, and the monitored metric after each."""

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.losses: dict[int, list[float]] = {}
        self.monitored: list[float] = []
        self.closed = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss of a batch."""
        if not self.closed:
            loss = outputs["loss"] if isinstance(outputs, dict) else outputs
            self.losses.setdefault(trainer.current_epoch, []).append(float(loss))

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Keep the monitored metric, where it was logged."""
        if not self.closed and self.monitor in trainer.callback_metrics:
            self.monitored.append(float(trainer.callback_metrics[self.monitor]))

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Keep nothing of later fits."""
        self.closed = True


@contextmanager
def quiet() -> Iterator[None]:
    """Mute what Lightning says of small runs: there are many of them."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
