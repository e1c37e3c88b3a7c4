"""EF and volumes by disks in two planes, of tracings, masks and found contours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_disks import contour

from lvef.analysis import ClipAnalyser, ClipAnalysis
from lvef.analysis.biplane import (
    BeatDisks,
    ViewDisks,
    beat_disks,
    biplane,
    biplane_of_views,
    view_disks,
)
from lvef.cardiac import (
    Disks,
    biplane_ejection_fraction,
    biplane_volume,
    contour_tracing,
    ejection_fraction,
    lengths_apart,
    mask_tracing,
    method_of_disks,
    polygon_mask,
)
from lvef.data.prepare import prepare_frames
from lvef.phantom.solid import SolidStudy


def half_ellipsoid(length: float, width: float, count: int = 20) -> Disks:
    """Return the disks of half an ellipsoid that is cut through its middle."""
    level = (np.arange(count) + 0.5) / count
    return Disks(width * np.sqrt(1 - (1 - level) ** 2), length)


def scaled(disks: Disks, across: float, along: float) -> Disks:
    return Disks(disks.diameters * across, disks.length * along)


def view(ed: Disks, es: Disks, moved: float = 1.0, known: bool = True) -> ViewDisks:
    """Return a view whose calibrated ESV over EDV is `moved` times that of its contours."""
    ef = float(ejection_fraction(ed.volume, es.volume))
    return ViewDisks(BeatDisks(ed, es, known), 100 * (1 - moved * (1 - ef / 100)), 6.0)


def test_the_volume_of_an_ellipsoid_of_three_different_axes_is_exact():
    four, two = half_ellipsoid(90, 40), half_ellipsoid(90, 60)
    whole = 4 / 3 * np.pi * 20 * 30 * 90 / 2
    assert biplane_volume(four, two) == pytest.approx(whole, rel=1e-3)
    assert biplane_volume(two, four) == biplane_volume(four, two)
    assert four.volume == pytest.approx(whole * 40 / 60, rel=1e-3), "a circle in one plane"
    assert biplane_volume(four, four) == pytest.approx(four.volume, rel=1e-12)


def test_the_longer_of_both_axes_counts():
    four, short = half_ellipsoid(90, 40), half_ellipsoid(70, 40)
    assert biplane_volume(four, short) == pytest.approx(biplane_volume(four, four), rel=1e-12)
    assert lengths_apart(four, short) == lengths_apart(short, four) == pytest.approx(2 / 9)


def test_disks_of_a_tracing_are_ordered_from_the_apex_whatever_the_rows():
    tracing = contour_tracing(contour(80, 44, (50, 90)))
    disks = Disks.of(tracing)
    assert disks.volume == pytest.approx(method_of_disks(tracing), rel=1e-12)
    assert disks.diameters[0] < disks.diameters[-1], "narrow at the apex"
    jumbled = np.concatenate([tracing[:1], tracing[1:][::-1]])
    np.testing.assert_array_equal(Disks.of(jumbled).diameters, disks.diameters)
    with pytest.raises(ValueError, match="at least one chord"):
        Disks.of(tracing[:1])


def test_views_of_other_numbers_of_disks_meet_at_equal_levels():
    fine, coarse = half_ellipsoid(90, 60, 200), half_ellipsoid(90, 40, 20)
    assert biplane_volume(coarse, fine) == pytest.approx(
        biplane_volume(coarse, half_ellipsoid(90, 60)), rel=2e-3
    )


def test_ef_takes_from_each_plane_what_it_alone_sees():
    four, two = half_ellipsoid(90, 40), half_ellipsoid(90, 60)
    ends = (four, scaled(four, 0.9, 0.8)), (two, scaled(two, 0.5, 0.8))
    assert biplane_ejection_fraction(*ends) == pytest.approx(100 * (1 - 0.9 * 0.5 * 0.8))
    single = [float(ejection_fraction(ed.volume, es.volume)) for ed, es in ends]
    assert single == pytest.approx([100 * (1 - 0.81 * 0.8), 100 * (1 - 0.25 * 0.8)])


def test_without_a_scale_both_axes_are_taken_to_be_as_long_at_end_diastole():
    four, two = half_ellipsoid(90, 40), half_ellipsoid(90, 60)
    ends = (four, scaled(four, 0.9, 0.8)), (two, scaled(two, 0.5, 0.85))
    known = biplane_ejection_fraction(*ends)
    other = tuple(disks.times(0.27) for disks in ends[1])
    assert biplane_ejection_fraction(ends[0], other, same_unit=False) == pytest.approx(known)
    assert abs(biplane_ejection_fraction(ends[0], other) - known) > 1


def test_masks_give_what_their_contours_give():
    shapes = {"four": (80, 40), "two": (80, 56)}
    ends = []
    for length, width in shapes.values():
        sizes = ((length, width), (length * 0.85, width * 0.7))
        masks = [polygon_mask(contour(*size, (50, 95)), 112, 112) for size in sizes]
        ends.append(tuple(Disks.of(mask_tracing(mask)) for mask in masks))
    assert biplane_ejection_fraction(*ends) == pytest.approx(100 * (1 - 0.7**2 * 0.85), abs=1.0)


def test_calibration_of_each_view_moves_both_by_half():
    four, two = half_ellipsoid(90, 40), half_ellipsoid(90, 60)
    ends = (four, scaled(four, 0.9, 0.8)), (two, scaled(two, 0.5, 0.8))
    raw = biplane_of_views(view(*ends[0]), view(*ends[1]))
    assert raw.ef == pytest.approx(biplane_ejection_fraction(*ends))
    assert raw.ef_std == 6.0
    assert raw.edv == pytest.approx(biplane_volume(four, two) / 1000)
    assert raw.esv == pytest.approx(raw.edv * (1 - raw.ef / 100))
    moved = biplane_of_views(view(*ends[0], 1.2), view(*ends[1], 1.1))
    assert 1 - moved.ef / 100 == pytest.approx(np.sqrt(1.2 * 1.1) * (1 - raw.ef / 100))


def test_volumes_are_not_stated_where_one_view_has_no_scale():
    four = half_ellipsoid(90, 40)
    ends = four, scaled(four, 0.8, 0.9)
    result = biplane_of_views(view(*ends), view(*ends, known=False))
    assert np.isnan([result.edv, result.esv, result.lengths_apart]).all()
    assert result.ef == pytest.approx(biplane_of_views(view(*ends), view(*ends)).ef)


def test_disks_are_the_same_once_packed():
    beat = BeatDisks(half_ellipsoid(90, 40), half_ellipsoid(80, 30), True)
    again = BeatDisks.unpacked(beat.packed())
    np.testing.assert_array_equal(again.es.diameters, beat.es.diameters)
    assert (again.ed.length, again.es.length, again.millimetres) == (90, 80, True)
    assert BeatDisks.unpacked(replace(beat, millimetres=False).packed()).millimetres is False


def test_a_view_is_the_mean_of_its_beats_and_none_without_one():
    one = BeatDisks(half_ellipsoid(90, 40), half_ellipsoid(80, 30), True)
    other = BeatDisks(half_ellipsoid(94, 44), half_ellipsoid(84, 34), True)
    mean = view_disks([one, None, other], 55.0, 6.0)
    assert mean.disks.ed.length == 92
    np.testing.assert_allclose(mean.disks.es.diameters, half_ellipsoid(1, 32).diameters)
    assert view_disks([None], 55.0, 6.0) is None
    assert view_disks([one], float("nan"), 6.0) is None


@pytest.fixture(scope="module")
def study() -> SolidStudy:
    """A study whose pictures are clear."""
    return SolidStudy(1, 2)


@pytest.fixture(scope="module")
def views(study: SolidStudy) -> list[ClipAnalysis]:
    """Both views of it, a little more than their labelled beat."""
    found = []
    for name, view in {"A4C": study.a4c, "A2C": study.a2c}.items():
        fps = view.patient.fps
        frames = view.frames(range(view.ed_frame, view.ed_frame + round(1.1 * fps)))
        scale = 1 / view.drawn.machine.pixels_per_mm
        clip = replace(prepare_frames(frames, fps), millimetres_per_pixel=scale)
        found.append(ClipAnalyser("shipped", "cpu")(clip, view=name))
    return found


def test_what_is_found_in_two_clips_of_a_heart_is_near_what_is_true_of_it(study, views):
    result = biplane(*views)
    assert result.ef == pytest.approx(study.patient.ef, abs=12)
    between = sorted(analysis.ef for analysis in views)
    assert between[0] - 1 <= result.ef <= between[1] + 1
    assert 0.4 < result.edv / study.end_diastolic_volume < 1.0, "mL, of which a reader sees less"
    assert 0 <= result.lengths_apart < 0.4
    swapped = biplane(*views[::-1])
    assert swapped.ef == pytest.approx(result.ef)
    refused = replace(views[1], beats=(), contours=(), ef=float("nan"), reason="no beat")
    with pytest.raises(ValueError, match="the two-chamber view has no EF: no beat"):
        biplane(views[0], refused)


def test_disks_of_a_clip_are_in_its_own_unit(views):
    clip = replace(views[0].clip, millimetres_per_pixel=None)
    analysis = replace(views[0], clip=clip)
    (pixels, *_) = beat_disks(analysis)
    assert not pixels.millimetres
    scale = replace(analysis, clip=replace(analysis.clip, millimetres_per_pixel=0.7))
    (known, *_) = beat_disks(scale)
    assert known.millimetres
    assert known.ed.length == pytest.approx(0.7 * pixels.ed.length)
    (of_file, *_) = beat_disks(views[0])
    stated = views[0].beats[0].edv
    assert of_file.ed.volume / 1000 == pytest.approx(stated, rel=1e-6), "the EDV of the beat, in mL"
