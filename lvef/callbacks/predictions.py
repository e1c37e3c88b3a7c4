"""When a run writes what it predicted; what it writes is `lvef.predict.rows`' and `writer`'s."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from lvef.predict.rows import clip_rows
from lvef.predict.writer import failed, made_with, write_predictions

_SECONDS = 10.0
"""Seconds after which predictions so far are written."""


class PredictionWriter(Callback):
    """Writes `predictions.csv`, a row a video, and `beats.csv`, a row a beat that was found.

    A video that cannot be used has `status` failed and a `reason`; it never stops the others.
    """

    def __init__(self) -> None:
        self._batches: list[dict[str, Any]] = []
        self._due = 0.0
        self._failed = ""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write down what fails already, in case no video is left to predict."""
        if stage == "predict":
            self._batches, self._due = [], time.monotonic() + _SECONDS
            path = self._write(trainer, pl_module, [])
            if path is not None and pl_module.finds_beats:
                self._tell(path)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's predictions, and from time to time write what there is."""
        self._batches.append(outputs)
        if trainer.world_size == 1 and time.monotonic() >= self._due:
            started = time.monotonic()
            self._write(trainer, pl_module, self._batches)
            # Writing grows with the table: it shall never take more than a twentieth of the time.
            self._due = time.monotonic() + max(_SECONDS, 20 * (time.monotonic() - started))

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather every process's predictions and write them."""
        batches = self._batches
        if pl_module.finds_beats:
            return
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            dist.all_gather_object(gathered, batches)
            batches = [batch for part in gathered for batch in part]
        path = self._write(trainer, pl_module, batches)
        if path is not None:
            self._tell(path)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Write what was predicted before an interruption."""
        if trainer.predicting and self._batches and trainer.world_size == 1:
            rank_zero_info(f"Interrupted: {self._write(trainer, pl_module, self._batches)}")

    def _tell(self, path: Path) -> None:
        rank_zero_info(f"Predictions: {path}{self._failed}")

    def _write(
        self, trainer: Trainer, task: LightningModule, batches: list[dict[str, Any]]
    ) -> Path | None:
        folder = trainer.log_dir or trainer.default_root_dir  # all processes agree on it
        if not trainer.is_global_zero:
            return None
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        table = data.table
        if data.videos is None:
            table = table[table["split"] == "TEST"]
        taught = data.finder if task.finds_beats else task
        trained_on = str(getattr(taught, "trained_on", ""))
        videos, beats = clip_rows(table, None if task.finds_beats else batches, trained_on)
        self._failed = failed(videos)
        checkpoint = str(trainer.ckpt_path or getattr(task, "source", ""))
        metadata = made_with(task, data, checkpoint, trained_on)
        beats = beats if data.videos is not None else beats.iloc[:0]
        return write_predictions(Path(folder), (videos, beats), metadata)
