"""The second generator: a solid heart under a simulated probe, independent of the first."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter1d

import lvef.phantom.solid
from lvef.cardiac import ejection_fraction, polygon_mask
from lvef.phantom.solid import EF_QUARTERS, KINDS, SolidClip
from lvef.phantom.solid.body import Body
from lvef.phantom.solid.population import sample_patient
from lvef.phantom.solid.probe import BEAMS, SAMPLES, Probe
from lvef.phantom.solid.section import edge_shift

SEED = 3


@pytest.fixture(scope="module")
def clips() -> list[SolidClip]:
    """Clips of which no frame is rendered unless it is asked for."""
    return [SolidClip(SEED, index) for index in range(12)]


def steady(clips: list[SolidClip]) -> list[SolidClip]:
    return [c for c in clips if not c.patient.arrhythmia and not c.patient.weak_beat]


def clear(clips: list[SolidClip]) -> SolidClip:
    hard = {"haze", "thick hazy wall", "bright near field", "apical dropout", "shadow"}
    good = [clip for clip in clips if not hard & set(clip.kinds)]
    return max(good, key=lambda clip: clip.drawn.machine.persistence)


def test_the_same_seed_and_index_give_the_same_clip(clips):
    known = clear(clips)
    index = clips.index(known)
    again = SolidClip(SEED, index)
    np.testing.assert_array_equal(again.frames([3]), known.frames([3]))
    for key, value in again.truth().items():
        np.testing.assert_array_equal(value, known.truth()[key])
    assert SolidClip(SEED + 1, index).patient != again.patient
    assert again.name.startswith("SOLIDPHANTOM")


def test_a_frame_does_not_depend_on_which_others_are_asked_for(clips):
    clip = max(clips, key=lambda clip: clip.drawn.machine.persistence)
    assert clip.drawn.machine.persistence > 0, "which mixes a frame with the one before"
    together = clip.frames([9, 4, 5])
    np.testing.assert_array_equal(together[2], clip.frames([5])[0])
    np.testing.assert_array_equal(together[0], clip.frames([9])[0])
    assert not np.array_equal(together[0], together[2])


def test_ef_of_the_contours_is_what_the_patient_says(clips):
    for clip in steady(clips):
        truth = clip.truth()
        volume = truth["volume"]
        said = ejection_fraction(volume[truth["ed_frame"]], volume[truth["es_frame"]])
        assert said == pytest.approx(clip.patient.ef, abs=3.0), clip.name
        assert abs(clip.ef_3d - clip.patient.ef) < 15


def test_volumes_are_as_large_as_the_plane_lets_them_be(clips):
    shares = []
    for clip in clips:
        whole = clip.drawn.heart.volume(0.0)
        assert whole == pytest.approx(clip.patient.end_diastolic_volume, rel=0.02)
        shares.append(clip.volumes.max() / whole)
    assert 0.6 < np.median(shares) < 1.05, "a reader sees less than the whole cavity"


def test_beats_repeat_and_their_moments_lie_at_the_extremes_of_the_curve(clips):
    for clip in steady(clips):
        truth = clip.truth()
        volume, ed, es = truth["volume"], truth["ed_frames"], truth["es_frames"]
        middle = (volume.max() + volume.min()) / 2
        assert min(len(ed), len(es)) > 0
        assert (volume[ed] > middle).all()
        assert (volume[es] < middle).all()
        inner = [frame for frame in ed if 2 < frame < len(volume) - 3]
        lengths = np.diff(inner) / clip.patient.fps * clip.patient.heart_rate / 60
        np.testing.assert_allclose(lengths, 1.0, atol=0.15)


def test_the_wall_keeps_its_volume_while_it_thickens(clips):
    heart = clips[3].drawn.heart  # of a normal EF
    rng, step = np.random.default_rng(0), 1e-3
    s = rng.uniform(0.05, 0.98, 500) * heart.length
    theta = rng.uniform(-np.pi, np.pi, 500)
    inner, outer = heart.endocardium(s / heart.length, theta), heart.epicardium(s, theta)
    radius = inner + rng.uniform(0.05, 0.95, 500) * (outer - inner)
    points = np.stack([radius * np.cos(theta), radius * np.sin(theta), s], axis=1)
    slopes = [
        (heart.deform(points + side, 1.0) - heart.deform(points - side, 1.0)) / (2 * step)
        for side in np.eye(3) * step
    ]
    volume = np.linalg.det(np.stack(slopes, axis=2))
    assert np.percentile(volume, [2, 98]) == pytest.approx([1, 1], abs=0.03)
    ring = np.linspace(-np.pi, np.pi, 50)
    level = np.full(50, 0.5 * heart.length)
    across = [
        np.stack([r * np.cos(ring), r * np.sin(ring), level], 1)
        for r in (heart.endocardium(level / heart.length, ring), heart.epicardium(level, ring))
    ]
    thick = [
        np.linalg.norm(heart.deform(across[1], c) - heart.deform(across[0], c), axis=1).mean()
        for c in (0.0, 1.0)
    ]
    assert thick[1] > 1.15 * thick[0], "the wall thickens"


def width(profile: np.ndarray) -> float:
    """Full width at half of the maximum, in samples."""
    fine = np.interp(np.arange(0, len(profile), 0.05), np.arange(len(profile)), profile)
    return 0.05 * float((fine > fine.max() / 2).sum())


def test_a_point_is_smeared_wider_away_from_the_focus(clips):
    drawn = clips[0].drawn.machine
    spread = replace(drawn.spread, focus=70.0, lens_focus=70.0)
    probe = Probe(replace(drawn, looks=1, depth=150.0, spread=spread), 1, np.random.default_rng(0))
    lateral, axial, lost = [], [], []
    for depth in (20.0, 70.0, 140.0):
        point, one = np.array([[0.0], [depth], [0.0]], np.float32), np.ones(1, np.float32)
        echo = probe.envelope(point, one)
        row, beam = np.unravel_index(int(echo.argmax()), (SAMPLES, BEAMS))
        lateral.append(width(echo[row]) * probe.turn * depth)
        axial.append(width(echo[:, beam]) * probe.step)
        point[2] = 2.5
        lost.append(probe.envelope(point, one).max() / echo.max())
    assert lateral[2] > 1.5 * lateral[1]
    assert lateral[0] / 20 > 1.5 * lateral[1] / 70, "wider in angle before the focus"
    assert axial == pytest.approx([axial[0]] * 3, rel=0.1)
    assert lost[2] > 1.5 * lost[1], "the slice is thicker beyond the focus"


def test_muscle_has_unit_power_at_every_depth(clips):
    machine = replace(clips[0].drawn.machine, looks=1)
    rng, count = np.random.default_rng(1), 150_000
    probe = Probe(machine, count, rng)
    depth = rng.uniform(0, machine.depth, count)
    angle = rng.uniform(-probe.reach, probe.reach, count)
    z = rng.uniform(-1, 1, count) * machine.slab(depth)
    points = np.stack([depth * np.sin(angle), depth * np.cos(angle), z]).astype(np.float32)
    power = probe.envelope(points, np.ones(count, np.float32)) ** 2
    bands = power[40:360, 20:-20].reshape(8, -1).mean(1)
    assert bands == pytest.approx(np.ones(8), abs=0.25)


def test_the_seen_edge_is_half_way_in_decibels_through_a_blurred_edge():
    step, spread, contrast = 0.01, 1.3, 22.0
    place = np.arange(-15, 15, step)
    power = np.where(place < 0, 1.0, 10 ** (-contrast / 10))
    decibels = 10 * np.log10(gaussian_filter1d(power, spread / step))
    seen = place[np.argmax(decibels < -contrast / 2)]
    assert edge_shift(spread, contrast) == pytest.approx(seen, abs=0.03)


def test_the_contour_lies_a_little_inside_the_compacted_wall(clips):
    for clip in clips[:6]:
        section, heart = clip.drawn.section, clip.drawn.heart
        c = np.array([0.0, 0.6, 1.0])
        true, seen = section.walls(c)
        flat = np.zeros((*true.shape[:-1], 1))
        places = [section.pose.to_heart(np.concatenate([p, flat], -1)) for p in (true, seen)]
        on, within = (heart.outside_cavity(place, c[:, None]) for place in places)
        assert np.abs(on[:, 3:-3]).max() < 0.1
        assert (within[:, 3:-3] < 0).mean() > 0.99
        shift = np.linalg.norm(seen - true, axis=-1)
        assert 0.2 < shift.min() < shift.max() < 6, clip.name


def test_blood_is_darker_than_the_wall_around_it(clips):
    clip = clear(clips)
    frame = clip.frames([clip.ed_frame])[0]
    cavity = polygon_mask(clip.truth()["contour"][clip.ed_frame], *frame.shape)
    blood = binary_erosion(cavity, iterations=4)
    wall = binary_dilation(cavity, iterations=5) & ~binary_dilation(cavity, iterations=1)
    assert frame[blood].mean() < 0.5 * frame[wall].mean()


def test_the_body_does_not_tear_where_the_wall_ends(clips):
    heart = clips[3].drawn.heart
    theta = np.linspace(-np.pi, np.pi, 80)
    for u in (0.3, 0.6, 0.9):
        level = np.full(80, u * heart.length)
        for border in (
            heart.endocardium(level / heart.length, theta),
            heart.epicardium(level, theta),
        ):
            sides = [
                np.stack([r * np.cos(theta), r * np.sin(theta), level], 1)
                for r in (border - 0.01, border + 0.01)
            ]
            near = heart.deform(sides[1], 1.0) - heart.deform(sides[0], 1.0)
            assert np.linalg.norm(near, axis=1).max() < 0.1


def test_scatterers_move_with_the_wall(clips):
    """Endocardial scatterers of a heart that beats lie nearer to its axis at end-systole."""
    body: Body = clear(clips).body
    full, _ = body.at(0.0, 0.0)
    empty, _ = body.at(1.0, 0.0)
    moved = np.linalg.norm(empty - full, axis=0)
    assert 3 < np.percentile(moved, 95) < 25
    assert np.median(moved) < 8
    between, _ = body.at(0.4, 0.0)
    np.testing.assert_allclose(between, 0.6 * full + 0.4 * empty, atol=1.5)


def test_bands_of_ef_are_even_and_kinds_as_frequent_as_stated():
    patients = [sample_patient(i, np.random.default_rng([SEED, i])) for i in range(1200)]
    ef = np.array([patient.ef for patient in patients])
    for low, high in EF_QUARTERS:
        assert np.mean((ef > low) & (ef <= high)) == pytest.approx(0.25, abs=0.005)
    volume = np.array([patient.end_diastolic_volume for patient in patients])
    assert np.median(volume[ef < 30]) > 1.5 * np.median(volume[ef > 55])
    for kind, chance in KINDS.items():
        share = np.mean([kind in patient.kinds for patient in patients])
        assert share == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 1200)), kind


def test_nothing_of_the_first_generator_is_used():
    neutral = ("lvef.phantom.purpose", "lvef.streams")  # whose hearts, and which random numbers
    own = ("lvef.phantom.solid", "lvef.cardiac", *neutral)
    for file in Path(lvef.phantom.solid.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lvef"):
                assert node.module.startswith(own), file.name


def test_it_needs_no_video_library_and_no_network():
    code = (
        "import sys, lvef.phantom.solid;"
        "print([m for m in ('lightning', 'torch', 'av', 'decord') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
