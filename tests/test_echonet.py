import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvef.data.layouts import read_labels
from lvef.errors import DatasetError

IMPOSSIBLE = "volumes impossible: ESV is not below EDV, or one of them is negative"


@pytest.fixture
def copy(phantom_root: Path, tmp_path: Path) -> Path:
    """A folder of its own with the phantoms' tables, and links to their videos."""
    root = tmp_path / "echonet"
    (root / "Videos").mkdir(parents=True)
    for name in ("FileList.csv", "VolumeTracings.csv"):
        shutil.copy(phantom_root / name, root)
    for video in (phantom_root / "Videos").iterdir():
        (root / "Videos" / video.name).symlink_to(video)
    return root


def change(root: Path, row: int, **values: object) -> str:
    """Change cells of a row of FileList.csv and return the name of its video."""
    path = root / "FileList.csv"
    table = pd.read_csv(path).astype(object)
    name = table.loc[row, "FileName"]
    for column, value in values.items():
        table.loc[row, column] = value
    table.to_csv(path, index=False)
    return str(name)


def reason(root: Path, video: str) -> str:
    excluded = read_labels(root, max_excluded=1.0).excluded
    return str(excluded.set_index("video").loc[video, "reason"])


def test_a_phantom_folder_gives_one_valid_row_a_video(phantom_root):
    folder = read_labels(phantom_root)
    assert len(folder.table) == 32
    assert len(folder.excluded) == 0
    assert folder.table["split"].value_counts().to_dict() == {"TRAIN": 22, "TEST": 7, "VAL": 3}
    assert folder.table.index.tolist() == list(range(32))
    truth = np.load(phantom_root / "Truth" / f"{folder.table.loc[0, 'video']}.npz")
    assert folder.table.loc[0, "ed_frame"] == truth["ed_frame"]
    assert folder.table.loc[0, "es_frame"] == truth["es_frame"]


def test_ed_is_the_larger_traced_area_whatever_the_order_of_rows(copy):
    before = read_labels(copy).table
    path = copy / "VolumeTracings.csv"
    tracings = pd.read_csv(path)
    # Whole frames change places; within a frame the long axis stays first.
    swapped = tracings.sort_values(["FileName", "Frame"], kind="stable", ascending=False)
    swapped.to_csv(path, index=False)
    after = read_labels(copy).table
    pd.testing.assert_frame_equal(before, after)


def test_the_contour_of_a_frame_is_the_one_that_was_traced(phantom_root):
    folder = read_labels(phantom_root)
    row = folder.table.loc[4]
    truth = np.load(phantom_root / "Truth" / f"{row['video']}.npz")
    contour = folder.contour(row["video"], row["es_frame"])
    np.testing.assert_allclose(contour, truth["contour"][row["es_frame"]], atol=1e-3)
    with pytest.raises(DatasetError, match="was not traced"):
        folder.contour(row["video"], 9999)


def test_extensions_extra_columns_and_lower_case_splits_are_accepted(copy):
    files = pd.read_csv(copy / "FileList.csv")
    files["Split"] = files["Split"].str.lower()
    files["FileName"] += ".avi"
    files.insert(0, "Unnamed: 0", range(len(files)))
    files.to_csv(copy / "FileList.csv", index=False)
    tracings = pd.read_csv(copy / "VolumeTracings.csv")
    tracings["FileName"] = tracings["FileName"].str.removesuffix(".avi")
    tracings.to_csv(copy / "VolumeTracings.csv")
    table = read_labels(copy).table
    assert len(table) == 32
    assert set(table["split"]) == {"TRAIN", "VAL", "TEST"}


def test_an_mp4_stands_in_for_the_avi_of_the_same_name(copy):
    video = sorted((copy / "Videos").iterdir())[0]
    video.rename(video.with_suffix(".mp4"))
    table = read_labels(copy).table
    assert table.loc[0, "path"].endswith(".mp4")
    assert len(table) == 32


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"EF": 140.0}, "EF outside 0-100"),
        ({"EF": -1.0}, "EF outside 0-100"),
        ({"EF": "n/a"}, "EF missing or no number"),
        ({"EF": 0.55}, "EF of 1 % or less: a fraction, a class, or not measured"),
        ({"EF": 12.0}, "EF inconsistent with volumes"),
        ({"ESV": 1000.0}, IMPOSSIBLE),
        ({"EDV": -5.0}, IMPOSSIBLE),
        ({"NumberOfFrames": 99.5}, "number of frames is no whole number"),
        ({"NumberOfFrames": 3}, "traced frame outside the clip"),
        ({"NumberOfFrames": None}, "number of frames unknown"),
        ({"Split": "train2"}, "split is none of TRAIN, VAL, TEST"),
    ],
)
def test_an_unusable_row_is_set_aside_with_its_reason(copy, values, expected):
    assert reason(copy, change(copy, 2, **values)) == expected


@pytest.mark.parametrize("damage", ["NaN", "text", "one chord"])
def test_a_damaged_tracing_does_not_swap_ed_and_es_in_silence(copy, damage):
    path = copy / "VolumeTracings.csv"
    tracings = pd.read_csv(path).astype(object)
    video = tracings.loc[0, "FileName"]
    if damage == "one chord":
        frame = tracings.loc[0, "Frame"]
        same = (tracings["FileName"] == video) & (tracings["Frame"] == frame)
        tracings = tracings.drop(index=tracings.index[same][2:])
    else:
        tracings.loc[5, "X1"] = {"NaN": None, "text": "abc"}[damage]
    tracings.to_csv(path, index=False)
    assert reason(copy, video.removesuffix(".avi")) == "tracing damaged"


def test_names_of_digits_keep_their_zeros(copy):
    old = change(copy, 0, FileName="000123")
    tracings = (copy / "VolumeTracings.csv").read_text().replace(old, "000123")
    (copy / "VolumeTracings.csv").write_text(tracings)
    (copy / "Videos" / f"{old}.avi").rename(copy / "Videos" / "000123.avi")
    assert read_labels(copy).table.loc[0, "video"] == "000123"


def test_the_columns_are_read_as_the_data_set_s_own_loader_reads_them(phantom_root):
    """Names without extension get .avi, header and order are fixed, the largest frame is last."""
    lines = (phantom_root / "FileList.csv").read_text().splitlines()
    header = lines[0].split(",")
    names = [line.split(",")[header.index("FileName")] + ".avi" for line in lines[1:]]
    assert {p.name for p in (phantom_root / "Videos").iterdir()} == set(names)
    traced: dict[str, list[int]] = {}
    rows = (phantom_root / "VolumeTracings.csv").read_text().splitlines()
    assert rows[0].split(",") == ["FileName", "X1", "Y1", "X2", "Y2", "Frame"]
    for row in rows[1:]:
        name, *points, frame = row.split(",")
        assert len([float(point) for point in points]) == 4
        frames = traced.setdefault(name, [])
        if int(frame) not in frames:
            frames.append(int(frame))
    table = read_labels(phantom_root).table.set_index("video")
    assert set(traced) == set(names)
    for name, (small, large) in traced.items():
        row = table.loc[name.removesuffix(".avi")]
        assert (small, large) == (row["es_frame"], row["ed_frame"])


def test_missing_empty_and_untraced_videos_and_duplicates_are_set_aside(copy):
    videos = sorted((copy / "Videos").iterdir())
    videos[0].unlink()
    videos[1].unlink()
    videos[1].touch()
    tracings = pd.read_csv(copy / "VolumeTracings.csv")
    tracings[tracings["FileName"] != videos[2].name].to_csv(
        copy / "VolumeTracings.csv", index=False
    )
    change(copy, 4, FileName=videos[5].stem)  # of two rows with other labels none can be trusted
    folder = read_labels(copy, max_excluded=1.0)
    reasons = dict(zip(folder.excluded["video"], folder.excluded["reason"], strict=True))
    assert reasons == {
        videos[0].stem: "video file missing or empty",
        videos[1].stem: "video file missing or empty",
        videos[2].stem: "no tracing",
        videos[5].stem: "duplicate name",
    }
    assert "5 set aside" in folder.summary()
    assert "1 no tracing" in folder.summary()


def test_more_unusable_videos_than_allowed_stop_with_the_summary(copy):
    for row in range(3):
        change(copy, row, EF=-1)
    with pytest.raises(
        DatasetError, match=r"3 EF outside 0-100[\s\S]*9\.4 % .* max_excluded = 5 %"
    ):
        read_labels(copy)
    assert len(read_labels(copy, max_excluded=0.1).table) == 29


def test_a_missing_folder_is_told_in_one_line_with_both_ways_on(tmp_path):
    with pytest.raises(DatasetError) as error:
        read_labels(tmp_path / "nowhere")
    text = str(error.value)
    assert "nowhere not found" in text
    assert "https://echonet.github.io/dynamic/" in text
    assert "python -m lvef phantom --root" in text
    assert "\n" not in text


def test_a_missing_column_is_named(copy):
    table = pd.read_csv(copy / "FileList.csv").drop(columns="EF")
    table.to_csv(copy / "FileList.csv", index=False)
    with pytest.raises(DatasetError, match=r"FileList\.csv: column EF not found among FileName"):
        read_labels(copy)
