"""A BIDS-like folder of echocardiograms: clips by subject and session, EFs in its tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lvef.data.fingerprint import folder_fingerprint
from lvef.data.layouts import Bids, find_layout, read_labels
from lvef.data.layouts.clip_list.prepared import Prepared
from lvef.data.phantom_folder import read_truth
from lvef.errors import DatasetError
from lvef.phantom import open_phantom, write_phantoms
from lvef.predict.list_keyframes import keyframes

# Typed from the standard (bids-specification.readthedocs.io): tabs, `n/a` where nothing is known,
# files of scans.tsv below its own folder, ids with their prefixes.
TABLES = {
    "participants.tsv": "participant_id\tage\tsplit\nsub-01\t61\ttrain\nsub-02\tn/a\tval\n"
    "sub-03\t44\ttest\nsub-04\t70\ttrain\n",
    "sub-01/sub-01_sessions.tsv": "session_id\tEF\nses-01\t55\nses-02\t48.5\n",
    "sub-02/sub-02_sessions.tsv": "session_id\tEF\nses-01\t35\n",
    "sub-01/ses-01/sub-01_ses-01_scans.tsv": "filename\tacq_time\n"
    "us/sub-01_ses-01_view-A4C_us.mp4\t2024-01-01T10:00:00\n",
    "sub-03/sub-03_scans.tsv": "filename\tEF\tview\nus/sub-03_run-1_us.nii.gz\t60\tA4C\n"
    "us/sub-03_run-2_us.dcm\t60\tPLAX\nanat/sub-03_T1w.nii.gz\tn/a\tn/a\n",
}
CLIPS = [
    "sub-01/ses-01/us/sub-01_ses-01_view-A2C_us.mp4",
    "sub-01/ses-01/us/sub-01_ses-01_view-A4C_us.mp4",
    "sub-01/ses-02/us/sub-01_ses-02_acq-4CH_us.avi",
    "sub-02/ses-01/us/sub-02_ses-01_view-A4C_us.mp4",
    "sub-03/us/sub-03_run-1_us.nii.gz",
    "sub-03/us/sub-03_run-2_us.dcm",
    "sub-04/us/sub-04_view-A4C_us.mp4",
]
HEAD = "path,ed,es,quality,fps,num_frames,frame_height,frame_width,split,reason\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that was typed by hand; what its clips show is not looked at."""
    place = tmp_path / "bids"
    for number, clip in enumerate([*CLIPS, "sub-03/anat/sub-03_T1w.nii.gz"]):
        (place / clip).parent.mkdir(parents=True, exist_ok=True)
        (place / clip).write_bytes(b"clip %d" % number)
    for name, text in TABLES.items():
        (place / name).write_text(text)
    path = Prepared(place).keyframes
    path.parent.mkdir()
    path.write_text(HEAD + "".join(f"{clip},5,15,0.8,30,60,,,TRAIN,\n" for clip in CLIPS))
    return place


def put(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text.replace(" ", "\t"))


def test_clips_and_tables_are_put_together(root):
    assert isinstance(find_layout(root), Bids)
    folder = read_labels(root)
    table = folder.table.set_index("video")
    assert table["ef_true"].to_dict() == {
        "sub-01_ses-01_view-A4C_us": 55, "sub-01_ses-02_acq-4CH_us": 48.5,
        "sub-02_ses-01_view-A4C_us": 35, "sub-03_run-1_us": 60,
    }  # fmt: skip
    assert table["split"].tolist() == ["TRAIN", "TRAIN", "VAL", "TEST"]
    assert table["patient"].tolist() == ["sub-01", "sub-01", "sub-02", "sub-03"]
    assert table["study"].tolist() == ["sub-01/ses-01", "sub-01/ses-02", "sub-02/ses-01", "sub-03"]
    assert table["own:age"].tolist() == ["61", "61", "", "44"]
    assert folder.left_out.set_index("video")["reason"].to_dict() == {
        "sub-04_view-A4C_us": "its study has no label",
        "sub-01_ses-01_view-A2C_us": "another view: A2C", "sub-03_run-2_us": "another view: PLAX",
    }  # fmt: skip
    assert not len(folder.excluded)
    prints = folder_fingerprint(root)
    put(root, "sub-02/sub-02_sessions.tsv", "session_id EF\nses-01 36\n")
    assert folder_fingerprint(root) != prints


def test_what_is_said_of_a_clip_comes_first(root):
    put(
        root,
        "participants.tsv",
        "participant_id EF split\nsub-01 30 train\n02 31 val\nsub-09 1 val\n",
    )
    put(root, "sub-01/ses-01/sub-01_ses-01_scans.tsv",
        "filename EF\nus/sub-01_ses-01_view-A4C_us.mp4 58%\n")  # fmt: skip
    put(root, "sub-02/sub-02_sessions.tsv", "session_id EF\n01 n/a\n")
    folder = read_labels(root)
    assert folder.table["ef_true"].tolist() == [58, 48.5, 31, 60]
    assert "1 participants have no clip" in folder.summary()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"sub-01/sub-01_sessions.tsv": "session_id EF\nses-01 55\nses-01 50\n"},
         "ses-01 stands there twice: keep one of its rows"),
        ({"participants.tsv": "participant_id split\nsub-01 train\nsub-01 test\n"}, "twice"),
        ({"participants.tsv": "who split\nsub-01 train\n"}, "column participant_id not found"),
        ({"sub-01/sub-01_sessions.tsv": "session_id EF split\nses-01 55 train\nses-02 50 test\n"},
         "1 of 3 patients have clips in several splits"),
        ({"sub-01/sub-01_sessions.tsv": "session_id\nses-01\n",
          "sub-02/sub-02_sessions.tsv": "session_id\nses-01\n",
          "sub-03/sub-03_scans.tsv": "filename\nus/sub-03_run-1_us.nii.gz\n"},
         "none of its tables states an EF. A BIDS folder holds participants.tsv"),
    ],
)  # fmt: skip
def test_what_cannot_be_put_together_is_told(root, tables, message):
    for name, text in tables.items():
        put(root, name, text)
    with pytest.raises(DatasetError, match=message):
        read_labels(root)


def test_an_ef_of_a_person_is_not_given_to_a_view_that_nobody_knows(root):
    for clip in (root / name for name in CLIPS):
        clip.rename(clip.with_name(clip.name.replace("view-", "task-").replace("acq-", "task-")))
    (root / "sub-01/ses-01/sub-01_ses-01_scans.tsv").unlink()
    put(root, "sub-03/sub-03_scans.tsv", "filename EF\nus/sub-03_run-1_us.nii.gz 60\n")
    with pytest.raises(DatasetError, match="nothing says which of their clips show the apical"):
        read_labels(root)
    for table in ("sub-01/sub-01_sessions.tsv", "sub-02/sub-02_sessions.tsv"):
        (root / table).unlink()
    folder = read_labels(root)  # the one EF that is left is a clip's own
    assert folder.table["video"].tolist() == ["sub-03_run-1_us"]
    assert "view_true" not in folder.table


def test_tables_without_a_row_say_nothing(root):
    before = read_labels(root).table.drop(columns="own:acq_time")
    put(root, "sub-01/ses-01/sub-01_ses-01_scans.tsv", "filename EF\n")
    put(root, "sub-04/sub-04_sessions.tsv", "session_id EF\n")
    pd.testing.assert_frame_equal(read_labels(root).table, before)


def test_a_clip_that_a_table_names_and_nobody_has_is_told(root):
    (root / CLIPS[1]).unlink()
    folder = read_labels(root, 0.5)
    assert folder.excluded[["video", "reason"]].values.tolist() == [
        ["sub-01_ses-01_view-A4C_us", "video file missing or empty"]
    ]
    for clip in CLIPS:
        (root / clip).unlink(missing_ok=True)
    for table in root.rglob("*_scans.tsv"):
        table.unlink()
    with pytest.raises(DatasetError, match=r"no clip in sub-\*/us/ or sub-\*/ses-\*/us/"):
        read_labels(root)


@pytest.mark.slow
def test_phantoms_in_this_layout_are_read_back(tmp_path):
    root = write_phantoms(tmp_path / "p", 4, 3, num_workers=2, progress=False, layout="bids",
                          container="mp4")  # fmt: skip
    for path in root.glob("sub-*/*_sessions.tsv"):
        table = pd.read_csv(path, sep="\t")
        truths = [read_truth(root, f"{path.parent.name}_{ses}_view-A4C_us")
                  for ses in table["session_id"]]  # fmt: skip
        table["ED"], table["ES"] = ([getattr(t, name)[0] for t in truths]
                                    for name in ("ed_frames", "es_frames"))  # fmt: skip
        table.to_csv(path, sep="\t", index=False)  # so that nothing is to be found
    keyframes(root, workers=0)
    folder = read_labels(root)
    assert folder.is_phantom
    assert len(folder.table) == len(folder.left_out) == 4
    assert folder.table["split"].value_counts().to_dict() == {"TRAIN": 2, "TEST": 1, "VAL": 1}
    assert folder.table.groupby("patient")["split"].nunique().max() == 1
    for row in folder.table.to_dict("records"):
        clip = open_phantom(root, row["video"])
        assert row["num_frames"] == clip.patient.num_frames
        ef = 100 * (1 - clip.volume(clip.es_frame) / clip.volume(clip.ed_frame))
        assert row["ef_true"] == pytest.approx(ef, abs=1e-6)
    again = write_phantoms(root, 3, 3, num_workers=1, progress=False, layout="bids")
    assert len(list(again.rglob("*_us.avi"))) == 6
    assert not list(again.rglob("*.mp4"))
