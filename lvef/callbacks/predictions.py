"""When a run writes what it predicted; what it writes is `lvef.predict.rows`' and `writer`'s."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from lvef import stopping
from lvef.errors import DatasetError, LvefError
from lvef.predict.rows import clip_rows
from lvef.predict.stream.merge import merge_shards
from lvef.predict.writer import made_with, write_predictions
from lvef.run_files import PREDICTIONS


class PredictionWriter(Callback):
    """Writes `predictions.csv`, a row a video, and `beats.csv`, a row a beat that was found.

    A video that cannot be used has `status` failed and a `reason`; it never stops the others. What
    is said of new clips is on the disk as soon as it is known.
    """

    def __init__(self) -> None:
        self._batches: list[dict[str, Any]] = []
        self._told_others = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make room for what will be said."""
        self._batches = []
        self._told_others = False
        if stage != "predict":
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # all processes agree on it
        if _new_clips(trainer):
            stopping.hold(lambda: True)  # what is in hand is ended first
            made = partial(_made_with, trainer, pl_module)
            _data(trainer).keep_in(folder, made, partial(self._stops, trainer))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's predictions."""
        if _new_clips(trainer):
            _data(trainer).pending.answered(outputs)
        else:
            self._batches.append(outputs)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join every process's predictions and write them."""
        self._stops(trainer)
        with suppress(DatasetError) if stopping.asked() else nullcontext():  # before any clip
            self._write(trainer, pl_module)
        stopping.end_if_asked()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Write what was predicted before an interruption."""
        alone = trainer.predicting and trainer.world_size == 1
        if alone and (self._batches or _new_clips(trainer)):
            with suppress(LvefError):  # nothing was predicted yet
                self._write(trainer, pl_module)

    def _stops(self, trainer: Trainer) -> bool:
        """Return whether this process begins no other clip; the first one tells its others."""
        asked = stopping.asked()
        if asked and not self._told_others:
            self._told_others = True
            for process in getattr(trainer.strategy.launcher, "procs", []):
                process.terminate()
        return asked

    def _write(self, trainer: Trainer, task: LightningModule) -> None:
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        data, metadata = _data(trainer), _made_with(trainer, task)
        if _new_clips(trainer):
            data.close()
            trainer.strategy.barrier()
            if trainer.is_global_zero:
                clips, failures = merge_shards(folder, metadata)
        else:
            batches = _gathered(self._batches, trainer.world_size)
            if trainer.is_global_zero:
                table = data.table[data.table["split"] == "TEST"]
                videos, _ = clip_rows(table, batches, metadata["trained_on"])
                write_predictions(folder, videos, metadata)
                clips, failures = len(videos), int((videos["status"] != "ok").sum())
        if trainer.is_global_zero:
            aside = f" ({failures} of {clips} failed: see reason there)" if failures else ""
            rank_zero_info(f"Predictions: {folder / PREDICTIONS}{aside}")
            if metadata.get("segmenter_remark"):
                rank_zero_info(metadata["segmenter_remark"])


def _made_with(trainer: Trainer, task: LightningModule) -> dict[str, Any]:
    data = _data(trainer)
    taught = data.finder if task.finds_beats else task
    checkpoint = str(trainer.ckpt_path or getattr(task, "source", ""))
    return made_with(task, data, checkpoint, str(getattr(taught, "trained_on", "")))


def _data(trainer: Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]


def _new_clips(trainer: Trainer) -> bool:
    """Return whether new clips are predicted, not those of a labelled folder."""
    return _data(trainer).videos is not None


def _gathered(batches: list[Any], processes: int) -> list[Any]:
    """Return the batches of all processes, in each of them."""
    if processes == 1:
        return batches
    parts: list[Any] = [None] * processes
    dist.all_gather_object(parts, batches)
    return [batch for part in parts for batch in part]
