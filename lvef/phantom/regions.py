"""Where the parts of a phantom's heart lie in a frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lvef.cardiac import PICTURE_SIZE, chords_to_polygon, polygon_mask
from lvef.phantom.clip import PhantomClip
from lvef.phantom.grid import to_grid
from lvef.phantom.outlines import annulus_points, cavity_polygon, wall_polygon

_VALVE_REACH, _ENDOCARDIUM = 8.0, 3.0


def phantom_regions(clip: PhantomClip, frame: int) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the heart's parts in a frame; they may overlap.

    Args:
        clip: The phantom.
        frame: Frame, counted from 0.

    Returns:
        `(112, 112)` masks by name: `lv_cavity` (as traced), `endocardium` (3 mm on either side of
        the cavity's border, without the mitral plane), `myocardium` (the LV's wall, septum
        included), `septum`, `lateral_wall`, `mitral_valve` (8 mm around the annular plane),
        `rest_of_sector` (none of these) and `outside_sector`.
    """
    anatomy, scanner = clip.anatomy, clip.scanner
    then = _end_diastolic(clip, frame)
    cavity = polygon_mask(chords_to_polygon(clip.tracing(frame)[1:]), PICTURE_SIZE, PICTURE_SIZE)
    along, across = (then - anatomy.apex) @ anatomy.axis, (then - anatomy.apex) @ anatomy.normal
    wall = _within(then, wall_polygon(anatomy)) & ~_within(then, cavity_polygon(anatomy)) & ~cavity
    valve = _distance_to_segment(then, *annulus_points(anatomy)) <= _VALVE_REACH
    border = np.where(cavity, distance_transform_edt(cavity), distance_transform_edt(~cavity))
    near = (border / scanner.pixels_per_mm <= _ENDOCARDIUM) & (along < 0.95 * anatomy.length)
    sector = sector_mask(clip)
    named = {
        "lv_cavity": cavity,
        "endocardium": near,
        "myocardium": wall,
        "septum": wall & (across < 0),
        "lateral_wall": wall & (across >= 0),
        "mitral_valve": valve,
    }
    inside = {name: mask & sector for name, mask in named.items()}
    heart = np.logical_or.reduce(list(inside.values()))
    return {**inside, "rest_of_sector": sector & ~heart, "outside_sector": ~sector}


def sector_mask(clip: PhantomClip) -> NDArray[np.bool_]:
    """Return the `(112, 112)` mask of a phantom's ultrasound sector."""
    scanner = clip.scanner
    rows, columns = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE].astype(np.float64)
    x, y = columns - scanner.origin[0], rows - scanner.origin[1]
    return np.asarray(
        (np.hypot(x, y) <= scanner.radius) & (np.abs(np.arctan2(x, y)) <= scanner.half_angle)
    )


def _end_diastolic(clip: PhantomClip, frame: int) -> NDArray[np.float64]:
    """Return where the tissue at each pixel was at end-diastole, `(112, 112, 2)` in mm."""
    scanner = clip.scanner
    rows, columns = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE].astype(np.float64)
    pixels = np.stack([columns, rows], axis=-1) - np.array(scanner.origin)
    points = (pixels / scanner.pixels_per_mm).reshape(-1, 2)
    if scanner.drift:
        points = points - clip.renderer.shift(frame / clip.patient.fps)
    reference = clip.anatomy.reference(points, clip.motion.state(frame))
    return reference.reshape(PICTURE_SIZE, PICTURE_SIZE, 2)


def _within(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which `(112, 112, 2)` points in mm lie within a polygon in mm."""
    border = to_grid(polygon)
    low = np.floor(border.min(0)).astype(int) - 2
    columns, rows = np.ceil(border.max(0)).astype(int) + 3 - low
    canvas = np.zeros((int(rows), int(columns)), np.uint8)
    cv2.fillPoly(canvas, [np.round(border - low).astype(np.int32)], 1)
    column, row = np.moveaxis(np.round(to_grid(points) - low).astype(int), -1, 0)
    known = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    inside = canvas[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)] > 0
    return np.asarray(known & inside)


def _distance_to_segment(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    direction = end - start
    share = np.clip((points - start) @ direction / (direction @ direction), 0, 1)
    return np.asarray(np.linalg.norm(points - start - share[..., None] * direction, axis=-1))
