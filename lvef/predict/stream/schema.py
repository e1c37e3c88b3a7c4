"""What is stored of a clip, and in which columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_TEXTS = ("video", "shown", "reason", "study", "apical_view", "view")
SECOND = ("ed_frame_a2c", "es_frame_a2c")
"""What is told of the two-chamber clip of a study."""
_HASHES = ("study_key", "study_uid")
_WHOLE = ("num_frames", "beat", "ed_frame", "es_frame", "mid_frame", *SECOND)
ANSWERS = ("ef", "ef_std", "ef_lower", "ef_upper", "p_reduced", "reduced", "review")
"""What a model of EF says of a beat."""
_REAL = ("ef_geometric", "ef_geometric_std", "ef_geometric_reach", "beat_quality", "quality",
         "p_a4c", *ANSWERS, "seconds")  # fmt: skip
NUMBERS = frozenset({*_WHOLE, *_REAL})
"""Columns of numbers."""
ROWS = pa.schema(
    [("path", pa.binary()), ("key", pa.binary()), ("size", pa.int64()), ("mtime_ns", pa.int64())]
    + [(name, pa.string()) for name in (*_TEXTS, *_HASHES)]
    + [(name, pa.int64()) for name in _WHOLE]
    + [(name, pa.float64()) for name in _REAL]
    + [("disks", pa.list_(pa.float64()))]
)
"""A row a beat, or one for a clip that cannot be used; `key` tells a file as it was.

Of clips that are called by numbers `path` is the number, and `size` and `mtime_ns` are -1: they
would tell which file it is. `disks` are those of a beat, packed as `BeatDisks` does, where the clip
is of a study.
"""
RECORDS = pa.schema([("path", pa.binary()), ("video", pa.string()), ("record", pa.binary())])


@dataclass(frozen=True)
class StoredClip:
    """A clip as it is stored.

    Attributes:
        path: See `ClipInput.stored_path`.
        key: See `ClipInput`.
        rows: A dict a beat, with the columns of `ROWS`.
        record: See `packed_record`; empty where there is none.
    """

    path: bytes
    key: bytes
    rows: list[dict[str, Any]]
    record: bytes = b""
