"""The ventricle at end-diastole and end-systole of each beat as a DICOM Segmentation.

A segment is the ventricle in one frame of the loop, and its mask lies in that frame's own pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from lvef.analysis.result import ClipAnalysis
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.predict.dicom_out import codes
from lvef.predict.dicom_out.maker import NAME, Maker

_SERIES_NUMBER = 9902
_ULTRASOUND_IMAGE = "1.2.840.10008.5.1.4.1.1.6.1"
"""Ultrasound Image Storage: a single picture."""


@dataclass(frozen=True)
class Outline:
    """The ventricle in one frame.

    Attributes:
        label: Which beat and phase it is, such as "LV end-diastole, beat 1".
        frame: The frame, counted from 0.
        mask: `(H, W)` bool at the size of the file's pictures.
    """

    label: str
    frame: int
    mask: NDArray[np.bool_]


def outlines_of(analysis: ClipAnalysis) -> list[Outline]:
    """Return the ventricle at end-diastole and end-systole of each good beat of a clip."""
    phases = [
        (f"LV {phase}, beat {number}", frame)
        for number, beat in enumerate(analysis.beats, 1)
        for phase, frame in (("end-diastole", beat.ed_frame), ("end-systole", beat.es_frame))
    ]
    masks = analysis.lv_masks_of([frame for _, frame in phases])
    return [
        Outline(label, frame, mask)
        for (label, frame), mask in zip(phases, masks, strict=True)
        if mask.any()
    ]


def segmentation(source: Any, outlines: Sequence[Outline], maker: Maker) -> hd.seg.Segmentation:
    """Return masks of some frames of a loop.

    Args:
        source: Whose the loop is, and which; see `read_identity`.
        outlines: The masks, one or more.
        maker: What found them.
    """
    digest = sha256()
    for outline in outlines:
        digest.update(
            f"{outline.label} {outline.frame}".encode() + np.packbits(outline.mask).tobytes()
        )
    made = hd.seg.Segmentation(
        source_images=[_one_picture(source)],
        pixel_array=np.stack([outline.mask for outline in outlines], axis=-1)[None],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, outline, source, maker) for number, outline in enumerate(outlines, 1)
        ],
        series_instance_uid=maker.uid("SEG", source.StudyInstanceUID),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=maker.uid("SEG", source.SOPInstanceUID, digest.hexdigest()),
        instance_number=int(source.get("InstanceNumber") or 1),
        content_label="LV_ED_ES",
        content_description=NOT_FOR_DIAGNOSIS,
        omit_empty_frames=False,
        **maker.equipment,
    )
    made.PatientOrientation = ""  # of a sector nobody knows it
    _refer(made, source, outlines)
    return made


def _one_picture(source: Any) -> Any:
    """Return a source that is a single picture.

    highdicom takes a loop for slices in space, and refuses one that has no frame of reference, as
    no ultrasound loop has. All pictures of a loop lie in the same place, as do those segments.
    """
    picture = deepcopy(source)
    del picture.NumberOfFrames
    picture.SOPClassUID = _ULTRASOUND_IMAGE
    return picture


def _refer(made: Any, source: Any, outlines: Sequence[Outline]) -> None:
    """Let an object refer to the loop, and each of its masks to its frame there."""
    whole = [
        *made.SourceImageSequence,
        *made.ReferencedSeriesSequence[0].ReferencedInstanceSequence,
    ]
    for reference in whole:
        reference.ReferencedSOPClassUID = source.SOPClassUID
    for group, outline in zip(made.PerFrameFunctionalGroupsSequence, outlines, strict=True):
        # All masks share one description of their source: each is given its own.
        derived = deepcopy(group.DerivationImageSequence[0])
        (picture,) = derived.SourceImageSequence
        picture.ReferencedSOPClassUID = source.SOPClassUID
        picture.ReferencedFrameNumber = outline.frame + 1
        group.DerivationImageSequence = [derived]


def _segment(number: int, outline: Outline, source: Any, maker: Maker) -> hd.seg.SegmentDescription:
    algorithm = hd.AlgorithmIdentificationSequence(
        name=NAME, family=codes.AI, version=maker.version, source=NAME,
        parameters=maker.parameters(contours_alone=True),
    )  # fmt: skip
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=outline.label,
        segmented_property_category=codes.ANATOMY,
        segmented_property_type=codes.LEFT_VENTRICLE,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=maker.uid("segment", source.SOPInstanceUID, outline.label, outline.frame),
        tracking_id=outline.label,
    )
