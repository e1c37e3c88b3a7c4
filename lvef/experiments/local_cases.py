"""Local cases drawn at random for recalibration, and those that are left to judge by.

What a number of cases promises rests on their independence, and clips of one patient are not
independent: their errors are alike. So one clip of each patient recalibrates, drawn at random.
"""

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


def one_clip_each(clips: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return one clip of each patient, drawn at random, in the order of the table.

    Args:
        clips: `video` and `patient`, a row a clip; see `patient_of`.
        rng: Draws them.
    """
    order = rng.permutation(len(clips))
    _, first = np.unique(patient_of(clips)[order], return_index=True)
    return clips.iloc[np.sort(order[first])]


def draw_cases(clips: pd.DataFrame, count: int, rng: np.random.Generator) -> Drawing:
    """Draw patients with and without a reduced EF as many as there are, and one clip of each.

    Other clips of a patient who was drawn are neither drawn nor held out.

    Args:
        clips: `video`, `ef_true` and `patient`, a row a clip.
        count: How many patients; a clip whose patient is not known counts as one.
        rng: Draws them.
    """
    patients = patient_of(clips)
    reduced = np.asarray(is_reduced(clips["ef_true"].to_numpy(np.float64)), dtype=bool)
    # A patient with any reduced clip counts as one, so that none is of both kinds.
    ill = np.isin(patients, np.unique(patients[reduced]))
    names, first = np.unique(patients, return_index=True)
    wanted = round(count * float(ill[first].mean()))
    if ill.any() and not ill.all():
        wanted = min(max(wanted, 1), count - 1)
    taken, touched = np.zeros(len(clips), bool), np.zeros(len(clips), bool)
    for kind, share in ((ill, wanted), (~ill, count - wanted)):
        for patient in rng.permutation(names[kind[first]])[:share]:
            own = np.flatnonzero(patients == patient)
            touched[own] = True
            taken[own[0] if len(own) == 1 else rng.choice(own)] = True
    videos = clips["video"].to_numpy()
    return Drawing(videos[taken].tolist(), videos[~touched].tolist())
