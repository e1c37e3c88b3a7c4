"""Which file each case of a page is: a table that must not be passed on with the page."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pandas as pd

from lvef.errors import ConfigurationError
from lvef.files import read_csv, write_csv


def key_path(run: Path, page: Path, key: Path | None) -> Path:
    """Return where the key goes: by default into the run's folder, which names the files anyway.

    Args:
        run: Folder of the run.
        page: The page.
        key: What the user wants.

    Raises:
        ConfigurationError: It would lie beside the page.
    """
    path = run / f"{page.stem}.key.csv" if key is None else key
    if path.resolve().parent == page.resolve().parent:
        raise ConfigurationError(
            f"{path}: the key, which names the files, would lie beside the page, which is passed "
            "on; give --key FILE in another folder, or write the page elsewhere with --output"
        )
    return path


def key_table(videos: pd.Series) -> pd.DataFrame:
    """Return the key: `case`, counted from 1, and `video`."""
    return pd.DataFrame({"case": range(1, len(videos) + 1), "video": videos.to_numpy()})


def check_unused(path: Path, table: pd.DataFrame) -> None:
    """Refuse to write a key over anything but itself: an older page would lose its own.

    Raises:
        ConfigurationError: Something else is there.
    """
    if not path.exists():
        return
    try:
        existing = read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        existing = pd.DataFrame()
    if not existing.equals(_as_read(table)):
        raise ConfigurationError(
            f"{path} is there already, and is not the key of this page: give another with --key "
            "FILE, or move it"
        )


def write_key(path: Path, table: pd.DataFrame) -> None:
    """Write the key.

    Raises:
        OutputError: It cannot be written.
    """
    write_csv(path, table)


def _as_read(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is read again, all text."""
    return pd.read_csv(StringIO(table.to_csv(index=False)), dtype=str, keep_default_na=False)
