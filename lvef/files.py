"""Write a file whole or not at all, and tables that a spreadsheet cannot take for formulas."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from lvef.errors import OutputError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would calculate (OWASP, CSV injection)."""
_PART = ".part"


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a name beside `path` to write to; the file takes its place when it is whole.

    The name has the ending of `path`, as many writers choose a format by it. What is written is on
    the disk (fsync) before it replaces what was there, so that neither a kill nor a full disk
    leaves half a file under the name of a whole one.

    Args:
        path: The file to write; its folder is made.

    Raises:
        OutputError: It cannot be written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{uuid4().hex}{_PART}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        _sync(unfinished)
        os.replace(unfinished, path)
        _sync(path.parent)
    except OSError as error:
        raise OutputError.of(path, error) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def make_room(path: Path | str) -> None:
    """Refuse a file that cannot be written, before the hours of work that end in it.

    Args:
        path: The file to write; its folder is made.

    Raises:
        OutputError: It cannot be written.
    """
    path = Path(path)
    probe = path.with_name(f".{uuid4().hex}{_PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError.of(path, error) from error


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path | str, about: dict[str, Any]) -> None:
    """Write plain data, whole or not at all; what is no finite number becomes null.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(path, json.dumps(finite(about), indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return plain data with None in place of NaN and infinity, which JSON has not."""
    if isinstance(value, dict):
        return {name: finite(own) for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_csv(path: Path | str, table: pd.DataFrame, index: bool = False) -> None:
    """Write a table, whole or not at all.

    A text that a spreadsheet would take for a formula gets an apostrophe before it; `read_csv`
    takes it away again.

    Args:
        path: The file.
        table: What to write.
        index: Whether the index is written, too.

    Raises:
        OutputError: It cannot be written.
    """
    safe = _safe(table.reset_index() if index else table)
    with replacing(path) as unfinished:
        safe.to_csv(unfinished, index=False)


def append_csv(path: Path | str, table: pd.DataFrame) -> None:
    """Add rows to a table, under a heading where there is none yet, and bring them to the disk.

    Raises:
        OutputError: They cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as file:
            _safe(table).to_csv(file, index=False, header=file.tell() == 0)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError.of(path, error) from error


def read_csv(path: Path | str, **options: Any) -> pd.DataFrame:
    """Read a table that `write_csv` wrote; `options` are those of `pandas.read_csv`."""
    table: pd.DataFrame = pd.read_csv(path, **options)
    texts = {n for n in table.columns if not pd.api.types.is_numeric_dtype(table[n])}
    return table.assign(**{name: table[name].map(_unguarded) for name in texts})


def printable(name: str) -> str:
    """Return a name that can be written as UTF-8, whatever bytes the file system has for it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _safe(table: pd.DataFrame) -> pd.DataFrame:
    texts = {n for n in table.columns if not pd.api.types.is_numeric_dtype(table[n])}
    return table.assign(**{name: table[name].map(_guarded) for name in texts})


def _guarded(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    # A text that begins so already would lose its own apostrophe when it is read.
    return f"'{cell}" if cell.lstrip("'").startswith(_FORMULA) else cell


def _unguarded(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.startswith("'"):
        return cell
    return cell[1:] if cell.lstrip("'").startswith(_FORMULA) else cell


def _sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse it for folders
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
