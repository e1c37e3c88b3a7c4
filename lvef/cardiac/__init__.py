"""What a cardiologist would recognise, as pure functions on arrays."""

from lvef.cardiac.beat import NO_FRAME, mid_frame, no_mid_frame
from lvef.cardiac.beats import FoundBeat, find_beats, grey_components, periodicity, shared_curve
from lvef.cardiac.biplane import (
    LENGTHS_APART,
    Disks,
    biplane_ejection_fraction,
    biplane_volume,
    lengths_apart,
)
from lvef.cardiac.contour import chords_to_polygon, largest_outline, polygon_area, polygon_mask
from lvef.cardiac.disks import contour_tracing, contour_volume, mask_tracing, mask_volume
from lvef.cardiac.edge import edge_contrast
from lvef.cardiac.long_axis import LongAxis, long_axis
from lvef.cardiac.motion import carry_contour, composite_beat
from lvef.cardiac.sampling import (
    CLIP_FPS,
    PICTURE_SIZE,
    RATES,
    SURVEY_FRAMES,
    looks,
    survey,
    window,
)
from lvef.cardiac.tracing import ordered_tracings
from lvef.cardiac.volume import (
    REDUCED_EF,
    ejection_fraction,
    is_reduced,
    long_axis_length,
    method_of_disks,
    straddles_reduced,
)
from lvef.cardiac.whole_clip import CLIP, NOT_BOTH, WholeClip, asked_clip, num_pictures

__all__ = [
    "CLIP",
    "CLIP_FPS",
    "LENGTHS_APART",
    "NOT_BOTH",
    "NO_FRAME",
    "PICTURE_SIZE",
    "RATES",
    "REDUCED_EF",
    "SURVEY_FRAMES",
    "Disks",
    "FoundBeat",
    "LongAxis",
    "WholeClip",
    "asked_clip",
    "biplane_ejection_fraction",
    "biplane_volume",
    "carry_contour",
    "chords_to_polygon",
    "composite_beat",
    "contour_tracing",
    "contour_volume",
    "edge_contrast",
    "ejection_fraction",
    "find_beats",
    "grey_components",
    "is_reduced",
    "largest_outline",
    "lengths_apart",
    "long_axis",
    "long_axis_length",
    "looks",
    "mask_tracing",
    "mask_volume",
    "method_of_disks",
    "mid_frame",
    "no_mid_frame",
    "num_pictures",
    "ordered_tracings",
    "periodicity",
    "polygon_area",
    "polygon_mask",
    "shared_curve",
    "straddles_reduced",
    "survey",
    "window",
]
