"""A list of clips and EFs is enough: how it is read, its key frames, its splits, a fit on it."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import SMALL, newest, told

from lvef.cli.commands import main
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.layouts import ExcludedError, read_labels
from lvef.data.layouts.clip_list.prepared import Prepared, deal_splits
from lvef.data.layouts.clip_list.table import read_list
from lvef.data.phantom_folder import read_truth
from lvef.errors import ConfigurationError, DatasetError
from lvef.predict.list_keyframes import keyframes

HEAD = "path,ed,es,quality,fps,num_frames,frame_height,frame_width,split,reason\n"


@pytest.fixture
def clips(phantom_root):
    """The phantoms' rows, with their files."""
    table = read_labels(phantom_root).table
    return table.sort_values("video").reset_index(drop=True)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def labelled(folder, clips, **more):
    """Write a list that states everything but splits; return it."""
    table = pd.DataFrame({
        "path": clips["path"], "EF": clips["ef_true"].round(2), "ED": clips["ed_frame"],
        "ES": clips["es_frame"], **more,
    })  # fmt: skip
    table.to_csv(folder / "clips.csv", index=False)
    return folder / "clips.csv"


@pytest.mark.parametrize(
    ("text", "columns", "ef"),
    [
        ("path,EF\na.avi,55\nb.avi,40\n", None, [55, 40]),
        ("\ufeffFile Name;LVEF\r\na.avi;55,5\r\nb.avi;40\r\n", None, [55.5, 40]),
        ("sep=;\nVideo;Ejection Fraction\na.avi;55%\nb.avi;40 %\n", None, [55, 40]),
        ("path\tEF\na.avi\t0.55\nb.avi\t0.4\n", None, [55, 40]),
        (",path,EF\n0,a.avi,55\n1,b.avi,n/a\n", None, [55, np.nan]),
        ("Datei;Wert;path\na.avi;55;x\nb.avi;40;y\n", {"Path": "Datei", "ef": "Wert"}, [55, 40]),
    ],
)
def test_a_list_is_read_as_people_write_it(tmp_path, text, columns, ef):
    table, fraction = read_list(write(tmp_path / "l.csv", text), columns)
    np.testing.assert_allclose(table["ef_true"], ef)
    assert fraction == ("0.55" in text)
    assert table["path"].tolist() == [str(tmp_path / "a.avi"), str(tmp_path / "b.avi")]
    assert table["video"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a,EF\nx,55\n", None, "column path not found among a, EF"),
        ("path,EF\nx,55\n", {"ef": "LVEF"}, "column LVEF not found"),
        ("path,EF\nx,55\n", {"eff": "EF"}, "it is said what eff is called, but a list has path"),
        ("path,EF,Patient,Split\na,55,P,TRAIN\nb,50,P,TEST\n", None, "1 of 1 patients have clips"),
    ],
)
def test_a_list_that_cannot_be_used_is_told(tmp_path, text, columns, message):
    with pytest.raises(DatasetError, match=message):
        read_list(write(tmp_path / "l.csv", text), columns)


def test_clips_of_one_study_stay_together_and_other_views_are_left_out(tmp_path, clips):
    views = ["A4C", "Apical 4 Chamber", "PLAX", "", "4CH", "AP4", "a4c"]
    studies = ["S1", "S1", "S1", "S2", "S2", "", "S3"]
    rows = [f"{path},50,{study},{view}" for path, study, view in
            zip(clips["path"], studies, views, strict=False)]  # fmt: skip
    labels = write(
        tmp_path / "l.csv", "path;EF;Study ID;View\n".replace(";", ",") + "\n".join(rows)
    )
    made = [f"{path},5,12,0.9,50,60,,,TRAIN," for path in clips["path"][:7]]
    write(Prepared(labels).keyframes, HEAD + "\n".join(made) + "\n")
    folder = read_labels(labels)
    video = clips["video"]
    assert folder.table["video"].tolist() == [video[n] for n in (0, 1, 4, 5, 6)]
    assert folder.table["patient"].tolist() == ["study S1", "study S1", "study S2", "", "study S3"]
    assert folder.left_out[["video", "reason"]].values.tolist() == [
        [video[2], "another view: PLAX"], [video[3], "view not stated"],
    ]  # fmt: skip
    assert "1 studies have several clips (2): each is a case" in folder.summary()
    labels.write_text(
        labels.read_text().replace("path,EF,Study ID,View", "path,EF,Study,Projection")
    )
    assert len(read_labels(labels).table) == 7, "views that are called otherwise are one's own"
    split = ["TRAIN", "TEST", *["TRAIN"] * 5]
    lines = labels.read_text().splitlines()
    text = "\n".join(
        [f"{lines[0]},Split", *(f"{a},{b}" for a, b in zip(lines[1:], split, strict=True))]
    )
    with pytest.raises(DatasetError, match="1 of 3 patients have clips in several splits"):
        read_labels(write(labels, text))


def test_equal_names_are_told_apart_by_their_folders(tmp_path):
    rows = "s1/p/a.avi,50\ns2/p/a.avi,51\nb.avi,52\ns2\\q\\b.avi,53\ns1/p/a.avi,50\n"
    table, _ = read_list(write(tmp_path / "l.csv", "path,EF\n" + rows))
    names = table["video"].tolist()
    assert names[0] == names[4] == "s1-p-a"
    assert names[1:4] == ["s2-p-a", f"{tmp_path.name}-b", "q-b"]
    assert table["path"][3] == str(tmp_path / "s2" / "q" / "b.avi"), "written by Windows"


def test_splits_are_dealt_by_patient_and_stay():
    rng = np.random.default_rng(0)
    count = 400
    table = pd.DataFrame({
        "path": [f"{n}.avi" for n in range(count)], "split": "",
        "patient": [f"P{n // 2}" if n < 300 else "" for n in range(count)],
        "reduced": (np.arange(count) % 7 == 0).astype(int),
    })  # fmt: skip
    dealt = deal_splits(table, rng)
    assert dealt[:300].groupby(table["patient"][:300]).nunique().max() == 1
    shares = dealt.value_counts(normalize=True)
    assert shares["TRAIN"] == pytest.approx(0.7, abs=0.03)
    assert shares["VAL"] == pytest.approx(0.15, abs=0.03)
    reduced = table["reduced"].groupby(dealt).mean()
    assert reduced.max() - reduced.min() < 0.05, "as many with a reduced EF in each"
    again = deal_splits(table, np.random.default_rng(0))
    assert again.tolist() == dealt.tolist()
    assert deal_splits(table, np.random.default_rng(1)).tolist() != dealt.tolist()
    half = table.assign(split=dealt.where(np.arange(count) < 150, ""))
    later = deal_splits(half, np.random.default_rng(5))
    assert later[:150].tolist() == dealt[:150].tolist()
    assert later[:300].groupby(table["patient"][:300]).nunique().max() == 1
    assert set(deal_splits(table.iloc[[0, 2, 4]], rng)) == {"TRAIN", "VAL", "TEST"}
    with pytest.raises(ConfigurationError, match="2 patients are too few"):
        deal_splits(table.iloc[:4], rng)


def test_every_row_of_a_list_is_used_or_told(tmp_path, clips):
    rows = [f"{path},{ef:.2f}" for path, ef in zip(clips["path"], clips["ef_true"], strict=True)]
    rows[1] = f"{clips['path'][1]},unknown"
    rows[2] = f"{clips['path'][2]},0.55"
    rows += [rows[3], f"{clips['path'][4]},12", "gone.avi,50"]
    labels = write(tmp_path / "l.csv", "path,EF\n" + "\n".join(rows) + "\n")
    with pytest.raises(DatasetError, match="python -m lvef keyframes"):
        read_labels(labels)
    made = [f"{path},5,12,0.9,50,{count},,,TRAIN," for path, count in
            zip(clips["path"], clips["num_frames"], strict=True)]  # fmt: skip
    made[5] = f"{clips['path'][5]},,,,50,60,,,TRAIN,no beat found"
    made[6] = f"{clips['path'][6]},5,5000,0.9,50,60,,,TRAIN,"
    made[7] = f"{clips['path'][7]},5,5,0.9,50,60,,,NONE,"
    made[8] = f"{clips['path'][8]},5,5,0.9,50,60,,,TRAIN,"
    made[9] = f"{clips['path'][9]},5,60,0.9,50,60,,,TRAIN,"
    made += ["gone.avi,5,12,0.9,50,60,,,TRAIN,"]
    write(Prepared(labels).keyframes, HEAD + "\n".join(made) + "\n")
    with pytest.raises(ExcludedError) as caught:
        read_labels(labels)
    folder = caught.value.folder
    known = dict(zip(folder.excluded["video"], folder.excluded["reason"], strict=True))
    video = clips["video"]
    assert known[video[1]] == "EF missing or no number"
    assert known[video[2]].startswith("EF of 1 % or less")
    assert known[video[3]] == "listed twice"
    assert known[video[4]] == "listed twice with different labels"
    assert known[video[5]] == "no beat found"
    assert known[video[6]] == "ED or ES is no frame of the clip"
    assert known[video[7]].startswith("split is none of")
    assert known[video[8]] == "ED and ES are the same frame"
    assert known[video[9]] == "ED or ES is no frame of the clip", "they count from 0"
    assert known["gone"] == "video file missing or empty"
    assert len(folder.table) + len(folder.excluded) == len(rows)
    assert video[3] in set(folder.table["video"]), "of two equal rows one is used"


def test_frames_and_splits_that_a_list_states_win(tmp_path, clips):
    row = f"{clips['path'][0]},50,7,21,Validation\n"
    labels = write(tmp_path / "l.csv", "path,EF,ED,ES,Split\n" + row)
    write(Prepared(labels).keyframes, f"{HEAD}{clips['path'][0]},5,12,0.9,50,60,,,TRAIN,\n")
    [row] = read_labels(labels).table.to_dict("records")
    assert (row["ed_frame"], row["es_frame"], row["split"]) == (7, 21, "VAL")
    assert row["mid_frame"] == 14


def test_what_is_made_of_phantoms_is_known_for_phantoms(tmp_path, clips):
    labels = labelled(tmp_path, clips, Site="north")
    keyframes(labels)
    folder = read_labels(labels)
    assert folder.is_phantom
    assert len(folder.table) == len(clips)
    assert set(folder.table["split"]) == {"TRAIN", "VAL", "TEST"}
    assert folder.table["ed_frame"].tolist() == clips["ed_frame"].tolist()
    assert folder.table["num_frames"].tolist() == clips["num_frames"].tolist()
    assert folder.table["site"].tolist() == ["north"] * len(clips)
    before = folder_fingerprint(labels)
    assert before["videos"] == len(clips)
    labels.write_text(labels.read_text() + "\n")
    assert folder_fingerprint(labels) != before
    with pytest.raises(DatasetError, match="was not traced"):
        folder.contour(folder.table["video"][0], 0)


def test_found_frames_are_kept_and_new_clips_alone_looked_at(tmp_path, clips, phantom_root, capsys):
    clips = clips.sort_values("num_frames", ascending=False).reset_index(drop=True)
    text = write(tmp_path / "no.avi", "no video")
    rows = [
        f"{clips['path'][0]},50,,,P0", f"{clips['path'][1]},50,,,P1",
        f"{clips['path'][2]},55,3,9,P2", f"{text.name},50,,,P3",
    ]  # fmt: skip
    labels = write(tmp_path / "l.csv", "path,EF,ED,ES,Patient\n" + "\n".join(rows) + "\n")
    keyframes(labels, workers=0)
    made = Prepared(labels).read().set_index("path")
    assert "key frames of 3 of 4 clips, 1 cannot be used" in capsys.readouterr().out
    assert "not a readable video" in made.loc["no.avi", "reason"]
    first = made.loc[clips["path"][0]]
    truth = read_truth(phantom_root, clips["video"][0])
    assert np.abs(np.array(truth.ed_frames) - first["ed"]).min() <= 3
    assert np.abs(np.array(truth.es_frames) - first["es"]).min() <= 3
    beats = pd.read_csv(Prepared(labels).folder / "clips" / "beats.csv")
    of_clip = beats[beats["video"].str.endswith(clips["video"][0])]
    assert len(of_clip) > 1
    assert first["quality"] == pytest.approx(of_clip["quality"].max(), abs=1e-4), "the best beat's"
    assert made.loc[clips["path"][2], ["ed", "es"]].tolist() == [3, 9]
    assert (Prepared(labels).folder / "clips" / "previews").is_dir()
    labels.write_text(labels.read_text() + f"{clips['path'][3]},60,,,P7\n")
    keyframes(labels, workers=0)
    assert "3 clips are analysed already" in capsys.readouterr().out
    later = Prepared(labels).read().set_index("path")
    assert later.loc[made.index, "split"].tolist() == made["split"].tolist(), "they stay"
    assert later.loc[made.index, "ed"].equals(made["ed"])


def test_a_list_trains_and_tests_from_an_empty_folder(tmp_path, clips, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labelled(tmp_path, clips, Patient=[f"P{number // 2}" for number in range(len(clips))])
    given = [
        "--config", "esf_mlp", "--data.labels", "clips.csv", "--trainer.default_root_dir", "logs",
        "--model.backbone.weights", "null", *SMALL,
    ]  # fmt: skip
    assert main(["fit", *given, "--trainer.max_epochs", "1"]) == 0
    assert "key frames are found first" in capsys.readouterr().out
    best = newest(tmp_path / "logs", "best.ckpt")
    assert main(["test", *given, "--saliency", "false", "--ckpt_path", str(best)]) == 0
    assert "PHANTOM" in capsys.readouterr().out
    cases = pd.read_csv(newest(tmp_path / "logs", "cases.csv"))
    assert set(cases["video"]) <= set(clips["video"])
    table = read_labels("clips.csv").table
    val = table[table["split"] == "VAL"]
    assert len(val) == 2 * val["patient"].nunique()
    promise = json.loads(newest(tmp_path / "logs", "metrics.json").read_text())["calibration"]
    assert promise["cases"] == {"all": val["patient"].nunique()}, "it rests on patients"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.labels", "none.csv"], "none.csv is no file"),
        (["--data.labels", "clips.csv", "--data.root", "x"], "are both given: choose one"),
    ],
)
def test_a_list_that_is_not_there_is_one_line(tmp_path, clips, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    labelled(tmp_path, clips)
    assert main(["fit", "--config", "esf_mlp", *more]) == 1
    [line] = told(capsys.readouterr().err)
    assert message in line
