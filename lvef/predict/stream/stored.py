"""What the shards of an archive hold of single clips, for the report."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lvef.errors import RecordError
from lvef.predict.clip_beats import EMPTY
from lvef.predict.record import ClipRecord, unpacked_record
from lvef.predict.stream.merge import clips_of
from lvef.predict.stream.store import journal_clips, shards_of


def is_archive(folder: Path) -> bool:
    """Return whether `analyse`, or `predict` of new clips, wrote into a folder."""
    return bool(shards_of(folder))


def stored_videos(folder: Path, wanted: Collection[str]) -> pd.DataFrame:
    """Return the table of clips by their names, a row each, as `video_table` has it.

    Args:
        folder: What `analyse` or `predict` wrote into.
        wanted: Names of the clips.
    """
    rows = [
        {**EMPTY, **clip.rows[0], "path": Path(os.fsdecode(clip.path))}
        for clip in clips_of(shards_of(folder))
        if clip.rows[0]["video"] in wanted
    ]
    return pd.DataFrame(rows)


def stored_records(folder: Path, wanted: Collection[str]) -> dict[str, ClipRecord]:
    """Return curve and contours of clips by their names, as far as they are there and whole.

    Args:
        folder: What `analyse` or `predict` wrote into.
        wanted: Names of the clips.
    """
    packed: dict[str, bytes] = {}
    for shard in shards_of(folder):
        for part in sorted(shard.glob("records-*.parquet")):
            with suppress(pa.ArrowException, OSError, KeyError):
                chosen = pc.field("video").isin(list(wanted))
                table = pq.read_table(part, columns=["video", "record"], filters=chosen)
                packed.update((row["video"], row["record"]) for row in table.to_pylist())
        for clip in journal_clips(shard):
            if clip.record and clip.rows[0]["video"] in wanted:
                packed[clip.rows[0]["video"]] = clip.record
    found = {}
    for video, content in packed.items():
        with suppress(RecordError):
            found[video] = unpacked_record(BytesIO(content), folder)
    return found
