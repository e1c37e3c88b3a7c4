"""The EF of a loop as an Enhanced SR by the template of measurement reports (PS3.16, TID 1500)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import highdicom as hd
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept, Measurement
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group

from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.predict.dicom_out import codes
from lvef.predict.dicom_out.answer import Answer, StudyAnswer
from lvef.predict.dicom_out.maker import NAME, Maker

_SERIES_NUMBER = 9901
_ULTRASOUND_LOOP = "1.2.840.10008.5.1.4.1.1.3.1"
"""Ultrasound Multi-frame Image Storage."""


def measurement_report(source: Any, answer: Answer, maker: Maker) -> hd.sr.EnhancedSR:
    """Return a report of the EF of a loop.

    Args:
        source: Whose the loop is, and which; see `read_identity`.
        answer: What was found in it.
        maker: What found it.
    """
    group = loop_group(source, answer.view, maker, _measurements(source, answer, maker))
    say(group, summary(answer, maker))
    return document(
        [source],
        [group],
        maker,
        series_instance_uid=maker.uid("SR", source.StudyInstanceUID),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=maker.uid("SR", source.SOPInstanceUID, answer),
        instance_number=int(source.get("InstanceNumber") or 1),
    )


def document(
    sources: Sequence[Any], groups: Sequence[Group], maker: Maker, **about: Any
) -> hd.sr.EnhancedSR:
    """Return a report of loops of one study, whose patient is that of the first.

    Args:
        sources: Whose the loops are, and which; see `read_identity`.
        groups: What is said.
        maker: What found it.
        about: Which document it is, as the constructor of highdicom calls it.
    """
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=_observer(maker)),
        procedure_reported=codes.ECHOCARDIOGRAPHY,
        imaging_measurements=groups,
    )
    known = deepcopy([*sources])  # highdicom knows neither retired classes nor a maker's own
    for source in known:
        source.SOPClassUID = _ULTRASOUND_LOOP
    report = hd.sr.EnhancedSR(
        evidence=known,
        content=content,
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[_own_scheme()],
        **about,
        **maker.equipment,
    )
    classes = {source.SOPInstanceUID: source.SOPClassUID for source in sources}
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for reference in series.ReferencedSOPSequence:
                reference.ReferencedSOPClassUID = classes[reference.ReferencedSOPInstanceUID]
    return report


def _observer(maker: Maker) -> hd.sr.ObserverContext:
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=maker.uid("device"),
        name=NAME,
        manufacturer_name=NAME,
        model_name=NAME,
        serial_number=maker.equipment["device_serial_number"],
    )
    return hd.sr.ObserverContext(codes.DEVICE, device)


def _own_scheme() -> Any:
    return CodingSchemeIdentificationItem(codes.OWN, name=NAME)


def loop_group(
    source: Any, view: str, maker: Maker, measurements: Sequence[Measurement] = ()
) -> Group:
    """Return what is said of a loop.

    Args:
        source: See `measurement_report`.
        view: "A4C" or "A2C"; empty where it is not known.
        maker: What found it.
        measurements: What was measured in it.
    """
    uid = maker.uid("loop", source.SOPInstanceUID)
    return ventricle_group([source], "Left ventricle in this loop", uid, measurements, view)


def ventricle_group(
    sources: Sequence[Any], name: str, uid: str, measurements: Sequence[Measurement], view: str = ""
) -> Group:
    """Return what is said of the left ventricle in some loops (TID 1501)."""
    views = [codes.VIEWS[view]] if view else []
    return Group(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=uid, identifier=name),
        finding_category=codes.ANATOMY,
        finding_type=codes.LEFT_VENTRICLE,
        finding_sites=[hd.sr.FindingSite(codes.LEFT_VENTRICLE)],
        measurements=measurements,
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(codes.IMAGE_VIEW, view) for view in views
        ],
        source_images=[
            hd.sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)
            for source in sources
        ],
    )


def say(group: Group, words: str) -> None:
    """Add a comment to what is said of some loops."""
    told = hd.sr.TextContentItem(codes.COMMENT, words, hd.sr.RelationshipTypeValues.CONTAINS)
    group[0].ContentSequence.append(told)


def _measurements(source: Any, answer: Answer, maker: Maker) -> list[Measurement]:
    """Return the numbers, each with the frames that it was measured in (TID 300)."""
    ed, es = answer.ed_frame + 1, answer.es_frame + 1

    def of(name: CodedConcept, value: float, unit: CodedConcept, *frames: int, **more: Any) -> Any:
        if frames:
            image = source.SOPClassUID, source.SOPInstanceUID, list(frames)
            more["referenced_images"] = [hd.sr.SourceImageForMeasurement(*image)]
        return Measurement(name, value, unit, **more)

    median = {"derivation": codes.MEDIAN} if answer.num_beats > 1 else {}
    method = {} if maker.model else {"method": codes.DISKS}
    ef = of(codes.EF, answer.ef, codes.PERCENT, ed, es, algorithm_id=algorithm(maker, False),
            **median, **method)  # fmt: skip
    add_points(ef, reach(answer))
    measurements = [ef]
    by_contours = {"method": codes.DISKS, "algorithm_id": algorithm(maker, True)}
    for name, volume, frame in (
        (codes.END_DIASTOLIC_VOLUME, answer.edv, ed), (codes.END_SYSTOLIC_VOLUME, answer.esv, es),
    ):  # fmt: skip
        if math.isfinite(volume):
            measurements.append(of(name, volume, codes.MILLILITRE, frame, **by_contours))
    measurements += [
        of(codes.ED_FRAME, ed, codes.NO_UNITS, ed),
        of(codes.ES_FRAME, es, codes.NO_UNITS, es),
        of(codes.NUM_BEATS, answer.num_beats, codes.NO_UNITS),
    ]
    if math.isfinite(answer.quality):
        measurements.append(of(codes.QUALITY, answer.quality, codes.NO_UNITS))
    return measurements


def reach(answer: Answer | StudyAnswer) -> list[tuple[CodedConcept, float]]:
    """Return how far the interval reaches to either side of EF (TID 310)."""
    return [(codes.ABOVE, answer.upper - answer.ef), (codes.BELOW, answer.ef - answer.lower)]


def add_points(ef: Measurement, points: Sequence[tuple[CodedConcept, float]]) -> None:
    """Say of an EF what is known of its error, in points, as far as it is.

    Not by MeasurementProperties, which would say that these points of a percentage have no unit.
    """
    ef[0].ContentSequence.extend(
        hd.sr.NumContentItem(
            name,
            value,
            codes.PERCENT,
            relationship_type=hd.sr.RelationshipTypeValues.HAS_PROPERTIES,
        )
        for name, value in points
        if math.isfinite(value)
    )


def algorithm(maker: Maker, contours_alone: bool) -> hd.sr.AlgorithmIdentification:
    """Return what measured; see `Maker.parameters`."""
    parameters = maker.parameters(contours_alone)
    return hd.sr.AlgorithmIdentification(
        name=NAME,
        version=maker.version,
        manufacturer=NAME,
        family=codes.AI,
        parameters=[f"{name}: {value}" for name, value in parameters.items()],
    )


def summary(answer: Answer, maker: Maker) -> str:
    """Return a report in words, for whoever reads it without its codes."""
    words = [
        NOT_FOR_DIAGNOSIS,
        f"{ef_in_words(answer, maker)}; beats: {answer.num_beats}.",
        f"Frames, counted from 1: end-diastole {answer.ed_frame + 1}, end-systole "
        f"{answer.es_frame + 1}.",
    ]
    if math.isfinite(answer.quality):
        words.append(f"Quality of the analysis {answer.quality:.2f} of 1.")
    if answer.review:
        words.append("A human should look at this loop.")
    return " ".join([*words, *taught_by(maker)])


def ef_in_words(
    answer: Answer | StudyAnswer, maker: Maker, geometry: str = "geometry of the contours"
) -> str:
    """Return an EF, its interval and what it is by, without a full stop."""
    by = f"a model of EF ({maker.task})" if maker.model else geometry
    interval = f"{maker.level:.0%} interval {answer.lower:.1f} to {answer.upper:.1f} %"
    return f"EF {answer.ef:.1f} %, {interval}, by {by}"


def taught_by(maker: Maker) -> list[str]:
    """Return a sentence of what taught whatever answered, where that must be told."""
    taught = maker.trained_on or maker.segmenter_trained_on
    return [f"What answered learned from {taught}."] if taught else []
