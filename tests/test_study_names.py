"""Which study a clip is of, by its folder or its file, and names that tell nothing of it."""

from __future__ import annotations

import hmac
import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from test_studies import rows_of, stored

from lvef.cli.commands import main
from lvef.data.formats import dicom_study
from lvef.data.formats.dicom.write import write_dicom
from lvef.errors import ConfigurationError, OutputError
from lvef.predict.stream.inputs import ClipInput, clip_inputs
from lvef.predict.stream.merge import tables_of
from lvef.predict.stream.studies import OTHER_VIEW, TWO_CHAMBER, StudyNames, without_own_ef
from lvef.predict.stream.study_salt import StudySalt

FRAMES = np.zeros((3, 16, 16), np.uint8)


def loop(path: Path, patient: str, view: tuple[str, str] | None = None, uid: bool = True) -> str:
    """Write a loop of three black frames, and return its StudyInstanceUID."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dicom(path, FRAMES, 50.0, patient=patient)
    dataset = dcmread(path)
    stated = str(dataset.StudyInstanceUID)
    if not uid:
        del dataset.StudyInstanceUID
    if view is not None:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = view
        code.CodeMeaning = "Smith, John"  # a file may say anything
        dataset.ViewCodeSequence = [code]
    dataset.save_as(path)
    return stated


@pytest.fixture
def archive(tmp_path) -> Path:
    """Two studies, a folder that holds a loop of each, and a file that states none."""
    folder = tmp_path / "archive"
    loop(folder / "smith" / "a.dcm", "Smith")
    loop(folder / "smith" / "b.dcm", "Smith", ("399232001", "SCT"))
    loop(folder / "jones" / "a.dcm", "Jones", ("G-A19C", "SRT"))
    loop(folder / "both" / "a.dcm", "Smith", ("399306005", "SCT"))
    loop(folder / "both" / "b.dcm", "Jones", ("4CH", "99VENDOR"))
    loop(folder / "jones" / "mute.dcm", "Jones", uid=False)
    return folder


def named(names: StudyNames, folder: Path) -> dict[str, str]:
    clips = names.stated(names.listed(clip_inputs([folder])))
    return {clip.name: clip.study for clip in clips}


def test_a_file_says_which_study_it_is_of_and_which_view_by_known_codes_alone(archive):
    views = {path.relative_to(archive).as_posix(): dicom_study(path).view
             for path in sorted(archive.rglob("*.dcm"))}  # fmt: skip
    assert views == {
        "both/a.dcm": "other", "both/b.dcm": "", "jones/a.dcm": "A4C", "jones/mute.dcm": "",
        "smith/a.dcm": "", "smith/b.dcm": "A2C",
    }  # fmt: skip
    assert dicom_study(archive / "jones" / "mute.dcm").uid == ""
    about = dicom_study(archive / "smith" / "a.dcm")
    assert about.uid == str(dcmread(archive / "smith" / "a.dcm").StudyInstanceUID)
    assert about.uid not in repr(about)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 128 + b"DICM" + b"\xff" * 300])
def test_what_cannot_be_read_is_of_no_study_and_costs_no_other_file(tmp_path, content):
    (tmp_path / "broken.dcm").write_bytes(content)
    assert dicom_study(tmp_path / "broken.dcm").uid == ""
    assert dicom_study(tmp_path / "none.dcm").uid == ""


def test_studies_by_their_uid_wherever_their_files_lie_and_else_by_folder(archive, tmp_path):
    names = named(StudyNames("dicom", tmp_path / "out"), archive)
    assert names["smith/a"] == names["smith/b"] == names["both/a"]
    assert names["jones/a"] == names["both/b"] != names["smith/a"]
    assert names["jones/mute"] == "jones"
    uid = str(dcmread(archive / "smith" / "a.dcm").StudyInstanceUID)
    salt = bytes.fromhex((tmp_path / "out" / "study.salt").read_text())
    digest = hmac.new(salt, uid.encode(), "sha256").hexdigest()
    assert names["smith/a"] == f"study_{digest[:16]}"


def test_a_salt_is_its_owner_s_and_gives_the_same_names_in_every_run(archive, tmp_path):
    salt = tmp_path / "mine" / "salt"
    first, again = (
        named(StudyNames("dicom", tmp_path / out, str(salt)), archive) for out in ("one", "two")
    )
    other = named(StudyNames("dicom", tmp_path / "three"), archive)
    assert first == again
    assert not {*first.values()} & {*other.values()} - {"jones"}
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    assert not (tmp_path / "one" / "study.salt").exists()


def test_a_salt_that_others_can_read_is_told(tmp_path):
    StudySalt(tmp_path / "salt")
    (tmp_path / "salt").chmod(0o644)
    with pytest.warns(UserWarning, match="can be read by others than its owner"):
        StudySalt(tmp_path / "salt")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\xff\xfe", b"a" * 63])
def test_what_is_no_salt_is_refused_in_one_line_and_left_alone(tmp_path, content):
    (tmp_path / "salt").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"--study_salt .*salt.*: (name|let)") as caught:
        StudySalt(tmp_path / "salt")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "salt").read_bytes() == content
    with pytest.raises(OutputError, match="is no file"):
        StudySalt(tmp_path)


def test_studies_by_folder_are_called_as_clips_are(archive, tmp_path):
    (archive / "top.avi").touch()
    names = named(StudyNames("folder", tmp_path / "out"), archive)
    assert set(names.values()) == {"archive", "both", "jones", "smith"}
    assert names["top"] == "archive"


@pytest.mark.parametrize("by", ["folder", "dicom", "list"])
def test_numbered_clips_are_of_studies_without_a_name(archive, tmp_path, by):
    listed = tmp_path / "studies.csv"
    rows = [f"{path.parent.name},A4C,{path}" for path in sorted(archive.rglob("*.dcm"))]
    listed.write_text("\n".join(["study,view,path", *rows]))
    told = str(listed) if by == "list" else by
    names = StudyNames(told, tmp_path / "out", anonymize=str(tmp_path / "KEY.csv"))
    assert all(name.startswith("study_") for name in named(names, archive).values())
    assert (tmp_path / "KEY.study.salt").is_file()
    assert names.told["study_names"].startswith("HMAC-SHA256")


def analysed(archive: Path, output: Path, *options: str) -> int:
    words = ["analyse", *([str(archive)] if "--studies" in options else []), *options]
    return main([*words, "--output", str(output), "--no_previews", "--workers", "0"])


def written(folder: Path) -> str:
    """Return all that a folder holds, files and their names, as text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(f"{path}\n{path.read_bytes().decode('latin1')}" for path in files)


def test_studies_of_shards_are_joined_and_no_uid_or_name_is_written(archive, tmp_path, capsys):
    shutil.rmtree(archive / "both")
    output, key = tmp_path / "out", tmp_path / "key.csv"
    of = ["--studies", "dicom", "--anonymize", str(key)]
    for shard in ("1/2", "2/2"):
        assert analysed(archive, output, *of, "--shard", shard) == 0
    assert main(["merge", str(output)]) == 0
    table = pd.read_csv(output / "studies.csv")
    assert sorted(table["num_clips"]) == [1, 1, 2], "Smith's, Jones's, and the folder of the mute"
    assert table["status"].eq("failed").all()
    assert (
        table["reason"]
        .str.contains("1 of 1 files state no StudyInstanceUID: by their folder")
        .sum()
    )
    clips = pd.read_csv(output / "predictions.csv")
    assert set(clips["study"]) == set(table["study"])
    assert clips["view"].eq("none").all(), "noise, whatever view a file states"
    told = written(output)
    for secret in ("smith", "jones", "Smith", "Jones", (tmp_path / "key.study.salt").read_text()):
        assert secret not in told
    for path in archive.rglob("*.dcm"):
        assert str(dcmread(path).get("StudyInstanceUID", "no such")) not in told
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["studies"] == manifest["made_with"]["studies"] == "dicom"
    assert manifest["made_with"]["study_names"] == "HMAC-SHA256, with a salt that is not here"


def test_a_run_goes_on_with_the_salt_of_then_alone(tmp_path, capsys):
    loop(tmp_path / "clips" / "a.dcm", "Smith")
    output, salt = tmp_path / "out", tmp_path / "salt"
    of = ["--studies", "dicom", "--study_salt"]
    for count in (1, 0):
        assert analysed(tmp_path / "clips", output, *of, str(salt)) == 0
        assert f"{count} clips: 0 analysed" in capsys.readouterr().out, "nothing is done again"
    StudySalt(tmp_path / "other")
    assert analysed(tmp_path / "clips", output, *of, str(tmp_path / "other")) == 1
    assert "study_salt (" in capsys.readouterr().err
    salt.unlink()
    assert analysed(tmp_path / "clips", output, *of, str(salt)) == 1
    assert "is not there, and it named the studies" in capsys.readouterr().err
    assert not salt.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--study_salt", "salt"], "--study_salt is of --studies"),
        (["--studies", "dicom", "--anonymize", "KEY.csv", "--study_salt", "out/salt"],
         "lies in --output, which is anonymised"),
        (["--studies", "studies.csv", "--study_salt", "salt"], "studies of a list keep the names"),
        (["--studies", "dicoms"], "--studies dicoms is no file: give 'folder', 'dicom', or a CSV"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant_are_one_line(
    archive, tmp_path, monkeypatch, capsys, options, told
):
    (tmp_path / "studies.csv").write_text(f"study,view,path\n7,A4C,{archive}/smith/a.dcm")
    monkeypatch.chdir(tmp_path)
    words = ["analyse", str(archive), "--output", "out", "--no_previews", "--workers", "0"]
    assert main([*words, *options]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("error: ")
    assert "Traceback" not in error


def test_a_folder_of_two_studies_gives_no_ef():
    table = rows_of(
        stored("1", "", "a", study_key="1", study_uid="x"),
        stored("1", "", "b", study_key="1", study_uid="y"),
        stored("2", "", "c", study_key="2", study_uid="x"), stored("2", "", "d", study_key="2"),
        by="folder",
    )  # fmt: skip
    assert table["status"].tolist() == ["failed", "ok"]
    told = "its files are of 2 studies by their StudyInstanceUID: --studies dicom"
    assert table.loc["1", "reason"] == told
    assert np.isnan(table.loc["1", "ef"])


def test_folders_of_one_name_are_studies_of_their_own():
    table = rows_of(
        stored("7", "", "a", study_key="1"), stored("7", "", "b", study_key="2"), by="folder"
    )  # fmt: skip
    assert table["num_clips"].tolist() == [1, 1]


def test_a_two_chamber_clip_that_no_list_names_has_no_ef_but_serves_its_study():
    """As the gate of views tells it: the rows of such a clip keep their contours."""
    clips = [stored("1", "", "a", study_key="1", view="A4C"),
             stored("1", "", "b", study_key="1", view="A2C", left=0.4)]  # fmt: skip
    for row in clips[1].rows:
        row["reason"] = "looks like another view"
    clip = ClipInput(Path("b"), "b", "b", study="1", study_key="1")
    without_own_ef(clip, clips[1].rows)
    without_own_ef(clip, clips[0].rows)
    assert [row["reason"] for row in clips[0].rows] == ["", ""]
    ((videos, beats),) = tables_of(iter(clips), [], "", "dicom")
    assert videos["status"].tolist() == ["ok", "failed"]
    assert videos["reason"].tolist() == ["", TWO_CHAMBER]
    assert videos[["ef", "ef_geometric"]].iloc[1].isna().all()
    assert set(beats["video"]) == {"a"}
    row = rows_of(*clips, by="dicom").loc["1"]
    assert row[["planes", "a2c"]].tolist() == ["biplane", "b"]
    assert 50 < row["ef"] < 60
    said_four = stored("1", "A4C", "b", view="A2C")
    for row in said_four.rows:
        row["reason"] = "looks like another view"
    assert rows_of(said_four).loc["1", "reason"] == "A4C: looks like another view; no A2C"
    by_list = stored("1", "A2C", "b", view="A2C")
    without_own_ef(replace(clip, study_key=""), by_list.rows)
    assert by_list.rows[0]["reason"] == "", "a list has said so"


@pytest.mark.parametrize(
    ("stated", "seen", "reason"),
    [("A2C", "", TWO_CHAMBER), ("other", "", f"its file says that it is {OTHER_VIEW}"),
     ("A4C", "", ""), ("other", "A4C", ""), ("A4C", "A2C", TWO_CHAMBER)],
)  # fmt: skip
def test_a_view_that_a_file_states_counts_where_nothing_is_known_of_its_picture(
    stated, seen, reason
):
    clip = ClipInput(Path("b"), "b", "b", study="1", study_key="1", view=stated)
    rows = [{"view": seen, "reason": "", "ef_geometric": 50.0}]
    without_own_ef(clip, rows)
    assert rows[0]["reason"] == reason


def test_what_the_picture_shows_comes_before_what_the_file_says():
    clips = [
        stored("1", "A2C", "a", study_key="1", view="A4C"),
        stored("1", "", "b", study_key="1", view="A2C"),
        stored("1", "A4C", "c", study_key="1", view="PLAX"),
        stored("1", "", "d", study_key="1"),
    ]
    table = rows_of(*clips, by="folder")
    assert table.loc["1", ["a4c", "a2c", "num_other"]].tolist() == ["a; d", "b", 1]
    assert table.loc["1", "remark"] == "nothing tells the view of 1 of 2 clips: taken as A4C"
    assert rows_of(*clips[:3], by="list").loc["1", ["a4c", "a2c"]].tolist() == ["c", "a; b"]
