"""Beats, disks and motion: geometry that needs no network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lvef.cardiac import (
    chords_to_polygon,
    composite_beat,
    contour_volume,
    find_beats,
    grey_components,
    looks,
    mask_tracing,
    mask_volume,
    method_of_disks,
    periodicity,
    polygon_mask,
    shared_curve,
    window,
)
from lvef.cardiac.beats import MOST_MISSING
from lvef.cardiac.motion import carry_contour
from lvef.phantom import PhantomClip


def pumping(count: int, fps: float, period: float, systole: float = 0.33) -> np.ndarray:
    """A curve that falls for `systole` seconds from each ED at 0.2, 0.2 + period, ... seconds."""
    phase = ((np.arange(count) / fps - 0.2) % period) / period
    share = systole / period
    fall = 0.5 * (1 + np.cos(np.pi * np.clip(phase / share, 0, 1)))
    rise = 0.5 * (1 - np.cos(np.pi * np.clip((phase - share) / (1 - share), 0, 1)))
    return 1000 + 400 * np.where(phase < share, fall, rise)


def ellipse(height: float, width: float, tilt: float = 0.0, size: int = 112) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size / 2
    angle = np.deg2rad(tilt)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (across / width) ** 2 + (along / height) ** 2 <= 1


@pytest.mark.parametrize("tilt", [0, 20, -35])
def test_disks_of_an_ellipsoid_have_its_volume_whatever_its_tilt(tilt):
    volume, length = mask_volume(ellipse(40, 18, tilt))
    assert volume == pytest.approx(4 / 3 * np.pi * 40 * 18**2, rel=0.04)
    assert length == pytest.approx(81, abs=2)


def test_the_tracing_of_a_mask_draws_the_mask_again_from_apex_to_base():
    mask = ellipse(38, 20, 15)
    tracing = mask_tracing(mask)
    assert tracing.shape == (21, 4)
    assert tracing[0, 1] < tracing[0, 3], "the apex is nearer the transducer"
    assert np.all(tracing[1:, 0] < tracing[1:, 2]), "left ends come first"
    again = polygon_mask(chords_to_polygon(tracing[1:]), 112, 112)
    assert 2 * (again & mask).sum() / (again.sum() + mask.sum()) > 0.97
    assert method_of_disks(tracing) == pytest.approx(mask_volume(mask)[0], rel=1e-6)


def test_nothing_has_no_volume():
    empty = np.zeros((112, 112), bool)
    assert mask_tracing(empty) is None
    assert np.isnan(mask_volume(empty)[0])


def test_a_contour_may_move_by_less_than_a_pixel():
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    unit = np.stack([18 * np.cos(angle), 40 * np.sin(angle)], axis=1)
    volumes = [contour_volume(56 + scale * unit) for scale in (1.0, 0.99, 0.98)]
    assert volumes[0] > volumes[1] > volumes[2]
    assert volumes[1] / volumes[0] == pytest.approx(0.99**3, rel=0.02)
    assert volumes[0] == pytest.approx(4 / 3 * np.pi * 18**2 * 40, rel=0.015)


def test_a_slow_clip_keeps_a_systole_of_two_frames():
    fps, period = 8, 1.0
    curve = pumping(5 * fps, fps, period)
    beats = find_beats(curve, fps)
    assert len(beats) >= 3
    for beat in beats:
        assert abs((beat.es_frame / fps - 0.2) % period - 0.33) <= 1.5 / fps


@pytest.mark.parametrize("fps", [18, 25, 50, 138])
@pytest.mark.parametrize("period", [0.5, 0.86, 1.3])
def test_beats_are_found_at_any_frame_rate_and_heart_rate(fps, period):
    count = round(4 * fps)
    curve = pumping(count, fps, period) + np.random.default_rng(0).normal(0, 8, count)
    beats = find_beats(curve, fps)
    starts = 0.2 + period * np.arange(20)
    last, missing = 4 - 1 / fps, MOST_MISSING + 1.5 / fps
    whole, nearly = ((starts + 0.33 <= end).sum() for end in (last, last + missing))
    assert whole <= len(beats) <= nearly
    for beat, start in zip(beats, starts[:whole], strict=False):
        # A slow heart's curve is flat at its top and its trough: noise may sit anywhere there.
        assert abs(beat.ed_frame / fps - start) <= 0.05 + 1 / fps
        assert abs(beat.es_frame / fps - start - 0.33) <= 0.05 + 1 / fps
        assert beat.ed_frame < beat.mid_frame < beat.es_frame


def test_a_few_bad_frames_do_not_move_the_beats():
    curve = pumping(200, 50, 0.9)
    clean = find_beats(curve, 50)
    damaged = curve.copy()
    damaged[[30, 77, 140]] = [0, 4000, 0]
    damaged[100:104] = np.nan
    found = find_beats(damaged, 50)
    assert [beat.es_frame for beat in found] == pytest.approx(
        [beat.es_frame for beat in clean], abs=2
    )


def test_incomplete_beats_are_left_out():
    curve = pumping(200, 50, 1.0)  # ED at 10, 60, 110, 160; ES 16.5 frames later
    assert [beat.ed_frame for beat in find_beats(curve[18:100], 50)] == pytest.approx([42], abs=2)
    begins_at_ed = [beat.ed_frame for beat in find_beats(curve[10:100], 50)]
    assert begins_at_ed == pytest.approx([0, 50], abs=2), "the first frame may be end-diastole"
    assert find_beats(curve[:22], 50) == [], "too short for a beat"


@pytest.mark.parametrize("disturbed", [False, True])
def test_beats_at_either_end_are_found_at_every_phase(disturbed):
    """ED at 10, 60, ...; ES 16.5 frames later; of a systole at an end a sixth may be missing."""
    curve, frames = pumping(260, 50, 1.0), np.arange(260)
    if disturbed:
        curve += np.random.default_rng(0).normal(0, 10, 260) + 60 * np.sin(frames / 32)
    beats = np.array([(ed, ed + 16.5) for ed in range(10, 240, 50)])
    for cut in range(50):
        for first, last in ((cut, 259), (0, 259 - cut)):
            found = np.array(
                [(b.ed_frame, b.es_frame) for b in find_beats(curve[first : last + 1], 50)]
            )
            ed, es = beats.T - first
            reach = 2 if disturbed else 1  # the last frame, as low as noise lets it be
            whole = beats[(ed >= 0) & (es + reach <= last - first)] - first
            nearly = beats[(ed >= -3) & (es <= last - first + 4)] - first
            assert len(whole) <= len(found) <= len(nearly), (first, last)
            for beat in whole:
                assert np.abs(found - beat).max(1).min() <= (4 if disturbed else 2), (first, last)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("strength", [0.4, 0.6])
def test_one_weak_beat_among_strong_ones_is_found(number, strength):
    beat = 1400 - np.roll(pumping(50, 50, 1.0), -10)  # 0 at its end-diastole
    beats = [beat * (strength if other == number else 1.0) for other in range(5)]
    found = find_beats(1400 - np.concatenate([beat[-8:], *beats]), 50)
    assert [one.es_frame for one in found] == pytest.approx(
        [8 + 16.5 + 50 * k for k in range(5)], abs=3
    )
    assert np.argmin([one.depth for one in found]) == number


def test_irregular_beats_are_all_found():
    pieces = [pumping(round(50 * p), 50, p, 0.3) for p in (0.6, 1.1, 0.75, 0.9)]
    rolled = [np.roll(piece, -10) for piece in pieces]  # each now begins at its ED
    assert len(find_beats(np.concatenate([pieces[0][:10] * 0 + 1395, *rolled]), 50)) == 4


def test_a_premature_beat_is_a_beat():
    """It follows the one before it so soon that the ventricle has filled only in part."""
    fps = 75
    starts, depths = [0.2, 1.4, 2.02, 3.2], [400, 400, 280, 400]
    seconds = np.arange(int(4.4 * fps)) / fps
    curve = np.full(len(seconds), 1000.0)
    for start, end, depth in zip(starts, [*starts[1:], 4.4], depths, strict=True):
        fall = np.clip((seconds - start) / 0.3, 0, 1)
        fill = np.clip((seconds - start - 0.3) / min(end - start - 0.3, 0.4), 0, 1)
        curve -= depth * (1 - np.cos(np.pi * fall)) / 2 * (1 + np.cos(np.pi * fill)) / 2
    found = find_beats(curve, fps)
    expected = [(start + 0.3) * fps for start in starts]
    assert [beat.es_frame for beat in found] == pytest.approx(expected, abs=2)


def test_noise_and_standstill_have_no_rhythm():
    noise = np.random.default_rng(1).normal(size=150)
    assert periodicity(noise, 50)[1] < 0.5 < periodicity(pumping(150, 50, 0.9), 50)[1]
    assert find_beats(np.full(150, 700.0), 50) == []


def test_grey_levels_tell_the_beat_from_the_errors_of_the_contour():
    clip = PhantomClip(11, 4)
    frames, truth, fps = clip.frames(), clip.truth(), clip.patient.fps
    region = cv2.dilate(
        polygon_mask(truth["contour"][clip.ed_frame], 112, 112).astype(np.uint8), np.ones((7, 7))
    )
    components = grey_components(frames, region.astype(bool), fps)
    np.testing.assert_allclose(components.T @ components, np.eye(4), atol=1e-9)
    area = truth["area"].astype(float)
    noise = np.random.default_rng(0).normal(0, area.std(), len(area))
    clean, whole = shared_curve(area, components, fps)
    noisy, part = shared_curve(area + noise, components, fps)
    assert whole > part > 0.5
    assert np.corrcoef(clean, area)[0, 1] > 0.9
    assert np.corrcoef(noisy, area)[0, 1] > np.corrcoef(area + noise, area)[0, 1] + 0.1
    assert shared_curve(noise, components, fps)[1] < part
    inverted, same = shared_curve(area, -components, fps)
    np.testing.assert_allclose(inverted, clean, err_msg="the sign of a component says nothing")
    assert same == pytest.approx(whole)


def test_a_short_clip_has_fewer_components_and_an_even_one_none():
    frames = np.random.default_rng(0).integers(0, 255, (35, 24, 24), dtype=np.uint8)
    everywhere = np.ones((24, 24), bool)
    assert grey_components(frames, everywhere, 50.0).shape == (35, 2)
    assert grey_components(np.full_like(frames, 90), everywhere, 50.0).shape == (35, 0)
    assert shared_curve(np.arange(35.0), np.empty((35, 0)), 50.0)[1] == 0


def test_a_clip_may_end_in_the_pause_after_end_systole():
    curve = np.interp(
        np.arange(90), [0, 10, 26, 36, 50, 60, 76, 90], [95, 100, 50, 52, 90, 100, 50, 50]
    )
    ends = [beat.es_frame for beat in find_beats(curve, 50.0)]
    assert ends == [pytest.approx(26, abs=3), pytest.approx(76, abs=2)]
    assert not find_beats(curve, 50.0)[-1].whole
    bumpy = np.concatenate([curve, np.full(12, 50.0), [50.3, 50.0]])
    last = find_beats(bumpy, 50.0)[-1]
    assert (last.whole, last.end_frame) == (False, len(bumpy) - 1), "a bump is no diastole"
    emptying = find_beats(curve[:74], 50.0)
    assert len(emptying) == 1, "nobody could tell whether it was at its smallest"


def test_a_contour_is_carried_with_the_tissue_from_ed_to_es():
    """A random texture that shrinks towards its middle takes a circle along."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.random((112, 112)).astype(np.float32), (0, 0), 1.5)
    texture = 255 * (texture - texture.min()) / np.ptp(texture)
    scale = np.concatenate([np.linspace(1, 0.8, 9), np.linspace(0.8, 1, 9)[1:-1]])
    composite = np.stack([
        cv2.warpAffine(texture, cv2.getRotationMatrix2D((56, 56), 0, s), (112, 112)) for s in scale
    ])  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = 56 + 25 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    carried = carry_contour(composite, circle)
    assert carried.shape == (9, 40, 2)
    radius = np.hypot(*(carried[-1] - 56).T).mean()
    assert radius == pytest.approx(20, abs=0.7)


def test_a_composite_beat_has_less_noise_than_its_frames():
    curve = pumping(250, 50, 1.0)
    beats = find_beats(curve, 50)
    rng = np.random.default_rng(0)
    frames = np.clip(curve[:, None, None] / 10 + rng.normal(0, 20, (250, 16, 16)), 0, 255)
    composite = composite_beat(frames.astype(np.uint8), beats)
    assert composite.shape == (16, 16, 16)
    assert composite[0].mean() - composite[8].mean() == pytest.approx(40, abs=6)
    assert composite[3].std() < 8


def test_windows_lie_in_the_clip_and_hold_their_frame():
    for around in (0, 5, 40, 99):
        frames = window(around, 12, 100, 50)
        assert len(frames) == 12
        assert around in frames
        assert 0 <= frames.min() <= frames.max() <= 99
    assert looks(100, 50).tolist() == list(range(0, 100, 2))
    assert looks(30, 18).tolist() == list(range(30)), "a slow clip is looked at in every frame"


def test_a_clip_that_begins_within_systole_has_no_beat_there():
    curve = pumping(200, 50.0, 1.0)  # its first end-diastole is at frame 10
    assert find_beats(curve[18:62], 50.0) == []
    (beat,) = find_beats(curve[10:62], 50.0)
    assert beat.ed_frame <= 1


def test_end_diastole_is_not_sought_longer_ago_than_a_systole_lasts():
    frames, fullness = (
        [0, 10, 21, 30, 40, 48, 60, 75, 104],
        [100, 112, 98, 106, 50, 20, 70, 104, 100],
    )
    curve = np.interp(np.arange(105), frames, fullness)  # fuller, by mistake, as the clip begins
    (beat,) = find_beats(curve, 50.0)
    assert (beat.ed_frame, beat.es_frame) == (pytest.approx(30, abs=2), pytest.approx(48, abs=1))
