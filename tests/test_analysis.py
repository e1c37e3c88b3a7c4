"""New clips: from a file to beats, contours and EF, or to the reason why not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from shutil import copyfile
from typing import Any

import av
import numpy as np
import pandas as pd
import pydicom
import pytest
from dicoms import PATIENT, region, write_dicom, ybr
from helpers import CONFIGS, is_drawn, newest, on_screen, words
from pydicom.data import get_testdata_file

import lvef
from lvef.analysis import ClipAnalyser
from lvef.analysis.overlay import write_overlay
from lvef.cardiac import edge_contrast
from lvef.cli.commands import main
from lvef.data import decode
from lvef.data.formats import ClipFile, clip_info, read_frames, write_video
from lvef.data.prepare import prepare_file, prepare_frames
from lvef.errors import VideoError, WeightsError
from lvef.evaluation.overlap import dice
from lvef.models import inference
from lvef.models.segmentation.weights import SHIPPED, read_weights, weights_file
from lvef.phantom import PhantomClip
from lvef.phantom.pool import PhantomKind
from lvef.predict.combine import combine_beats
from lvef.predict.record import file_name
from lvef.predict.rows import geometric_table
from lvef.predict.stream.store import stored_clips
from lvef.pretraining.phantom_cases import (
    analyse_phantoms,
    compare,
    kind_of,
    true_beats,
)
from lvef.pretraining.phantom_figures import summary

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def clip() -> PhantomClip:
    return PhantomClip(21, 0)


@pytest.fixture(scope="module")
def analysis(clip: PhantomClip) -> lvef.ClipAnalysis:
    return lvef.analyse_clip(clip.frames(), fps=clip.patient.fps)


def test_an_ef_does_not_depend_on_what_the_cpu_multiplies_unless_it_may(clip, monkeypatch):
    frames, fps = clip.frames(range(70)), clip.patient.fps
    efs = {}
    for bfloat16, fast in ((False, True), (True, False), (True, True)):
        monkeypatch.setattr(inference, "cpu_multiplies_bfloat16", lambda has=bfloat16: has)
        efs[bfloat16, fast] = ClipAnalyser("shipped", "cpu", fast)(frames, fps).ef
    assert efs[True, False] == efs[False, True]
    assert efs[True, True] != efs[False, True]
    assert efs[True, True] == pytest.approx(efs[False, True], abs=1.0)


def test_beats_contours_and_ef_of_a_phantom_are_found(clip, analysis):
    case = compare(clip, analysis)
    assert analysis.reason == ""
    assert case.dice > 0.85
    assert len(case.es_errors) == case.true_beats
    assert np.median(np.abs([*case.ed_errors, *case.es_errors])) <= 2
    assert case.found_ef == pytest.approx(case.ef, abs=15)
    assert analysis.lv_masks.shape == (clip.patient.num_frames, 112, 112)
    assert 0 < analysis.quality <= 1
    assert analysis.volume_unit == "cubic pixels"
    assert np.isfinite(analysis.volume).mean() > 0.9


def test_a_large_clip_is_cropped_and_its_masks_lie_where_the_ventricle_is(clip, analysis):
    frames = clip.frames()
    found = lvef.analyse_clip(on_screen(frames), fps=clip.patient.fps)
    assert found.lv_masks.shape == (len(frames), 300, 400)
    assert found.clip.frames.shape == (len(frames), 112, 112)
    assert found.clip.square.side < 260
    small = found.lv_masks[:, 40:264:2, 120:344:2]
    assert dice(small, analysis.lv_masks).mean() > 0.85
    assert np.nanmedian(found.area) == pytest.approx(4 * np.nanmedian(analysis.area), rel=0.2)


def test_a_file_and_its_frames_give_the_same(clip, tmp_path):
    path = tmp_path / "clip.avi"
    write_video(path, clip.frames(), clip.patient.fps)
    frames = read_frames(path, range(clip_info(path).num_frames))
    one, other = lvef.analyse_clip(path), lvef.analyse_clip(frames, fps=clip.patient.fps)
    assert one.fps == pytest.approx(clip.patient.fps)
    assert np.array_equal(one.lv_masks, other.lv_masks)
    assert one.ef == other.ef


@pytest.mark.parametrize("name", ["noise", "black", "bars", "moving bars", "short", "tissue"])
def test_a_clip_without_a_heart_is_refused_with_a_reason(name):
    rng = np.random.default_rng(0)
    bars = np.repeat(np.linspace(0, 255, 8), 14)[None, None].repeat(100, 0).repeat(112, 1)
    frames = {
        "noise": rng.integers(0, 255, (100, 112, 112)),
        "black": np.zeros((100, 112, 112)),
        "bars": bars,
        "moving bars": np.stack([np.roll(bar, 3 * i, axis=1) for i, bar in enumerate(bars)]),
        "short": PhantomClip(21, 0).frames(range(5)),
        "tissue": np.repeat(PhantomClip(21, 0).frames([0]), 100, axis=0),
    }[name]
    found = lvef.analyse_clip(frames.astype(np.uint8), fps=50)
    assert found.reason
    assert np.isnan(found.ef)
    assert found.beats == ()
    if name == "short":
        assert "no whole beat: 5 frames" in found.reason


def test_two_thousand_frames_at_138_a_second_are_analysed():
    clip = PhantomClip(21, 0)
    frames = clip.frames()
    step = clip.patient.fps / 138
    long = frames[(np.arange(2000) * step).astype(int) % len(frames)]
    found = lvef.analyse_clip(long, fps=138)
    assert found.lv_masks.shape == (2000, 112, 112)
    assert len(found.beats) >= 8


def test_what_is_no_clip_is_told():
    with pytest.raises(TypeError, match="fps"):
        lvef.analyse_clip(np.zeros((9, 112, 112), np.uint8))
    with pytest.raises(VideoError, match="float64"):
        lvef.analyse_clip(np.zeros((9, 112, 112)), fps=50)
    with pytest.raises(VideoError, match="4 channels"):
        lvef.analyse_clip(np.zeros((9, 112, 112, 4), np.uint8), fps=50)
    with pytest.raises(VideoError, match="no such file"):
        lvef.analyse_clip("none.avi")


def test_a_prepared_clip_stays_as_it_is_and_another_becomes_square(tmp_path):
    frames = PhantomClip(21, 1).frames(range(30))
    assert np.array_equal(prepare_frames(frames, 50).frames, frames)
    write_video(tmp_path / "large.mp4", on_screen(frames), 50)
    prepared = prepare_file(tmp_path / "large.mp4")
    assert prepared.frames.shape == (30, 112, 112)
    assert prepared.first.shape == (300, 400, 3)
    assert prepared.pixels == pytest.approx(2, abs=0.3)
    assert prepared.frames[:, :8, :40].max() < 40, "the text is gone"


@pytest.mark.slow
def test_the_shipped_weights_do_on_phantoms_what_their_card_says():
    metadata = read_weights("shipped")[1]
    wide = json.loads(metadata["figures"])["wider"]
    inset = int(metadata["inset"])
    found = summary(analyse_phantoms("shipped", PhantomKind(3101, 1.25), range(60), inset=inset))
    assert found["mean_dice"] == pytest.approx(wide["mean_dice"], abs=0.02)
    assert found["beats_found"] > wide["beats_found"] - 0.06
    assert found["ef_mae"] < wide["ef_mae"] + 1.5
    assert found["median_ed_error"] <= 1
    assert found["median_es_error"] <= 1


def test_the_figure_and_the_overlay_show_what_was_found(analysis, tmp_path):
    figure = analysis.plot()
    figure.savefig(tmp_path / "analysis.png")
    assert is_drawn(tmp_path / "analysis.png")
    assert "not for diagnosis" in figure.get_suptitle()
    assert analysis._repr_png_()[:4] == b"\x89PNG", "a notebook shows it"
    path = write_overlay(analysis, tmp_path / "folder" / "overlay.mp4")
    assert clip_info(path).num_frames == len(analysis.lv_masks)
    shown = read_frames(path, [analysis.beats[0].es_frame])[0].astype(int)
    assert (shown[..., 0] - shown[..., 2]).max() > 80, "the contour is orange"
    refused = lvef.analyse_clip(np.zeros((60, 112, 112), np.uint8), fps=50)
    assert "Refused" in refused.plot().get_suptitle()
    path = write_overlay(refused, tmp_path / "refused.mp4")
    assert path.name == "refused.text-not-removed.mp4"


def test_the_edge_is_bright_wall_against_dark_blood():
    mask = np.zeros((112, 112), bool)
    mask[30:80, 40:70] = True
    frame = np.where(mask, 40, 140).astype(np.uint8)
    clear = edge_contrast(frame, mask)
    assert clear == pytest.approx(100 / 255, abs=0.06)
    hazy = edge_contrast((frame * 0.5 + 60).astype(np.uint8), mask)
    assert hazy == pytest.approx(clear / 2, abs=0.01)
    assert edge_contrast(255 - frame, mask) == pytest.approx(-clear, abs=0.01)
    assert edge_contrast(frame, np.zeros_like(mask)) == 0.0


def test_the_shipped_weights_are_small_and_say_what_taught_them():
    path = weights_file(SHIPPED)
    assert path.stat().st_size < 10_000_000
    about = read_weights("shipped")[1]
    assert about["trained_on"] == "phantoms"
    card = (path.parent / "MODEL_CARD.md").read_text()
    assert "not for diagnosis" in card
    assert "PHANTOM" in card


def test_the_shipped_weights_are_found_beside_a_clone_of_the_same_name(tmp_path):
    (tmp_path / "lvef").mkdir()
    code = (
        "from lvef.models.segmentation.weights import weights_file as file; print(file('shipped'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(run.stdout.strip()) == weights_file(SHIPPED)


def predicted(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    path = newest(folder, "predictions.csv")
    return pd.read_csv(path).set_index("video"), pd.read_csv(path.with_name("beats.csv"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for index in (0, 2):
        clip = PhantomClip(21, index)
        write_video(folder / f"p{index}.avi", clip.frames(), clip.patient.fps)
    write_video(folder / "large.mp4", on_screen(PhantomClip(21, 0).frames()), 50)
    write_video(folder / "black.avi", np.zeros((60, 112, 112), np.uint8), 50)
    (folder / "corrupt.mp4").write_bytes((folder / "large.mp4").read_bytes()[:3000])
    return folder


def test_geometry_alone_predicts_with_the_shipped_weights(clips, tmp_path):
    more = ["--data.videos", str(clips), "--data.save_overlays", "true"]
    command = ["predict", "--config", str(CONFIGS / "lv_seg.yaml"), *more]
    assert main([*command, "--trainer.default_root_dir", str(tmp_path)]) == 0
    rows, beats = predicted(tmp_path)
    assert rows["status"].to_dict() == {
        "black": "failed", "corrupt": "failed", "large": "ok", "p0": "ok", "p2": "ok",
    }  # fmt: skip
    assert "left ventricle" in rows.loc["black", "reason"]
    assert (rows["trained_on"] == "phantoms").all()
    assert rows.loc["p0", "num_beats"] == (beats["video"] == "p0").sum()
    assert rows.loc["p0", "ef"] == pytest.approx(rows.loc["large", "ef"], abs=10)
    assert rows.loc["p0", "ef_lower"] < rows.loc["p0", "ef"] < rows.loc["p0", "ef_upper"]
    median = beats.query("video == 'p0'")["ef_geometric"].median()
    assert rows.loc["p0", "ef"] == pytest.approx(median)
    overlays = newest(tmp_path, "predictions.csv").parent / "overlays"
    assert {path.name for path in overlays.iterdir()} == {
        "p0.mp4", "p2.mp4", "large.mp4", "black.text-not-removed.mp4",
    }  # fmt: skip
    with av.open(str(overlays / "p0.mp4")) as container:
        assert container.streams.video[0].average_rate == 50


def test_a_dicom_loop_is_predicted_with_its_frame_time_and_scale_and_tells_no_one(
    clip, tmp_path, capfd, caplog
):
    screen = on_screen(clip.frames())
    tissue = region((118, 38, 345, 265), step=0.05)
    box = {"SequenceOfUltrasoundRegions": [tissue], "FrameTime": str(1000 / clip.patient.fps)}
    write_dicom(
        tmp_path / "loop.dcm", ybr(screen[..., None].repeat(3, -1)), model="YBR_FULL", **box
    )
    write_dicom(tmp_path / "still.dcm", screen[:1], model="MONOCHROME2", **box)
    copyfile(get_testdata_file("CT_small.dcm"), tmp_path / "ct.dcm")
    command = ["predict", "--config", str(CONFIGS / "lv_seg.yaml"), "--data.videos", str(tmp_path)]
    logs = tmp_path / "logs"
    more = ["--data.save_overlays", "true", "--trainer.default_root_dir", str(logs)]
    assert main([*command, *more]) == 0
    rows, _ = predicted(logs)
    assert rows["status"].to_dict() == {"ct": "failed", "loop": "ok", "still": "failed"}
    assert "not an ultrasound loop" in rows.loc["ct", "reason"]
    assert "still picture" in rows.loc["still", "reason"]
    found = lvef.analyse_clip(tmp_path / "loop.dcm")
    assert found.fps == pytest.approx(clip.patient.fps)
    assert found.volume_unit == "mL"
    assert rows.loc["loop", "ef"] == pytest.approx(found.ef, abs=1e-3)
    captured = capfd.readouterr()
    told = captured.out + captured.err + caplog.text
    told += "".join(
        path.read_bytes().decode("latin1") for path in logs.rglob("*") if path.is_file()
    )
    for clip in stored_clips(next(logs.rglob("01-of-01"))):
        if clip.record:  # compressed: what it holds would not show above
            with np.load(BytesIO(clip.record)) as held:
                told += str([(name, held[name].tolist()) for name in held.files])
    assert not [value for value in PATIENT.values() if value in told]


def test_a_model_of_ef_predicts_the_beats_that_were_found(
    clips, phantom_root, tmp_path, monkeypatch
):
    assert main(words("fit", "edf_esf_mlp", phantom_root, tmp_path)) == 0
    more = ["--data.videos", str(clips)]
    assert main(words("predict", "edf_esf_mlp", phantom_root, tmp_path, *more)) == 0
    rows, beats = predicted(tmp_path)
    assert rows.loc[["p0", "p2", "large"], "status"].tolist() == ["ok"] * 3
    assert beats["ef"].notna().all()
    of_clip = beats.query("video == 'p0'")
    assert rows.loc["p0", "ef"] == pytest.approx(of_clip["ef"].median(), abs=1e-3)
    assert rows.loc["p0", "ef_std"] >= of_clip["ef_std"].median() - 1e-3
    assert rows.loc["p0", "ef_geometric"] == pytest.approx(of_clip["ef_geometric"].median())
    about = json.loads(newest(tmp_path, "predictions.json").read_text())
    assert (about["segmenter"], about["segmenter_trained_on"]) == ("shipped", "phantoms")

    predictor = lvef.load(newest(tmp_path / "edf_esf_mlp", "best.ckpt"))
    table = predictor.predict([clips / "p0.avi", clips / "black.avi"]).set_index("video")
    assert table.loc["p0", "ef"] == pytest.approx(rows.loc["p0", "ef"], abs=0.05)
    assert table.loc["black", "status"] == "failed"
    assert table.loc["p0", "trained_on"] == "phantoms"
    assert predictor.beats["ef"].notna().all()
    both = pd.concat([predictor.predict(clips / name) for name in ("p0.avi", "p2.avi")])
    assert len(both) == 2

    # And as the README says it.
    copyfile(newest(tmp_path / "edf_esf_mlp", "best.ckpt"), tmp_path / "best.ckpt")
    copyfile(clips / "p0.avi", tmp_path / "clip.avi")
    (tmp_path / "clips").mkdir()
    copyfile(clips / "p2.avi", tmp_path / "clips" / "p2.avi")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    said: dict[str, Any] = {}
    exec(example, said)
    assert said["analysis"].ef == pytest.approx(rows.loc["p0", "ef_geometric"], abs=15)
    assert said["table"]["status"].tolist() == ["ok"]


def test_beats_are_combined_by_their_median_and_their_spread_adds_to_the_error():
    beats = pd.DataFrame({
        "ef": [50.0, 60.0, 52.0], "ef_std": 5.0, "ef_lower": [42.0, 52.0, 44.0],
        "ef_upper": [58.0, 68.0, 60.0], "p_reduced": 0.02, "reduced": 0.0, "review": 0.0,
        "ed_frame": [1, 40, 80], "es_frame": [20, 60, 99], "ef_geometric": [45.0, 55.0, 50.0],
    })  # fmt: skip
    row = combine_beats(beats)
    assert row["ef"] == 52
    assert row["ed_frame"] == 80, "the beat whose EF is the median"
    spread = np.std([50, 60, 52])
    assert row["ef_std"] == pytest.approx(np.hypot(5, spread))
    assert row["ef_upper"] - row["ef_lower"] == pytest.approx(16 * np.hypot(5, spread) / 5)
    assert row["ef_geometric"] == 50
    assert row["num_beats"] == 3
    apart = np.array([40.0, 70.0, 45.0])
    wide = combine_beats(beats.assign(ef=apart, ef_lower=apart - 4, ef_upper=apart + 4))
    assert wide["review"] == 1, "its interval straddles 40"
    calls = beats[["p_reduced", "reduced", "review"]].assign(p_reduced=[0.9, 0.8, 0.1])
    assert combine_beats(calls.assign(reduced=[1.0, 1.0, 0.0]))["reduced"] == 1
    tie = combine_beats(calls[:2].assign(reduced=[1.0, 0.0]))
    assert (tie["reduced"], tie["review"]) == (1, 1), "beats that disagree want someone to look"


def test_the_spread_between_beats_counts_once_in_a_geometric_ef():
    table = pd.DataFrame({
        "video": "a", "path": "a.avi", "reason": "", "beat": [0, 1], "ef_true": np.nan,
        "ef_geometric": [44.0, 56.0], "ef_geometric_std": 5.5, "ef_geometric_reach": 2.0,
        "quality": 0.9, "beat_quality": 0.8, "ed_frame": [1, 40], "es_frame": [20, 60],
    })  # fmt: skip
    videos, beats = geometric_table(table)
    assert videos.loc[0, "ef_std"] == pytest.approx(np.hypot(5.5, 6.0))
    assert beats["ef_std"].tolist() == pytest.approx([5.5, 5.5])
    assert beats["ef_upper"].tolist() == pytest.approx([55.0, 67.0]), "as far as its reach says"


def test_a_clip_that_is_too_long_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "LONGEST", 12)
    frames = np.zeros((13, 16, 16), np.uint8)
    write_video(tmp_path / "long.avi", frames, 50)
    monkeypatch.setattr(ClipFile, "stream", None)
    for source, fps in ((tmp_path / "long.avi", None), (frames, 50)):
        with pytest.raises(VideoError, match="13 frames, but at most 12"):
            lvef.analyse_clip(source, fps)


def test_masks_of_a_dicom_have_the_size_of_its_pictures():
    path = get_testdata_file("examples_ybr_color.dcm", download=False)
    analysis = lvef.analyse_clip(path)
    assert analysis.lv_masks.shape == pydicom.dcmread(path).pixel_array.shape[:3]
    height, width, left, top = analysis.clip.stored
    assert (height, width) == (240, 320)
    assert not analysis.lv_masks[:, :top].any()
    assert not analysis.lv_masks[:, :, :left].any()


def test_a_frame_rate_that_is_given_is_used_and_judged(clip, tmp_path):
    write_video(tmp_path / "slow.avi", clip.frames(range(40)), fps=1.0)
    with pytest.raises(VideoError, match="1 frames a second"):
        prepare_file(tmp_path / "slow.avi")
    prepared = prepare_file(tmp_path / "slow.avi", fps=50)
    assert prepared.fps == 50
    analyser = ClipAnalyser()
    assert analyser(prepared, fps=25).fps == 25
    with pytest.raises(VideoError, match="1000 frames a second"):
        analyser(prepared, fps=1000)
    for fps in (float("nan"), 3.0, 0.0):
        with pytest.raises(VideoError, match="frames a second"):
            lvef.analyse_clip(clip.frames(range(3)), fps=fps)


def test_a_refused_clip_has_no_beats(monkeypatch, clip, analysis):
    monkeypatch.setattr("lvef.analysis.quality._LEAST_QUALITY", 1.1)
    refused = lvef.analyse_clip(clip.frames(), fps=clip.patient.fps)
    assert refused.reason != ""
    assert refused.beats == ()
    assert len(analysis.beats) > 0
    assert compare(clip, refused).es_errors == ()


def test_a_few_frames_at_a_high_rate_are_too_few_and_nothing_worse(clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in (2, 4, 6):
            analysis = lvef.analyse_clip(clip.frames(range(count)), fps=138)
            assert "no whole beat" in analysis.reason


def test_masks_of_a_region_of_112_pixels_have_the_size_of_the_pictures(clip, tmp_path):
    screen = np.zeros((40, 240, 320, 3), np.uint8)
    screen[:, 60:172, 100:212] = clip.frames(range(40))[..., None]
    box = [region((100, 60, 211, 171))]
    path = write_dicom(tmp_path / "a.dcm", screen, FrameTime="20", SequenceOfUltrasoundRegions=box)
    masks = lvef.analyse_clip(path).lv_masks
    assert masks.shape == (40, 240, 320)
    assert masks.any()
    assert not masks[:, :60].any()


def test_a_picture_as_it_came_shows_what_was_cut(clip):
    figure = lvef.analyse_clip(on_screen(clip.frames(range(60))), fps=50).plot(before=True)
    assert len(figure.axes) == 4
    assert figure.axes[0].get_images()[0].get_array().shape == (300, 400, 3)
    assert len(figure.axes[0].patches) == 1


def test_weights_that_change_are_read_again(clip, tmp_path):
    weights = tmp_path / "lv_seg.safetensors"
    copyfile(weights_file(SHIPPED), weights)
    frames = clip.frames(range(40))
    assert lvef.analyse_clip(frames, fps=50, weights=weights).masks.any()
    weights.write_text("not weights")
    with pytest.raises(WeightsError, match="not readable segmenter weights"):
        lvef.analyse_clip(frames, fps=50, weights=weights)
    for content in (b"", b"<html>", b"PK junk"):
        (tmp_path / "run.ckpt").write_bytes(content)
        with pytest.raises(WeightsError, match="not readable segmenter weights"):
            read_weights(tmp_path / "run.ckpt")


def test_overlays_and_records_of_different_videos_have_different_names():
    names = {file_name(name) for name in ("a_b", "a/b", "a b", "a%2Fb")}
    assert len(names) == 4
    assert not any("/" in name for name in names)
    long = [file_name(letter * 60) for letter in "心臓"]
    assert long[0] != long[1]
    assert max(map(len, long)) <= 200


def test_geometry_takes_no_key_frames(tmp_path, capsys):
    (tmp_path / "keys.csv").write_text("video,ed,es\na,1,2\n")
    more = ["--data.videos", str(tmp_path), "--data.keyframes", str(tmp_path / "keys.csv")]
    assert main(["predict", "--config", str(CONFIGS / "lv_seg.yaml"), *more]) == 1
    assert "finds the beats itself" in capsys.readouterr().err


def test_true_beats_are_those_whose_systole_lies_in_the_clip():
    ed, es = np.array([0, 30, 60]), np.array([18, 48])
    assert true_beats(ed, es) == [(0, 18), (30, 48)]
    assert true_beats(ed[1:], np.array([8, 48, 78])) == [(30, 48), (60, 78)]


def test_beats_are_counted_by_where_they_lie_and_how_strong_they_are(clip, analysis):
    assert [kind_of(ed, es, 1.0, 100, 50.0) for ed, es in ((0, 17), (5, 94), (80, 97))] == [
        "start", "inner", "end",
    ]  # fmt: skip
    assert [kind_of(40, 57, stroke, 100, 50.0) for stroke in (0.5, 0.9)] == ["weak", "inner"]
    case = compare(clip, analysis)
    assert (len(case.kinds), case.missed) == (case.true_beats, ())
    without = compare(clip, replace(analysis, beats=analysis.beats[1:]))
    assert without.missed == case.kinds[:1]
    found = summary([replace(case, kinds=("end", "end", "inner"), missed=("end",))])
    assert (found["beats_found_end"], found["beats_found_inner"]) == (0.5, 1.0)
    assert "beats_found_weak" not in found


def test_a_beat_whose_filling_is_cut_off_has_its_ef(clip, analysis):
    """The clip ends with the end-systole of its last beat."""
    truth = clip.truth()
    ed, es = true_beats(truth["ed_frames"], truth["es_frames"])[-1]
    cut = lvef.analyse_clip(clip.frames(range(es + 1)), fps=clip.patient.fps)
    whole, last = (found.beats[-1] for found in (analysis, cut))
    assert (last.ed_frame, last.es_frame) == (pytest.approx(ed, abs=3), pytest.approx(es, abs=3))
    assert last.ef == pytest.approx(whole.ef, abs=8)
    assert last.quality > 0.7 * whole.quality


def test_help_of_the_package_does_not_wait_for_torch():
    code = "import sys, lvef; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_analysis_does_not_wait_for_gpytorch_nor_for_captum():
    code = (
        "import sys, lvef.analysis.analyse\n"
        "sys.exit(', '.join({'gpytorch', 'captum'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == ""


def test_an_unknown_weights_file_is_told():
    with pytest.raises(WeightsError, match="not found"):
        ClipAnalyser("none.safetensors")


def test_the_contrast_of_a_beat_is_seen_in_the_clip(clip, analysis):
    """Half as much contrast in the picture is half as much in its beats."""
    hazy = (clip.frames() * 0.5 + 50).astype(np.uint8)
    found = lvef.analyse_clip(hazy, fps=clip.patient.fps)
    clear = np.median([beat.contrast for beat in analysis.beats])
    assert clear > 0.1
    assert 0.3 < np.median([beat.contrast for beat in found.beats]) / clear < 0.7
