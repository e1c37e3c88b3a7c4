"""The table of all patients, and why some cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.columns import OWN, SPLITS
from lvef.data.layouts.camus.patient import (
    FOUR,
    LOOP,
    TWO,
    file_of,
    is_of_the_earlier_release,
    stated,
)
from lvef.data.layouts.checks import ef_checks, first_reason, percent
from lvef.data.layouts.headers import read_headers
from lvef.data.tables import numbers

_OWN = ("Sex", "Age", "ImageQuality")
_UNLISTED = ""


@dataclass(frozen=True)
class Patients:
    """What is known of all patients.

    Attributes:
        table: A row a patient, as of `LabelFolder`.
        reasons: Why each cannot be used, empty where it can.
        notes: What a human should know.
    """

    table: pd.DataFrame
    reasons: pd.Series
    notes: list[str]


def read_patients(folders: list[Path], splits: Mapping[str, str], place: Path) -> Patients:
    """Read what is stated of the A4C of every patient.

    Args:
        folders: Their folders.
        splits: TRAIN, VAL or TEST by patient.
        place: The folder that they lie in.
    """
    there = {folder.name: folder for folder in folders}
    names = sorted({*there, *splits})
    cells = pd.DataFrame([_cells(place / name) for name in names])
    ef, converted = percent(cells["EF"])
    table = pd.DataFrame(
        {
            "video": names,
            "path": cells["path"],
            "split": [splits.get(name, _UNLISTED) for name in names],
            "ef_true": ef,
            "edv": numbers(cells["EDV"]),
            "esv": numbers(cells["ESV"]),
            "fps": numbers(cells["FrameRate"]),
            "frame_height": np.nan,
            "frame_width": np.nan,
            "ed_frame": numbers(cells["ED"]) - 1,
            "es_frame": numbers(cells["ES"]) - 1,
            "patient": names,
            "view_true": "A4C",
            "path_a2c": cells["path_a2c"],
            **{f"{OWN}{name}": cells[name] for name in _OWN},
        }
    )
    headers = read_headers(table["path"].where(table["split"].isin(SPLITS), ""))
    table["num_frames"] = headers["num_frames"]
    reasons = _reasons(table, cells, headers["trouble"], pd.Series(names).isin(there))
    notes = ["EF is written as a fraction of 1: taken times 100"] if converted else []
    return Patients(table, reasons, [*notes, *_notes(table[reasons == ""], cells)])


def _cells(folder: Path) -> dict[str, object]:
    """Return what is written of a patient, and which files there are."""
    four, two = stated(folder, FOUR), stated(folder, TWO)
    empty = dict.fromkeys(("EF", "EDV", "ESV", "ED", "ES", "NbFrame", "FrameRate", *_OWN), "")
    return {
        **(four or empty),
        "stated": four is not None,
        "other_ef": (two or empty)["EF"],
        "path": file_of(folder, FOUR, LOOP),
        "path_a2c": file_of(folder, TWO, LOOP),
        "masks": all(file_of(folder, FOUR, f"{phase}_gt") for phase in ("ED", "ES")),
        "earlier": is_of_the_earlier_release(folder),
    }


def _reasons(
    table: pd.DataFrame, cells: pd.DataFrame, trouble: pd.Series, there: pd.Series
) -> pd.Series:
    frames = table[["ed_frame", "es_frame"]]
    outside = (frames.max(axis=1) >= table["num_frames"]) | (frames.min(axis=1) < 0)
    other = numbers(cells["other_ef"])
    return first_reason(
        [
            (~there, "patient is in a split, but has no folder"),
            (~table["split"].isin(SPLITS), "patient is in none of the split files"),
            (~cells["stated"].astype(bool), f"Info_{FOUR}.cfg missing"),
            ((table["path"] == "") & cells["earlier"],
             "MetaImage files (.mhd) of the earlier release: get the one in NIfTI"),
            (table["path"] == "", f"{FOUR}_{LOOP} missing or empty"),
            *ef_checks(table["ef_true"]),
            ((other - numbers(cells["EF"])).abs() > 0, "the views state different EFs"),
            *((trouble == each, each) for each in trouble[trouble != ""].unique()),
            (frames.isna().any(axis=1) | (frames % 1 != 0).any(axis=1),
             "ED or ES missing or no number"),
            (table["ed_frame"] == table["es_frame"], "ED and ES are the same frame"),
            (outside, "ED or ES outside the clip"),
        ],
        table.index,
    )  # fmt: skip


def _notes(usable: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Return what a human should know of the patients that are used."""
    cells = cells.loc[usable.index]
    backwards = usable["ed_frame"] > usable["es_frame"]
    counted = numbers(cells["NbFrame"])
    told = [
        (backwards, "{} loops begin with ES: they show a filling, and have no mid frame"),
        (usable["fps"].isna(), "of {} no FrameRate is stated"),
        (counted.notna() & (counted != usable["num_frames"]),
         "NbFrame of {} is not what the loop holds: the loop counts"),
        (~cells["masks"].astype(bool), "{} have no masks of ED and ES: no segmenter learns there"),
        (usable["path_a2c"] == "", "{} have no A2C"),
    ]  # fmt: skip
    return [words.format(f"{int(which.sum()):,}") for which, words in told if which.any()]
