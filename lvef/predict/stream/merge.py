"""From the shards of an archive to its tables, with little of them in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge as merged
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef.data.slots import asks_for_a2c
from lvef.errors import DatasetError
from lvef.files import append_table, replacing, write_csv, write_json
from lvef.predict.rows import (
    COLUMNS,
    FOUND_COLUMNS,
    SECOND_COLUMNS,
    Tables,
    answered_table,
    geometric_table,
)
from lvef.predict.stream.schema import ROWS, StoredClip
from lvef.predict.stream.store import journal_clips, part_clips, parts_of, shards_of
from lvef.predict.stream.studies import TWO_CHAMBER, By
from lvef.predict.stream.study_reports import StudyReports
from lvef.predict.stream.study_table import StudyTable, seen_view
from lvef.run_files import BEATS, PREDICTIONS, STUDIES

_AT_ONCE = 512


def merge_shards(
    folder: Path, made_with: dict[str, Any], reports: StudyReports | None = None
) -> tuple[int, int]:
    """Write `predictions.csv`, `beats.csv` and `predictions.json` of all shards of a folder.

    And `studies.csv`, where it is known which study each clip is of.

    Rows are in the order of the files' paths. Where a file was analysed twice, having changed,
    the later one counts. Each table is whole or not there, so that a merge can be begun anew.

    Args:
        folder: What `analyse` wrote into.
        made_with: What `predictions.json` says.
        reports: Writes DICOM reports of studies; None where none are wanted.

    Returns:
        How many clips there are, and how many of them failed.

    Raises:
        DatasetError: There is no shard.
        OutputError: A table, or a report, cannot be written.
    """
    shards = shards_of(folder)
    if not shards:
        raise DatasetError(f"{folder} holds no shard of an archive: analyse writes them")
    clips = failed = 0
    by: By | None = made_with.get("studies")
    studies = None if by is None else StudyTable(bool(made_with["frames"]), by)
    stored = clips_of(shards) if studies is None else studies.watched(clips_of(shards))
    with replacing(folder / PREDICTIONS) as videos, replacing(folder / BEATS) as beats:
        for tables in tables_of(stored, made_with["frames"], made_with["trained_on"], by):
            if studies is not None:
                studies.told(tables[0])
            clips += len(tables[0])
            failed += int((tables[0]["status"] != "ok").sum())
            append_table(videos, tables[0])
            append_table(beats, tables[1])
        if not clips:
            raise DatasetError(f"{folder}: no clip is analysed yet")
    if studies is not None:
        write_csv(folder / STUDIES, studies.table(made_with["trained_on"]))
        if reports is not None:
            reports.write(studies.rows)
    write_json((folder / PREDICTIONS).with_suffix(".json"), made_with)
    return clips, failed


def clips_of(shards: Sequence[Path]) -> Iterator[StoredClip]:
    """Yield the clips of shards by path, of each file what was written last."""
    sources: list[Iterable[StoredClip]] = []
    for shard in shards:
        sources += [part_clips(part) for part in parts_of(shard)]
        sources.append(journal_clips(shard))
    last: StoredClip | None = None
    # Of equal paths the later source, which is the later part, comes last.
    for clip in merged(*sources, key=lambda clip: clip.path):
        if last is not None and last.path != clip.path:
            yield last
        last = clip
    if last is not None:
        yield last


def tables_of(
    clips: Iterator[StoredClip], frames: Sequence[str], trained_on: str, by: By | None = None
) -> Iterator[Tables]:
    """Yield the tables of some clips at a time.

    Args:
        clips: The clips.
        frames: Frames that the model of EF saw; none where geometry answered.
        trained_on: What taught whatever answered, where that must be told.
        by: What says which study each clip is of, where its study and its view are told.
    """
    while some := list(islice(clips, _AT_ONCE)):
        table = pd.DataFrame(list(chain.from_iterable(clip.rows for clip in some)))
        table = table.reindex(columns=ROWS.names)
        table["path"] = table["path"].map(bytes.hex)
        videos, beats = tables_of_rows(table, frames, trained_on)
        if by is not None:  # a row a clip, in their order
            videos["study"] = [clip.rows[0].get("study") or "" for clip in some]
            videos["view"] = [seen_view(clip.rows[0], by) for clip in some]
        yield videos, beats


def tables_of_rows(rows: pd.DataFrame, frames: Sequence[str], trained_on: str) -> Tables:
    """Return the tables of some clips.

    Args:
        rows: A row a beat, or one for a clip that cannot be used, with the columns of `ROWS`.
        frames: See `tables_of`.
        trained_on: Likewise.
    """
    status = np.where(rows["reason"] == "", "ok", "failed")
    table = rows.assign(ef_true=np.nan, status=status)
    table.loc[table["reason"] == TWO_CHAMBER, "ef_geometric"] = np.nan
    if not asks_for_a2c(frames):
        table = table.drop(columns=SECOND_COLUMNS)
    videos, beats = answered_table(table) if frames else geometric_table(table)
    if trained_on:
        videos["trained_on"] = trained_on
    return with_columns(videos), beats


def with_columns(videos: pd.DataFrame) -> pd.DataFrame:
    """Return clips with the columns that any clip may have, as tables are written in pieces."""
    further = [name for name in (*SECOND_COLUMNS, "trained_on") if name in videos]
    columns = [*COLUMNS, *FOUND_COLUMNS, *further]
    return videos.reindex(columns=columns)
