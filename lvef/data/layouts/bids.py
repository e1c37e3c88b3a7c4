"""A BIDS-like folder: what tells it, and how its clips and tables are put together.

The Brain Imaging Data Structure (<https://bids-specification.readthedocs.io/>) has no ultrasound
yet; hospitals lay out echocardiograms after it all the same: clips of any format as
`sub-01/ses-01/us/sub-01_ses-01_view-A4C_us.mp4`, and tables `participants.tsv`,
`sub-01/sub-01_sessions.tsv`, `sub-01/ses-01/sub-01_ses-01_scans.tsv`, any of which may state EFs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lvef.data.layouts.base import register
from lvef.data.layouts.clip_list.layout import FRACTION
from lvef.data.layouts.clip_list.listed import Listed, ListedLayout
from lvef.data.layouts.clip_list.table import COLUMNS, read_labelled
from lvef.data.layouts.clip_list.views import left_out, of_four_chamber
from lvef.data.layouts.echonet.filelist import refuse_leaks
from lvef.data.layouts.folder import nothing_aside
from lvef.data.names import CLIP_EXTENSIONS, stem
from lvef.data.tables import read_table
from lvef.errors import DatasetError

PARTICIPANTS, DESCRIPTION = "participants.tsv", "dataset_description.json"
KINDS = ("us", "echo", "ultrasound")
"""Folders of echocardiograms, beside those of other kinds of data (anat, func, ...)."""
_VIEW = re.compile(r"(?:^|_)(?:view|acq)-([A-Za-z0-9]+)(?=_)")
_STATED = ("EF", "Split", "View", "EDV", "ESV", "ED", "ES")
_NOTHING = ("", "n/a")
"""How cells say nothing, the second by the standard."""


class Bids(ListedLayout):
    """The layout of BIDS for echocardiograms: EFs of persons, sessions or clips in its tables.

    What is stated of a clip (`*_scans.tsv`) comes before what is of its session (`*_sessions.tsv`)
    or person (`participants.tsv`). An EF of these is that of all clips of the apical four-chamber
    view, told by a column `view` or by the name (`view-A4C`, `acq-A4C`).
    """

    name = "bids"

    def recognises(self, root: Path) -> bool:
        """Tell a folder by its subjects and a table or description beside them."""
        beside = any((root / name).is_file() for name in (PARTICIPANTS, DESCRIPTION))
        return beside and any(path.is_dir() for path in root.glob("sub-*"))

    def list_files(self, root: Path) -> list[Path]:
        """Return the tables that there are."""
        participants = root / PARTICIPANTS
        scans = sorted({*root.glob("sub-*/*_scans.tsv"), *root.glob("sub-*/ses-*/*_scans.tsv")})
        tables = [*sorted(root.glob("sub-*/*_sessions.tsv")), *scans]
        return [participants, *tables] if participants.is_file() else tables

    def advice(self, root: Path) -> str:
        """Return what such a folder holds."""
        return (
            f"A BIDS folder holds {PARTICIPANTS}, with a column EF there or in *_scans.tsv, and "
            "sub-01/ses-01/us/ with clips"
        )

    def listed(self, root: Path) -> Listed:
        """Put the clips and the tables together; see `ListedLayout.listed`."""
        scans = _of_clips(root)
        clips = _clips(root, scans.index)
        sessions, persons = _of_sessions(root), _participants(root)
        levels = [scans.reindex(clips["given"]), sessions.reindex(clips["study"]),
                  persons.reindex(clips["patient"])]  # fmt: skip
        cells = _first_stated([level.set_axis(clips.index) for level in levels])
        if "EF" not in cells:
            raise DatasetError(f"{root}: none of its tables states an EF. {self.advice(root)}")
        labels, fraction = read_labelled(cells, root)
        table = clips.join(labels)
        notes = [FRACTION] if fraction else []
        if clipless := len(set(persons.index) - set(clips["patient"])):
            notes.append(f"{clipless:,} participants have no clip")
        labelled = cells["EF"] != ""
        unlabelled = left_out(table.loc[~labelled, "video"], "its study has no label")
        of_clip = bool(_stated(levels[0], "EF").to_numpy()[labelled].all())
        table["view_true"] = _stated_views(cells, table["given"])
        table, others = _with_views(table[labelled], root, of_clip)
        table = table.reset_index(drop=True)
        refuse_leaks(table, root)
        aside = pd.concat([unlabelled, others], ignore_index=True)
        return Listed(table, aside, tuple(notes))


register(Bids())


def _clips(root: Path, in_scans: Iterable[object]) -> pd.DataFrame:
    """Return the clips that are there, and those that tables name.

    Raises:
        DatasetError: There is none.
    """
    there = {
        path.relative_to(root).as_posix()
        for kind in KINDS
        for pattern in (f"sub-*/{kind}/*", f"sub-*/ses-*/{kind}/*")
        for path in root.glob(pattern)
        if path.name.lower().endswith(CLIP_EXTENSIONS) and not path.name.startswith(".")
    }
    given = sorted(there | {str(name) for name in in_scans})
    if not given:
        raise DatasetError(f"{root}: no clip in sub-*/us/ or sub-*/ses-*/us/")
    parts = [name.split("/") for name in given]
    return pd.DataFrame(
        {
            "given": given,
            "path": [str(root / name) for name in given],
            "video": [stem(name).rpartition("/")[2] for name in given],
            "patient": [part[0] for part in parts],
            "study": ["/".join(part[: -2]) for part in parts],
        }
    )  # fmt: skip


def _of_clips(root: Path) -> pd.DataFrame:
    """Return what `*_scans.tsv` state of clips, by their path below the folder."""
    found = []
    for path in sorted({*root.glob("sub-*/*_scans.tsv"), *root.glob("sub-*/ses-*/*_scans.tsv")}):
        table = _table(path, "filename")
        names = [f"{path.parent.relative_to(root).as_posix()}/{name}" for name in table.index]
        table = table.set_axis(names)
        kinds = table.index.str.split("/").str[-2].isin(KINDS)
        found.append(table[kinds & table.index.str.lower().str.endswith(CLIP_EXTENSIONS)])
    return pd.concat(found) if found else pd.DataFrame()


def _of_sessions(root: Path) -> pd.DataFrame:
    """Return what `*_sessions.tsv` state, by `sub-01/ses-01`."""
    found = []
    for path in sorted(root.glob("sub-*/*_sessions.tsv")):
        table = _table(path, "session_id")
        found.append(table.set_axis([f"{path.parent.name}/{_with('ses-', each)}"
                                     for each in table.index]))  # fmt: skip
    return pd.concat(found) if found else pd.DataFrame()


def _participants(root: Path) -> pd.DataFrame:
    """Return what `participants.tsv` states, by `sub-01`."""
    path = root / PARTICIPANTS
    if not path.is_file():
        return pd.DataFrame()
    table = _table(path, "participant_id")
    return table.set_axis([_with("sub-", each) for each in table.index])


def _table(path: Path, key: str) -> pd.DataFrame:
    """Return the texts of a table by its key.

    Raises:
        DatasetError: It cannot be read, or a row stands there twice.
    """
    known = {key: (), **{name: COLUMNS[name] for name in _STATED}}
    table = read_table(path, known, [key], list(known), further=True).set_index(key)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise DatasetError(f"{path}: {twice} stands there twice: keep one of its rows")
    return table.astype(object)


def _with(start: str, name: object) -> str:
    return str(name) if str(name).startswith(start) else f"{start}{name}"


def _stated(level: pd.DataFrame, name: str) -> pd.Series:
    """Return which rows of a level state something in a column."""
    if name not in level:
        return pd.Series(False, index=level.index)
    return ~level[name].fillna("").str.strip().str.casefold().isin(_NOTHING)


def _first_stated(levels: list[pd.DataFrame]) -> pd.DataFrame:
    """Return of each column what the first level states that says something, else nothing."""
    names = list(dict.fromkeys(name for level in levels for name in level))
    cells = pd.DataFrame("", index=levels[0].index, columns=names, dtype=object)
    for level in reversed(levels):
        for name in level:
            cells[name] = level[name].where(_stated(level, str(name)), cells[name])
    return cells


def _stated_views(cells: pd.DataFrame, given: pd.Series) -> pd.Series:
    """Return the views that tables or names state, empty where neither does."""
    named = given.str.rpartition("/")[2].str.extract(_VIEW, expand=False).fillna("")
    return cells["View"].where(cells["View"] != "", named) if "View" in cells else named


def _with_views(
    table: pd.DataFrame, root: Path, of_clip: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clips of the four-chamber view, and the others.

    Args:
        table: The clips.
        root: The folder.
        of_clip: Whether every EF is stated of a clip alone.

    Raises:
        DatasetError: One is not, and nothing says which views the clips show.
    """
    if (table["view_true"] != "").any():
        return of_four_chamber(table, str(root))
    if not of_clip:
        raise DatasetError(
            f"{root} states EFs of persons or sessions, and nothing says which of their clips show "
            "the apical four-chamber view: add a column view to *_scans.tsv, view-A4C to the "
            "names, or a column EF to *_scans.tsv for those that do"
        )
    return table.drop(columns="view_true"), nothing_aside()
