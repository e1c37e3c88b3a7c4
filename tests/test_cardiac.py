import numpy as np
import pandas as pd
import pytest
import torch

from lvef.cardiac import (
    chords_to_polygon,
    ejection_fraction,
    is_reduced,
    method_of_disks,
    mid_frame,
    no_mid_frame,
    polygon_area,
    polygon_mask,
    straddles_reduced,
)
from lvef.cardiac.beat import LONGEST_SYSTOLE


def ellipsoid_tracing(length: float, width: float) -> np.ndarray:
    level = (np.arange(20) + 0.5) / 20
    half = width / 2 * np.sqrt(1 - (2 * level - 1) ** 2)
    y = level * length
    chords = np.stack([-half, y, half, y], axis=1)
    return np.concatenate([[[0, 0, 0, length]], chords])


def test_disks_of_an_ellipsoid_add_up_to_its_volume():
    volume = method_of_disks(ellipsoid_tracing(90.0, 50.0))
    assert volume == pytest.approx(np.pi / 6 * 90 * 50**2, rel=2e-3)


def test_volume_does_not_change_when_the_picture_is_rotated():
    tracing = ellipsoid_tracing(90.0, 50.0)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    turned = (tracing.reshape(-1, 2) @ turn).reshape(-1, 4)
    assert method_of_disks(turned) == pytest.approx(method_of_disks(tracing))


def test_area_of_the_traced_polygon_is_that_of_the_ellipse():
    polygon = chords_to_polygon(ellipsoid_tracing(90.0, 50.0)[1:])
    assert polygon.shape == (40, 2)
    assert polygon_area(polygon) == pytest.approx(np.pi / 4 * 90 * 50, rel=0.03)
    assert polygon_area(polygon[::-1]) == pytest.approx(polygon_area(polygon))


def test_a_mask_covers_the_area_of_its_polygon():
    polygon = np.array([[10.0, 10.0], [50.0, 12.0], [40.0, 60.0], [15.0, 40.0]])
    mask = polygon_mask(polygon, 80, 70)
    assert mask.shape == (80, 70)
    assert mask.sum() == pytest.approx(polygon_area(polygon), rel=0.06)
    assert mask[30, 30]
    assert not mask[5, 5]


def test_ejection_fraction_is_the_share_of_the_full_ventricle_that_is_pumped_out():
    np.testing.assert_allclose(ejection_fraction([100, 80], [40, 80]), [60, 0])
    assert np.isnan(ejection_fraction(0, 0))


def test_an_ef_of_forty_is_reduced_and_an_unknown_one_is_not():
    assert is_reduced([40.0, 40.1, 20.0, np.nan]).tolist() == [True, False, True, False]


@pytest.mark.parametrize("kind", [np.array, torch.tensor, pd.Series])
def test_an_interval_straddles_forty_where_both_answers_lie_in_it(kind):
    lower, upper = [30.0, 40.0, 40.1, 30.0, np.nan, 30.0], [50.0, 41.0, 60.0, 40.0, 50.0, np.nan]
    straddles = straddles_reduced(kind(lower), kind(upper))
    assert type(straddles) is type(kind(lower))
    assert straddles.tolist() == [True, True, False, False, False, False]
    assert straddles_reduced(39.0, 41.0) is True


def test_the_mid_frame_lies_half_way():
    assert mid_frame(10, 20) == 15
    assert mid_frame(10, 21) == 15


def test_frames_that_are_not_of_one_systole_have_no_mid_frame():
    assert no_mid_frame(10, 20, 0.2) == ""
    assert no_mid_frame(10, 20, float("nan")) == "", "the order is all that is known"
    assert no_mid_frame(10, 40, LONGEST_SYSTOLE) == ""
    assert "two beats (more than 0.6 s apart)" in no_mid_frame(10, 41, 0.62)
    assert "ES comes before ED" in no_mid_frame(21, 10, -0.22)
    assert "ES comes before ED" in no_mid_frame(21, 10, float("nan"))
