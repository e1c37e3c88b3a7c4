import filecmp
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lvef.cardiac import (
    chords_to_polygon,
    ejection_fraction,
    method_of_disks,
    polygon_area,
    polygon_mask,
)
from lvef.data.formats import clip_info, read_frames
from lvef.data.layouts import read_labels
from lvef.data.pixels import LEAST_INSIDE, inside
from lvef.errors import ConfigurationError
from lvef.evaluation.ceilings import ef_from_volume
from lvef.evaluation.metrics import regression_metrics
from lvef.phantom import PhantomClip, randomised, write_phantoms
from lvef.phantom.anatomy import foreshorten
from lvef.phantom.folder import split_sizes
from lvef.phantom.population import sample_patient
from lvef.phantom.purpose import Purpose


@pytest.fixture(scope="module")
def population() -> pd.DataFrame:
    """Labels of 2,000 phantoms, of which no frame is rendered."""
    clips = [PhantomClip(0, index) for index in range(2000)]
    edv = np.array([clip.volume(clip.ed_frame) for clip in clips])
    esv = np.array([clip.volume(clip.es_frame) for clip in clips])
    return pd.DataFrame(
        {
            "edv": edv,
            "esv": esv,
            "ef": ejection_fraction(edv, esv),
            "fps": [clip.patient.fps for clip in clips],
            "frames": [clip.patient.num_frames for clip in clips],
            "beats": [len(clip.truth()["ed_frames"]) for clip in clips],
        }
    )


def test_ef_and_volumes_follow_the_data_set(population):
    ef, log_edv, log_esv = population["ef"], np.log(population["edv"]), np.log(population["esv"])
    assert ef.mean() == pytest.approx(55.75, abs=1.0)
    assert ef.std() == pytest.approx(12.37, abs=0.8)
    assert np.percentile(ef, [5, 50, 95]) == pytest.approx([27.9, 59.2, 69.1], abs=2.0)
    assert np.mean(ef <= 40) == pytest.approx(0.125, abs=0.02)
    assert (log_edv.mean(), log_edv.std()) == pytest.approx((4.413, 0.443), abs=0.05)
    assert (log_esv.mean(), log_esv.std()) == pytest.approx((3.564, 0.607), abs=0.05)
    assert np.corrcoef(ef, log_edv)[0, 1] == pytest.approx(-0.49, abs=0.05)
    assert np.corrcoef(ef, log_esv)[0, 1] == pytest.approx(-0.77, abs=0.05)


def test_frame_rates_lengths_and_beats_follow_the_data_set(population):
    assert (population["fps"] == 50).mean() == pytest.approx(0.79, abs=0.03)
    assert population["fps"].between(18, 138).all()
    assert population["frames"].median() == pytest.approx(171, rel=0.05)
    assert np.percentile(population["frames"], [1, 99]) == pytest.approx([74, 354], rel=0.08)
    assert population["beats"].between(1, 7).all()


def test_every_clip_shows_a_whole_systole_and_a_ventricle_that_readers_accept():
    """In version 1 an arrhythmic clip could hold no whole beat, and could not be made at all."""
    for purpose, index in ((Purpose.TRAIN, 6), (Purpose.TRAIN, 1224)):
        clip = PhantomClip(3, index, purpose=purpose)
        contour = chords_to_polygon(clip.tracing(clip.ed_frame)[1:])
        assert inside(contour, (112, 112)) >= LEAST_INSIDE
    for index in range(4000):
        patient = sample_patient(np.random.default_rng(index))
        beats = patient.num_frames / patient.fps * patient.heart_rate / 60
        assert beats > (2.5 if patient.arrhythmia else 1.4)


def test_a_true_volume_tells_as_little_about_ef_as_in_the_data_set(population):
    train, test = population[:1200], population[1200:]
    for volume, expected in (("edv", 0.29), ("esv", 0.63)):
        said = ef_from_volume(train[volume], train["ef"], test[volume])
        assert regression_metrics(said, test["ef"])["r2"] == pytest.approx(expected, abs=0.08)


def test_a_frame_does_not_depend_on_which_others_are_asked_for():
    first, second = PhantomClip(1, 7), PhantomClip(1, 7)
    np.testing.assert_array_equal(first.frames([30, 4])[1], second.frames([4])[0])
    assert not np.array_equal(first.frames([30])[0], first.frames([31])[0])


def test_ed_frames_of_one_heart_at_two_efs_are_the_same_picture():
    """No leak: at end-diastole nothing in the picture may know how the heart will contract."""
    clip, weaker = PhantomClip(1, 3, marks=False), PhantomClip(1, 3, marks=False)
    anatomy = weaker.anatomy
    object.__setattr__(anatomy, "shortening", 0.3 * anatomy.shortening)
    object.__setattr__(anatomy, "septal_narrowing", 0.3 * anatomy.septal_narrowing)
    object.__setattr__(anatomy, "lateral_narrowing", 0.3 * anatomy.lateral_narrowing)
    rng = np.random.default_rng
    ed = [c.renderer.frame(0.0, 0.0, rng(0)) for c in (clip, weaker)]
    es = [c.renderer.frame(1.0, 0.0, rng(0)) for c in (clip, weaker)]
    np.testing.assert_array_equal(ed[0], ed[1])
    assert np.abs(es[0].astype(int) - es[1]).mean() > 2


def test_the_ventricle_is_darker_inside_its_contour_than_around_it():
    darker = 0
    for index in range(12):
        clip = PhantomClip(2, index)
        frame = clip.frames([clip.ed_frame])[0].astype(float)
        contour = chords_to_polygon(clip.tracing(clip.ed_frame)[1:])
        centre = contour.mean(axis=0)
        inside = polygon_mask(centre + 0.85 * (contour - centre), 112, 112)
        ring = polygon_mask(centre + 1.25 * (contour - centre), 112, 112)
        ring &= ~polygon_mask(contour, 112, 112)
        darker += frame[inside].mean() < 0.7 * frame[ring].mean()
    assert darker >= 10


def test_the_folder_has_the_format_of_the_data_set(phantom_root):
    assert (phantom_root / "FileList.csv").read_text().splitlines()[0] == (
        "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
    )
    tracings = pd.read_csv(phantom_root / "VolumeTracings.csv")
    assert list(tracings.columns) == ["FileName", "X1", "Y1", "X2", "Y2", "Frame"]
    assert (tracings.groupby(["FileName", "Frame"], sort=False).size() == 21).all()
    files = pd.read_csv(phantom_root / "FileList.csv").set_index("FileName")
    for name, rows in tracings.groupby("FileName", sort=False):
        points = rows[["X1", "Y1", "X2", "Y2"]].to_numpy().reshape(2, 21, 4)
        areas = [polygon_area(chords_to_polygon(frame[1:])) for frame in points]
        assert areas[0] < areas[1], "EchoNet's loader expects the largest frame last"
        along = points[:, :, 2:] - points[:, :, :2]
        unit = along / np.linalg.norm(along, axis=2, keepdims=True)
        cosine = np.abs((unit[:, :1] * unit[:, 1:]).sum(axis=2))
        assert cosine.max() < 0.1, "the long axis first, chords across it (rocking tilts it a bit)"
        row = files.loc[name.removesuffix(".avi")]
        assert ejection_fraction(row["EDV"], row["ESV"]) == pytest.approx(row["EF"])
        path = phantom_root / "Videos" / name
        assert clip_info(path).num_frames == row["NumberOfFrames"]
    assert read_frames(path, [0]).shape == (1, 112, 112, 3)
    assert "PHANTOM" in json.loads((phantom_root / "phantom.json").read_text())["what"]


def test_the_truth_of_every_frame_lies_beside_the_clip(phantom_root):
    files = pd.read_csv(phantom_root / "FileList.csv").set_index("FileName")
    name, row = next(files.iterrows())
    truth = np.load(phantom_root / "Truth" / f"{name}.npz")
    count = row["NumberOfFrames"]
    assert truth["contour"].shape == (count, 40, 2)
    assert truth["area"].shape == truth["volume"].shape == truth["phase"].shape == (count,)
    assert truth["volume"][truth["ed_frame"]] == pytest.approx(row["EDV"], rel=1e-5)
    assert truth["volume"][truth["es_frame"]] == pytest.approx(row["ESV"], rel=1e-5)
    assert truth["phase"][truth["es_frame"]] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("container", ["avi", "mp4"])
def test_one_seed_gives_one_folder_at_any_number_of_workers(tmp_path, container):
    for workers in (1, 2):
        write_phantoms(
            tmp_path / str(workers), 4, seed=9, container=container, num_workers=workers,
            progress=False,
        )  # fmt: skip
    names = [p.relative_to(tmp_path / "1") for p in (tmp_path / "1").rglob("*") if p.is_file()]
    assert len(names) == 2 * 4 + 3
    _, different, missing = filecmp.cmpfiles(tmp_path / "1", tmp_path / "2", names, shallow=False)
    assert not different
    assert not missing


def test_the_standard_benchmark_has_its_splits():
    assert split_sizes(2900) == {"TRAIN": 2000, "VAL": 300, "TEST": 600}
    assert sum(split_sizes(7).values()) == 7


def test_a_folder_that_holds_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(ConfigurationError, match="choose another --root"):
        write_phantoms(tmp_path, 4, progress=False)
    (tmp_path / "stopped" / "Videos").mkdir(parents=True)
    (tmp_path / "stopped" / "phantom.json").write_text("{}")  # as an interrupted run leaves it
    write_phantoms(tmp_path / "stopped", 3, num_workers=1, progress=False)
    for breadth in (0.0, 4.0):
        with pytest.raises(ConfigurationError, match="breadth is"):
            write_phantoms(tmp_path / "wide", 3, breadth=breadth, progress=False)
    with pytest.raises(ConfigurationError, match="at least 3"):
        write_phantoms(tmp_path / "new", 2, progress=False)


def test_randomised_phantoms_know_their_truth_whatever_was_drawn():
    for index in range(12):
        clip = PhantomClip(6, index, breadth=1.0)
        truth = clip.truth()
        edv, esv = truth["volume"][clip.ed_frame], truth["volume"][clip.es_frame]
        assert 5 < 100 * (edv - esv) / edv < 90
        assert edv >= truth["volume"][truth["ed_frames"]].max() * 0.7
        beat = slice(clip.ed_frame, clip.es_frame + 1)
        assert np.argmin(truth["area"][beat]) >= len(truth["area"][beat]) - 3
        contour = truth["contour"][clip.ed_frame]
        assert np.mean((contour >= 0) & (contour < 112)) > 0.95, "mostly in the picture"


def test_randomised_phantoms_differ_in_all_that_a_picture_shows():
    clips = [PhantomClip(6, index, breadth=1.0) for index in range(25)]
    frames = np.stack([clip.frames([clip.ed_frame])[0] for clip in clips]).astype(float)
    brightness = [frame[frame > 5].mean() for frame in frames]
    assert np.ptp(brightness) > 60
    areas = [clip.truth()["area"][clip.ed_frame] for clip in clips[:12]]
    assert max(areas) > 2 * min(areas)
    assert len({clip.patient.fps for clip in clips}) > 3
    assert any(clip.motion.septal is not None for clip in clips)


def test_an_oblique_plane_cuts_an_ellipsoid_as_geometry_says():
    u = np.linspace(0, 1, 41)
    half = 25 * np.sqrt(1 - (1 - u) ** 2)
    narrowing = np.full(41, 0.3)
    heart = replace(
        PhantomClip(0, 0).anatomy, length=80.0, septal=half, lateral=half, shortening=0.2,
        septal_narrowing=narrowing, lateral_narrowing=narrowing,
    )  # fmt: skip
    for degrees in (0, 5, 12, 20):
        angle = np.deg2rad(degrees)
        seen = foreshorten(heart, angle)
        axes = [(80, 25), (80 * 0.8, 25 * 0.7)]  # at end-diastole and at end-systole
        lengths = [((np.cos(angle) / a) ** 2 + (np.sin(angle) / b) ** 2) ** -0.5 for a, b in axes]
        assert seen.length == pytest.approx(lengths[0], rel=0.01)
        assert seen.length * (1 - seen.shortening) == pytest.approx(lengths[1], rel=0.01)
        for contraction, (_, b) in zip((0.0, 1.0), axes, strict=True):
            widths = seen.half_widths(u[4:], contraction)
            expected = b * np.sqrt(1 - (1 - u[4:]) ** 2)
            assert np.allclose(widths, [expected, expected], rtol=0.03)


def test_a_foreshortened_heart_is_shorter_and_rounder_and_seems_smaller():
    for index in range(6):
        heart = PhantomClip(1, index).anatomy
        seen = [foreshorten(heart, np.deg2rad(degrees)) for degrees in (0, 6, 12, 18)]
        lengths = np.array([one.length for one in seen])
        roundness = [(one.septal + one.lateral).max() / one.length for one in seen]
        volumes = [method_of_disks(one.tracing(0.0)) for one in seen]
        assert lengths[0] == pytest.approx(heart.length, rel=1e-3)
        assert np.all(np.diff(lengths) < 0)
        assert roundness[0] < roundness[2] < roundness[3], "a little of the belly is lost too"
        assert np.all(np.diff(volumes) < 0)


def test_some_randomised_hearts_are_foreshortened_and_some_are_cut_off(monkeypatch):
    angles, shares = [], []
    cut, share_inside = randomised.foreshorten, randomised._share_inside
    monkeypatch.setattr(
        randomised, "foreshorten", lambda heart, angle: cut(heart, angles.append(angle) or angle)
    )
    count = 150
    for index in range(count):
        drawn = randomised.sample_randomised(np.random.default_rng([6, index]))
        shares.append(share_inside(drawn.anatomy, drawn.scanner))
    assert 0.2 * count < len(angles) < count
    assert np.rad2deg(min(angles)) >= 3
    assert np.rad2deg(max(angles)) <= 17
    assert min(shares) >= 0.8
    assert 0.02 < np.mean(np.array(shares) < 0.93) < 0.25


def test_a_randomised_phantom_is_the_same_frame_by_frame():
    """Persistence mixes frames, so that one might depend on which others were asked for."""
    clips = (PhantomClip(6, index, breadth=1.0) for index in range(30))
    clip = next(clip for clip in clips if clip.scanner.persistence > 0.2)
    again = PhantomClip(6, int(clip.name[-6:]), breadth=1.0)
    assert np.array_equal(clip.frames(range(8))[[3, 7]], again.frames([3, 7]))


def test_half_of_the_randomised_phantoms_went_through_a_lossy_archive():
    clips = [PhantomClip(6, index, breadth=1.0) for index in range(60)]
    qualities = [clip.scanner.jpeg_quality for clip in clips]
    assert 18 < sum(quality > 0 for quality in qualities) < 42
    assert {quality for quality in qualities if quality} <= set(range(45, 96))
    assert PhantomClip(6, 0).scanner.jpeg_quality == 0, "the standard benchmark has no such noise"
    clip, lost = clips[0], []
    for quality in (0, 90, 45):
        clip.scanner = replace(clip.scanner, jpeg_quality=quality)
        frame = clip.frames([3])[0].astype(float)
        lost.append(frame)
    noise = [np.abs(frame - lost[0]).mean() for frame in lost[1:]]
    assert 0.2 < noise[0] < noise[1] < 12


def test_a_folder_of_randomised_phantoms_is_mostly_there_to_learn_from(tmp_path):
    root = write_phantoms(tmp_path / "wide", num_videos=6, seed=6, breadth=1.0, progress=False)
    table = read_labels(root).table
    assert table["split"].value_counts().to_dict() == {"TRAIN": 4, "VAL": 1, "TEST": 1}
