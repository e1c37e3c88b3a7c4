"""Tracings as they come: in other pixels, beside the picture, out of order, with nothing inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvef.cardiac import chords_to_polygon, ordered_tracings, polygon_area
from lvef.data.clips import ClipDataset
from lvef.data.formats import read_frames, write_video
from lvef.data.layouts import LabelFolder, read_labels
from lvef.data.pixels import inside, scale_into
from lvef.errors import DatasetError
from lvef.phantom import open_phantom

POINTS = ["X1", "Y1", "X2", "Y2"]
ROW = 3


@pytest.fixture
def files(phantom_root: Path) -> pd.DataFrame:
    return pd.read_csv(phantom_root / "FileList.csv")


@pytest.fixture
def tracings(phantom_root: Path) -> pd.DataFrame:
    return pd.read_csv(phantom_root / "VolumeTracings.csv")


@pytest.fixture
def folder(phantom_root: Path, tmp_path: Path) -> Path:
    """The phantoms as patients come: no frame is known but the traced ones."""
    (tmp_path / "Videos").mkdir()
    for video in (phantom_root / "Videos").iterdir():
        (tmp_path / "Videos" / video.name).symlink_to(video)
    return tmp_path


def put(folder: Path, files: pd.DataFrame, tracings: pd.DataFrame) -> LabelFolder:
    files.to_csv(folder / "FileList.csv", index=False)
    tracings.to_csv(folder / "VolumeTracings.csv", index=False)
    return read_labels(folder, 1.0)


def of_row(files: pd.DataFrame, tracings: pd.DataFrame) -> pd.Series:
    return tracings["FileName"].str.startswith(files.loc[ROW, "FileName"])


def item(folder: LabelFolder, row: int, size: int = 112) -> dict:
    return ClipDataset(folder, folder.table.loc[[row]], size, training=False)[0]


def masks(folder: LabelFolder, row: int, size: int = 112) -> np.ndarray:
    found = item(folder, row, size)
    return found["mask"][found["traced"]].numpy().astype(bool)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize("width", [1024, 1040])
def test_a_tracing_in_pixels_of_the_stated_size_becomes_the_mask_it_was(
    folder, files, tracings, phantom_root, width
):
    before = put(folder, files, tracings)
    own = of_row(files, tracings)
    large = tracings.copy()
    large.loc[own, POINTS] *= np.array([width, 768, width, 768]) / 112
    files.loc[ROW, ["FrameHeight", "FrameWidth"]] = 768, width
    after = put(folder, files, large)
    assert len(after.table) == 32
    assert "tracings of 1 are in pixels of the size that FileList.csv states" in after.summary()
    assert overlap(masks(after, ROW), masks(before, ROW)) == 1
    frame = int(after.table.loc[ROW, "ed_frame"])
    assert frame == before.table.loc[ROW, "ed_frame"]
    np.testing.assert_allclose(
        after.contour(files.loc[ROW, "FileName"], frame),
        before.contour(files.loc[ROW, "FileName"], frame),
    )
    # Another size in the list, but tracings in the picture's pixels: they stay as they are.
    same = put(folder, files, tracings)
    assert overlap(masks(same, ROW), masks(before, ROW)) == 1
    assert not same.notes


def test_a_whole_folder_of_large_tracings_is_scaled(folder, files, tracings):
    before = put(folder, files, tracings)
    large = tracings.assign(**{name: 4 * tracings[name] for name in POINTS})
    stated = files.assign(FrameHeight=448, FrameWidth=448)
    after = put(folder, stated, large)
    assert len(after.table) == 32
    assert "tracings of 32 are in pixels of the size" in after.summary()
    assert overlap(masks(after, 0), masks(before, 0)) == 1
    unstated = files.drop(columns=["FrameHeight", "FrameWidth"])
    assert set(put(folder, unstated, large).excluded["reason"]) == {"tracing outside the picture"}
    assert len(put(folder, unstated, tracings).table) == 32


def move(by: float):
    return lambda points: points + np.array([by, 0, by, 0])


def gap(points: np.ndarray) -> np.ndarray:
    points[5, 0] = np.nan
    return points


def without_axis(points: np.ndarray) -> np.ndarray:
    points[0] = points[1] + 0.1
    return points


def flat(points: np.ndarray) -> np.ndarray:
    points[:, [1, 3]] = points[:1, 1:2]
    return points


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (move(500.0), "tracing outside the picture"),
        (move(-60.0), "tracing outside the picture"),
        (move(1e12), "tracing outside the picture"),
        (gap, "tracing damaged"),
        (without_axis, "tracing damaged"),
        (flat, "tracing damaged"),
        (lambda points: points / 112, "tracing damaged"),
        (lambda points: points * np.inf, "tracing damaged"),
        (lambda points: np.tile(points[1], (len(points), 1)), "tracing damaged"),
    ],
)
@pytest.mark.parametrize("which", ["one frame", "both"])
def test_a_tracing_that_draws_no_ventricle_into_the_picture_is_set_aside(
    folder, files, tracings, change, reason, which
):
    own = of_row(files, tracings)
    if which == "one frame":
        own &= tracings["Frame"] == tracings.loc[own, "Frame"].iloc[0]
    for frame in tracings.loc[own, "Frame"].unique():
        rows = own & (tracings["Frame"] == frame)
        tracings.loc[rows, POINTS] = change(tracings.loc[rows, POINTS].to_numpy(copy=True))
    read = put(folder, files, tracings)
    assert read.excluded["reason"].tolist() == [reason]
    assert read.excluded["video"].tolist() == [files.loc[ROW, "FileName"]]


def test_a_tracing_that_leaves_the_picture_a_little_keeps_what_is_in_it(folder, files, tracings):
    own = of_row(files, tracings)
    left = tracings.loc[own, ["X1", "X2"]].min(axis=None)
    tracings.loc[own, ["X1", "X2"]] -= left + 2
    read = put(folder, files, tracings)
    assert len(read.table) == 32
    contour = read.contour(files.loc[ROW, "FileName"], int(read.table.loc[ROW, "ed_frame"]))
    assert contour[:, 0].min() < -1
    assert 0.8 < inside(contour, (112, 112)) < 1
    assert masks(read, ROW)[0].sum() > 200


def shuffled(points: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(points)


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points[::-1],
        lambda points: np.r_[points[:1], points[:0:-1]],
        lambda points: points[:, [2, 3, 0, 1]],
        shuffled,
        lambda points: np.where(np.arange(len(points))[:, None] % 3 == 1,
                                points[:, [2, 3, 0, 1]], points),
        lambda points: np.r_[points, points],
    ],
    ids=["upside down", "base first", "mirrored", "shuffled", "ends changed", "twice"],
)  # fmt: skip
def test_the_order_of_a_tracing_s_rows_changes_neither_ed_and_es_nor_the_mask(
    folder, files, tracings, change
):
    before = put(folder, files, tracings)
    parts = []
    for keys, rows in tracings.groupby(["FileName", "Frame"], sort=False):
        # Only the larger of both frames: a bow-tie would enclose less than the smaller.
        name, frame = str(keys[0]).removesuffix(".avi"), int(keys[1])
        table = before.table.set_index("video")
        points = rows[POINTS].to_numpy(copy=True)
        points = change(points) if frame == table.loc[name, "ed_frame"] else points
        parts.append(pd.DataFrame(points, columns=POINTS).assign(FileName=keys[0], Frame=keys[1]))
    after = put(folder, files, pd.concat(parts))
    pd.testing.assert_frame_equal(after.table, before.table)
    assert overlap(masks(after, ROW), masks(before, ROW)) == 1


def test_tracings_in_order_stay_as_they_are(phantom_root, tracings):
    lines = tracings[POINTS].to_numpy().reshape(-1, 21, 4)
    np.testing.assert_array_equal(ordered_tracings(lines), lines)
    mixed = np.stack([np.random.default_rng(n).permutation(each) for n, each in enumerate(lines)])
    areas = [polygon_area(chords_to_polygon(each[1:])) for each in ordered_tracings(mixed)]
    truth = [polygon_area(chords_to_polygon(each[1:])) for each in lines]
    np.testing.assert_allclose(areas, truth)


def test_a_picture_that_shows_more_than_was_traced_in_is_refused(
    folder, files, tracings, phantom_root
):
    """Whoever puts the file as it left the machine into the folder traced in a part of it."""
    read = put(folder, files, tracings)
    name = files.loc[ROW, "FileName"]
    frames = open_phantom(phantom_root, name).frames()
    path = folder / "Videos" / f"{name}.avi"
    path.unlink()
    write_video(path, frames.repeat(2, axis=1).repeat(2, axis=2), 50)
    assert read_frames(path, [0]).shape[1:3] == (224, 224)
    assert overlap(masks(read, ROW), masks(read_labels(folder), ROW)) == 1
    assert masks(read, ROW)[0].sum() > 200, "a picture twice as large holds the same ventricle"
    wide = np.pad(frames, ((0, 0), (0, 188), (0, 288)))
    write_video(path, wide, 50)
    assert "lies outside its picture of 300 x 400 pixels" in item(read, ROW)["failure"]
    with pytest.raises(DatasetError, match="outside its picture"):
        read.contour(name, int(read.table.loc[ROW, "ed_frame"]), (300, 400))


def test_a_contour_is_scaled_by_the_smaller_size_that_holds_it():
    square = np.array([[20, 20], [80, 20], [80, 90], [20, 90]], float)
    assert scale_into(square, (768, 1024), (112, 112)) == (1, 1)
    assert scale_into(8 * square, (768, 1024), (112, 112)) == (112 / 1024, 112 / 768)
    assert scale_into(20 * square, (768, 1024), (112, 112)) is None
    assert scale_into(square, None, (112, 112)) == (1, 1)
    assert scale_into(square, None, (336, 336)) == (3, 3), "EchoNet's tracings, enlarged pictures"
    assert scale_into(square, None, (130, 130)) == (1, 1)
    assert scale_into(4 * square, None, (600, 800)) == (1, 1)
    assert scale_into(square, (112, 112), (600, 800)) is None


def test_a_mask_that_is_too_small_to_be_seen_is_a_failure_and_no_empty_mask(
    folder, files, tracings
):
    own = of_row(files, tracings)
    for frame, size in zip(tracings.loc[own, "Frame"].unique(), (0.05, 0.06), strict=True):
        rows = own & (tracings["Frame"] == frame)
        across = tracings.loc[rows, ["X1", "X2"]]
        tracings.loc[rows, ["X1", "X2"]] = across * size + 50  # a ventricle like a thread
    read = put(folder, files, tracings)
    assert len(read.table) == 32
    assert masks(read, ROW)[0].any()
    assert "nothing is left of a tracing at 16 x 16" in item(read, ROW, 16)["failure"]


def test_a_rate_that_the_list_does_not_state_is_the_file_s(folder, files, tracings):
    row = int(files.index[files["FPS"] != 50][0])
    before = item(put(folder, files, tracings), row)
    after = item(put(folder, files.assign(FPS=""), tracings), row)
    assert (before["clip"] == after["clip"]).all()


def test_a_damaged_truth_is_a_failure(folder, files, tracings):
    read = put(folder, files, tracings)
    (folder / "Truth").mkdir()
    (folder / "Truth" / f"{files.loc[ROW, 'FileName']}.npz").write_bytes(b"PK\3\4")
    assert "is damaged: write the phantoms again" in item(read, ROW)["failure"]
