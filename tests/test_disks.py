"""The method of disks on masks: the tracing lies on the mask, and volumes move with the contour."""

from __future__ import annotations

import numpy as np
import pytest
from test_long_axis import half_ellipsoid

from lvef.cardiac import contour_volume, mask_tracing, mask_volume


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((112, 112), bool)
    mask[top:bottom, left:right] = True
    return mask


def contour(length: float, width: float, start: tuple[float, float]) -> np.ndarray:
    """Return the outline of half an ellipsoid, its volume 2/3 pi (width / 2)^2 length."""
    angle = np.linspace(0, np.pi, 400)
    points = np.stack([width / 2 * np.cos(angle), -length * np.sin(angle)], axis=1)
    return points + start


def test_the_tracing_of_a_box_is_known_to_the_last_digit():
    tracing = mask_tracing(box(10, 90, 30, 70))
    assert tracing[0] == pytest.approx([49.5, 9.5, 49.5, 89.5])
    level = 9.5 + 4 * (np.arange(20) + 0.5)
    chords = np.stack([np.full(20, 29.5), level, np.full(20, 69.5), level], axis=1)
    assert tracing[1:] == pytest.approx(chords)
    assert mask_volume(box(10, 90, 30, 70)) == pytest.approx((np.pi * 20**2 * 80, 80))


@pytest.mark.parametrize("tilt", [0, 20, -30])
def test_chords_run_from_edge_to_edge_of_the_mask_and_the_axis_through_its_ends(tilt):
    mask = half_ellipsoid(120, 90, slope=20, tilt=tilt)
    tracing = mask_tracing(mask)
    left, right = tracing[1:, :2], tracing[1:, 2:]
    assert (right[:, 0] > left[:, 0]).all()
    inwards = (right - left) / np.hypot(*(right - left).T)[:, None]

    def inside(points: np.ndarray) -> np.ndarray:
        x, y = np.round(points).astype(int).T
        return mask[y, x]

    for ends, way in ((left, inwards), (right, -inwards)):
        steady = slice(2, 15)  # above the wedge of the base, below the round apex
        assert inside(ends + 3 * way)[steady].all()
        assert not inside(ends - 3 * way)[steady].any()
    first = tracing[1].reshape(2, 2).mean(0)
    along = (tracing[0, 2:] - tracing[0, :2]) / np.hypot(*(tracing[0, 2:] - tracing[0, :2]))
    off = first - tracing[0, :2]
    assert abs(off[0] * along[1] - off[1] * along[0]) < 1e-6, "it begins above the first chord"


def test_the_length_is_that_of_the_axis_whichever_way_it_points():
    for tilt in (0, 30, -40):
        length = mask_volume(half_ellipsoid(120, 60, tilt=tilt))[1]
        assert length == pytest.approx(120, abs=3)


def test_forty_pixels_are_a_ventricle_and_fewer_are_none():
    assert mask_tracing(box(10, 20, 10, 14)) is not None
    almost = box(10, 20, 10, 14)
    almost[10, 10] = False
    assert mask_tracing(almost) is None
    assert np.isnan(mask_volume(almost)).all()


@pytest.mark.parametrize("start", [(50.0, 60.0), (50.37, 60.81), (-40.2, -3.3)])
def test_the_volume_in_a_contour_is_that_of_the_body_wherever_it_lies(start):
    known = 2 / 3 * np.pi * 10**2 * 32
    assert contour_volume(contour(32, 20, start)) == pytest.approx(known, rel=0.03)


def test_the_volume_in_a_contour_moves_with_parts_of_a_pixel():
    sizes = 1 + 0.005 * np.arange(12)  # a tenth of a pixel in width each
    volumes = np.array([contour_volume(contour(32 * s, 20 * s, (50.0, 60.0))) for s in sizes])
    assert volumes / volumes[0] == pytest.approx(sizes**3, rel=0.02)
