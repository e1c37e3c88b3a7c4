"""Phantoms as whole studies: a folder of loops of six views of each heart, and what is true."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvef.data.formats import write_video
from lvef.data.formats.dicom.write import SYNTAXES, write_dicom
from lvef.files import write_csv
from lvef.phantom.layouts.listed import STUDIES
from lvef.phantom.layouts.studies import ending
from lvef.phantom.purpose import Purpose
from lvef.phantom.views import ViewStudy
from lvef.phantom.views.study import ORDER

TRUE_VALUES = "truth.csv"
_NAMED = "STUDYPHANTOM"


def write_loop(seed: int, number: int, root: Path, container: str) -> dict[str, Any]:
    """Write one loop of a study, `root/STUDY/loop_NN`; its name does not say what it shows.

    Args:
        seed: Seed of the population.
        number: The loop's among those of all studies, from 0.
        root: Folder of the studies.
        container: avi, mp4 or dicom: of several transfer syntaxes by turns, with its scale, and
            the StudyInstanceUID of its study.

    Returns:
        Its study, view and path, and EF in percent, EDV and ESV in mL of the whole cavity.
    """
    which, place = divmod(number, len(ORDER))
    study = ViewStudy(seed, which, Purpose.TEST)
    loop = study.loop(place)
    path = root / study.name / f"loop_{place + 1:02d}.{ending(container)}"
    path.parent.mkdir(exist_ok=True)
    frames = loop.frames()
    if container == "dicom":
        box = (0, 0, frames.shape[2] - 1, frames.shape[1] - 1)
        side = 0.1 / loop.drawn.machine.pixels_per_mm
        syntax = SYNTAXES[place % len(SYNTAXES)]
        write_dicom(path, frames, loop.fps, syntax, box, side, study.name)
    else:
        write_video(path, frames, loop.fps)
    edv, esv = study.end_diastolic_volume, study.end_systolic_volume
    return {
        "study": study.name, "view": ORDER[place], "path": f"{study.name}/{path.name}",
        "EF": round(study.patient.ef, 2), "EDV": round(edv, 1), "ESV": round(esv, 1),
    }  # fmt: skip


def write_truth(root: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write `studies.csv`, the view of each loop, and `truth.csv`, a row a study.

    Args:
        root: Their folder.
        rows: What `write_loop` returned.
    """
    table = pd.DataFrame(rows)
    write_csv(root / STUDIES, table[["study", "view", "path"]])
    write_csv(root / TRUE_VALUES, table[["study", "EF", "EDV", "ESV"]].drop_duplicates())


def clear_loops(root: Path) -> None:
    """Remove the studies of an earlier run, and what is told of them."""
    for folder in root.glob(f"{_NAMED}*"):
        shutil.rmtree(folder)
    (root / TRUE_VALUES).unlink(missing_ok=True)
