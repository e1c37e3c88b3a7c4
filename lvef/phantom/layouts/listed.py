"""Phantoms as a hospital may have them: two views of each heart, and lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from lvef.data.formats import write_video
from lvef.data.formats.dicom.write import SYNTAXES, write_dicom
from lvef.data.phantom_folder import truth_path
from lvef.files import write_arrays, write_csv
from lvef.phantom.purpose import Purpose
from lvef.phantom.solid import SolidStudy

LIST, STUDIES = "clips.csv", "studies.csv"


def write_study(
    seed: int, number: int, purpose: Purpose, root: Path, container: Literal["avi", "mp4", "dicom"]
) -> dict[str, Any]:
    """Write both views of a heart of the second generator.

    Args:
        seed: Seed of the population.
        number: The heart's, from 0.
        purpose: What it is for.
        root: Folder of the lists; clips go into `Videos/` there.
        container: Of the clips; of DICOM by turns of several transfer syntaxes, with its scale.

    Returns:
        Its row of `clips.csv`, but for the split: EF and volumes are those of the whole cavity.
    """
    study = SolidStudy(seed, number, purpose)
    ending = "dcm" if container == "dicom" else container
    paths = {}
    for view, clip in (("A4C", study.a4c), ("A2C", study.a2c)):
        path = root / "Videos" / f"{clip.name}.{ending}"
        frames, fps = clip.frames(), clip.patient.fps
        if container == "dicom":
            box = (0, 0, frames.shape[2] - 1, frames.shape[1] - 1)
            side = 0.1 / clip.drawn.machine.pixels_per_mm
            syntax = SYNTAXES[number % len(SYNTAXES)]
            write_dicom(path, frames, fps, syntax, box, side, study.name)
        else:
            write_video(path, frames, fps)
        truth = {**clip.truth(), "ef_3d": np.array(study.patient.ef, np.float32)}
        write_arrays(truth_path(root, clip.name), truth)
        paths[view] = f"Videos/{path.name}"
    return {
        "path": paths["A4C"], "path_a2c": paths["A2C"], "EF": round(study.patient.ef, 2),
        "EDV": round(study.end_diastolic_volume, 1), "ESV": round(study.end_systolic_volume, 1),
        "Patient": study.name,
    }  # fmt: skip


def write_lists(root: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write `clips.csv`, a row a study, to train on, and `studies.csv`, a row a clip, to analyse.

    Args:
        root: Their folder.
        rows: What `write_study` returned, with `Split`.
    """
    table = pd.DataFrame(rows)
    write_csv(root / LIST, table)
    views = {"A4C": "path", "A2C": "path_a2c"}
    clips = [
        pd.DataFrame({"study": table["Patient"], "view": view, "path": table[column]})
        for view, column in views.items()
    ]
    both = pd.concat(clips).sort_values(["study", "view"], ascending=[True, False])
    write_csv(root / STUDIES, both)
