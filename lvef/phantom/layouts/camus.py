"""Phantoms as CAMUS has its patients: NIfTI half beats of two views with masks, cfg files, splits.

Hearts of the second generator, which are solid: a four-chamber and a two-chamber view of each. Of
the masks there are the cavity (1) and the myocardium (2): the left atrium has no outline.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import Disks, biplane_ejection_fraction
from lvef.data.formats.nifti_write import write_nifti
from lvef.data.layouts.camus.patient import FOUR, LOOP, TWO
from lvef.data.layouts.camus.splits import FOLDER, SPLIT_FILES
from lvef.data.phantom_folder import truth_path
from lvef.files import write_arrays, write_text
from lvef.phantom.purpose import Purpose
from lvef.phantom.solid import SolidStudy
from lvef.phantom.solid.clip import SolidView

_QUALITIES = ("Good", "Medium", "Poor")


def write_patient(seed: int, number: int, purpose: Purpose, place: Path) -> None:
    """Write a phantom as a patient: frames of both views from ED to ES, and their masks.

    EF is what readers' contours of both planes give. Sex, age and quality are made up and say
    nothing of the picture.

    Args:
        seed: Seed of the population.
        number: The patient's, from 0.
        purpose: What it is for.
        place: Folder of the patients.
    """
    study, name = SolidStudy(seed, number, purpose), _name(number)
    (place / name).mkdir(exist_ok=True)
    views = {FOUR: study.a4c, TWO: study.a2c}
    four, two = (_ends(view) for view in views.values())
    ef = biplane_ejection_fraction(four, two)
    for view, clip in views.items():
        _write_view(clip, place / name, view, ef, number)
    truth = {**_of_beat(study.a4c), "ef_3d": np.array(study.patient.ef, np.float32)}
    write_arrays(truth_path(place, name), truth)


def _write_view(clip: SolidView, folder: Path, view: str, ef: float, number: int) -> None:
    """Write the half beat of one view."""
    beat, side = _beat(clip), 1 / clip.drawn.machine.pixels_per_mm
    frames, masks = clip.frames(beat), np.stack([clip.labels(frame) for frame in beat])
    for ending, pictures in {"": frames, "_gt": masks}.items():
        for part, some in {"ED": pictures[0], "ES": pictures[-1], LOOP: pictures}.items():
            write_nifti(folder / f"{folder.name}_{view}_{part}{ending}.nii.gz", some, side)
    stated = {
        "ED": 1, "ES": len(beat), "NbFrame": len(beat), "Sex": "FM"[number % 2],
        "Age": 20 + 7 * number % 70, "ImageQuality": _QUALITIES[number % 3], "EF": round(ef, 1),
        "FrameRate": round(clip.patient.fps, 1),
    }  # fmt: skip
    lines = "".join(f"{key}: {value}\n" for key, value in stated.items())
    write_text(folder / f"Info_{view}.cfg", lines)


def _beat(clip: SolidView) -> range:
    return range(clip.ed_frame, clip.es_frame + 1)


def _ends(clip: SolidView) -> tuple[Disks, Disks]:
    """Return the disks of the labelled ED and ES in millimetres."""
    side = 1 / clip.drawn.machine.pixels_per_mm
    ed, es = (Disks.of(clip.tracings[frame]) for frame in (clip.ed_frame, clip.es_frame))
    return ed.times(side), es.times(side)


def write_splits(root: Path, splits: Sequence[str]) -> None:
    """Write the three files that say who is for what.

    Args:
        root: Folder of the data set.
        splits: TRAIN, VAL or TEST of each patient, from the first.
    """
    (root / FOLDER).mkdir(exist_ok=True)
    for split, file in SPLIT_FILES.items():
        names = [_name(number) for number, each in enumerate(splits) if each == split]
        write_text(root / FOLDER / file, "".join(f"{name}\n" for name in names))


def clear_patients(place: Path) -> None:
    """Remove the patients of an earlier run."""
    for folder in place.glob("patient[0-9][0-9][0-9][0-9]*"):
        shutil.rmtree(folder)


def _name(number: int) -> str:
    return f"patient{number + 1:04d}"


def _of_beat(clip: SolidView) -> dict[str, NDArray[np.generic]]:
    """Return the truth of the frames of a half beat, as `SolidView.truth` has it of all."""
    truth, beat = clip.truth(), _beat(clip)
    every = {name: truth[name][beat.start : beat.stop]
             for name in ("contour", "area", "volume", "phase")}  # fmt: skip
    last = len(beat) - 1
    moments = {"ed_frame": np.array(0), "es_frame": np.array(last), "ed_frames": np.array([0]),
               "es_frames": np.array([last])}  # fmt: skip
    return {**every, "pixels_per_mm": truth["pixels_per_mm"], **moments}
