"""From what was found and predicted of beats to a row a clip, and a row a beat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lvef.cardiac import NO_FRAME, REDUCED_EF, straddles_reduced
from lvef.predict.clip_beats import told_of
from lvef.predict.combine import BEAT_COLUMNS, combine_beats

COLUMNS = [
    "video", "status", "reason", "ed_frame", "es_frame", "mid_frame", "ef", "ef_std", "ef_lower",
    "ef_upper", "p_reduced", "reduced", "review",
]  # fmt: skip
"""Columns of predictions.csv; where beats were found `num_beats`, `ef_spread`, `ef_geometric`,
`quality`, `view` and `p_a4c` follow, where the true EF is known `ef_true`, and `trained_on` where
phantoms taught the model."""
FOUND_COLUMNS = ["num_beats", "ef_spread", "ef_geometric", "quality", "view", "p_a4c"]
SECOND_COLUMNS = ["ed_frame_a2c", "es_frame_a2c"]
"""Columns that follow these where the model sees the two-chamber view, too."""
_NOT_REACHED = "not predicted: the run ended before this video"

Tables = tuple[pd.DataFrame, pd.DataFrame]
"""A row a clip, as `predictions.csv`, and a row a beat, as `beats.csv`."""


def clip_rows(
    table: pd.DataFrame, batches: list[dict[str, Any]] | None, trained_on: str = ""
) -> Tables:
    """Return what is said of clips.

    Args:
        table: What is known of them, a row a beat; the index is the row.
        batches: What `predict_step` of a model of EF returned, repeats of a row allowed; None where
            geometry alone answers.
        trained_on: What taught whatever answers, where that must be told.
    """
    videos, beats = geometric_table(table) if batches is None else prediction_table(table, batches)
    if trained_on:
        videos["trained_on"] = trained_on
    return videos, beats


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
    return answered_table(result)


def answered_table(result: pd.DataFrame) -> Tables:
    """Return what a model of EF said of clips.

    Args:
        result: A row a beat, with `status`, and the answers where it was reached.
    """
    answered = result.reindex(columns=["ef", "p_reduced"]).notna().any(axis=1)
    unanswered = (result["status"] == "ok") & ~answered
    result.loc[unanswered, "status"] = "failed"
    result.loc[unanswered, "reason"] = _NOT_REACHED
    return by_video(result)


def geometric_table(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the same tables with the EF that geometry tells, where there is no model of EF."""
    result = table.drop(columns="ef_true").copy()
    result["status"] = np.where(result["reason"] == "", "ok", "failed")
    usable = result["reason"] == ""
    result["ef"] = result["ef_geometric"].where(usable)
    result["ef_std"] = result["ef_geometric_std"].where(usable)
    reach = result["ef_geometric_reach"] * result["ef_std"]
    result["ef_lower"] = (result["ef"] - reach).clip(0, 100)
    result["ef_upper"] = (result["ef"] + reach).clip(0, 100)
    result["p_reduced"] = np.nan
    result["reduced"] = (result["ef"] <= REDUCED_EF).astype(float).where(result["ef"].notna())
    straddles = straddles_reduced(result["ef_lower"], result["ef_upper"])
    result["review"] = straddles.astype(float).where(result["ef"].notna())
    return by_video(result)


def by_video(result: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put the beats of each video together.

    What geometry says of beats that cannot be used is left out.
    """
    if "ef_geometric" in result:
        good_ones = result["status"] == "ok"
        result = result.assign(ef_geometric=result["ef_geometric"].where(good_ones))
    has_beats = "beat" in result
    columns = {str(name): result[name].to_numpy() for name in result}
    good = columns["status"] == "ok"
    rows = []
    for own in _rows_of_videos(columns["path" if has_beats else "video"]):
        usable = own[good[own]]
        if len(usable) > 1:
            rows.append(combine_beats({name: values[usable] for name, values in columns.items()}))
            continue
        first = usable[0] if len(usable) else own[0]
        row = {name: values[first] for name, values in columns.items()}
        rows.append({**row, "num_beats": len(usable)})
    videos = pd.DataFrame(rows)
    for flag in ("reduced", "review"):
        if flag in videos:
            videos[flag] = videos[flag].astype(float).astype("Int64")
    wanted = [*COLUMNS]
    if has_beats:
        videos["num_beats"] = videos["num_beats"].astype("Int64")
        wanted += FOUND_COLUMNS
        for name in (name for name in SECOND_COLUMNS if name in videos):
            videos[name] = videos[name].fillna(NO_FRAME).astype(int)
            wanted += [name]
    if "ef_true" in result and result["ef_true"].notna().any():
        wanted += ["ef_true"]
    beats = result[result["status"] == "ok"]
    if has_beats:
        beats = beats.drop(columns="quality").rename(columns={"beat_quality": "quality"})
    return videos.reindex(columns=wanted), beats.reindex(columns=BEAT_COLUMNS)


def _rows_of_videos(names: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Return the rows of each video, in the order in which videos come."""
    rows: dict[Any, list[int]] = {}
    for row, name in enumerate(names.tolist()):
        rows.setdefault(name, []).append(row)
    return [np.array(own) for own in rows.values()]
