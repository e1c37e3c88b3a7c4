"""MIMIC-IV-ECHO: its published list joined with a user's EFs and views, and what can go wrong."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pandas as pd
import pytest
from documents import ROOT

from lvef.data.fingerprint import folder_fingerprint
from lvef.data.layouts import ExcludedError, MimicEcho, find_layout, read_labels
from lvef.data.layouts.clip_list.prepared import Prepared
from lvef.data.layouts.clip_list.views import is_four_chamber
from lvef.data.phantom_folder import read_truth
from lvef.errors import ConfigurationError, DatasetError
from lvef.phantom import open_phantom, write_phantoms
from lvef.predict.list_keyframes import complete, keyframes

# Typed from the publisher's description (physionet.org/content/mimic-iv-echo): paths below the
# folder, ten first numbers of patients, `s` before a study's folder, times in the future.
RECORDS = """subject_id,study_id,acquisition_datetime,dicom_filepath
10000001,94000001,2204-10-05 14:28:05,files/p10/p10000001/s94000001/94000001_0001.dcm
10000001,94000001,2204-10-05 14:29:11,files/p10/p10000001/s94000001/94000001_0002.dcm
10000001,94000001,2204-10-05 14:31:40,files/p10/p10000001/s94000001/94000001_0003.dcm
10000001,94000002,2205-01-17 09:02:33,files/p10/p10000001/s94000002/94000002_0001.dcm
11000007,95000003,2180-07-02 11:45:00,files/p11/p11000007/s95000003/95000003_0014.dcm
11000007,95000003,2180-07-02 11:46:02,files/p11/p11000007/s95000003/95000003_0015.dcm
12000009,96000004,2190-03-30 16:20:59,files/p12/p12000009/s96000004/96000004_0001.dcm
13000011,97000005,2191-06-01 08:10:00,files/p13/p13000011/s97000005/97000005_0001.dcm
"""
STUDIES = """subject_id,study_id,study_datetime,note_id,note_seq,note_charttime
10000001,94000001,2204-10-05 14:28:05,10000001-DS-7,7,2204-10-09 00:00:00
"""
LABELS = """study_id,LVEF,Split,Sex
94000001,55,TRAIN,F
94000002,52.5,TRAIN,F
95000003,35,VAL,M
96000004,60,TEST,M
"""
VIEWS = """dicom_filepath,view
files/p10/p10000001/s94000001/94000001_0001.dcm,A4C
files/p10/p10000001/s94000001/94000001_0002.dcm,PLAX
files/p10/p10000001/s94000001/94000001_0003.dcm,Apical 4-chamber view
files/p10/p10000001/s94000002/94000002_0001.dcm,a4c
files/p11/p11000007/s95000003/95000003_0014.dcm,AP4
files/p12/p12000009/s96000004/96000004_0001.dcm,4CH
"""
CLIPS = [line.rpartition(",")[2] for line in RECORDS.splitlines()[1:]]
NAMES = [Path(clip).stem for clip in CLIPS]
HEAD = "path,ed,es,quality,fps,num_frames,frame_height,frame_width,split,reason\n"


def put(root: Path, **tables: str) -> Path:
    """Write tables into a folder; a name stands for that of its file."""
    for name, text in tables.items():
        (root / f"{name.replace('_', '-')}.csv").write_text(text)
    return root


def found(place: Path) -> None:
    """Write key frames as if they had been found, without splits."""
    path = Prepared(place).keyframes
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + "".join(f"{clip},5,15,0.8,30,60,,,,\n" for clip in CLIPS))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that was typed by hand; what its clips show is not looked at."""
    place = tmp_path / "mimic"
    for number, clip in enumerate(CLIPS):
        (place / clip).parent.mkdir(parents=True, exist_ok=True)
        (place / clip).write_bytes(b"clip %d" % number)
    put(place, echo_record_list=RECORDS, echo_study_list=STUDIES, labels=LABELS, views=VIEWS)
    found(place)
    return place


def test_the_published_list_is_joined_with_efs_and_views(root):
    assert isinstance(find_layout(root), MimicEcho)
    folder = read_labels(root)
    table = folder.table.set_index("video")
    assert table["ef_true"].to_dict() == {
        "94000001_0001": 55, "94000001_0003": 55, "94000002_0001": 52.5, "95000003_0014": 35,
        "96000004_0001": 60,
    }  # fmt: skip
    assert table["patient"].tolist() == ["10000001"] * 3 + ["11000007", "12000009"]
    assert table["study"].tolist() == ["94000001"] * 2 + ["94000002", "95000003", "96000004"]
    assert table["split"].tolist() == ["TRAIN"] * 3 + ["VAL", "TEST"]
    assert set(table["view_true"]) == {"A4C"}
    assert table["own:Sex"].tolist() == ["F"] * 3 + ["M"] * 2
    assert table.loc["94000001_0003", "path"] == str(root / CLIPS[2])
    assert (table["ed_frame"] == 5).all()
    assert not len(folder.excluded), "what is no case is no fault"
    assert folder.left_out.set_index("video")["reason"].to_dict() == {
        "97000005_0001": "its study has no label",
        "94000001_0002": "another view: PLAX",
        "95000003_0015": "view not stated",
    }
    assert set(folder.left_out["video"]) <= set(folder.set_aside["video"])
    for said in ("3 left out, as no cases", "1 another view", "1 its study has no label",
                 "1 studies have several clips (2): each is a case, and splits, folds and intervals"
                 " keep a patient's together"):  # fmt: skip
        assert said in folder.summary()
    changed = folder_fingerprint(root)
    assert changed["videos"] == 5
    put(root, views=VIEWS.replace("PLAX", "A4C"))
    assert folder_fingerprint(root) != changed
    assert len(read_labels(root).table) == 6


@pytest.mark.parametrize(
    ("tables", "gone", "message"),
    [
        ({}, "views.csv", "states the EF of studies, and nothing says which of their clips"),
        ({}, "labels.csv", r"labels.csv not found. It states the EFs, .*and views.csv with dicom"),
        ({}, "echo-record-list.csv", "list.csv not found. A MIMIC-IV-ECHO folder holds"),
        ({"views": "dicom_filepath,view\n"}, "", "states the view of no clip that has an EF"),
        ({"views": VIEWS.replace("4", "2").replace("2-chamber", "two-chamber")}, "",
         "states the view of no clip"),
        ({"views": f"dicom_filepath,view\n{CLIPS[0]},A2C\n"}, "",
         r"no clip is of the apical four-chamber view \(A2C\): write A4C for those that are"),
        ({"labels": "study_id,Split\n94000001,TRAIN\n"}, "", "column EF not found among"),
        ({"labels": "EF,Split\n50,TRAIN\n"}, "", r"neither study_id \(a row a study\) nor"),
        ({"labels": "study_id,EF\n94106955,50\n"}, "",
         r"none of its studies is in echo-record-list.csv \(it says 94106955, the list 94000001\)"),
        ({"labels": LABELS.replace("94000002,52.5,TRAIN", "94000002,52.5,TEST")}, "",
         "1 of 3 patients have clips in several splits"),
        ({"echo_record_list": RECORDS.replace("dicom_filepath", "where")}, "",
         "column dicom_filepath not found"),
    ],
)  # fmt: skip
def test_what_cannot_be_put_together_is_told(root, tables, gone, message):
    put(root, **tables)
    (root / (gone or "none")).unlink(missing_ok=True)
    with pytest.raises(DatasetError, match=message) as error:
        read_labels(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "ef", "reason"),
    [
        ("94000001,0.55\n", None, "EF of 1 % or less"),
        ("94000001,55%\n", 55, ""),
        ('94000001,"54,5 %"\n', 54.5, ""),
        ("94000001,\n", None, "EF missing or no number"),
        ("94000001,normal\n", None, "EF missing or no number"),
        ("94000001,155\n", None, "EF outside 0-100"),
        ("94000001,55\n94000001,40\n", None, "its study has different labels"),
        ("94000001,55\n94000001,55\n", 55, ""),
        ("s94000001,55\n", 55, ""),
        ("94000001.0,55\n", 55, ""),
    ],
)
def test_every_label_is_used_or_told(root, labels, ef, reason):
    rest = "".join(f"{line.partition(',')[0]},{50 + n}\n" for n, line in
                   enumerate(LABELS.splitlines()[2:]))  # fmt: skip
    put(root, labels="study_id,EF\n" + rest + labels)
    _dealt(root)
    folder = read_labels(root, 1.0)
    of_study = folder.table[folder.table["study"] == "94000001"]
    assert of_study["ef_true"].tolist() == ([ef] * 2 if ef else [])
    told = folder.excluded.set_index("video")["reason"].to_dict()
    assert set(told) == (set() if ef else {"94000001_0001", "94000001_0003"})
    assert all(each.startswith(reason) for each in told.values())
    if labels.count("55\n") == 2:
        assert "1 rows of labels.csv say again what another says" in folder.summary()


def _dealt(root: Path) -> None:
    """Say in the key frames which split each clip is of."""
    path = Prepared(root).keyframes
    path.write_text(path.read_text().replace(",,,,\n", ",,,TRAIN,\n"))


def test_fractions_become_percent_and_unknown_studies_are_counted(root):
    put(root, labels="study_id,EF\n94000001,0.55\n95000003,0.6\n99999999,0.5\n")
    _dealt(root)
    folder = read_labels(root)
    assert folder.table["ef_true"].tolist() == pytest.approx([55, 55, 60])
    assert "EF is written as a fraction of 1: taken times 100" in folder.summary()
    assert ("1 rows of labels.csv are of studies that echo-record-list.csv does not have "
            "(99999999, ...)") in folder.summary()  # fmt: skip
    assert (folder.left_out["reason"] == "its study has no label").sum() == 3


def test_efs_of_single_clips_need_no_views(root):
    (root / "views.csv").unlink()
    put(root, labels=f"dicom_filepath,EF\n/{CLIPS[0]},55\n{CLIPS[4]},0.35\n{CLIPS[4]},35\n"
        f"{CLIPS[6].replace('/', chr(92))},60\nfiles/p99/p1/s1/1_0001.dcm,50\n")  # fmt: skip
    _dealt(root)
    with pytest.raises(DatasetError, match="key frames of 1 of its 5 clips are not known yet"):
        read_labels(root)
    path = Prepared(root).keyframes
    path.write_text(path.read_text() + "files/p99/p1/s1/1_0001.dcm,,,,,,,,TRAIN,gone\n")
    folder = read_labels(root, 1.0)
    assert folder.table["video"].tolist() == [NAMES[0], NAMES[6]]
    assert folder.table["patient"].tolist() == ["10000001", "12000009"]
    assert folder.excluded["reason"].tolist() == [
        "listed twice with different labels", "listed twice with different labels",
        "not in echo-record-list.csv",
    ]  # fmt: skip
    put(root, labels=f"dicom_filepath,EF,view\n{CLIPS[0]},55,A4C\n{CLIPS[1]},55,PSAX\n")
    assert read_labels(root).left_out["reason"].tolist() == ["another view: PSAX"]


def test_views_that_contradict_each_other_are_no_four_chamber_view(root):
    put(root, views=VIEWS + f"{CLIPS[0]},PLAX\n{CLIPS[2]},\n")
    told = read_labels(root).left_out.set_index("video")["reason"]
    assert told[NAMES[0]] == "another view: A4C or PLAX"
    assert NAMES[2] not in told, "nothing is said twice of it"


def test_views_may_stand_in_the_published_list(root):
    (root / "views.csv").unlink()
    lines = [line + ("," + "A4C" if number in (1, 5) else ",")
             for number, line in enumerate(RECORDS.splitlines())]  # fmt: skip
    put(root, echo_record_list="\n".join([lines[0] + "view", *lines[1:]]))
    assert read_labels(root).table["video"].tolist() == [NAMES[0], NAMES[4]]


def test_views_are_known_as_people_write_them():
    names = ["A4C", "a4c", "AP4", "4CH", "Apical 4-Chamber", "apical four chamber view", "A4CH"]
    assert is_four_chamber(pd.Series(names)).all()
    others = ["A2C", "A5C", "PLAX", "PSAX", "", "apical", "A4C Doppler", "chamber", "other", "A3C"]
    assert not is_four_chamber(pd.Series(others)).any()


def test_a_missing_file_is_a_fault_and_a_study_that_was_not_downloaded_is_none(root):
    (root / CLIPS[0]).unlink()
    (root / CLIPS[6]).unlink()
    (root / CLIPS[6]).parent.rmdir()
    folder = read_labels(root, 0.5)
    assert folder.excluded[["video", "reason"]].values.tolist() == [
        [NAMES[0], "video file missing or empty"]
    ]
    assert "its study is not downloaded" in set(folder.left_out["reason"])
    with pytest.raises(ExcludedError, match=r"25\.0 % of the videos cannot be used"):
        read_labels(root)


def test_the_folder_is_found_where_a_download_puts_it(root, tmp_path):
    place = tmp_path / "wget" / "physionet.org" / "files" / "mimic-iv-echo" / "1.0"
    place.parent.mkdir(parents=True)
    root.rename(place)
    folder = read_labels(tmp_path / "wget")
    assert folder.root == place
    assert len(folder.table) == 5
    assert Prepared(place).keyframes.parent == place / "keyframes"
    place.with_name("0.1").mkdir()
    put(place.with_name("0.1"), echo_record_list=RECORDS)
    with pytest.raises(DatasetError, match="give one of them"):
        read_labels(tmp_path / "wget")


def test_key_frames_are_those_of_the_cases_alone(root, capsys):
    (Prepared(root).keyframes).unlink()
    with pytest.raises(DatasetError, match="key frames of 5 of its 5 clips are not known yet"):
        read_labels(root)
    keyframes(root, workers=0)
    told = capsys.readouterr().out
    assert "key frames of 0 of 5 clips, 5 cannot be used" in told, "these are no DICOM files"
    assert "1 are no cases: another view\n" in told
    assert "1 are no cases: its study has no label\n" in told
    made = Prepared(root).read()
    assert made["path"].tolist() == [CLIPS[n] for n in (0, 2, 3, 4, 6)]
    complete(root)
    assert "found first" not in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match=r"--columns is for a list, and .* is a folder"):
        keyframes(root, columns={"EF": "LVEF"})


def test_the_documented_way_to_efs_makes_labels(root, monkeypatch):
    """Columns as public code that reads version 1.0 has them; a second reading is told."""
    (root / "labels.csv").unlink()
    studies = "study_id,subject_id,study_datetime,measurement_id,measurement_datetime\n"
    head = "subject_id,measurement_id,measurement_datetime,test_type,measurement,"
    rows = "".join(
        f"1,{number},2200-01-01 00:00:00,tte,{name},,{result},%\n"
        for number, name, result in [(7, "lvef", "55"), (7, "lvef_upper", "60"), (8, "lvef", "40"),
                                     (8, "lvef", "45"), (9, "tapse", "2.1"), (9, "lvef", "")]
    )  # fmt: skip
    put(root, echo_study_list=studies + "94000001,10000001,,7,\n95000003,11000007,,8,\n"
        "94000002,10000001,,9,\n96000004,12000009,,,\n")  # fmt: skip
    with gzip.open(root / "structured-measurement.csv.gz", "wt") as file:
        file.write(f"{head}measurement_description,result,unit\n{rows}")
    text = (ROOT / "lvef" / "data" / "README.md").read_text()
    [code] = re.findall(r"^```python\n(import pandas.*?structured-.*?)^```$", text, re.M | re.S)
    root.rename(root.with_name("mimic-iv-echo"))
    monkeypatch.chdir(root.parent)
    exec(compile(code, "README.md", "exec"), {})
    _dealt(Path("mimic-iv-echo"))
    folder = read_labels("mimic-iv-echo", 1.0)
    assert set(folder.table["study"]) == {"94000001"}
    assert set(folder.table["ef_true"]) == {55}
    assert set(folder.excluded["reason"]) == {"its study has different labels"}
    assert (folder.left_out["reason"] == "its study has no label").sum() == 3


@pytest.mark.slow
def test_phantoms_in_this_layout_are_read_back(tmp_path, capsys):
    root = write_phantoms(tmp_path / "p", 4, 3, num_workers=2, progress=False, layout="mimic-echo")
    labels = pd.read_csv(root / "labels.csv")
    truths = {f"{study}_0001": read_truth(root, f"{study}_0001") for study in labels["study_id"]}
    ed, es = ([getattr(truth, name)[0] for truth in truths.values()]
              for name in ("ed_frames", "es_frames"))  # fmt: skip
    labels.assign(ED=ed, ES=es).to_csv(root / "labels.csv", index=False)  # nothing is to be found
    keyframes(root, workers=0)
    assert "4 are no cases: another view" in capsys.readouterr().out
    folder = read_labels(root)
    assert folder.is_phantom
    table = folder.table.set_index("video")
    assert table["ef_true"].tolist() == pytest.approx(labels["EF"].tolist())
    assert table["ed_frame"].tolist() == ed
    assert table["split"].tolist() == labels["Split"].tolist()
    assert table["patient"].nunique() < len(table), "several studies of a patient"
    assert table.groupby("patient")["split"].nunique().max() == 1
    for video, truth in truths.items():
        clip = open_phantom(root, video)
        assert clip.patient.num_frames == len(truth.area) == table.loc[video, "num_frames"]
        assert table.loc[video, "fps"] == pytest.approx(clip.patient.fps, rel=0.01)
    with pytest.raises(DatasetError, match="does not know 12_0001"):
        open_phantom(root, "12_0001")
    again = write_phantoms(root, 3, 3, num_workers=1, progress=False, layout="mimic-echo")
    assert len(list(again.rglob("*.dcm"))) == 6, "nothing is left of the others"
    assert not (root / "keyframes").exists()
    with pytest.raises(ConfigurationError, match="its clips are DICOM; leave one away"):
        write_phantoms(tmp_path / "q", 3, container="mp4", layout="mimic-echo")
