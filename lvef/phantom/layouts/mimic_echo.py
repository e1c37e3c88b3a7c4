"""Phantoms as MIMIC-IV-ECHO has its studies: DICOM files, published lists, and a user's two tables.

Numbers and times are made up; two studies are of a patient, who is another heart in each.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvef.data.layouts.mimic_echo.tables import LABELS, RECORDS, STUDIES, VIEWS
from lvef.files import write_csv
from lvef.phantom.clip import PhantomClip
from lvef.phantom.layouts.studies import OTHER, STUDIES_A_PATIENT, write_clips

_FILES = "files"
_FIRST_STUDY = 90_000_000
_FIRST_PATIENT = {"TRAIN": 10_000_000, "VAL": 12_000_000, "TEST": 14_000_000}
_WHEN = pd.Timestamp("2180-01-01 08:00:00")
"""Times of the data set are shifted into the future, too."""


def write_study(
    clip: PhantomClip, root: Path, number: int, split: str, _container: str
) -> dict[str, Any]:
    """Write a phantom as a study of DICOM files.

    Args:
        clip: The phantom.
        root: Folder of the data set.
        number: The study's, from 0.
        split: What it is for.
        _container: Not heeded: files are DICOM.

    Returns:
        What the lists say of it; see `write_lists`.
    """
    patient, study = _FIRST_PATIENT[split] + number // STUDIES_A_PATIENT, _FIRST_STUDY + number
    folder = f"{_FILES}/p{str(patient)[:2]}/p{patient}/s{study}"
    clips = (f"{folder}/{study}_0001", f"{folder}/{study}_0002")
    measured = write_clips(clip, root, clips, number, "dicom")
    return {"patient": patient, "study": study, "clips": [f"{name}.dcm" for name in clips],
            **measured}  # fmt: skip


def write_lists(root: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the lists of a folder.

    Args:
        root: The folder.
        rows: What `write_study` returned, with `Split`.
    """
    records, studies, labels, views = [], [], [], []
    for number, row in enumerate(rows):
        when = _WHEN + pd.Timedelta(days=number)
        whose = {"subject_id": row["patient"], "study_id": row["study"]}
        studies.append({**whose, "study_datetime": when, "note_id": "", "note_seq": "",
                        "note_charttime": ""})  # fmt: skip
        labels.append({"study_id": row["study"],
                       **{name: row[name] for name in ("EF", "EDV", "ESV", "Split")}})  # fmt: skip
        for clip, view in zip(row["clips"], ("A4C", OTHER), strict=True):
            records.append({**whose, "acquisition_datetime": when, "dicom_filepath": clip})
            views.append({"dicom_filepath": clip, "view": view})
    for name, table in {
        RECORDS: records, STUDIES: studies, LABELS: labels, VIEWS: views,
    }.items():  # fmt: skip
        write_csv(root / name, pd.DataFrame(table))


def clear_studies(root: Path) -> None:
    """Remove the studies of an earlier run, and their lists."""
    if (root / _FILES).is_dir():
        shutil.rmtree(root / _FILES)
    for name in (RECORDS, STUDIES, LABELS, VIEWS):
        (root / name).unlink(missing_ok=True)


def number_of_study(video: str) -> int:
    """Return the number of the phantom that a clip of a study shows.

    Raises:
        ValueError: It is none of a study of phantoms.
    """
    return int(video.partition("_")[0]) - _FIRST_STUDY
