"""Phantoms as CAMUS has its patients: NIfTI half beats with masks, `Info_4CH.cfg`, splits.

There is the apical four-chamber view alone, and of its masks the cavity (1) and the myocardium (2):
the phantom has no other view yet, and its left atrium no outline.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import ejection_fraction
from lvef.data.formats.nifti_write import write_nifti
from lvef.data.layouts.camus.patient import FOUR, LOOP
from lvef.data.layouts.camus.splits import FOLDER, SPLIT_FILES
from lvef.data.phantom_folder import truth_path
from lvef.files import write_arrays, write_text
from lvef.phantom.clip import PhantomClip
from lvef.phantom.regions import phantom_regions

_CAVITY, _MYOCARDIUM = 1, 2
_QUALITIES = ("Good", "Medium", "Poor")


def write_patient(clip: PhantomClip, place: Path, number: int) -> None:
    """Write a phantom as a patient: frames from its ED to its ES, and their masks.

    Sex, age and quality are made up and say nothing of the picture.

    Args:
        clip: The phantom.
        place: Folder of the patients.
        number: The patient's, from 0.
    """
    name, side = _name(number), 1 / clip.scanner.pixels_per_mm
    folder = place / name
    folder.mkdir(exist_ok=True)
    beat = range(clip.ed_frame, clip.es_frame + 1)
    frames, masks = clip.frames(beat), np.stack([_labels(clip, frame) for frame in beat])
    for ending, pictures in {"": frames, "_gt": masks}.items():
        for part, some in {"ED": pictures[0], "ES": pictures[-1], LOOP: pictures}.items():
            write_nifti(folder / f"{name}_{FOUR}_{part}{ending}.nii.gz", some, side)
    ef = float(ejection_fraction(clip.volume(clip.ed_frame), clip.volume(clip.es_frame)))
    stated = {
        "ED": 1, "ES": len(beat), "NbFrame": len(beat), "Sex": "FM"[number % 2],
        "Age": 20 + 7 * number % 70, "ImageQuality": _QUALITIES[number % 3], "EF": round(ef, 1),
        "FrameRate": round(clip.patient.fps, 1),
    }  # fmt: skip
    lines = "".join(f"{key}: {value}\n" for key, value in stated.items())
    write_text(folder / f"Info_{FOUR}.cfg", lines)
    write_arrays(truth_path(place, name), _of_beat(clip, beat))


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


def _labels(clip: PhantomClip, frame: int) -> NDArray[np.uint8]:
    regions = phantom_regions(clip, frame)
    labels = np.where(regions["myocardium"], _MYOCARDIUM, 0)
    return np.where(regions["lv_cavity"], _CAVITY, labels).astype(np.uint8)


def _of_beat(clip: PhantomClip, beat: range) -> dict[str, NDArray[np.generic]]:
    """Return the truth of the frames of a half beat, as `PhantomClip.truth` has it of all."""
    truth = clip.truth()
    every = {name: truth[name][beat.start : beat.stop]
             for name in ("contour", "area", "volume", "phase")}  # fmt: skip
    last = len(beat) - 1
    moments = {"ed_frame": np.array(0), "es_frame": np.array(last), "ed_frames": np.array([0]),
               "es_frames": np.array([last])}  # fmt: skip
    return {**every, "pixels_per_mm": truth["pixels_per_mm"], **moments}
