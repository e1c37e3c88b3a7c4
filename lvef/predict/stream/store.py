"""Rows of clips on the disk as they come: whenever the process is killed, none is lost or twice.

A shard's folder holds parts, `rows-000000.parquet` and `records-000000.parquet`, each whole or not
there, and one journal, to which every clip is added as soon as it is known. A journal that is full
becomes the part of its number. What a killed process leaves is a journal whose last line may be
cut, which is taken away, or one that has become a part already, which is known by its number.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lvef.errors import ConfigurationError, DatasetError, OutputError
from lvef.files import finite, hold_lock, printable, replacing
from lvef.predict.stream.inputs import ClipInput

PART_CLIPS, PART_BYTES = 1024, 64 * 2**20
"""How much of a journal becomes a part."""
_TEXTS = ("video", "shown", "reason")
_WHOLE = ("num_frames", "beat", "ed_frame", "es_frame", "mid_frame")
ANSWERS = ("ef", "ef_std", "ef_lower", "ef_upper", "p_reduced", "reduced", "review")
"""What a model of EF says of a beat."""
_REAL = ("ef_geometric", "ef_geometric_std", "ef_geometric_reach", "beat_quality", "quality",
         *ANSWERS, "seconds")  # fmt: skip
ROWS = pa.schema(
    [("path", pa.binary()), ("key", pa.binary()), ("size", pa.int64()), ("mtime_ns", pa.int64())]
    + [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.int64()) for name in _WHOLE]
    + [(name, pa.float64()) for name in _REAL]
)
"""A row a beat, or one for a clip that cannot be used; `key` tells a file as it was.

Of clips that are called by numbers `path` is the number, and `size` and `mtime_ns` are -1: they
would tell which file it is.
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


class ShardStore:
    """The rows of one shard.

    Args:
        folder: The shard's folder; it is made, or gone on with.

    Raises:
        ConfigurationError: Another process writes into it.
        OutputError: It cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = hold_lock(folder / ".lock")
        if self._lock is None:
            raise ConfigurationError(
                f"{folder} is being written by another run: wait for it, or give this one a "
                "--shard of its own"
            )
        self._number = len(_parts(folder))
        self._clips = self._bytes = 0
        self._journal: IO[bytes] = self._open()

    def __enter__(self) -> ShardStore:
        """Return itself."""
        return self

    def __exit__(self, *_about: object) -> None:
        """Bring everything to the disk; the journal stays what it is."""
        self.close()

    def close(self) -> None:
        """Bring everything to the disk, and let others write."""
        self.flush()
        self._journal.close()
        if self._lock is not None:
            os.close(self._lock)

    def keys(self) -> Iterator[bytes]:
        """Yield the key of every clip that is stored."""
        for clip in stored_clips(self.folder, ["path", "key"]):
            yield clip.key

    def add(self, clip: ClipInput, rows: list[dict[str, Any]], record: bytes = b"") -> None:
        """Store what is known of a clip.

        Raises:
            OutputError: It cannot be written.
        """
        line = _line(clip, rows, record)
        try:
            self._journal.write(line)
            self._journal.flush()
        except OSError as error:
            raise OutputError.of(self._path, error) from error
        self._clips, self._bytes = self._clips + 1, self._bytes + len(line)
        if self._clips >= PART_CLIPS or self._bytes >= PART_BYTES:
            self.roll()

    def flush(self) -> None:
        """Bring the journal to the disk."""
        with suppress(ValueError):
            self._journal.flush()
            os.fsync(self._journal.fileno())

    def roll(self) -> None:
        """Make a part of the journal, and begin another.

        Raises:
            OutputError: It cannot be written.
        """
        self._journal.close()
        _write_part(self.folder, self._number, [*_journalled(self._path)])
        self._path.unlink(missing_ok=True)
        self._number += 1
        self._journal = self._open()

    @property
    def _path(self) -> Path:
        return _journal(self.folder, self._number)

    def _open(self) -> IO[bytes]:
        """Open the journal where it was left, without a last line that is cut."""
        for path in self.folder.glob("journal-*.jsonl"):
            if path != self._path:  # it has become a part
                path.unlink(missing_ok=True)
        self._clips = self._bytes = 0
        for clip_line in _lines(self._path):
            self._clips, self._bytes = self._clips + 1, self._bytes + len(clip_line)
        try:
            journal = self._path.open("ab")
            journal.truncate(self._bytes)
            return journal
        except OSError as error:
            raise OutputError.of(self._path, error) from error


def stored_clips(folder: Path, columns: list[str] | None = None) -> Iterator[StoredClip]:
    """Yield the clips of a shard: of each part by path, then of the journal as they came.

    Args:
        folder: The shard's folder.
        columns: Which of `ROWS` are read; all by default. `path` and `key` must be among them.
    """
    for part in _parts(folder):
        yield from part_clips(part, columns)
    yield from _journalled(_journal(folder, len(_parts(folder))))


def part_clips(part: Path, columns: list[str] | None = None) -> Iterator[StoredClip]:
    """Yield the clips of a part by path, with little of it in memory at a time.

    Raises:
        DatasetError: It is damaged.
    """
    path, key, rows = b"", b"", list[dict[str, Any]]()
    for row in _part_rows(part, columns):
        if rows and (row["path"], row["key"]) != (path, key):
            yield StoredClip(path, key, rows)
            rows = []
        path, key = row["path"], row["key"]
        rows.append(row)
    if rows:
        yield StoredClip(path, key, rows)


def _part_rows(part: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(batch_size=256, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DatasetError(
            f"{part} is damaged ({str(error).splitlines()[0]}): remove it and its records, and "
            "analyse its clips anew"
        ) from error


def shards_of(folder: Path) -> list[Path]:
    """Return the folders of the shards that there are."""
    return sorted(path for path in (folder / "shards").glob("*-of-*") if path.is_dir())


def parts_of(folder: Path) -> list[Path]:
    """Return the parts of a shard, by their number."""
    return _parts(folder)


def journal_clips(folder: Path) -> list[StoredClip]:
    """Return the clips of a shard that are in no part yet, by path."""
    clips = _journalled(_journal(folder, len(_parts(folder))))
    return sorted(clips, key=lambda clip: clip.path)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("rows-*.parquet"))


def _journal(folder: Path, number: int) -> Path:
    return folder / f"journal-{number:06d}.jsonl"


def _line(clip: ClipInput, rows: list[dict[str, Any]], record: bytes) -> bytes:
    about = {
        "path": base64.b64encode(clip.stored_path).decode(),
        "key": clip.key.hex(),
        "size": -1 if clip.case else clip.size,
        "mtime_ns": -1 if clip.case else clip.mtime_ns,
        "rows": [{name: _plain(row.get(name)) for name in ROWS.names[4:]} for row in rows],
        "record": base64.b64encode(record).decode(),
    }
    return json.dumps(finite(about), allow_nan=False).encode() + b"\n"


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as one of Python's, and a text that can be written as UTF-8."""
    if isinstance(value, str):
        return printable(value)
    return value.item() if hasattr(value, "item") else value


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a journal; what follows one that is cut was never written."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                json.loads(line)
            except ValueError:
                return
            yield line


def _journalled(path: Path) -> Iterator[StoredClip]:
    for line in _lines(path):
        try:
            clip = _parsed(json.loads(line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"{path} is damaged: remove it, and analyse anew") from error
        yield clip


def _parsed(about: dict[str, Any]) -> StoredClip:
    path, key = base64.b64decode(about["path"]), bytes.fromhex(about["key"])
    own = {"path": path, "key": key, "size": about["size"], "mtime_ns": about["mtime_ns"]}
    rows = [{**dict.fromkeys(ROWS.names), **own, **row} for row in about["rows"]]
    told = ("video", "reason")
    if not rows or not all(isinstance(row[name], str) for row in rows for name in told):
        raise ValueError("a clip without a row")
    return StoredClip(path, key, rows, base64.b64decode(about["record"]))


def _write_part(folder: Path, number: int, clips: list[StoredClip]) -> None:
    """Write a part: its records first, as its rows say that it is there."""
    clips = sorted(clips, key=lambda clip: clip.path)
    records = [
        {"path": clip.path, "video": clip.rows[0]["video"], "record": clip.record}
        for clip in clips
        if clip.record
    ]
    _write(folder / f"records-{number:06d}.parquet", records, RECORDS)
    _write(folder / f"rows-{number:06d}.parquet", [row for c in clips for row in c.rows], ROWS)


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    with replacing(path) as unfinished:
        pq.write_table(
            pa.Table.from_pylist(rows, schema=schema), unfinished, compression="zstd",
            row_group_size=256,
        )  # fmt: skip
