"""Write a file whole or not at all, and tables that a spreadsheet cannot take for formulas."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lvef.errors import OutputError

if sys.platform != "win32":
    import fcntl
if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would calculate (OWASP, CSV injection)."""
_PART = ".part"
_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.part(\..*)?")
_YOUNG = 600.0
"""Seconds: so long a file may lie untouched whose lock another machine does not see."""
_swept: set[Path] = set()
"""Folders that this process has cleared of what killed ones left."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a name beside `path` to write to; the file takes its place when it is whole.

    The name has the ending of `path`, as many writers choose a format by it. What is written is on
    the disk (fsync) before it replaces what was there, so that neither a kill nor a full disk
    leaves half a file under the name of a whole one. A killed process leaves the hidden file; the
    next one that writes into the folder removes it.

    Args:
        path: The file to write; its folder is made. Of a link, the link is replaced.

    Raises:
        OutputError: It cannot be written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{uuid4().hex}{_PART}{path.suffix}")
    try:
        _check_place(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        with _locked(unfinished):
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
    try:
        _check_place(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError.of(path, error) from error


def is_unfinished(path: Path | str) -> bool:
    """Return whether a file is what a killed process left of one that it was writing."""
    return _UNFINISHED.fullmatch(Path(path).name) is not None


def tidy(folder: Path | str) -> None:
    """Remove what processes left in a folder that are known to have ended."""
    with suppress(OSError):
        for path in Path(folder).iterdir():
            if is_unfinished(path):
                path.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_bytes(path: Path | str, content: bytes | memoryview) -> None:
    """Write bytes, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def write_figure(path: Path | str, figure: Figure, dpi: float) -> None:
    """Draw a figure into a file, whole or not at all; the ending says the format.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=dpi)


def write_arrays(path: Path | str, arrays: Mapping[str, ArrayLike]) -> None:
    """Write named arrays as a compressed `.npz`, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as unfinished, unfinished.open("wb") as opened:
        np.savez_compressed(opened, **arrays)  # type: ignore[arg-type]


def write_tensors(
    path: Path | str, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as a `.safetensors`, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    from safetensors.torch import save  # brings torch, which not all who write files need

    # Not `save_file`, whose error of a full disk is no OSError.
    write_bytes(path, save({k: v.contiguous() for k, v in tensors.items()}, metadata))


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


def append_table(unfinished: Path, table: pd.DataFrame) -> None:
    """Add rows to a table that `replacing` will put in its place, under a heading at its start."""
    with unfinished.open("a", encoding="utf-8", newline="") as file:
        _safe(table).to_csv(file, index=False, header=file.tell() == 0)


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


def _check_place(path: Path) -> None:
    if path.exists() and not path.is_file():  # a folder, or a device that root could replace
        raise FileExistsError(errno.EEXIST, "it is there already and is no file")


@contextmanager
def _locked(unfinished: Path) -> Iterator[None]:
    """Make a file and hold a lock on it, which ends with the process, however that ends."""
    handle = os.open(unfinished, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def hold_lock(path: Path | str) -> int | None:
    """Hold a lock on a file, which is made; it ends with the process, however that ends.

    Returns:
        What to close to let it go; None where another process holds it. A file system without
        locks tells of none.

    Raises:
        OutputError: The file cannot be made.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise OutputError.of(Path(path), error) from error
    try:
        if sys.platform != "win32":
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        pass
    return handle


def _lock(handle: int) -> bool:
    """Lock an open file for this process; False where another holds it or locks are not known."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder, once in a process."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_unfinished(entry.name):
                _remove_if_left(Path(entry.path))


def _remove_if_left(unfinished: Path) -> None:
    """Remove an unfinished file unless the process that writes it lives."""
    with suppress(OSError):
        handle = os.open(unfinished, os.O_RDWR)
        try:
            if _lock(handle) and os.fstat(handle).st_mtime < time.time() - _YOUNG:
                unfinished.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:  # Windows and some network file systems refuse it for folders
        if not path.is_dir():
            raise
