"""Local cases drawn at random for recalibration, and those that are left to judge by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import is_reduced


@dataclass(frozen=True)
class Drawing:
    """Which clips recalibrate, and which judge.

    Attributes:
        drawn: Videos that were drawn.
        held_out: Videos of which no patient was.
    """

    drawn: list[str]
    held_out: list[str]


def patient_of(clips: pd.DataFrame) -> NDArray[np.str_]:
    """Return whose clip each is, `(n,)`; one whose patient is not known stands for itself.

    Args:
        clips: `video` and `patient` ("" where it is not known).
    """
    patient = clips["patient"].fillna("").astype(str)
    video = "video " + clips["video"].astype(str)
    return video.where(patient == "", "patient " + patient).to_numpy(dtype=str)


def draw_cases(clips: pd.DataFrame, count: int, rng: np.random.Generator) -> Drawing:
    """Draw clips by patient, of patients with and without a reduced EF as many as there are.

    Patients are taken in random order, each with all clips; of the last of each kind only as many
    as are wanted, and those too many are neither drawn nor held out.

    Args:
        clips: `video`, `ef_true` and `patient`, a row a clip.
        count: How many clips.
        rng: Draws them.
    """
    patients = patient_of(clips)
    reduced = np.asarray(is_reduced(clips["ef_true"].to_numpy(np.float64)), dtype=bool)
    # A patient with any reduced clip counts as one, so that none is of both kinds.
    ill = np.isin(patients, np.unique(patients[reduced]))
    wanted = round(count * float(ill.mean()))
    if ill.any() and not ill.all():
        wanted = min(max(wanted, 1), count - 1)
    taken, touched = np.zeros(len(clips), bool), np.zeros(len(clips), bool)
    for kind, share in ((ill, wanted), (~ill, count - wanted)):
        left = share
        for patient in rng.permutation(np.unique(patients[kind])):
            if left <= 0:
                break
            own = np.flatnonzero(patients == patient)
            touched[own] = True
            chosen = own[:left]
            taken[chosen] = True
            left -= len(chosen)
    videos = clips["video"].to_numpy()
    return Drawing(videos[taken].tolist(), videos[~touched].tolist())
