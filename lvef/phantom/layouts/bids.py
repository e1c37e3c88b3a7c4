"""Phantoms as a BIDS-like folder: clips by subject and session, EFs of sessions."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvef.data.layouts.bids import DESCRIPTION, PARTICIPANTS
from lvef.files import write_json, write_text
from lvef.phantom.clip import PhantomClip
from lvef.phantom.layouts.studies import OTHER, STUDIES_A_PATIENT, ending, write_clips

_NAME = re.compile(r"sub-[a-z]+(\d+)_ses-(\d+)_")


def write_session(
    clip: PhantomClip, root: Path, number: int, split: str, container: str
) -> dict[str, Any]:
    """Write a phantom as a session of a subject.

    Args:
        clip: The phantom.
        root: Folder of the data set.
        number: The phantom's, from 0.
        split: What it is for.
        container: avi, mp4 or dicom.

    Returns:
        What the tables say of it; see `write_tables`.
    """
    patient, visit = divmod(number, STUDIES_A_PATIENT)
    subject, session = f"sub-{split.lower()}{patient:05d}", f"ses-{visit + 1:02d}"
    names = [f"us/{subject}_{session}_view-{view}_us" for view in ("A4C", OTHER)]
    paths = (f"{subject}/{session}/{names[0]}", f"{subject}/{session}/{names[1]}")
    measured = write_clips(clip, root, paths, number, container)
    files = [f"{name}.{ending(container)}" for name in names]
    return {"subject": subject, "session": session, "clips": files, **measured}


def write_tables(root: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the tables of a folder.

    Args:
        root: The folder.
        rows: What `write_session` returned, with `Split`.
    """
    table = pd.DataFrame(rows)
    write_json(root / DESCRIPTION, {"Name": "PHANTOM: synthetic echocardiograms; no patient",
                                    "BIDSVersion": "1.10.0"})  # fmt: skip
    persons = table.drop_duplicates("subject")[["subject", "Split"]]
    _write(root / PARTICIPANTS, persons.set_axis(["participant_id", "split"], axis=1))
    for subject, visits in table.groupby("subject"):
        sessions = visits[["session", "EF", "EDV", "ESV"]].rename(columns={"session": "session_id"})
        _write(root / str(subject) / f"{subject}_sessions.tsv", sessions)
        for session, clips in zip(visits["session"], visits["clips"], strict=True):
            scans = pd.DataFrame({"filename": clips})
            _write(root / str(subject) / session / f"{subject}_{session}_scans.tsv", scans)


def clear_subjects(root: Path) -> None:
    """Remove the subjects of an earlier run, and the tables."""
    for folder in root.glob("sub-*"):
        shutil.rmtree(folder)
    for name in (PARTICIPANTS, DESCRIPTION):
        (root / name).unlink(missing_ok=True)


def number_of_session(video: str) -> int:
    """Return the number of the phantom that a clip of a session shows.

    Raises:
        ValueError: It is none of phantoms.
    """
    name = _NAME.match(video)
    if name is None:
        raise ValueError(f"{video} is no clip of phantoms")
    return int(name[1]) * STUDIES_A_PATIENT + int(name[2]) - 1


def _write(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(sep="\t", index=False))
