"""Lists that name a second clip a row: to train on, to find key frames in, and of new studies."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import PATIENT, SMALL, best, newest, told

import lvef
from lvef.cli.commands import main
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.formats import read_frames, write_video
from lvef.data.layouts import read_labels
from lvef.data.layouts.clip_list.prepared import Prepared
from lvef.data.layouts.clip_list.table import read_list
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError, DatasetError
from lvef.phantom import PhantomClip
from lvef.predict.list_keyframes import complete, keyframes
from lvef.predict.stream.inputs import clip_inputs
from lvef.predict.stream.work import ClipWork, WorkOptions

BOTH = ["EDF", "ESF", "EDF_A2C", "ESF_A2C"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three four-chamber clips and three others, of which one holds no heart."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(3):
        for view, seed in (("a4c", 21), ("a2c", 22)):
            clip = PhantomClip(seed, number)
            frames = clip.frames(range(60))
            if (view, number) == ("a2c", 2):
                frames = np.full_like(frames, 7)
            write_video(folder / f"{view}_{number}.avi", frames, 50)
    return folder


def write(path, text):
    path.write_text(text)
    return path


def read_both(text, folder, made=""):
    """Return the folder of a list whose first clips have labelled frames."""
    labels = write(folder / "l.csv", text)
    rows = read_list(labels)[0]
    head = "path,ed,es,quality,fps,num_frames,frame_height,frame_width,split,reason"
    second = ",path_a2c,ed_a2c,es_a2c,quality_a2c,fps_a2c,num_frames_a2c,reason_a2c"
    lines = [f"{path},2,9,0.9,50,60,,,TRAIN," for path in rows["given"]]
    if made:
        lines = [f"{line},{more}" for line, more in zip(lines, made.split("|"), strict=True)]
    Prepared(labels).folder.mkdir(exist_ok=True)
    write(Prepared(labels).keyframes, "\n".join([head + second * bool(made), *lines]) + "\n")
    return read_labels(labels, 0.0)


@pytest.mark.parametrize("name", ["path_a2c", "A2C Path", "2CH", "Two-Chamber"])
def test_a_second_path_is_read_by_its_usual_names(tmp_path, name):
    rows = f"path,EF,{name},ED_A2C\na.avi,50,b.avi,3\nc.avi,51,,\n"
    table, _ = read_list(write(tmp_path / "l.csv", rows))
    assert table["path_a2c"].tolist() == [str(tmp_path / "b.avi"), ""]
    assert table["ed_a2c"][0] == 3
    assert table["es_a2c"].isna().all()
    mapped, _ = read_list(write(tmp_path / "m.csv", "path,EF,zwei\na,50,b\n"), {"path_a2c": "zwei"})
    assert mapped["given_a2c"].tolist() == ["b"]


def test_second_clips_of_a_list_are_used_or_told(tmp_path, clips):
    for clip in clips.iterdir():
        shutil.copy(clip, tmp_path)
    text = (
        "path,EF,path_a2c,ED_A2C,ES_A2C\na4c_0.avi,50,a2c_0.avi,,\na4c_1.avi,40,a2c_1.avi,5,12\n"
        "a4c_2.avi,30,a2c_2.avi,,\n"
    )
    made = ("a2c_0.avi,3,11,0.8,50,60,|a2c_1.avi,,,,50,60,|"
            "a2c_2.avi,,,,50,60,no beating left ventricle")  # fmt: skip
    folder = read_both(text, tmp_path, made)
    known = folder.table[["ed_frame_a2c", "es_frame_a2c", "mid_frame_a2c", "reason_a2c"]]
    assert known.values.tolist() == [
        [3, 11, 7, ""], [5, 12, 8, ""], [-1, -1, -1, "no beating left ventricle"],
    ]  # fmt: skip
    assert len(folder.for_frames(["ESF"]).table) == 3, "a failed A2C excludes no four-chamber clip"
    asked = folder.for_frames(BOTH)
    assert asked.table["video"].tolist() == ["a4c_0", "a4c_1"]
    assert asked.lacking["reason"].tolist() == ["A2C: no beating left ventricle"]
    assert folder_fingerprint(tmp_path / "l.csv")["videos"] == 6
    # Of before there were second clips, and of a clip that the list names now in place of another.
    for made_before in ("", made.replace("a2c_0", "other").replace("a2c_1", "other")):
        table = read_both(text, tmp_path, made_before).table
        assert table["reason_a2c"][0] == "key frames not known yet: run python -m lvef keyframes"
        assert table["ed_frame"].tolist() == [2] * 3
    # Two clips of a patient may share theirs, those of two may not.
    text = "path,EF,Patient,path_a2c,ED_A2C,ES_A2C\n" + "".join(
        f"a4c_{n}.avi,50,{patient},a2c_0.avi,3,11\n" for n, patient in enumerate("PPQ")
    )
    made = "|".join(["a2c_0.avi,,,,50,60,"] * 3)
    assert set(read_both(text, tmp_path, made).table["reason_a2c"]) == {
        "same content as that of another case"
    }
    table = read_both(text.replace("Q", "P"), tmp_path, made).table
    assert set(table["reason_a2c"]) == {""}


def test_key_frames_are_found_in_the_second_clips_too(tmp_path, clips, capsys):
    labels = write(
        tmp_path / "l.csv",
        "path,EF,Split,path_a2c,ED,ES,ED_A2C,ES_A2C\n"
        f"{clips}/a4c_0.avi,50,TRAIN,{clips}/a2c_0.avi,3,9,,\n"
        f"{clips}/a4c_1.avi,50,VAL,{clips}/a2c_2.avi,3,9,,\n"
        f"{clips}/a4c_2.avi,50,TEST,gone.avi,3,9,,\n",
    )
    keyframes(labels, workers=0)
    made = Prepared(labels).read()
    assert made["reason"].tolist() == ["", "", ""]
    assert made["ed_a2c"].notna().tolist() == [True, False, False]
    assert made["quality_a2c"][0] > 0.5
    assert made["reason_a2c"][2] == "video file missing or empty"
    printed = capsys.readouterr().out
    assert "key frames of 3 of 3 clips\n" in printed
    assert "two-chamber views of 1 of 3, 2 cannot be used:" in printed
    folder = read_labels(labels)
    assert len(folder.table) == 3
    assert (folder.table["reason_a2c"] == "").tolist() == [True, False, False]
    complete(labels, frames=BOTH)
    assert capsys.readouterr().out == "", "nothing is looked for again"


def test_a_fit_finds_what_its_frames_need_and_refuses_a_list_without(tmp_path, clips, capsys):
    row = f"{clips}/a4c_0.avi,50,TRAIN,3,9"
    plain = write(tmp_path / "p.csv", f"path,EF,Split,ED,ES\n{row}\n")
    keyframes(plain, workers=0, previews=False)
    with pytest.raises(DatasetError, match=r"p.csv: EDF, .* names no two-chamber view: give the"):
        complete(plain, frames=BOTH)
    write(plain, f"path,EF,Split,ED,ES,path_a2c,ED_A2C,ES_A2C\n{row},{clips}/a2c_0.avi,2,8\n")
    capsys.readouterr()
    complete(plain, frames=["EDF"])
    assert capsys.readouterr().out == "", "a model of one view needs no more"
    complete(plain, frames=BOTH)
    assert "key frames are found first" in capsys.readouterr().out
    assert len(read_labels(plain).for_frames(BOTH).table) == 1


def test_a_list_names_clips_of_new_studies(tmp_path, clips):
    labels = write(
        tmp_path / "new.csv",
        "path;path_a2c;ED;ES\n"
        f"{clips}/a4c_0.avi;{clips}/a2c_0.avi;3;9\n{clips}/a4c_1.avi;;;\n"
        f"{clips}/a4c_2.avi;{clips}/a2c_1.avi;;\n{clips}/a4c_2.avi;{clips}/a2c_0.avi;;\n",
    )
    first, second, third, fourth = clip_inputs([labels])
    assert (first.name, first.beats) == ("a4c_0", ((3, 9),))
    assert first.a2c.path == clips / "a2c_0.avi"
    assert second.a2c is None
    assert third.problem == fourth.problem
    assert "listed twice" in third.problem
    alone = next(iter(clip_inputs([clips / "a4c_0.avi"])))
    assert alone.key != first.key, "with another second clip it is analysed anew"
    with pytest.raises(DatasetError, match="lists no clip"):
        list(clip_inputs([write(tmp_path / "none.csv", "path,path_a2c\n")]))


def test_a_study_shows_a_model_both_clips_each_in_its_slot(tmp_path, clips):
    labels = write(
        tmp_path / "new.csv",
        f"path,path_a2c,ED,ES,ED_A2C,ES_A2C\n{clips}/a4c_0.avi,{clips}/a2c_0.avi,3,9,7,1\n"
        f"{clips}/a4c_1.avi,{clips}/a2c_1.avi,2,8,,\n{clips}/a4c_2.avi,,3,9,,\n"
        f"{clips}/a4c_0.avi,gone.avi,3,9,,\n".replace("a4c_0.avi,gone", "a4c_2.avi,gone")
        + f"{clips}/a2c_1.avi,{clips}/a2c_2.avi,3,9,,\n",
    )
    frames = ["ESF_A2C", "EDF", "EDF_A2C"]
    work = ClipWork(WorkOptions(seen=FrameOptions(tuple(frames), 112, False), records=False))
    stated, found, *_, still = (work(clip) for clip in clip_inputs([labels]))
    pictures = [
        read_frames(clips / f"{view}_0.avi", [frame])[0]
        for view, frame in (("a2c", 1), ("a4c", 3), ("a2c", 7))
    ]
    np.testing.assert_array_equal(stated.frames[0], np.moveaxis(pictures, -1, 1))
    [row] = found.rows
    assert row["reason"] == ""
    assert row["es_frame_a2c"] > row["ed_frame_a2c"] >= 0, "the beat that was found"
    expected = read_frames(clips / "a2c_1.avi", [row["es_frame_a2c"], row["ed_frame_a2c"]])
    np.testing.assert_array_equal(found.frames[0][[0, 2]], np.moveaxis(expected, -1, 1))
    assert still.rows[0]["reason"].startswith("A2C: ")
    assert still.frames is None
    [single] = clip_inputs([clips / "a4c_2.avi"])
    assert work(single).rows[0]["reason"] != ""
    lone = write(tmp_path / "lone.csv", f"path,ED,ES\n{clips}/a4c_2.avi,3,9\n")
    [row] = work(next(clip_inputs([lone]))).rows
    assert row["reason"] == "no two-chamber view"


def test_second_clips_are_not_named_where_clips_are_called_by_numbers(tmp_path, clips):
    write(tmp_path / f"{PATIENT}.avi", "no video")
    row = f"{clips}/a4c_0.avi,{tmp_path}/{PATIENT}.avi,3,9"
    [clip] = clip_inputs([write(tmp_path / "new.csv", f"path,path_a2c,ED,ES\n{row}\n")])
    seen = FrameOptions(("EDF_A2C",), 32)
    [row] = ClipWork(WorkOptions(seen=seen, records=False))(clip).rows
    assert row["reason"].startswith(f"A2C: {PATIENT}.avi: ")
    numbered = replace(clip, name="case_1", shown="case_1", case=1, secret=b"s")
    [row] = ClipWork(WorkOptions(seen=seen, records=False))(numbered).rows
    assert row["reason"].startswith("A2C: case_1: ")


@pytest.mark.slow
def test_a_model_of_two_views_is_trained_judged_and_asked(tmp_path, clips, monkeypatch, capsys):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    rows = []
    for number in range(24):
        for view, seed in (("a4c", 31), ("a2c", 32)):
            clip = PhantomClip(seed, number)
            write_video(Path(f"{view}_{number}.avi"), clip.frames(range(40)), 50)
        split = "TRAIN" if number < 14 else "VAL" if number < 19 else "TEST"
        second = "" if number == 23 else f"a2c_{number}.avi"
        rows.append(f"a4c_{number}.avi,{30 + 1.7 * number:.1f},{split},4,14,{second},5,15")
    head = "path,EF,Split,ED,ES,path_a2c,ED_A2C,ES_A2C\n"
    write(Path("clips.csv"), head + "\n".join(rows) + "\n")
    given = [
        "--config", "edf_esf_a2c_mlp", "--data.labels", "clips.csv",
        "--trainer.default_root_dir", "logs", "--model.backbone.weights", "null",
        *SMALL,
    ]  # fmt: skip
    assert main(["fit", *given, "--trainer.max_epochs", "1"]) == 0
    assert "(4.2 %) have no A2C: left out" in capsys.readouterr().err
    trained = str(best(Path("logs"), "edf_esf_a2c_mlp"))
    turned = ["--data.frames", "[EDF_A2C, ESF_A2C, EDF, ESF]", "--ckpt_path", trained]
    assert main(["test", *given, *turned]) == 1
    assert "was trained with data.frames" in told(capsys.readouterr().err)[0]
    assert main(["test", *given, "--ckpt_path", trained]) == 0
    run = newest(Path("logs"), "metrics.json").parent
    assert json.loads((run / "metrics.json").read_text())["frames"] == BOTH
    assert len(pd.read_csv(run / "cases.csv")) == 4
    assert list((run / "saliency").glob("*.png"))
    assert main(["report", str(run), "--output", "report.html"]) == 0
    assert "ESF_A2C" in Path("report.html").read_text()
    assert main(["export", "--ckpt_path", trained, "--output", "m.onnx"]) == 0
    [frames] = onnxruntime.InferenceSession("m.onnx").get_inputs()
    assert frames.shape[1:3] == [4, 3]
    assert main(["saliency", "--ckpt_path", trained, "--root", "clips.csv", "--num_cases", "2",
                 "--steps", "2", "--output", "sal"]) == 1  # fmt: skip
    capsys.readouterr()
    assert main(["robustness", "--config", str(run / "config.yaml"), "--ckpt_path", trained]) == 1
    assert "robustness is for models of one view" in told(capsys.readouterr().err)[0]

    studies = f"path,path_a2c\n{clips}/a4c_0.avi,{clips}/a2c_0.avi\n{clips}/a4c_1.avi,\n"
    write(Path("studies.csv"), studies)
    new = ["--data.videos", "studies.csv", "--ckpt_path", trained]
    assert main(["predict", *given, *new, "--saliency", "true"]) == 0
    said = pd.read_csv(newest(Path("logs"), "predictions.csv")).set_index("video")
    assert said.loc["a4c_0", "status"] == "ok"
    assert said.loc["a4c_0", "es_frame_a2c"] > said.loc["a4c_0", "ed_frame_a2c"] >= 0
    assert said.loc["a4c_1", "reason"] == "no two-chamber view"
    predicted = str(newest(Path("logs"), "predictions.csv"))
    assert main(["report", predicted, "--output", "studies.html"]) == 0
    assert "Which clips of the two-chamber view" in Path("studies.html").read_text()
    capsys.readouterr()
    assert main(["predict", *given, "--data.videos", "a4c_0.avi", "--ckpt_path", trained]) == 1
    [line] = told(capsys.readouterr().err)
    assert "a CSV file with columns path and path_a2c, a study a row" in line
    model = lvef.load(trained)
    again = model.predict("studies.csv").set_index("video")
    assert again.loc["a4c_0", "ef"] == pytest.approx(said.loc["a4c_0", "ef"], abs=0.2)
    assert again.loc["a4c_0", "es_frame_a2c"] == said.loc["a4c_0", "es_frame_a2c"]
    with pytest.raises(ConfigurationError, match="of two clips of a heart"):
        model.predict("a4c_0.avi")
