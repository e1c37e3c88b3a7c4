"""`predictions.csv`: what a model said of every video it was asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

COLUMNS = [
    "video", "status", "reason", "ed_frame", "es_frame", "mid_frame", "ef", "ef_std", "ef_lower",
    "ef_upper", "p_reduced", "reduced", "review",
]  # fmt: skip
"""Columns of predictions.csv; `ef_label` follows where the true EF is known, `trained_on` where the
model was trained on phantoms."""
_NOT_REACHED = "not predicted: the run ended before this video"


class PredictionWriter(Callback):
    """Writes `predictions.csv` into the run's log folder, one row a video.

    A video that cannot be used has `status` failed and a `reason`; it never stops the others.
    """

    def __init__(self) -> None:
        self._batches: list[dict[str, Any]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write down what fails already, in case no video is left to predict."""
        if stage == "predict":
            self._batches = []
            self._write(trainer, pl_module, [])

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
        self._batches.append(outputs)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather every process's predictions and write them."""
        batches = self._batches
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            dist.all_gather_object(gathered, batches)
            batches = [batch for part in gathered for batch in part]
        path = self._write(trainer, pl_module, batches)
        if path is not None:
            rank_zero_info(f"Predictions: {path}")

    def _write(
        self, trainer: Trainer, task: LightningModule, batches: list[dict[str, Any]]
    ) -> Path | None:
        folder = trainer.log_dir or trainer.default_root_dir
        if not trainer.is_global_zero:
            return None
        path = Path(folder) / "predictions.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = trainer.datamodule.table  # type: ignore[attr-defined]
        if trainer.datamodule.videos is None:  # type: ignore[attr-defined]
            table = table[table["split"] == "TEST"]
        rows = prediction_table(table, batches)
        trained_on = getattr(task, "trained_on", "")
        if trained_on:
            rows["trained_on"] = str(trained_on)
        rows.to_csv(path, index=False)
        return path


def prediction_table(table: pd.DataFrame, batches: list[dict[str, Any]]) -> pd.DataFrame:
    """Join predictions to the videos they belong to.

    Args:
        table: The data module's table; the index is the row.
        batches: What `EFTask.predict_step` returned, repeats of a row allowed.

    Returns:
        A row a video in the order of `table`, with `COLUMNS` and, where known, `ef_label`.
    """
    result = table.reindex(columns=["video", "ed_frame", "es_frame", "mid_frame"]).copy()
    result["reason"] = table.get("reason", "")
    result["status"] = np.where(result["reason"] == "", "ok", "failed")
    for batch in batches:
        for row, reason in batch["failures"]:
            result.loc[row, "status"] = "failed"
            result.loc[row, "reason"] = reason
        values = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor) and k != "row"}
        for name, value in values.items():
            if name not in result:
                result[name] = np.nan
            result.loc[batch["row"].numpy(), name] = value.numpy()
    said = result.reindex(columns=["ef", "p_reduced"]).notna().any(axis=1)
    unsaid = (result["status"] == "ok") & ~said
    result.loc[unsaid, "status"] = "failed"
    result.loc[unsaid, "reason"] = _NOT_REACHED
    for flag in ("reduced", "review"):
        if flag in result:
            result[flag] = result[flag].astype("Int64")
    result = result.reindex(columns=COLUMNS)
    if table["ef"].notna().any():
        result["ef_label"] = table["ef"]
    return result
