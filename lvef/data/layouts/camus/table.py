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
from lvef.data.layouts.lacking import frame_checks, with_two_chamber_views
from lvef.data.tables import numbers

_OWN = ("Sex", "Age", "ImageQuality")
_NUMBERS_A2C = ("ed_frame_a2c", "es_frame_a2c", "fps_a2c")
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
            **{name: cells[name] for name in ("path_a2c", *_NUMBERS_A2C)},
            **{f"{OWN}{name}": cells[name] for name in _OWN},
        }
    )
    headers = read_headers(table["path"].where(table["split"].isin(SPLITS), ""))
    table["num_frames"] = headers["num_frames"]
    reasons = _reasons(table, cells, headers["trouble"], pd.Series(names).isin(there))
    table = _with_two_chamber_views(table, cells, reasons == "")
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
        "stated_a2c": two is not None,
        **dict(zip(_NUMBERS_A2C, _frames_and_rate(two or empty), strict=True)),
        "masks": all(file_of(folder, FOUR, f"{phase}_gt") for phase in ("ED", "ES")),
        "earlier": is_of_the_earlier_release(folder),
    }


def _frames_and_rate(info: Mapping[str, str]) -> list[float]:
    """Return ED and ES, from 0, and the rate that a view states."""
    ed, es, rate = numbers(pd.Series([info[name] for name in ("ED", "ES", "FrameRate")]))
    return [ed - 1, es - 1, rate]


def _with_two_chamber_views(
    table: pd.DataFrame, cells: pd.DataFrame, wanted: pd.Series
) -> pd.DataFrame:
    """Return the table with what is known of the A2C of the patients that are used."""
    headers = read_headers(table["path_a2c"].where(wanted, ""))
    reasons = first_reason(
        [
            (~cells["stated_a2c"].astype(bool), f"Info_{TWO}.cfg missing"),
            *((headers["trouble"] == each, each) for each in set(headers["trouble"]) - {""}),
        ],
        table.index,
    )
    return with_two_chamber_views(table.assign(num_frames_a2c=headers["num_frames"]), reasons)


def _reasons(
    table: pd.DataFrame, cells: pd.DataFrame, trouble: pd.Series, there: pd.Series
) -> pd.Series:
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
            *frame_checks(table["ed_frame"], table["es_frame"], table["num_frames"]),
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
    ]  # fmt: skip
    return [words.format(f"{int(which.sum()):,}") for which, words in told if which.any()]
