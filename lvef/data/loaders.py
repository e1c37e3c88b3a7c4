"""Data loaders whose workers decode, and what is set aside where they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lvef.cardiac import asked_clip
from lvef.data.dataset import (
    KeyFrameDataset,
    collate,
    decodable,
    one_thread,
    prepare_for_workers,
)
from lvef.data.layouts import LabelFolder, check_excluded
from lvef.data.options import default_workers
from lvef.data.slots import A2C, A2C_FRAMES, A4C_FRAMES, asks_for_a2c, why_no_clip

if TYPE_CHECKING:
    from lightning import Trainer


def workers_of(asked: int | None, trainer: Trainer | None) -> int:
    """Return how many processes decode for this one.

    Args:
        asked: What the data module was told; None shares the cores out.
        trainer: Knows how many processes there are; None for this one alone.
    """
    if asked is not None:
        return asked
    sharing = trainer.num_devices if trainer is not None else 1
    return max(1, default_workers() // max(1, sharing))


def decoding_loader(
    dataset: Dataset[Any],
    batch_size: int,
    workers: int,
    sampler: Sampler[Any] | None = None,
    drop_last: bool = False,
) -> DataLoader[Any]:
    """Return batches of a data set of videos; those that cannot be read become `failures`.

    Args:
        dataset: A `KeyFrameDataset` or `ClipDataset`.
        batch_size: Cases a batch.
        workers: Processes that decode; none decodes here.
        sampler: Order of the cases; that of the rows by default.
        drop_last: Leave out a last batch that is not full.
    """
    prepare_for_workers()
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=workers,
        generator=torch.Generator(),
        collate_fn=collate,
        worker_init_fn=one_thread,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def without_unreadable(
    folder: LabelFolder,
    image_size: int,
    workers: int,
    limit: float,
    frames: Sequence[str] = A4C_FRAMES,
) -> LabelFolder:
    """Decode every key frame of every video, and set aside those that cannot be read.

    All key frames, so that models of different frames are judged on the same videos; and whole
    clips where they are asked for. Where the two-chamber view is, cases whose clip of it cannot be
    read are left without one.

    Args:
        folder: The folder.
        image_size: Height and width of a frame in pixels.
        workers: Processes that decode.
        limit: Share of unusable videos above which the folder is refused.
        frames: What is asked for.

    Raises:
        ExcludedError: More than that are unusable.
    """
    failed = _failures(decodable(folder.table), A4C_FRAMES, image_size, workers)
    folder = set_aside(folder, failed, limit)
    if asked_clip(frames) is not None:
        whole = folder.table[why_no_clip(folder.table, frames) == ""]
        return set_aside(folder, _failures(whole, frames, image_size, workers), limit)
    if not asks_for_a2c(frames):
        return folder
    reason = A2C.column("reason")
    there = folder.table[folder.table[reason] == ""]
    told = _failures(decodable(there, A2C), A2C_FRAMES, image_size, workers)
    reasons = folder.table[reason].copy()
    for row, why in told.items():
        reasons[row] = "unreadable video: " + why
    return replace(folder, table=folder.table.assign(**{reason: reasons}))


def _failures(
    table: pd.DataFrame, frames: Sequence[str], image_size: int, workers: int
) -> dict[int, str]:
    """Return why frames of clips cannot be read, by row."""
    dataset = KeyFrameDataset(table, frames, image_size, remove_artifacts=False)
    failed: dict[int, str] = {}
    for batch in decoding_loader(dataset, 32, workers):
        failed.update(batch.get("failures", []))
    return failed


def set_aside(folder: LabelFolder, failed: dict[int, str], limit: float) -> LabelFolder:
    """Return a folder without videos that could not be read; they count as excluded.

    Args:
        folder: The folder.
        failed: Why, by row of its table.
        limit: Share of unusable videos above which the folder is refused.

    Raises:
        ExcludedError: More than that are unusable.
    """
    if not failed:
        return folder
    rows = folder.table.loc[list(failed)]
    unreadable = rows[["video", "split"]].assign(
        reason=["unreadable video: " + failed[row] for row in rows.index]
    )
    table = folder.table.drop(index=rows.index).reset_index(drop=True)
    excluded = pd.concat([folder.excluded, unreadable], ignore_index=True)
    return check_excluded(replace(folder, table=table, excluded=excluded), limit)
