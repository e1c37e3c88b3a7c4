"""What is known of single clips of a run that is over, for the report."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lvef.data.formats import clip_info
from lvef.data.names import expanded
from lvef.errors import DatasetError, RecordError, VideoError
from lvef.predict.clip_beats import EMPTY
from lvef.predict.numbers import places_of_cases
from lvef.predict.record import ClipRecord, unpacked_record
from lvef.predict.stream.inputs import clip_inputs
from lvef.predict.stream.manifest import MANIFEST, read_manifest
from lvef.predict.stream.merge import clips_of
from lvef.predict.stream.store import journal_clips, shards_of


def is_archive(folder: Path) -> bool:
    """Return whether `analyse`, or `predict` of new clips, wrote into a folder."""
    return bool(shards_of(folder))


def is_anonymised(folder: Path) -> bool:
    """Return whether clips are called by numbers in an archive.

    Raises:
        ConfigurationError: It does not say.
    """
    return read_manifest(folder / MANIFEST).get("anonymised") is not None


def stored_videos(
    folder: Path, wanted: Collection[str], key: str | Path | None = None
) -> pd.DataFrame:
    """Return the table of clips by their names, a row each; see `EMPTY`.

    Args:
        folder: What `analyse` or `predict` wrote into.
        wanted: Names of the clips.
        key: CSV file that says which clip each number is, where they are called by numbers.

    Raises:
        DatasetError: There is no such key, or it knows not all of them.
    """
    places = None if key is None else places_of_cases(expanded(key))
    rows = []
    for clip in clips_of(shards_of(folder)):
        name = clip.rows[0]["video"]
        if name not in wanted:
            continue
        if places is not None and name not in places:
            raise DatasetError(f"{key} does not know {name}: give the key that numbered the clips")
        path = Path(os.fsdecode(clip.path)) if places is None else places[name]
        rows.append({**EMPTY, **clip.rows[0], "path": path})
    return pd.DataFrame(rows) if rows else _no_videos()


def named_videos(where: str | Sequence[str], wanted: Collection[str]) -> pd.DataFrame:
    """Return the table of clips by their names, a row each, of a run that kept no shards.

    Args:
        where: Where its clips are; see `clip_inputs`.
        wanted: Names of the clips.

    Raises:
        DatasetError: There is no clip.
    """
    rows = []
    for clip in clip_inputs([where] if isinstance(where, str) else where):
        if clip.name in wanted:
            row = clip.row
            with suppress(VideoError):  # whoever wants its frames meets it, too, and tells
                row["num_frames"] = clip_info(clip.path).num_frames
            rows.append(row)
    return pd.DataFrame(rows) if rows else _no_videos()


def _no_videos() -> pd.DataFrame:
    return pd.DataFrame(columns=["video", "path", *EMPTY])


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
