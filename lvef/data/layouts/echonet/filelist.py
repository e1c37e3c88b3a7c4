"""`FileList.csv`: which videos a folder holds, their EF and volumes, and which rows can be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.cardiac import ejection_fraction
from lvef.columns import OWN, SPLITS, is_own
from lvef.data.layouts.checks import ef_checks, first_reason, percent
from lvef.data.layouts.headers import read_headers
from lvef.data.names import CLIP_EXTENSIONS, is_clip, match_names, stem
from lvef.data.tables import numbers, plain_name, read_table
from lvef.errors import DatasetError

EF_TOLERANCE = 2.0
"""Percentage points by which EF may differ from 100 (EDV - ESV) / EDV where it was made of them."""
OTHER_TOLERANCE = 15.0
"""The same where EF comes from elsewhere, such as two planes or a clinical report."""
DERIVED_SHARE = 0.95
"""Share of a folder's rows within `EF_TOLERANCE` that tells that EF was made of the volumes."""
_NEEDED = ("FileName", "EF", "Split")
_TIMING = ("FPS", "NumberOfFrames")
FOLDS = {**dict.fromkeys(map(str, range(8)), "TRAIN"), "8": "VAL", "9": "TEST"}
"""What the ten folds of EchoNet-Pediatric are for, here."""
_FOLD = r"\d+(\.0)?"
_COLUMNS = {
    "FileName": ("file", "video", "path"),
    "EF": ("lvef", "ejection fraction"),
    "ESV": ("lvesv", "end systolic volume"),
    "EDV": ("lvedv", "end diastolic volume"),
    "FrameHeight": (),  # "Height" is the patient's in EchoNet-Pediatric
    "FrameWidth": (),
    "FPS": ("frame rate",),
    "NumberOfFrames": ("num frames", "frame count"),
    "Split": ("set",),
    "Patient": ("patient id", "subject", "subject id"),
}
_STATED = ("site", "study")
"""Further columns that have a name of their own in the table, as `lvef.columns` states it."""
_SPLIT_NAMES = {
    "TRAIN": ("TRAIN", "TRAINING"),
    "VAL": ("VAL", "VALID", "VALIDATION", "DEV"),
    "TEST": ("TEST", "TESTING"),
}


@dataclass(frozen=True)
class FileList:
    """What `FileList.csv` says.

    Attributes:
        table: A row a row of it: `video` (name without extension), `path` (empty where there is no
            such file), `split`, `ef_true` (percent), `edv`, `esv` (mL), `fps`, `num_frames`, and
            `frame_height` and `frame_width` (pixels); NaN where a number is not known. `patient`
            where the file says whose clips they are, empty where a row does not. Further columns
            of the file as text, empty where a row states nothing: `site`, `study`, and those of
            the user's own under `lvef.columns.OWN` and their names.
        reasons: Why each row cannot be used, empty where it can.
        notes: What was taken otherwise than it is written, and rows that a human should look at.
    """

    table: pd.DataFrame
    reasons: pd.Series
    notes: tuple[str, ...]


def read_filelist(
    path: Path, videos: Path, ef_of_volumes: bool = True, folds: bool = False, timed: bool = True
) -> FileList:
    """Read and check `FileList.csv`.

    Args:
        path: The file.
        videos: The folder of the videos.
        ef_of_volumes: Whether EF and volumes must agree, see `Layout.ef_of_volumes`.
        folds: Whether splits may be the folds 0 to 9, see `FOLDS`; the fold is then a column of the
            user's own.
        timed: Whether the list must say rate and number of frames; what it does not say is else
            read from the clips.

    Raises:
        DatasetError: It cannot be read, a column is missing, its splits are numbers, or a patient
            has clips in several splits.
    """
    needed = (*_NEEDED, *_TIMING) if timed else _NEEDED
    cells = read_table(path, _COLUMNS, needed, _NEEDED, further=True)
    stated = cells["FileName"].map(stem)
    files = _locate(cells["FileName"], stated, videos)
    ef, converted = percent(cells["EF"])
    table = pd.DataFrame(
        {
            "video": [_name(file) if file else _name(own) for file, own in
                      zip(files, stated, strict=True)],
            "path": [str(videos / file) if file else "" for file in files],
            "split": splits_of(cells["Split"], path, folds),
            "ef_true": ef,
            **{column.lower(): _optional(cells, column) for column in ("EDV", "ESV")},
            "fps": _optional(cells, "FPS"),
            "num_frames": _optional(cells, "NumberOfFrames"),
            "frame_height": _optional(cells, "FrameHeight"),
            "frame_width": _optional(cells, "FrameWidth"),
        }
    )  # fmt: skip
    if "Patient" in cells:
        table["patient"] = cells["Patient"].fillna("").astype(str).str.strip()
        refuse_leaks(table, path)
    table = table.join(further_columns(cells))
    unmeasured = (table["edv"] == 0) & (table["esv"] == 0)
    table.loc[unmeasured, ["edv", "esv"]] = np.nan
    notes = ["EF is written as a fraction of 1: taken times 100"] if converted else []
    if folds and cells["Split"].str.fullmatch(_FOLD).any():
        table[f"{OWN}Fold"] = cells["Split"].str.removesuffix(".0")
        notes.append("of the folds, 0-7 are TRAIN, 8 is VAL and 9 is TEST")
    headers = pd.Series("", index=table.index, dtype=object)
    if not timed:
        table, headers = _timed(table)
    reasons, doubts = _reasons(table, ef_of_volumes, headers)
    return FileList(table, reasons, (*notes, *doubts))


def _timed(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return a list with rate and number of frames as its clips state them, and what is wrong."""
    unknown = table["fps"].isna() | table["num_frames"].isna()
    found = read_headers(table.loc[unknown & table["split"].isin(SPLITS), "path"])
    stated = table[["fps", "num_frames"]]
    filled = stated.where(stated.notna(), found[["fps", "num_frames"]].reindex(table.index))
    return table.assign(**filled), found["trouble"].reindex(table.index).fillna("")


def refuse_leaks(table: pd.DataFrame, path: Path) -> None:
    """Refuse splits that share patients: TEST would be of hearts that were learned.

    Raises:
        DatasetError: They do.
    """
    used = table[(table["patient"] != "") & table["split"].isin(SPLITS)]
    in_splits = used.groupby("patient")["split"].nunique()
    shared = int((in_splits > 1).sum())
    if shared:
        raise DatasetError(
            f"{path}: {shared} of {len(in_splits)} patients have clips in several splits, so that "
            "TEST would judge hearts that were learned: put all clips of a patient into one split"
        )


def further_columns(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the user's own; what is stated in `lvef.columns` has its name there."""
    own = cells[[name for name in map(str, cells) if is_own(name)]]
    words = {name: plain_name(name.removeprefix(OWN)) for name in map(str, own)}
    return own.rename(columns={name: word for name, word in words.items() if word in _STATED})


def _name(path: str) -> str:
    return stem(path).rpartition("/")[2]


def _optional(cells: pd.DataFrame, column: str) -> pd.Series:
    if column in cells:
        return numbers(cells[column])
    return pd.Series(np.nan, index=cells.index)


def splits_of(cells: pd.Series, path: Path, folds: bool = False) -> pd.Series:
    """Return TRAIN, VAL and TEST; what is none of them stays as it is.

    Raises:
        DatasetError: Every split is a number, and may be none.
    """
    written = cells.str.upper()
    names = {other: name for name, others in _SPLIT_NAMES.items() for other in others}
    if folds:
        written, names = written.str.removesuffix(".0"), {**names, **FOLDS}
    elif len(written) and written.str.fullmatch(_FOLD).all():
        some = ", ".join(sorted(written.unique(), key=float)[:10])
        raise DatasetError(
            f"{path}: Split holds numbers ({some}), as the ten folds of EchoNet-Pediatric: which "
            "are for what is yours to say; write TRAIN, VAL or TEST there, such as TRAIN for "
            "0-7, VAL for 8, TEST for 9"
        )
    return written.map(lambda split: names.get(split, split))


def _locate(names: pd.Series, stems: pd.Series, videos: Path) -> list[str]:
    """Return the name of every video's file, empty where there is none or the file is empty.

    Folders before a name are those of whoever wrote the list. The extension that is stated wins.
    """
    try:
        with os.scandir(videos) as entries:
            sizes = {e.name: e.stat().st_size for e in entries if e.is_file() and e.name[0] != "."}
    except OSError as error:
        raise DatasetError(f"{videos} cannot be read: {error.strerror or error}") from error
    by_stem: dict[str, str] = {}
    for name in sorted(sizes, reverse=True):  # .avi before .mp4
        if name.lower().endswith(CLIP_EXTENSIONS) or is_clip(videos / name):
            by_stem[_name(name)] = name
    full = [str(name).strip().replace("\\", "/").rpartition("/")[2] for name in names]
    bare = [_name(own) for own in stems]
    exact, alike = match_names(full, sizes), match_names(bare, by_stem)
    files = []
    for name, own in zip(full, bare, strict=True):
        file = exact[name] if name != own and name in exact else by_stem.get(alike.get(own, ""), "")
        files.append(file if file and sizes[file] > 0 else "")
    return files


def _reasons(
    table: pd.DataFrame, ef_of_volumes: bool, headers: pd.Series
) -> tuple[pd.Series, list[str]]:
    """Return why each row cannot be used, and what a human should look at all the same."""
    edv, esv, ef = table["edv"], table["esv"], table["ef_true"]
    impossible = (edv <= 0) | (esv < 0) | (esv >= edv)
    apart = (pd.Series(ejection_fraction(edv, esv), index=table.index) - ef).abs()
    apart = apart[~impossible & ef.between(0, 100) & ef_of_volumes].reindex(table.index)
    known = apart.dropna()
    derived = bool(len(known)) and float((known <= EF_TOLERANCE).mean()) >= DERIVED_SHARE
    tolerance = EF_TOLERANCE if derived else OTHER_TOLERANCE
    reasons = first_reason(
        [
            (_repeated(table), "duplicate name"),
            (~table["split"].isin(SPLITS), "split is none of TRAIN, VAL, TEST"),
            (table["path"] == "", "video file missing or empty"),
            *ef_checks(ef),
            (impossible, "volumes impossible: ESV is not below EDV, or one of them is negative"),
            (apart > tolerance, "EF inconsistent with volumes"),
            *((headers == trouble, trouble) for trouble in headers[headers != ""].unique()),
            (~(table["num_frames"] >= 1), "number of frames unknown"),
            (table["num_frames"] % 1 != 0, "number of frames is no whole number"),
        ],
        table.index,
    )
    kept = apart[(reasons == "") & (apart > EF_TOLERANCE)]
    notes = []
    if len(kept):
        notes.append(
            f"EF of {len(kept):,} is {EF_TOLERANCE:g} to {OTHER_TOLERANCE:g} points from what the "
            f"volumes say (median {kept.median():.1f}), as that of two planes is: EF is what counts"
        )
    return reasons, notes


def _repeated(table: pd.DataFrame) -> pd.Series:
    """Tell rows of one video that contradict each other, and repeats of a row."""
    contradicted = table[~table.duplicated()].duplicated("video", keep=False)
    return table.duplicated() | contradicted.reindex(table.index, fill_value=True)
