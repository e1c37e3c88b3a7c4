"""EchoNet-Pediatric: `A4C/` and `PSAX/`, each with a list, a table of outlines, and videos.

As its publisher lays it out (<https://echonet.github.io/pediatric/>; Reddy et al., *J Am Soc
Echocardiogr* 36:482-489, 2023): `FileList.csv` (FileName, EF, Sex, Age, Weight, Height, Split),
`VolumeTracings.csv` (FileName, X, Y, Frame: a row a point of an outline), `Videos/`. Splits are
the folds 0 to 9 of a cross-validation; neither volumes, rate nor number of frames are stated.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lvef.columns import OWN, is_own
from lvef.data.layouts.base import Layout, register
from lvef.data.layouts.echonet.filelist import read_filelist
from lvef.data.layouts.echonet.folder import OutlinedFolder
from lvef.data.layouts.echonet.parts import (
    FILE_LIST,
    TRACINGS,
    VIDEOS,
    found_parts,
    has_any_part,
    has_outlines,
    part,
)
from lvef.data.layouts.echonet.tracings import read_outlines
from lvef.data.layouts.folder import LabelFolder, check_excluded
from lvef.data.tables import numbers, plain_name
from lvef.errors import DatasetError

HOME_PAGE = "https://echonet.github.io/pediatric/"
_APICAL, _SHORT_AXIS = "A4C", "PSAX"
_UNPACKED = ("", "pediatric_echo_avi", "pediatric_echo_avi/pediatric_echo_avi")
"""Folders that the archive unpacks into, one in another of the same name."""
_OF_A_CHILD = ("sex", "age", "weight", "height")
_ADULT = 18.0
_NO_APICAL = "a parasternal short axis is no apical view, and its EF is found by other geometry"


class EchoNetPediatric(Layout):
    """The layout of EchoNet-Pediatric: folds for splits, outlines for chords, no volumes.

    Of a folder with both views A4C is read. Folds 0-7 are TRAIN, 8 is VAL and 9 is TEST; which fold
    a clip is of stays as the column `Fold` of the user's own. ED is the traced frame with the
    larger area. Rate and number of frames are read from the clips.
    """

    name = "echonet-pediatric"

    def recognises(self, root: Path) -> bool:
        """Tell a folder by its views, or one of them by the columns of its tables."""
        if has_any_part(root):
            return has_outlines(root)
        return _above(root) is not None

    def label_files(self, root: Path) -> list[Path]:
        """Return the list and the tracings of the view that is read."""
        place = _place(root)
        return [part(place, FILE_LIST), part(place, TRACINGS)]

    def video_folders(self, root: Path) -> list[Path]:
        """Return the videos of the view that is read."""
        return [part(_place(root), VIDEOS)]

    def advice(self, root: Path) -> str:
        """Return what such a folder holds."""
        return (
            "An EchoNet-Pediatric folder holds A4C/ with FileList.csv, VolumeTracings.csv and "
            f"Videos/; get the data from {HOME_PAGE}"
        )

    def read(self, root: Path, max_excluded: float) -> LabelFolder:
        """Read and check a folder; see `Layout.read`."""
        place = _place(root)
        list_file, tracing_file, videos = found_parts(place, self.advice(root))
        files = read_filelist(list_file, videos, self.ef_of_volumes, folds=True, timed=False)
        view, notes = _view(root, place)
        files = replace(files, table=files.table.assign(view_true=view))
        tracings = read_outlines(tracing_file, files.table["video"])
        notes += _unstated(files.table)
        folder = OutlinedFolder.joined(place, files, tracings, *notes)
        return check_excluded(folder, max_excluded)


register(EchoNetPediatric())


def _above(root: Path) -> Path | None:
    """Return the folder of the views, at a root or where its archive was unpacked."""
    for below in _UNPACKED:
        if any(has_any_part(root / below / view) for view in (_APICAL, _SHORT_AXIS)):
            return root / below
    return None


def _place(root: Path) -> Path:
    """Return the folder of the view that is read.

    Raises:
        DatasetError: There is no apical one.
    """
    above = None if has_any_part(root) else _above(root)
    if above is None:
        return root
    if not has_any_part(above / _APICAL):
        raise DatasetError(
            f"{root} holds {_SHORT_AXIS}/ and no {_APICAL}/: {_NO_APICAL}; to read it all the same "
            f"give {above / _SHORT_AXIS}"
        )
    return above / _APICAL


def _view(root: Path, place: Path) -> tuple[str, list[str]]:
    """Return the view that is read, and what is to be said of it."""
    name = os.path.basename(os.path.abspath(place)).upper()
    if name == _SHORT_AXIS:
        return _SHORT_AXIS, [f"{_SHORT_AXIS} is read as it was asked for: {_NO_APICAL}"]
    if name != _APICAL:
        return _APICAL, [f"taken for {_APICAL}, as nothing in {place} says its view"]
    left_out = place != root and has_any_part(place.with_name(_SHORT_AXIS))
    return _APICAL, [f"{_SHORT_AXIS}/ is left out: {_NO_APICAL}"] if left_out else []


def _unstated(table: pd.DataFrame) -> list[str]:
    """Return what is missing or strange of the children; no row is dropped for it."""
    notes = []
    for column in filter(is_own, map(str, table)):
        name = column.removeprefix(OWN)
        if plain_name(name) not in _OF_A_CHILD:
            continue
        cells = table[column].fillna("").astype(str)
        if empty := int((cells == "").sum()):
            notes.append(f"{name} is not stated for {empty:,}")
        if plain_name(name) == "age" and (old := int((~_of_a_child(cells)).sum())):
            notes.append(f"{name} of {old:,} is not one from 0 to 18 years: look at them")
    return notes


def _of_a_child(ages: pd.Series) -> pd.Series:
    return (ages == "") | numbers(ages).between(0, _ADULT)
