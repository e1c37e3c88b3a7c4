"""Rows of clips on the disk as they come: whenever the process is killed, none is lost or twice.

A shard's folder holds parts, `rows-000000.parquet` and `records-000000.parquet`, each whole or not
there, and one journal, to which every clip is added as soon as it is known. A journal that is full
becomes the part of its number. What a killed process leaves is a journal whose last line may be
cut, which is taken away, or one that has become a part already, which is known by its number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lvef.errors import ConfigurationError, DatasetError, OutputError
from lvef.files import hold_lock, replacing
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.journal import clips_in, line_of
from lvef.predict.stream.manifest import SHARDS
from lvef.predict.stream.schema import RECORDS, ROWS, StoredClip

_JOURNALS = "journal-*.jsonl"
_NEEDED = {"path", "key", "video", "reason"}
PART_CLIPS, PART_BYTES = 1024, 64 * 2**20
"""How much of a journal becomes a part."""


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
        self._number = _number(folder)
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
        line = line_of(clip, rows, record)
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
        _write_part(self.folder, self._number, [clip for _, clip in clips_in(self._path)])
        self._path.unlink(missing_ok=True)
        self._number += 1
        self._journal = self._open()

    @property
    def _path(self) -> Path:
        return _journal(self.folder, self._number)

    def _open(self) -> IO[bytes]:
        """Open the journal where it was left, without a last line that is cut."""
        for path in self.folder.glob(_JOURNALS):
            if path != self._path:  # it has become a part
                path.unlink(missing_ok=True)
        self._clips = self._bytes = 0
        for end, _ in clips_in(self._path):
            self._clips, self._bytes = self._clips + 1, end
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
    yield from _journalled(folder)


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
            if lacking := _NEEDED - {*file.schema_arrow.names}:
                raise KeyError(f"no column {min(lacking)}")
            for batch in file.iter_batches(batch_size=256, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DatasetError(
            f"{part} is damaged ({str(error).splitlines()[0]}): remove it and its records, and "
            "analyse its clips anew"
        ) from error


def shards_of(folder: Path) -> list[Path]:
    """Return the folders of the shards that there are."""
    return sorted(path for path in (folder / SHARDS).glob("*-of-*") if path.is_dir())


def parts_of(folder: Path) -> list[Path]:
    """Return the parts of a shard, by their number."""
    return _parts(folder)


def journal_clips(folder: Path) -> list[StoredClip]:
    """Return the clips of a shard that are in no part yet, by path."""
    return sorted(_journalled(folder), key=lambda clip: clip.path)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("rows-*.parquet"))


def _number(folder: Path) -> int:
    """Return the number of the journal, which the next part will have, whatever was taken away."""
    parts = [_number_of(part) + 1 for part in _parts(folder)]
    return max([0, *parts, *map(_number_of, folder.glob(_JOURNALS))])


def _number_of(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _journalled(folder: Path) -> Iterator[StoredClip]:
    for _, clip in clips_in(_journal(folder, _number(folder))):
        yield clip


def _journal(folder: Path, number: int) -> Path:
    return folder / f"journal-{number:06d}.jsonl"


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
