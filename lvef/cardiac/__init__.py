"""What a cardiologist would recognise, as pure functions on arrays."""

from lvef.cardiac.beat import mid_frame
from lvef.cardiac.contour import chords_to_polygon, polygon_area, polygon_mask
from lvef.cardiac.volume import (
    REDUCED_EF,
    ejection_fraction,
    is_reduced,
    long_axis_length,
    method_of_disks,
)

__all__ = [
    "REDUCED_EF",
    "chords_to_polygon",
    "ejection_fraction",
    "is_reduced",
    "long_axis_length",
    "method_of_disks",
    "mid_frame",
    "polygon_area",
    "polygon_mask",
]
