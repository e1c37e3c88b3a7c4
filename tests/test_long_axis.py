"""The long axis of a mask: from the middle of the annulus to the apex, whatever the shape."""

from __future__ import annotations

import numpy as np
import pytest

from lvef.cardiac import (
    contour_volume,
    ejection_fraction,
    long_axis,
    mask_tracing,
    mask_volume,
    polygon_mask,
)
from lvef.phantom import PhantomClip
from lvef.phantom.anatomy import rounder

SIZE = 320


def half_ellipsoid(
    length: float, width: float, slope: float = 0.0, tilt: float = 0.0
) -> np.ndarray:
    """Half an ellipsoid of revolution, its apex at the top.

    A plane through its centre halves it whatever its slope, so that its volume is known:
    2/3 pi (width / 2)^2 length.

    Args:
        length: From apex to the middle of the base, in pixels.
        width: At the base.
        slope: Of the base against the perpendicular to the axis, in degrees.
        tilt: Of the axis against the picture, in degrees, the base to the right.
    """
    y, x = np.mgrid[:SIZE, :SIZE] - np.array([0.75 * SIZE, 0.5 * SIZE])[:, None, None]
    turn = np.deg2rad(tilt)
    along, across = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
    inside = (across / (width / 2)) ** 2 + (along / length) ** 2 <= 1
    return inside & (along <= np.tan(np.deg2rad(slope)) * across)


def volume_of(length: float, width: float) -> float:
    return 2 / 3 * np.pi * (width / 2) ** 2 * length


def angle(mask: np.ndarray) -> float:
    """Degrees by which the axis leans from the sector's, positive where the base is right."""
    x, y = long_axis(mask).direction
    return float(np.degrees(np.arctan2(x, y)))


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0, 1.1, 1.2, 1.5])
@pytest.mark.parametrize("tilt", [0, -15, 25])
def test_a_dilated_ventricle_has_its_volume_and_its_axis(ratio, tilt):
    mask = half_ellipsoid(120, ratio * 120, tilt=tilt)
    assert mask_volume(mask)[0] == pytest.approx(volume_of(120, ratio * 120), rel=0.04)
    assert angle(mask) == pytest.approx(tilt, abs=3)


def test_a_ventricle_that_lies_far_aslant_is_followed_until_the_axis_rests():
    """Where the base slopes besides, the annulus that one look finds is not yet the last."""
    assert angle(half_ellipsoid(120, 60, tilt=40)) == pytest.approx(40, abs=0.6)
    assert angle(half_ellipsoid(120, 80, slope=20, tilt=-35)) == pytest.approx(-35, abs=1)


def test_the_apex_and_the_ends_of_the_annulus_are_no_single_pixels():
    assert angle(half_ellipsoid(120, 60, tilt=3)) == pytest.approx(3, abs=0.5)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    axis = long_axis((abs(x) < 30) & (abs(y) < 60))
    corner = np.array([SIZE // 2 - 29, SIZE // 2 + 59])
    assert 0.3 < np.hypot(*(axis.left - corner)) < 2, "the corner, and what lies about as far out"
    assert axis.left[0] < axis.right[0]


def test_of_two_pieces_the_one_of_the_larger_area_counts_not_the_longer_one():
    mask = half_ellipsoid(60, 40, tilt=15)
    line = mask.copy()
    line[10:12, 10:310] = True
    assert angle(line) == pytest.approx(angle(mask), abs=0.2)


def test_an_ejection_fraction_is_not_lost_where_only_end_diastole_is_wider_than_long():
    """Width / length 1.21 at ED, 1.0 at ES: along the principal axes this EF of 40.9 was 28.5."""
    ends = half_ellipsoid(120, 145.2), half_ellipsoid(114, 114.5)
    true = float(ejection_fraction(volume_of(120, 145.2), volume_of(114, 114.5)))
    assert true == pytest.approx(40.9, abs=0.1)
    volumes = [mask_volume(mask)[0] for mask in ends]
    assert float(ejection_fraction(*volumes)) == pytest.approx(true, abs=0.5)


@pytest.mark.parametrize("slope", [-25, -10, 10, 25])
@pytest.mark.parametrize("ratio", [0.5, 0.7, 1.0])
def test_a_base_that_slopes_turns_neither_axis_nor_ejection_fraction(slope, ratio):
    """Disks cannot fill the wedge of such a base: the volume is too small, by as much at ES."""
    full, empty = (120, 120 * ratio), (108, 100 * ratio)
    masks = [half_ellipsoid(*size, slope=slope) for size in (full, empty)]
    for mask in masks:
        assert angle(mask) == pytest.approx(0, abs=1.5)
    volumes = [mask_volume(mask)[0] for mask in masks]
    true = float(ejection_fraction(volume_of(*full), volume_of(*empty)))
    assert float(ejection_fraction(*volumes)) == pytest.approx(true, abs=1.0)
    assert 0.85 < volumes[0] / volume_of(*full) < 1.01


def test_what_the_edges_cut_off_hardly_turns_the_axis():
    y, x = np.mgrid[:SIZE, :SIZE]
    whole = half_ellipsoid(120, 84)
    cuts = {
        "apex in the near field": y > 0.75 * SIZE - 105,
        "base below the picture": y < 0.75 * SIZE - 20,
        "side wall beyond the sector": x < SIZE / 2 + 30,
        "corner beyond the sector": x + y < 0.75 * SIZE + SIZE / 2 + 25,
    }
    for what, seen in cuts.items():
        assert abs(angle(whole & seen)) < 6, what
    low = half_ellipsoid(120, 120) & (y < 0.75 * SIZE - 40)
    assert angle(low) == pytest.approx(0, abs=0.5), "wider than what is left of it is long"


def test_the_axis_stays_within_45_degrees_of_the_sectors():
    for lying in (60, 80, 90, -70):
        mask = half_ellipsoid(120, 60, tilt=lying)
        assert abs(angle(mask)) <= 45 + 1e-6
    bar = np.zeros((112, 112), bool)
    bar[50:53, 5:105] = True
    assert abs(angle(bar)) <= 45
    assert np.isfinite(mask_volume(bar)[0])
    bar[51:] = False
    assert long_axis(bar).direction.tolist() == [0, 1], "a single line has no other"


def test_tiny_and_empty_masks_have_no_axis_to_draw():
    empty = np.zeros((112, 112), bool)
    assert long_axis(empty) is None
    assert mask_tracing(empty) is None
    dot = empty.copy()
    dot[50, 60] = True
    assert np.isfinite(long_axis(dot).direction).all()
    assert np.isnan(mask_volume(dot)[0])
    full = np.ones((112, 112), bool)
    assert angle(full) == pytest.approx(0, abs=1e-6)


def test_of_several_pieces_the_largest_has_the_axis():
    mask = half_ellipsoid(120, 60, tilt=15)
    speck = mask.copy()
    speck[SIZE - 8 :, :8] = True
    assert angle(speck) == pytest.approx(angle(mask), abs=0.2)


@pytest.mark.parametrize("factor", [1.0, 1.4, 2.0])
def test_phantoms_as_round_as_wide_keep_their_ejection_fraction(factor):
    errors = []
    for index in range(12):
        heart = rounder(PhantomClip(40, index).anatomy, factor)
        ends = [heart.tracing(contraction) * 0.8 + [56, 0, 56, 0] for contraction in (0.0, 1.0)]
        contours = [np.concatenate([t[1:, :2], t[:0:-1, 2:]]) for t in ends]
        true = [np.sum(np.hypot(*(t[1:, 2:] - t[1:, :2]).T) ** 2) * np.hypot(*(t[0, 2:] - t[0, :2]))
                for t in ends]  # fmt: skip
        found = [contour_volume(contour) for contour in contours]
        errors.append(float(ejection_fraction(*found) - ejection_fraction(*true)))
        assert polygon_mask(contours[0], 112, 112).any()
    assert np.abs(errors).mean() < 2.0
    assert np.abs(errors).max() < 5.0
