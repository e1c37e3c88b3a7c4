"""What a report says of a loop, or of a study, as the tables say it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lvef.analysis.result import ClipAnalysis
from lvef.data.apical import apical_view


@dataclass(frozen=True)
class Answer:
    """What a report says of a loop.

    Attributes:
        ef: EF in percent.
        lower: Lower end of its interval.
        upper: Upper end.
        ed_frame: End-diastolic frame of the beat whose EF is nearest to it, counted from 0.
        es_frame: Its end-systolic frame.
        num_beats: Beats that the answer rests on.
        quality: How far the analysis can be trusted, 0 to 1; NaN where nothing was analysed.
        review: Whether a human should look.
        edv: End-diastolic volume of that beat in mL; NaN where it is not known.
        esv: End-systolic volume likewise.
        view: "A4C" or "A2C"; empty where it is not known.
    """

    ef: float
    lower: float
    upper: float
    ed_frame: int
    es_frame: int
    num_beats: int
    quality: float = math.nan
    review: bool = False
    edv: float = math.nan
    esv: float = math.nan
    view: str = ""


def answer_of(video: dict[str, Any], beats: Sequence[dict[str, Any]]) -> Answer | None:
    """Return what the tables say of a clip; None where it has no EF.

    Args:
        video: Its row of `predictions.csv`.
        beats: What is known of its beats; see `FoundClip`.
    """
    if video["status"] != "ok" or not _number(video, "ef") >= 0:
        return None
    ed, es = int(video["ed_frame"]), int(video["es_frame"])
    (beat, *_) = [row for row in beats if (row["ed_frame"], row["es_frame"]) == (ed, es)] or [{}]
    return Answer(
        ef=_number(video, "ef"),
        lower=_number(video, "ef_lower"),
        upper=_number(video, "ef_upper"),
        ed_frame=ed,
        es_frame=es,
        num_beats=int(_number(video, "num_beats")),
        quality=_number(video, "quality"),
        review=_number(video, "review") == 1,
        edv=_number(beat, "edv"),
        esv=_number(beat, "esv"),
        view=apical_view(str(beats[0].get("view") or beats[0].get("apical_view") or "")),
    )


@dataclass(frozen=True)
class StudyAnswer:
    """What a report says of a study; `ef`, `lower`, `upper`, `review` as of a loop.

    Attributes:
        std: Standard deviation of the error of EF, in points.
        planes: What the contours are of: "biplane", "A4C" or "A2C".
        ef_geometric: EF by these contours in percent; `ef`, where no model of EF answered.
        edv: End-diastolic volume by these contours in mL; NaN where it is not known.
        esv: End-systolic volume likewise.
        num_beats: Good beats of the four-chamber clips, of the two-chamber ones where none is.
        num_clips: Clips of the study.
        num_a4c: Four-chamber clips that the answer rests on.
        num_a2c: Two-chamber clips likewise.
        remark: What `studies.csv` remarks.
    """

    ef: float
    lower: float
    upper: float
    std: float
    planes: str
    ef_geometric: float
    edv: float
    esv: float
    num_beats: int
    num_clips: int
    num_a4c: int
    num_a2c: int
    review: bool = False
    remark: str = ""


def study_answer_of(row: dict[str, Any]) -> StudyAnswer | None:
    """Return what a row of `studies.csv` says; None where the study has no EF."""
    if row["status"] != "ok" or not _number(row, "ef") >= 0:
        return None
    counts = {name: int(row[name]) for name in ("num_beats", "num_clips", "num_a4c", "num_a2c")}
    return StudyAnswer(
        ef=_number(row, "ef"),
        lower=_number(row, "ef_lower"),
        upper=_number(row, "ef_upper"),
        std=_number(row, "ef_std"),
        planes=str(row.get("planes") or ""),
        ef_geometric=_number(row, "ef_geometric"),
        edv=_number(row, "edv"),
        esv=_number(row, "esv"),
        **counts,
        review=_number(row, "review") == 1,
        remark=str(row.get("remark") or ""),
    )


def volumes_of(analysis: ClipAnalysis) -> list[dict[str, float]]:
    """Return `edv` and `esv` of the good beats of a clip in mL; none where its scale is unknown."""
    if analysis.volume_unit != "mL":
        return []
    return [{"edv": beat.edv, "esv": beat.esv} for beat in analysis.beats]


def _number(row: dict[str, Any], name: str) -> float:
    """Return a number of a row; NaN where it is not known."""
    value = row.get(name)
    return math.nan if value is None or pd.isna(value) else float(value)
