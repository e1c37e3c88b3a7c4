"""The tables of a MIMIC-IV-ECHO folder: its published list, and the user's EFs and views."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lvef.data.layouts.clip_list.table import COLUMNS, TEXTS, read_labelled
from lvef.data.tables import read_table
from lvef.errors import DatasetError

RECORDS, STUDIES, LABELS, VIEWS = (
    "echo-record-list.csv", "echo-study-list.csv", "labels.csv", "views.csv",
)  # fmt: skip
"""The published lists of clips and studies, and what a user writes beside them."""
CLIP, STUDY, PATIENT = "dicom_filepath", "study_id", "subject_id"
_CLIP_NAMES = ("path", "file", "file name", "file path", "dicom path", "parent dicom path")
_KNOWN = {
    CLIP: _CLIP_NAMES, STUDY: ("study",), PATIENT: ("subject", "patient", "patient id"),
    "View": COLUMNS["View"],
}  # fmt: skip


def read_records(path: Path) -> pd.DataFrame:
    """Read the published list of clips.

    Args:
        path: `echo-record-list.csv`; a column `view` may have been added to it.

    Returns:
        A row a clip: `clip` (its path below the folder), `study`, `patient`, and `view`, empty
        where none is stated.

    Raises:
        DatasetError: It cannot be read, or a column is missing.
    """
    cells = read_table(path, _KNOWN, (CLIP, STUDY, PATIENT), list(_KNOWN))
    table = pd.DataFrame({"clip": clips(cells[CLIP]), "study": ids(cells[STUDY])})
    return table.assign(patient=ids(cells[PATIENT]), view=_text(cells, "View"))


def read_own_labels(path: Path) -> tuple[pd.DataFrame, bool]:
    """Read the EFs that a user wrote beside it.

    Args:
        path: `labels.csv`: `EF`, and `dicom_filepath` where a row is of a clip, else `study_id`;
            further columns as a list of clips has them.

    Returns:
        What `read_labelled` returns, with `clip` or else `study`, and `view` where it is stated;
        and whether EF was written as a fraction.

    Raises:
        DatasetError: It cannot be read, or a column is missing.
    """
    known = {
        **{name: COLUMNS[name] for name in ("EF", "Split", "EDV", "ESV", "ED", "ES")},
        **_KNOWN,
    }
    cells = read_table(path, known, ["EF"], [*TEXTS, *_KNOWN], further=True)
    if CLIP not in cells and STUDY not in cells:
        raise DatasetError(
            f"{path}: neither {STUDY} (a row a study) nor {CLIP} (a row a clip) is among its "
            "columns: it must say whose EF it states"
        )
    table, fraction = read_labelled(cells, path)
    key = "clip" if CLIP in cells else "study"
    table[key] = clips(cells[CLIP]) if CLIP in cells else ids(cells[STUDY])
    return table.assign(view=_text(cells, "View")), fraction


def read_views(path: Path) -> dict[str, str]:
    """Read the views that a user, or a classifier of his, told apart.

    Args:
        path: `views.csv`: `dicom_filepath` and `view`.

    Returns:
        The view by clip; of a clip that has several, all of them.

    Raises:
        DatasetError: It cannot be read, or a column is missing.
    """
    cells = read_table(path, _KNOWN, (CLIP, "View"), list(_KNOWN))
    table = pd.DataFrame({"clip": clips(cells[CLIP]), "view": _text(cells, "View")})
    told = table[table["view"] != ""].drop_duplicates()
    return {str(clip): " or ".join(sorted(views)) for clip, views in told.groupby("clip")["view"]}


def clips(cells: pd.Series) -> pd.Series:
    """Return paths of clips as all tables can have them: `/` between folders, none before."""
    return cells.fillna("").astype(str).str.replace("\\", "/").str.strip("\"' ").map(_below)


def ids(cells: pd.Series) -> pd.Series:
    """Return numbers of studies or patients, whether they are written 94106955, s94106955 or .0."""
    text = cells.fillna("").astype(str).str.strip().str.casefold()
    return text.str.replace(r"^[sp](?=\d)", "", regex=True).str.removesuffix(".0")


def _below(path: str) -> str:
    return path.removeprefix("./").lstrip("/")


def _text(cells: pd.DataFrame, name: str) -> pd.Series:
    if name not in cells:
        return pd.Series("", index=cells.index, dtype=object)
    return cells[name].fillna("").astype(str).str.strip()
