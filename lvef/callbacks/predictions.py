"""`predictions.csv` and `beats.csv`: what a model said of every video it was asked about."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from scipy.stats import norm

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.beats import BEAT_COLUMNS, combine_beats
from lvef.evaluation.summary import NOT_FOR_DIAGNOSIS
from lvef.evaluation.uncertainty import LEVEL
from lvef.files import write_csv, write_json
from lvef.predict.video_table import told_of

COLUMNS = [
    "video", "status", "reason", "ed_frame", "es_frame", "mid_frame", "ef", "ef_std", "ef_lower",
    "ef_upper", "p_reduced", "reduced", "review",
]  # fmt: skip
"""Columns of predictions.csv; where beats were found `num_beats`, `ef_spread`, `ef_geometric` and
`quality` follow, where the true EF is known `ef_true`, and `trained_on` where phantoms taught the
model."""
_FOUND_COLUMNS = ["num_beats", "ef_spread", "ef_geometric", "quality"]
_SECONDS = 10.0
"""Seconds after which predictions so far are written."""
_NOT_REACHED = "not predicted: the run ended before this video"


class PredictionWriter(Callback):
    """Writes `predictions.csv`, a row a video, and `beats.csv`, a row a beat that was found.

    A video that cannot be used has `status` failed and a `reason`; it never stops the others.
    """

    def __init__(self) -> None:
        self._batches: list[dict[str, Any]] = []
        self._due = 0.0
        self._failed = (0, 0)

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
        failed, of_all = self._failed
        more = f" ({failed} of {of_all} failed: see reason there)" if failed else ""
        rank_zero_info(f"Predictions: {path}{more}")

    def _write(
        self, trainer: Trainer, task: LightningModule, batches: list[dict[str, Any]]
    ) -> Path | None:
        folder = trainer.log_dir or trainer.default_root_dir
        if not trainer.is_global_zero:
            return None
        path = Path(folder) / "predictions.csv"
        table = trainer.datamodule.table  # type: ignore[attr-defined]
        new = trainer.datamodule.videos is not None  # type: ignore[attr-defined]
        if not new:
            table = table[table["split"] == "TEST"]
        if task.finds_beats:
            rows, beats = geometric_table(table)
        else:
            rows, beats = prediction_table(table, batches)
        taught = trainer.datamodule.finder if task.finds_beats else task  # type: ignore[attr-defined]
        trained_on = getattr(taught, "trained_on", "")
        if trained_on:
            rows["trained_on"] = str(trained_on)
        write_csv(path, rows)
        self._failed = int((rows["status"] != "ok").sum()), len(rows)
        about = _about(trainer, task, str(trained_on))
        write_json(path.with_suffix(".json"), about)
        if new and len(beats):
            write_csv(path.with_name("beats.csv"), beats)
        return path


def _about(trainer: Trainer, task: LightningModule, trained_on: str) -> dict[str, Any]:
    """Return what predictions were made with."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    level = getattr(task, "interval_level", None)
    # What found the beats, where they were found.
    finder = {} if data.finder is None else {
        "segmenter": str(data.segmenter), "segmenter_trained_on": str(data.finder.trained_on),
    }  # fmt: skip
    return {
        "note": NOT_FOR_DIAGNOSIS,
        "task": type(task).__name__,
        "kind": getattr(task, "kind", None),
        "frames": list(getattr(task, "frames", [])),
        "checkpoint": str(trainer.ckpt_path or getattr(task, "source", "")),
        "trained_on": trained_on,
        "phantom": data.videos is None and data.is_phantom,
        "threshold": getattr(task, "decision_threshold", None),
        "level": LEVEL if level is None else level,
        "version": version("lvef"),
        **finder,
    }


def prediction_table(
    table: pd.DataFrame, batches: list[dict[str, Any]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join predictions to the videos they belong to.

    Args:
        table: The data module's table, a row a beat; the index is the row.
        batches: What `EFTask.predict_step` returned, repeats of a row allowed.

    Returns:
        A row a video in the order of `table`, with `COLUMNS` and what else is known; and a row a
        beat that was predicted, with `BEAT_COLUMNS`.
    """
    result = table.copy()
    result["reason"] = table.get("reason", "")
    result["status"] = np.where(result["reason"] == "", "ok", "failed")
    for batch in batches:
        for row, reason in batch["failures"]:
            result.loc[row, "status"] = "failed"
            result.loc[row, "reason"] = told_of(table.loc[row], reason)
        values = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor) and k != "row"}
        for name, value in values.items():
            if name not in result:
                result[name] = np.nan
            result.loc[batch["row"].numpy(), name] = value.numpy()
    said = result.reindex(columns=["ef", "p_reduced"]).notna().any(axis=1)
    unsaid = (result["status"] == "ok") & ~said
    result.loc[unsaid, "status"] = "failed"
    result.loc[unsaid, "reason"] = _NOT_REACHED
    return _by_video(result)


def geometric_table(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the same tables with the EF that geometry tells, where there is no model of EF."""
    result = table.drop(columns="ef_true").copy()
    result["status"] = np.where(result["reason"] == "", "ok", "failed")
    result["ef"], result["ef_std"] = result["ef_geometric"], result["ef_geometric_std"]
    reach = norm.ppf(0.5 + LEVEL / 2) * result["ef_std"]
    result["ef_lower"] = (result["ef"] - reach).clip(0, 100)
    result["ef_upper"] = (result["ef"] + reach).clip(0, 100)
    result["p_reduced"] = np.nan
    result["reduced"] = (result["ef"] <= REDUCED_EF).astype(float).where(result["ef"].notna())
    straddles = (result["ef_lower"] <= REDUCED_EF) & (result["ef_upper"] > REDUCED_EF)
    result["review"] = straddles.astype(float).where(result["ef"].notna())
    return _by_video(result)


def _by_video(result: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put the beats of each video together."""
    found = "beat" in result
    rows = []
    for _, beats in result.groupby("path" if found else "video", sort=False):
        good = beats[beats["status"] == "ok"]
        if len(good) > 1:
            rows.append(combine_beats(good))
            continue
        row = (good if len(good) else beats).iloc[0].copy()
        row["num_beats"] = len(good)
        rows.append(row)
    videos = pd.DataFrame(rows)
    for flag in ("reduced", "review"):
        if flag in videos:
            videos[flag] = videos[flag].astype(float).astype("Int64")
    columns = [*COLUMNS]
    if found and (result["quality"].notna().any() or (result["beat"] > 0).any()):
        videos["num_beats"] = videos["num_beats"].astype("Int64")
        columns += _FOUND_COLUMNS
    if "ef_true" in result and result["ef_true"].notna().any():
        columns += ["ef_true"]
    beats = result[result["status"] == "ok"]
    if found:
        beats = beats.drop(columns="quality").rename(columns={"beat_quality": "quality"})
    return videos.reindex(columns=columns), beats.reindex(columns=BEAT_COLUMNS)
