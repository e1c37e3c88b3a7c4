"""The list itself: a CSV file with the path and the EF of each clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.data.layouts.checks import percent
from lvef.data.layouts.clip_list import two_chamber
from lvef.data.layouts.echonet.filelist import further_columns, refuse_leaks, splits_of
from lvef.data.names import stem
from lvef.data.tables import numbers, plain_name, read_table
from lvef.errors import DatasetError

COLUMNS = {
    "path": ("file", "file name", "file path", "video", "clip", "dicom", "dicom filepath"),
    "EF": ("lvef", "ejection fraction", "lv ejection fraction", "ef percent"),
    "Split": ("set", "fold split"),
    "Patient": ("patient id", "subject", "subject id", "mrn"),
    "Study": ("study id", "exam", "exam id"),
    "View": ("echo view", "view name", "view label"),
    "ED": ("ed frame", "edf", "end diastole", "end diastolic frame"),
    "ES": ("es frame", "esf", "end systole", "end systolic frame"),
    "EDV": ("lvedv", "end diastolic volume"),
    "ESV": ("lvesv", "end systolic volume"),
    **two_chamber.COLUMNS,
}
"""What a list may hold, and what else it is called; `path` and `EF` it must."""
TEXTS = ("path", "EF", "Split", "Patient", "Study", "View", "path_a2c")
"""Which of these are text even where all cells look like numbers."""


def read_list(
    path: Path, columns: Mapping[str, str] | None = None, labelled: bool = True
) -> tuple[pd.DataFrame, bool]:
    """Read a list of clips.

    Args:
        path: The CSV file, as people and spreadsheets write it; see `read_table`. A clip's path is
            relative to the folder of the list, or absolute.
        columns: What columns of `COLUMNS` are called in it, where that is something else.
        labelled: Whether it must have a column of EF.

    Returns:
        A row a row of it: `given` (the path as it stands there), `path` (the file), `video` (a name
        that no other row has unless it is the same file), `ef_true` (percent), `edv`, `esv` (mL)
        and `ed`, `es` (frames from 0), NaN where it says nothing, `patient` (where only the study
        is known, that), `split`, and, where it has such columns, `study` and `view_true` as they
        are written, empty where it says nothing; columns of the user's own; of two-chamber views,
        where it names any, see `with_second_paths`. And whether EF was written as a fraction.

    Raises:
        DatasetError: It cannot be read, a column is missing, or a patient has clips in several
            splits.
    """
    said = _said(columns or {}, path)
    known = {said.get(name, name): () if name in said else others
             for name, others in COLUMNS.items()}  # fmt: skip
    back = {said.get(name, name): name for name in COLUMNS}
    needed = [key for key, name in back.items() if name in ("path", "EF")[: 1 + labelled]]
    texts = [key for key, name in back.items() if name in TEXTS]
    cells = read_table(path, known, needed, texts, further=True).rename(columns=back)
    given = cells["path"].map(lambda text: str(text).strip().strip('"'))
    table = pd.DataFrame({"given": given})
    table["path"] = [str(_file(path.parent, each)) for each in given]
    table["video"] = names_of(table["path"])
    labels, fraction = read_labelled(cells, path)
    for name, word in {"Patient": "patient", "Study": "study", "View": "view_true"}.items():
        if name in cells or name == "Patient":
            table[word] = cells[name].fillna("").astype(str).str.strip() if name in cells else ""
    table = table.join(labels)
    if "study" in table:  # clips of one study stay together, whoever the patient is
        told = (table["patient"] != "") | (table["study"] == "")
        table["patient"] = table["patient"].where(told, "study " + table["study"])
    table = two_chamber.with_second_paths(table, cells, lambda given: _file(path.parent, given))
    refuse_leaks(table, path)
    return table, fraction


def read_labelled(cells: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, bool]:
    """Return what a list says of each of its rows, and whether EF was written as a fraction.

    Args:
        cells: Its cells, under the names of `COLUMNS`; EF it must have.
        path: The list.

    Returns:
        `ef_true` (percent), `edv`, `esv` (mL), `ed`, `es` (frames from 0), NaN where it says
        nothing; `split`, empty where it says nothing; columns of the user's own. And the other.

    Raises:
        DatasetError: Its splits are numbers.
    """
    ef, fraction = percent(cells["EF"]) if "EF" in cells else (np.nan, False)
    table = pd.DataFrame({"ef_true": ef}, index=cells.index)
    for name in ("EDV", "ESV", "ED", "ES"):
        table[name.lower()] = numbers(cells[name]) if name in cells else np.nan
    table["split"] = splits_of(cells["Split"], path) if "Split" in cells else ""
    return table.join(further_columns(cells)), fraction


def _said(columns: Mapping[str, str], path: Path) -> dict[str, str]:
    """Return what columns of a list are called, by the names of `COLUMNS`.

    Raises:
        DatasetError: A list has no such column.
    """
    plain = {plain_name(name): name for name in COLUMNS}
    for name in columns:
        if plain_name(name) not in plain:
            raise DatasetError(
                f"{path}: it is said what {name} is called, but a list has {', '.join(COLUMNS)}"
            )
    return {plain[plain_name(name)]: called for name, called in columns.items()}


def _file(folder: Path, given: str) -> Path:
    """Return the file that a list names: Windows' separators are those of whoever wrote it."""
    if not given:
        return folder / "(no path)"
    path = Path(given).expanduser()
    if not path.is_absolute() and "\\" in given and not (folder / path).exists():
        path = Path(given.replace("\\", "/"))
    return path if path.is_absolute() else folder / path


def names_of(paths: pd.Series) -> list[str]:
    """Return a name for each file: its own without extension, with folders where others have it."""
    files = list(dict.fromkeys(paths))
    parts = {file: stem(file.replace("\\", "/")).split("/") for file in files}
    length = dict.fromkeys(files, 1)
    while True:
        names = {file: "-".join(parts[file][-length[file] :]) for file in files}
        count = Counter(names.values())
        longer = [f for f in files if count[names[f]] > 1 and length[f] < len(parts[f])]
        if not longer:
            return [names[file] for file in paths]
        for file in longer:
            length[file] += 1
