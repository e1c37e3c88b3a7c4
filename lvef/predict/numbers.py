"""Numbers in place of the names of clips, which may be patients', and the key to them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pandas as pd

from lvef.errors import ConfigurationError, DatasetError
from lvef.files import hold_lock, make_room, printable, read_csv, write_csv

_COLUMNS = ["case", "path"]
_SECRET_CASE, _SECRET = "case_0000", "secret of this key: "
_PATIENCE = 600.0
"""Seconds to wait for another process that extends the same key."""


def number_places(places: Iterable[str], key: Path | str) -> dict[str, str]:
    """Return the case of each place, which is what `place_of` says of a clip.

    Those that the key does not know are numbered in their order, whatever order they come in, so
    that all who list the same clips agree. Several processes may do so at once.

    Args:
        places: The places.
        key: CSV file `case, path`; it is made, or gone on with. It tells who is who: keep it where
            what is passed on does not lie. A clip that it knows already keeps its number.

    Returns:
        `case_0001` and so on, by place.

    Raises:
        DatasetError: There is a file of another kind where the key shall be.
        OutputError: The key cannot be written.
        ConfigurationError: Another process does not let the key go.
    """
    wanted = set(places)
    with held(Path(key)):
        rows = _rows(Path(key))
        known: dict[str, str] = {}
        for case, path in rows:
            known.setdefault(_plain(path), case)
        last = max((int(case.removeprefix("case_")) for case, _ in rows), default=0)
        new = sorted(wanted - known.keys())
        added = [(f"case_{last + n:04d}", place) for n, place in enumerate(new, start=1)]
        if added or not rows:
            _write(Path(key), [*rows, *added])
    known |= {place: case for case, place in added}
    return {place: known[place] for place in wanted}


def place_of(path: Path) -> str:
    """Return what a key calls a clip: its absolute path, which links lead to as they may."""
    return printable(os.path.abspath(path))


def places_of_cases(key: Path | str) -> dict[str, Path]:
    """Return where the clip of each case lies.

    Raises:
        DatasetError: It is no key, or is not there.
    """
    if not Path(key).exists():
        raise DatasetError(f"{key} not found: give the key that numbered these clips")
    return {case: Path(path) for case, path in _rows(Path(key)) if case != _SECRET_CASE}


def secret_of(key: Path | str) -> bytes:
    """Return what only this key knows, of 16 bytes; a key without a secret is given one.

    It tells the key from any other, and hides in hashes what could be guessed.

    Raises:
        DatasetError: There is a file of another kind where the key shall be.
        OutputError: The key cannot be written.
        ConfigurationError: Another process does not let the key go.
    """
    with held(Path(key)):
        rows = _rows(Path(key))
        found = next((path for case, path in rows if case == _SECRET_CASE), "")
        if not found:
            found = f"{_SECRET}{token_hex(16)}"
            _write(Path(key), [(_SECRET_CASE, found), *rows])
    try:
        return bytes.fromhex(found.removeprefix(_SECRET))
    except ValueError as error:
        raise DatasetError(f"{key}: the secret of this key is damaged") from error


def check_key_place(key: Path | str, folder: Path, what: str) -> Path:
    """Return where a key lies, spelt out.

    Args:
        key: The key.
        folder: What is passed on.
        what: What that is called.

    Raises:
        ConfigurationError: The key would lie in it.
    """
    path = Path(key).expanduser()
    if folder.resolve() in (path.resolve(), *path.resolve().parents):
        raise ConfigurationError(
            f"--anonymize {key} lies in {what}: it tells which patient's clip each number is, so "
            "name a file elsewhere"
        )
    return path


@contextmanager
def held(key: Path) -> Iterator[None]:
    """Have a key to oneself; beside it lies what it is locked by, as the key itself is replaced."""
    make_room(key)
    lock, until = key.with_name(f".{key.name}.lock"), time.monotonic() + _PATIENCE
    while (handle := hold_lock(lock)) is None:
        if time.monotonic() > until:
            raise ConfigurationError(f"{key} is being written by another process: wait for it")
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)


def _plain(path: str) -> str:
    """Return a path as it is now spelt, of keys that have it with `..` in it."""
    return os.path.normpath(path) if path.startswith(os.sep) else path


def _write(key: Path, rows: Sequence[tuple[str, str]]) -> None:
    write_csv(key, pd.DataFrame(rows, columns=_COLUMNS))


def _rows(key: Path) -> list[tuple[str, str]]:
    """Return the rows of a key; none where there is no key yet."""
    if not key.exists():
        return []
    try:
        table = read_csv(key, dtype=str, keep_default_na=False)
        ours = list(table.columns) == _COLUMNS and table["case"].str.fullmatch(r"case_\d+").all()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{key}: not a key of an earlier run ({error})") from error
    if not ours:
        raise DatasetError(f"{key} is no key of an earlier run: name another file")
    return list(zip(table["case"], table["path"], strict=True))
