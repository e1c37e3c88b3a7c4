"""The EF of a loop as an Enhanced SR by the template of measurement reports (PS3.16, TID 1500)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import highdicom as hd
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept, Measurement

from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.predict.dicom_out import codes
from lvef.predict.dicom_out.answer import Answer
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
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=_observer(maker)),
        procedure_reported=codes.ECHOCARDIOGRAPHY,
        imaging_measurements=[_group(source, answer, maker)],
    )
    known = deepcopy(source)  # highdicom knows neither retired classes nor those of a maker's own
    known.SOPClassUID = _ULTRASOUND_LOOP
    report = hd.sr.EnhancedSR(
        evidence=[known],
        content=content,
        series_instance_uid=maker.uid("SR", source.StudyInstanceUID),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=maker.uid("SR", source.SOPInstanceUID, answer),
        instance_number=int(source.get("InstanceNumber") or 1),
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[_own_scheme()],
        **maker.equipment,
    )
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for reference in series.ReferencedSOPSequence:
                reference.ReferencedSOPClassUID = source.SOPClassUID
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


def _group(
    source: Any, answer: Answer, maker: Maker
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """Return all that is said of the loop (TID 1501)."""
    views = [codes.VIEWS[answer.view]] if answer.view else []
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=maker.uid("loop", source.SOPInstanceUID), identifier="Left ventricle in this loop"
        ),
        finding_category=codes.ANATOMY,
        finding_type=codes.LEFT_VENTRICLE,
        finding_sites=[hd.sr.FindingSite(codes.LEFT_VENTRICLE)],
        measurements=_measurements(source, answer, maker),
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(codes.IMAGE_VIEW, view) for view in views
        ],
        source_images=[
            hd.sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)
        ],
    )
    told = hd.sr.TextContentItem(
        codes.COMMENT, summary(answer, maker), hd.sr.RelationshipTypeValues.CONTAINS
    )
    group[0].ContentSequence.append(told)
    return group


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
    ef = of(codes.EF, answer.ef, codes.PERCENT, ed, es, algorithm_id=_algorithm(maker, False),
            **median, **method)  # fmt: skip
    # Not MeasurementProperties, which would say that these points of a percentage have no unit.
    ef[0].ContentSequence.extend(_uncertainty(answer))
    measurements = [ef]
    by_contours = {"method": codes.DISKS, "algorithm_id": _algorithm(maker, True)}
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


def _uncertainty(answer: Answer) -> Sequence[hd.sr.NumContentItem]:
    """Return how far the interval reaches to either side of EF (TID 310)."""
    sides = ((codes.ABOVE, answer.upper - answer.ef), (codes.BELOW, answer.ef - answer.lower))
    return [
        hd.sr.NumContentItem(
            name,
            reach,
            codes.PERCENT,
            relationship_type=hd.sr.RelationshipTypeValues.HAS_PROPERTIES,
        )
        for name, reach in sides
        if math.isfinite(reach)
    ]


def _algorithm(maker: Maker, contours_alone: bool) -> hd.sr.AlgorithmIdentification:
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
    by = f"a model of EF ({maker.task})" if maker.model else "geometry of the contours"
    words = [
        NOT_FOR_DIAGNOSIS,
        f"EF {answer.ef:.1f} %, {maker.level:.0%} interval {answer.lower:.1f} to "
        f"{answer.upper:.1f} %, by {by}; beats: {answer.num_beats}.",
        f"Frames, counted from 1: end-diastole {answer.ed_frame + 1}, end-systole "
        f"{answer.es_frame + 1}.",
    ]
    if math.isfinite(answer.quality):
        words.append(f"Quality of the analysis {answer.quality:.2f} of 1.")
    if answer.review:
        words.append("A human should look at this loop.")
    taught = maker.trained_on or maker.segmenter_trained_on
    if taught:
        words.append(f"What answered learned from {taught}.")
    return " ".join(words)
