"""Tables as people, spreadsheets and other programs write them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.columns import OWN
from lvef.errors import DatasetError

Columns = Mapping[str, Sequence[str]]
"""Columns that a table may have, and what else they are called; capitals, spaces and signs in a
header do not matter."""
_SEPARATORS = ",;\t|"
_UNNAMED = re.compile(r"\W*$|Unnamed: ")
_LARGEST = 2**30
_NUMBERS = "iuf"  # kinds of dtype
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_STATED_SEPARATOR = re.compile(r'^"?sep=(.)"?$')  # what Excel takes from a file's first line
_DECIMAL_COMMA = re.compile(r"^([+-]?\d*),(\d+)$")


def read_table(
    path: Path,
    columns: Columns,
    needed: Sequence[str],
    texts: Sequence[str],
    further: bool = False,
) -> pd.DataFrame:
    """Read the columns of a CSV file that are known.

    Separators may be commas, semicolons, tabs or bars, the text UTF-8 with a mark or without,
    UTF-16 or Windows' own; header rows that come again, empty rows, and commas at the end of rows
    do no harm.

    Args:
        path: The file.
        columns: What may be in it.
        needed: Which of these must be.
        texts: Which of these are text even where all cells look like numbers.
        further: Whether columns that are not known are read too; of two that are called alike it
            cannot be told which is meant, and neither is.

    Returns:
        The columns that are there, under the names of `columns`: stripped text, or numbers where
        all cells are; see `numbers`. Further ones are text, under `OWN` and their own names.

    Raises:
        DatasetError: It is no such table, or a column is missing or stands there twice.
    """
    lines = list(io.StringIO(_text(path), newline=""))
    stated = _STATED_SEPARATOR.match(lines[0].strip()) if lines else None
    above = next((n for n, line in enumerate(lines) if n >= bool(stated) and line.strip()), None)
    if above is None:
        raise DatasetError(f"{path} is empty: it needs {', '.join(needed)}")
    tried, first = stated.group(1) if stated else _SEPARATORS, lines[above]
    separator = max(tried, key=lambda each: len(_places(_cells(first, each), columns)))
    header = _cells(first, separator)
    places = _places(header, columns)
    twice = [name for name, where in places.items() if len(where) > 1]
    if twice:
        which = " and ".join(repr(header[place]) for place in places[twice[0]])
        raise DatasetError(f"{path}: columns {which} are both {twice[0]}: keep one of them")
    missing = [name for name in needed if name not in places]
    if missing:
        there = ", ".join(header)
        there = there if len(there) <= 200 else there[:199] + "…"
        raise DatasetError(f"{path}: column {', '.join(missing)} not found among {there}")
    _check_lengths(path, lines, above, separator, len(header))
    filled = [
        line
        for line in lines[above + 1 :]
        if line.strip(f"{separator} \t\r\n") and line.strip() != first.strip()
    ]
    columns_at = {place: name for name, (place,) in places.items()}
    own = _further(header, set(columns_at)) if further else {}
    columns_at |= own
    table = _parsed(path, "".join(filled), separator, sorted(columns_at), len(header),
                    [place for place, name in columns_at.items()
                     if name in texts or place in own])  # fmt: skip
    table = table.rename(columns=columns_at)
    for name in table.columns:
        if table[name].dtype.kind not in _NUMBERS:
            table[name] = table[name].astype(object).map(str).str.strip()
    return table


def numbers(cells: pd.Series) -> pd.Series:
    """Return float64 numbers, NaN where a cell holds none; `54,3` and `54.3 %` are numbers, too."""
    values = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    odd = values.isna() & (cells != "")
    if odd.any() and cells.dtype.kind not in _NUMBERS:
        plain = cells[odd].str.removesuffix("%").str.strip()
        plain = plain.str.replace(_DECIMAL_COMMA, r"\1.\2", regex=True)
        values[odd] = pd.to_numeric(plain, errors="coerce").astype(np.float64)
    return values.where(np.isfinite(values))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"{path}: not a CSV file (larger than a gigabyte)")
        raw = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    if raw.startswith(b"PK\x03\x04"):
        raise DatasetError(f"{path}: a workbook, not a CSV file: save it as CSV")
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "")
    if not encoding and b"\0" in raw[:2]:
        encoding = "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
    try:
        return raw.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding or b"\0" in raw:
            raise DatasetError(f"{path}: not a readable CSV file ({error.reason})") from error
    return raw.decode("cp1252", errors="replace")  # as Excel writes


def _cells(line: str, separator: str) -> list[str]:
    row = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip() for cell in row]


def _places(header: list[str], columns: Columns) -> dict[str, list[int]]:
    """Return where each known column stands; a header with its own name wins over other names."""
    plain = [plain_name(name) for name in header]
    places = {}
    for name, others in columns.items():
        for known in (name, *others):
            where = [place for place, own in enumerate(plain) if own == plain_name(known)]
            if where:
                places[name] = where
                break
    return places


def _further(header: list[str], known: set[int]) -> dict[int, str]:
    """Return what columns that are not known are called, by where they stand.

    Those without a name, and the numbering of rows that pandas writes, are none.
    """
    plain = [plain_name(name) for name in header]
    return {
        place: OWN + name
        for place, name in enumerate(header)
        if place not in known and plain.count(plain[place]) == 1 and not _UNNAMED.match(name)
    }


def plain_name(name: str) -> str:
    """Return what names of columns share that mean the same: no capitals, spaces and signs."""
    return re.sub(r"[\W_]", "", name.casefold())


def _check_lengths(path: Path, lines: list[str], above: int, separator: str, width: int) -> None:
    """Refuse rows that are longer than the header: their cells stand under wrong names.

    Raises:
        DatasetError: There is such a row.
    """
    for number, line in enumerate(lines[above + 1 :], above + 2):
        if line.count(separator) >= width and any(_cells(line, separator)[width:]):
            raise DatasetError(
                f"{path}: line {number} has more cells than the header: put what holds a "
                f"{separator!r} in quotes, or write it without"
            )


def _parsed(
    path: Path, text: str, separator: str, places: list[int], width: int, texts: list[int]
) -> pd.DataFrame:
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            names=range(width),
            usecols=places,
            index_col=False,
            dtype=dict.fromkeys(texts, str),
            skipinitialspace=True,
            keep_default_na=False,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:  # pandas' own are ValueErrors, too
        raise DatasetError(f"{path}: not a readable CSV file ({error})") from error
