"""MF is the middle of a systole: cases whose ED and ES are of no systole have none."""

import shutil

import numpy as np
import pandas as pd
import pytest
from found import found_rows
from lightning import Trainer

from lvef.cardiac import NO_FRAME
from lvef.data.formats import write_video
from lvef.data.keyframes import KeyFrameDataModule
from lvef.data.layouts import read_labels
from lvef.data.loaders import without_unreadable
from lvef.errors import VideoError
from lvef.phantom import PhantomClip

ES_FIRST = "no mid frame, as ES comes before ED"
TWO_BEATS = "no mid frame, as ED and ES are of two beats (more than 0.6 s apart)"


@pytest.fixture(scope="module")
def folder(phantom_root, tmp_path_factory):
    """A folder with two readers' habits: ES of the beat before in 5 clips, of a later one in 3."""
    root = tmp_path_factory.mktemp("readers") / "echonet"
    (root / "Videos").mkdir(parents=True)
    for video in (phantom_root / "Videos").iterdir():
        (root / "Videos" / video.name).symlink_to(video)
    shutil.copy(phantom_root / "FileList.csv", root)
    tracings = pd.read_csv(phantom_root / "VolumeTracings.csv")
    table = read_labels(phantom_root).table.set_index("video")
    for change, wanted in ((_es_first, 5), (_two_beats, 3)):
        for video, row in table.iterrows():
            moved = change(row) if wanted else None
            if moved is not None:
                of_es = tracings["FileName"].str.startswith(video)
                of_es &= tracings["Frame"] == row["es_frame"]
                tracings.loc[of_es, "Frame"] = moved
                table, wanted = table.drop(index=video), wanted - 1
    tracings.to_csv(root / "VolumeTracings.csv", index=False)
    return root


def _es_first(row):
    return int(row["ed_frame"] - 5) if row["ed_frame"] >= 5 else None


def _two_beats(row):
    late = int(row["ed_frame"] + np.ceil(0.7 * row["fps"]))
    return late if late < row["num_frames"] else None


def test_labels_stay_as_they_are_and_the_share_without_mf_is_told(folder, phantom_root):
    read = read_labels(folder)
    assert len(read.table) == 32
    assert read.excluded.empty
    assert (read.table["mid_frame"] == NO_FRAME).sum() == 8
    before = read_labels(phantom_root).table
    moved = read.table["es_frame"] != before["es_frame"]
    assert moved.equals(read.table["mid_frame"] == NO_FRAME)
    assert read.table["ed_frame"].equals(before["ed_frame"])
    kept = read.table[~moved]
    assert (kept["mid_frame"] == (kept["ed_frame"] + kept["es_frame"]) // 2).all()
    told = [line.strip() for line in read.summary().splitlines()]
    assert "8 (25.0 %) have no mid frame: kept, as MF is not asked for" in told
    assert f"5 {ES_FIRST}" in told
    assert f"3 {TWO_BEATS}" in told


def test_no_phantom_lacks_a_mid_frame(phantom_root):
    assert "mid frame" not in read_labels(phantom_root).summary()


@pytest.mark.parametrize("frames", [["MF"], ["EDF", "ESF", "MF"]])
def test_who_asks_for_mf_does_not_see_cases_without_which_are_no_faults(folder, tmp_path, frames):
    data = KeyFrameDataModule(str(folder), frames, num_workers=0, max_excluded=0.0)
    data.trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=True)
    data.setup("fit")
    assert len(data.table) == 24
    assert (data.table["mid_frame"] > data.table["ed_frame"]).all()
    assert (data.table["mid_frame"] < data.table["es_frame"]).all()
    assert "8 (25.0 %) have no mid frame: left out, as MF is asked for" in data.folder.summary()
    listed = pd.read_csv(next(tmp_path.rglob("excluded.csv")))
    assert listed["reason"].value_counts().to_dict() == {ES_FIRST: 5, TWO_BEATS: 3}


def test_who_does_not_ask_for_mf_sees_every_case(folder):
    data = KeyFrameDataModule(str(folder), ["EDF", "ESF"], num_workers=0, max_excluded=0.0)
    data.setup("fit")
    assert len(data.table) == 32


def test_without_a_frame_rate_the_order_alone_tells(folder, tmp_path):
    root = tmp_path / "echonet"
    shutil.copytree(folder, root, symlinks=True)
    files = pd.read_csv(root / "FileList.csv").assign(FPS="")
    files.to_csv(root / "FileList.csv", index=False)
    assert (read_labels(root).table["mid_frame"] == NO_FRAME).sum() == 5


def test_a_case_without_mf_is_readable_and_never_shown_as_if_it_had_one(folder):
    read = read_labels(folder)
    assert len(without_unreadable(read, 32, 0, 0.0).table) == 32
    lacking = read.table[read.table["mid_frame"] == NO_FRAME].head(1)
    data = KeyFrameDataModule(str(folder), ["MF"], num_workers=0)
    sample = data.dataset(lacking, training=False)[0]
    assert "has no mid frame" in sample["failure"]
    with pytest.raises(VideoError):
        data.on_after_batch_transfer({"failures": [(0, sample["failure"])]}, 0)


def test_key_frames_of_no_systole_serve_a_model_that_does_not_ask_for_mf(tmp_path):
    write_video(tmp_path / "a.avi", PhantomClip(5, 0).frames(range(60)), 50)
    keys = tmp_path / "keys.csv"
    keys.write_text("video,ed,es\na,2,11\na,31,22\na,5,50\n")
    table = found_rows(tmp_path / "a.avi", keys, frames=["EDF", "ESF"])
    assert table["reason"].tolist() == ["", "", ""]
    assert table["mid_frame"].tolist() == [6, NO_FRAME, NO_FRAME]
    with pytest.warns(UserWarning, match=f"a beat is left out: {TWO_BEATS[:20]}"):
        table = found_rows(tmp_path / "a.avi", keys, frames=["MF"])
    assert table["reason"].tolist() == [
        "",
        TWO_BEATS + ": give ED and ES of one beat, ED first",
        ES_FIRST + ": give ED and ES of one beat, ED first",
    ]
    # The rate that a user gives counts, not the file's.
    with pytest.warns(UserWarning, match="a beat is left out"):
        table = found_rows(tmp_path / "a.avi", keys, frames=["MF"], fps=100)
    assert table["mid_frame"].tolist() == [6, 27, NO_FRAME]
