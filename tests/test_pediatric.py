"""EchoNet-Pediatric: as its publisher lays it out, as phantoms are, and what real users have."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from lvef.cardiac import polygon_area
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.layouts import LAYOUTS, EchoNetPediatric, find_layout, read_labels
from lvef.errors import ConfigurationError, DatasetError
from lvef.phantom import open_phantom, write_phantoms

# Typed from the publisher's description (echonet.github.io/pediatric): the file names carry an
# extension in both tables, EF has decimals, a weight may be missing, Split is a fold from 0 to 9,
# an outline is a row a point, and a phase that nobody traced is written in place of its frame.
FILE_LIST = """FileName,EF,Sex,Age,Weight,Height,Split
CRone-000035.avi,61.035714285714285,F,13,61.2,152.0,0
CRtwo-000036.avi,28.5,M,0,,48.5,7
CRthree-000014.avi,55.25,F,17,70.3,171.2,8
CRfour-000060.avi,64.0,M,4,16.4,101.6,9
CRfive-000031.avi,58.8,F,9,28.1,133.4,3
CRsix-000022.avi,60.1,M,2,12.9,88.0,1
"""
DIASTOLE = [(40, 20), (50, 15), (60, 20), (70, 60), (65, 90), (35, 90), (30, 60)]
SYSTOLE = [(44, 30), (50, 27), (56, 30), (62, 60), (58, 86), (42, 86), (38, 60)]
NAMES = [line.split(".avi")[0] for line in FILE_LIST.splitlines()[1:]]


def traced(name: str, frame: object, points: list[tuple[int, int]]) -> str:
    return "".join(f"{name}.avi,{x}.0,{y}.0,{frame}\n" for x, y in points)


TRACINGS = "FileName,X,Y,Frame\n" + "".join(
    [
        *(traced(name, 18, SYSTOLE) + traced(name, 5, DIASTOLE) for name in NAMES[:4]),
        traced(NAMES[4], 11, DIASTOLE) + traced(NAMES[4], "No Systolic", [(0, 0)]),
        traced(NAMES[5], "No Diastolic", [(0, 0)]) + traced(NAMES[5], 7, SYSTOLE),
    ]
)


def film(path: Path, seed: int, count: int = 24, fps: float = 30.0) -> None:
    """Write a clip of 112 x 112 as MJPEG, by OpenCV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (112, 112))
    noise = np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both views, typed by hand."""
    root = tmp_path_factory.mktemp("pediatric")
    for number, name in enumerate(NAMES):
        film(root / "A4C" / "Videos" / f"{name}.avi", number)
    (root / "A4C" / "FileList.csv").write_text(FILE_LIST)
    (root / "A4C" / "VolumeTracings.csv").write_text(TRACINGS)
    shutil.copytree(root / "A4C", root / "PSAX")
    return root


@pytest.fixture
def own(original: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(original, tmp_path / "own"))


def test_the_published_layout_is_read_as_it_is_described(original):
    assert isinstance(find_layout(original), EchoNetPediatric)
    folder = read_labels(original, max_excluded=0.5)
    table = folder.table.set_index("video")
    assert table["split"].to_dict() == dict(
        zip(NAMES[:4], ["TRAIN", "TRAIN", "VAL", "TEST"], strict=True)
    )
    assert table["own:Fold"].tolist() == ["0", "7", "8", "9"]
    assert table["ef_true"].tolist() == pytest.approx([61.0357, 28.5, 55.25, 64.0], abs=1e-4)
    assert table[["edv", "esv"]].isna().all(axis=None)
    assert set(table["fps"]) == {30.0}
    assert set(table["num_frames"]) == {24}
    assert set(table["view_true"]) == {"A4C"}
    assert set(table["ed_frame"]) == {5}
    assert set(table["es_frame"]) == {18}
    assert table["own:Weight"].tolist() == ["61.2", "", "70.3", "16.4"]
    np.testing.assert_array_equal(folder.contour(NAMES[0], 5, (112, 112)), DIASTOLE)
    assert polygon_area(folder.contour(NAMES[0], 18)) < polygon_area(folder.contour(NAMES[0], 5))
    assert folder.excluded[["video", "reason"]].values.tolist() == [
        [NAMES[4], "a frame was not traced: No Systolic"],
        [NAMES[5], "a frame was not traced: No Diastolic"],
    ]
    for said in ("0-7 are TRAIN, 8 is VAL and 9 is TEST", "Weight is not stated for 1",
                 "PSAX/ is left out: a parasternal short axis is no apical view",
                 "2 a frame was not traced"):  # fmt: skip
        assert said in folder.summary()


def test_what_is_given_may_be_a_view_or_where_the_archive_was_unpacked(own, tmp_path):
    whole = read_labels(own, 0.5)
    alone = read_labels(own / "A4C", 0.5)
    pd.testing.assert_frame_equal(whole.table, alone.table)
    assert "PSAX" not in alone.summary()
    short_axis = read_labels(own / "PSAX", 0.5)
    assert set(short_axis.table["view_true"]) == {"PSAX"}
    assert "PSAX is read as it was asked for" in short_axis.summary()
    above = tmp_path / "above"
    shutil.copytree(own, above / "pediatric_echo_avi" / "pediatric_echo_avi")
    assert len(read_labels(above, 0.5).table) == 4
    shutil.rmtree(own / "A4C")
    with pytest.raises(DatasetError, match=r"holds PSAX/ and no A4C/: a parasternal short axis"):
        read_labels(own)
    (own / "PSAX").rename(own / "hearts")
    assert "taken for A4C, as nothing in" in read_labels(own / "hearts", 0.5).summary()


def test_the_layout_alone_tells_the_folder_from_its_sister(own):
    assert not LAYOUTS["echonet-dynamic"].recognises(own / "A4C")
    before = folder_fingerprint(own)
    assert {"A4C/FileList.csv", "A4C/VolumeTracings.csv"} < set(before)
    assert before["videos"] == 6


def put(root: Path, name: str, change) -> None:
    path = root / "A4C" / name
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("FileList.csv", "152.0,0", "152.0,10", "split is none of TRAIN, VAL, TEST"),
        ("FileList.csv", "61.035714285714285", "", "EF missing or no number"),
        ("FileList.csv", "61.035714285714285", "161", "EF outside 0-100"),
        ("FileList.csv", "CRone-000035.avi", "CRother.avi", "video file missing or empty"),
        ("VolumeTracings.csv", "CRone-000035.avi", "CRnobody.avi", "no tracing"),
        ("VolumeTracings.csv", traced(NAMES[0], 18, SYSTOLE), traced(NAMES[0], 24, SYSTOLE),
         "traced frame outside the clip"),
        ("VolumeTracings.csv", traced(NAMES[0], 18, SYSTOLE), "", "not two traced frames"),
        ("VolumeTracings.csv", traced(NAMES[0], 18, SYSTOLE),
         traced(NAMES[0], 18, SYSTOLE) + traced(NAMES[0], 20, SYSTOLE), "not two traced frames"),
        ("VolumeTracings.csv", traced(NAMES[0], 18, SYSTOLE), traced(NAMES[0], 18, SYSTOLE[:2]),
         "tracing damaged"),
        ("VolumeTracings.csv", traced(NAMES[0], 18, SYSTOLE), traced(NAMES[0], 18, DIASTOLE),
         "ED and ES are traced alike"),
        ("VolumeTracings.csv", "CRone-000035.avi,50.0,27.0,18", "CRone-000035.avi,50.0,-900.0,18",
         "tracing outside the picture"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_has_its_reason(own, file, old, new, reason):
    put(own, file, lambda text: text.replace(old, new))
    folder = read_labels(own, 0.9)
    assert len(folder.table) == 3
    assert reason in set(folder.excluded["reason"])
    assert len(folder.excluded) == 3


def test_a_clip_that_cannot_be_read_is_set_aside_with_the_reason(own):
    (own / "A4C" / "Videos" / "CRone-000035.avi").write_bytes(b"no clip")
    reasons = read_labels(own, 0.9).excluded.set_index("video")["reason"]
    assert reasons[NAMES[0]].startswith("unreadable video: CRone-000035.avi: ")


def test_quirks_of_real_folders_change_nothing(own):
    expected = read_labels(own, 0.5).table
    put(own, "FileList.csv", lambda text: text.replace(".avi", "").replace(",", ";"))
    put(own, "VolumeTracings.csv", lambda text: text + text)
    pd.testing.assert_frame_equal(read_labels(own, 0.5).table, expected)


def test_splits_in_words_and_stated_rates_are_taken(own):
    words = {",0\n": ",train,25\n", ",7\n": ",train,25\n", ",8\n": ",val,\n", ",9\n": ",test,25\n",
             ",3\n": ",train,\n", ",1\n": ",train,\n", "Split\n": "Split,FPS\n"}  # fmt: skip
    for old, new in words.items():
        put(own, "FileList.csv", lambda text, old=old, new=new: text.replace(old, new))
    folder = read_labels(own, 0.5)
    assert folder.table["split"].tolist() == ["TRAIN", "TRAIN", "VAL", "TEST"]
    assert folder.table["fps"].tolist() == [25.0, 25.0, 30.0, 25.0]
    assert "own:Fold" not in folder.table
    assert "folds" not in folder.summary()


def test_volumes_of_one_plane_need_not_agree_with_an_ef_of_two(own):
    put(own, "FileList.csv", lambda text: text.replace("\n", ",90,80\n").replace(
        "Split,90,80", "Split,EDV,ESV"))  # fmt: skip
    folder = read_labels(own, 0.5)
    assert folder.table["edv"].tolist() == [90.0] * 4
    assert LAYOUTS["echonet-dynamic"].ef_of_volumes


def test_strange_ages_are_told_and_kept(own):
    put(own, "FileList.csv", lambda text: text.replace("F,13,", "F,43,").replace("M,0,", "M,new,"))
    folder = read_labels(own, 0.5)
    assert len(folder.table) == 4
    assert "Age of 2 is not one from 0 to 18 years" in folder.summary()


def test_what_is_missing_is_asked_for_and_small_letters_are_not(own):
    (own / "A4C" / "VolumeTracings.csv").rename(own / "A4C" / "volumetracings.csv")
    assert len(read_labels(own, 0.5).table) == 4
    (own / "A4C" / "volumetracings.csv").unlink()
    with pytest.raises(DatasetError, match=r"not found. An EchoNet-Pediatric folder holds A4C/"):
        read_labels(own)
    put(own, "FileList.csv", lambda text: text.replace("Split", "Part"))
    (own / "A4C" / "VolumeTracings.csv").write_text(TRACINGS)
    with pytest.raises(DatasetError, match="column Split not found among"):
        read_labels(own)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms")
    return write_phantoms(
        root, 12, seed=4, num_workers=1, progress=False, layout="echonet-pediatric"
    )


def test_phantoms_are_written_in_the_layout_and_read_back(phantoms):
    folder = read_labels(phantoms)
    assert folder.is_phantom
    assert folder.table["split"].value_counts().to_dict() == {"TRAIN": 9, "TEST": 2, "VAL": 1}
    assert set(folder.table["own:Fold"]) == {*"0123456789"}
    row = folder.table.iloc[0]
    clip = open_phantom(folder.root, row["video"])
    assert clip is not None
    assert (row["ed_frame"], row["es_frame"]) == (clip.ed_frame, clip.es_frame)
    assert row["num_frames"] == clip.patient.num_frames
    truth = clip.truth()["contour"][clip.ed_frame]
    np.testing.assert_allclose(folder.contour(row["video"], clip.ed_frame), truth, atol=0.01)
    assert len(folder.contours(row["video"], set())) == clip.patient.num_frames


def test_a_data_module_reads_batches_with_masks(phantoms):
    for masks in (False, True):
        data = EchoNetDataModule(str(phantoms), batch_size=3, num_workers=0, masks=masks)
        data.setup("fit")
        assert data.is_phantom
        batch = next(iter(data.train_dataloader()))
        assert batch["mask" if masks else "frames"].any()


def test_a_phantom_folder_keeps_its_layout(phantoms, tmp_path):
    with pytest.raises(ConfigurationError, match="in the layout echonet-pediatric; choose another"):
        write_phantoms(phantoms, 3, progress=False)
    with pytest.raises(ConfigurationError, match="--screen with --layout echonet-pediatric"):
        write_phantoms(tmp_path, 3, screen=True, layout="echonet-pediatric", progress=False)
