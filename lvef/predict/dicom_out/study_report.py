"""The EF of a study as an Enhanced SR, by the template and in the words of the report of a loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import highdicom as hd
from highdicom.sr import CodedConcept, Measurement

from lvef.data.slots import A2C
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.predict.dicom_out import codes
from lvef.predict.dicom_out.answer import StudyAnswer
from lvef.predict.dicom_out.maker import Maker
from lvef.predict.dicom_out.report import (
    add_points,
    algorithm,
    document,
    ef_in_words,
    loop_group,
    reach,
    say,
    taught_by,
    ventricle_group,
)

_SERIES_NUMBER = 9903
_BIPLANE = "biplane"
_UTF_8 = "ISO_IR 192"


def study_report(
    sources: Sequence[Any], views: Sequence[str], answer: StudyAnswer, maker: Maker
) -> hd.sr.EnhancedSR:
    """Return a report of the EF of a study, which refers to the loops that it is of.

    Args:
        sources: Whose these loops are, and which; see `read_identity`. They are of one study.
        views: The view of each, "A4C" or "A2C"; empty where none is known.
        answer: What was found in them.
        maker: What found it.
    """
    study = sources[0].StudyInstanceUID
    instances = [source.SOPInstanceUID for source in sources]
    known = list(zip(sources, views, strict=True))
    whole = ventricle_group(
        sources,
        "Left ventricle in this study",
        maker.uid("study", study),
        _measurements(known, answer, maker),
    )
    say(whole, summary(answer, maker))
    return document(
        sources,
        [whole, *(loop_group(source, view, maker) for source, view in known if view)],
        maker,
        series_instance_uid=maker.uid("SR of the study", study),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=maker.uid("SR of the study", study, instances, views, answer),
        instance_number=1,
        specific_character_set=_UTF_8,  # a remark may go beyond that of a source
    )


def _measurements(
    known: Sequence[tuple[Any, str]], answer: StudyAnswer, maker: Maker
) -> list[Measurement]:
    """Return the numbers, each of EF and of volumes with the loops that it is of (TID 300)."""
    sources = [source for source, _ in known]
    of_model = [source for source, view in known if view != A2C.name]

    def of(name: CodedConcept, value: float, unit: CodedConcept, *loops: Any, **more: Any) -> Any:
        if loops:
            more["referenced_images"] = [
                hd.sr.SourceImageForMeasurement(loop.SOPClassUID, loop.SOPInstanceUID)
                for loop in loops
            ]
        return Measurement(name, value, unit, **more)

    method = codes.BIPLANE_DISKS if answer.planes == _BIPLANE else codes.DISKS
    by_contours = {"method": method, "algorithm_id": algorithm(maker, True)}
    pairs = answer.num_a4c * answer.num_a2c
    several = pairs if answer.planes == _BIPLANE and not maker.model else answer.num_beats
    median = {"derivation": codes.MEDIAN} if several > 1 else {}
    by_model = {"algorithm_id": algorithm(maker, False)}
    ef = of(codes.EF, answer.ef, codes.PERCENT, *(of_model if maker.model else sources),
            **median, **(by_model if maker.model else by_contours))  # fmt: skip
    add_points(ef, [*reach(answer), (codes.EF_STD, answer.std)])
    measurements = [ef]
    for name, value, unit in (
        (codes.EF, answer.ef_geometric if maker.model else math.nan, codes.PERCENT),
        (codes.END_DIASTOLIC_VOLUME, answer.edv, codes.MILLILITRE),
        (codes.END_SYSTOLIC_VOLUME, answer.esv, codes.MILLILITRE),
    ):
        if math.isfinite(value):
            measurements.append(of(name, value, unit, *sources, **by_contours))
    counts = (
        (codes.NUM_BEATS, answer.num_beats), (codes.NUM_CLIPS, answer.num_clips),
        (codes.NUM_A4C, answer.num_a4c), (codes.NUM_A2C, answer.num_a2c),
    )  # fmt: skip
    return [*measurements, *(of(name, count, codes.NO_UNITS) for name, count in counts)]


def summary(answer: StudyAnswer, maker: Maker) -> str:
    """Return a report in words, for whoever reads it without its codes."""
    planes = "two planes (biplane)" if answer.planes == _BIPLANE else f"one plane ({answer.planes})"
    told = ef_in_words(answer, maker, f"the contours of {planes}")
    words = [
        NOT_FOR_DIAGNOSIS,
        f"{told}; standard deviation {answer.std:.1f} points.",
        f"It rests on {answer.num_a4c} four-chamber and {answer.num_a2c} two-chamber clips, of "
        f"{answer.num_clips} in the study; beats: {answer.num_beats}.",
    ]
    if maker.model and math.isfinite(answer.ef_geometric):
        words.append(f"By the contours of {planes} EF is {answer.ef_geometric:.1f} %.")
    if answer.review:
        words.append("A human should look at this study.")
    if answer.remark:
        words.append(f"Remarks: {answer.remark}.")
    return " ".join([*words, *taught_by(maker)])
