"""FileList.csv as people, spreadsheets and other data sets write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvef.data.datamodule import EchoNetDataModule
from lvef.data.formats import write_video
from lvef.data.layouts import find_layout, read_labels
from lvef.data.loaders import set_aside
from lvef.errors import DatasetError
from lvef.evaluation.ceilings import ef_from_volume
from lvef.experiments.table_bounds import MAJORITY, MEAN, MEDIAN, table_bounds

Tables = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture
def folder(phantom_root: Path, tmp_path: Path) -> Path:
    """A folder without tables: the phantoms' videos."""
    (tmp_path / "Videos").symlink_to(phantom_root / "Videos")
    return tmp_path


@pytest.fixture(scope="module")
def tables(phantom_root: Path) -> Tables:
    """FileList.csv and VolumeTracings.csv of the phantoms."""
    return tuple(pd.read_csv(phantom_root / f"{n}.csv") for n in ("FileList", "VolumeTracings"))


def put(folder: Path, files: pd.DataFrame, tracings: pd.DataFrame, **how: object) -> Path:
    files.to_csv(folder / "FileList.csv", index=False, **how)
    tracings.to_csv(folder / "VolumeTracings.csv", index=False, **how)
    return folder


def prefixed(prefix: str, suffix: str = "") -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda t: t.assign(FileName=prefix + t.FileName.str.removesuffix(".avi") + suffix)


def spaced(table: pd.DataFrame) -> pd.DataFrame:
    return table.map(lambda cell: f" {cell} ").rename(columns=lambda name: f" {name} ")


WRITTEN = {"encoding": "utf-8-sig", "lineterminator": "\r\n"}
SAME = {
    "bom_crlf": (lambda t: t, WRITTEN),
    "utf16": (lambda t: t, {"encoding": "utf-16"}),
    "utf16_without_mark": (lambda t: t, {"encoding": "utf-16-le"}),
    "semicolons": (lambda t: t, {"sep": ";"}),
    "semicolons_and_decimal_commas": (lambda t: t, {"sep": ";", "decimal": ","}),
    "quoted_decimal_commas": (lambda t: t, {"decimal": ",", "quoting": 1}),
    "tabs": (lambda t: t, {"sep": "\t"}),
    "spaces": (spaced, {}),
    "windows_paths": (prefixed("C:\\data\\Videos\\", ".avi"), {}),
    "relative_paths": (prefixed("Videos/", ".avi"), {}),
    "lower_case_names": (lambda t: t.assign(FileName=t.FileName.str.lower()), {}),
    "lower_case_columns": (lambda t: t.rename(columns=str.lower), {}),
    "other_headers": (lambda t: t.rename(columns={"FileName": "File_name", "EF": "LVEF [%]"}), {}),
    "index": (lambda t: t.reset_index().rename(columns={"index": "Unnamed: 0"}), {}),
    "upper_extension": (prefixed("", ".AVI"), {}),
    "another_extension": (prefixed("", ".mp4"), {}),
    "repeated_rows": (lambda t: pd.concat([t, t.head(40)]), {}),
}


@pytest.mark.parametrize("case", SAME)
def test_however_tables_are_written_they_say_the_same(folder, tables, phantom_root, case):
    change, how = SAME[case]
    read = read_labels(put(folder, *map(change, tables), **how), 0.6)
    plain = read_labels(phantom_root)
    assert len(read.table) == 32
    assert [Path(path).name for path in read.table["path"]] == [
        Path(path).name for path in plain.table["path"]
    ]
    for table in (read.table, plain.table):
        table["path"] = ""
    pd.testing.assert_frame_equal(read.table, plain.table)
    pd.testing.assert_frame_equal(read.tracings, plain.tracings)
    expected = {"duplicate name"} if case == "repeated_rows" else set()
    assert set(read.excluded["reason"]) == expected


def test_lines_that_hold_no_video_are_passed_over(folder, tables):
    put(folder, *tables)
    path = folder / "FileList.csv"
    header, *lines = path.read_text().splitlines()
    lines = ["sep=,", "", header, *(line + ",," for line in lines[:9]), header, ",,,,", *lines[9:]]
    path.write_text("\n".join(lines))
    read = read_labels(folder)
    assert (len(read.table), len(read.excluded)) == (32, 0)


def test_a_row_longer_than_its_header_is_refused_by_its_line(folder, tables):
    """A decimal comma between commas would move every later cell by one."""
    put(folder, *tables)
    path = folder / "FileList.csv"
    lines = path.read_text().splitlines()
    cells = lines[4].split(",")
    lines[4] = ",".join([cells[0], "54", "3", *cells[2:]])
    path.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"FileList\.csv: line 5 has more cells than the header"):
        read_labels(folder)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and more", "a workbook, not a CSV file: save it as CSV"),
        (b"RIFF\0\0\0\0AVI LIST\xff\xd8", "not a readable CSV file"),
        (b"FileName,EF,ef,Split\n", "columns 'EF' and 'ef' are both EF: keep one"),
        (b"FileName,EF,Split\na,55,TRAIN\n", "column FPS, NumberOfFrames not found among FileName"),
    ],
)
def test_what_is_no_list_is_refused_in_a_line(folder, tables, written, message):
    put(folder, *tables)
    (folder / "FileList.csv").write_bytes(written)
    with pytest.raises(DatasetError, match=message) as error:
        read_labels(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("split", ["train valid test", "Training dev TESTING", "TRAIN val Test"])
def test_splits_have_other_names(folder, tables, split):
    names = dict(zip(("TRAIN", "VAL", "TEST"), split.split(), strict=True))
    files = tables[0].assign(Split=tables[0].Split.map(names))
    table = read_labels(put(folder, files, tables[1])).table
    assert table["split"].value_counts().to_dict() == {"TRAIN": 22, "TEST": 7, "VAL": 3}


def test_folds_are_refused_and_how_to_use_them_is_said(folder, tables):
    files = tables[0].assign(Split=[number % 10 for number in range(32)])
    with pytest.raises(DatasetError, match=r"Split holds numbers \(0, 1, .*such as TRAIN for"):
        read_labels(put(folder, files, tables[1]))


def test_tables_of_the_other_echonet_layout_are_told_for_what_they_are(folder, tables):
    outlines = tables[1][["FileName", "X1", "Y1", "Frame"]].set_axis(
        ["FileName", "X", "Y", "Frame"], axis=1
    )
    put(folder, tables[0], outlines)
    with pytest.raises(DatasetError, match=r"X1, Y1, X2, Y2 not found.*as EchoNet-Pediatric"):
        read_labels(folder, layout="echonet-dynamic")


def test_a_folder_too_high_is_told_where_to_look(folder, tables):
    put(folder, *tables)
    (folder / "hearts").mkdir()
    for name in ("FileList.csv", "VolumeTracings.csv", "Videos"):
        (folder / name).rename(folder / "hearts" / name)
    with pytest.raises(DatasetError, match=r"There is one in .*hearts: give that folder"):
        read_labels(folder)


# Typed from what public code says of `mahnurrahman/echonet-dynamic` and other copies: the archive
# unpacks into a folder of its name, which in some lies in another; a column that pandas numbered;
# H.264 in MP4; small letters.
MIRRORS = {
    "its_own_folder": ("EchoNet-Dynamic", "FileList.csv VolumeTracings.csv Videos", "", "0X{}"),
    "one_in_another": ("EchoNet-Dynamic/EchoNet-Dynamic", "FileList.csv VolumeTracings.csv Videos",
                       ".avi", "0X{}"),
    "small_letters": ("echonet-dynamic", "filelist.csv volumetracings.csv videos", "", "0x{}"),
    "mp4": ("echonet_dynamic", "FileList.csv VolumeTracings.csv Videos", ".mp4", "0X{}"),
}  # fmt: skip
MIRROR_LIST = """,FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split
0,0X1A{0},60.0,40.0,100.0,112,112,50,30,TRAIN
1,0X2B{0},30.0,70.0,100.0,112,112,50,30,VAL
"""
MIRROR_HEAD = "FileName,X1,Y1,X2,Y2,Frame\n"


def mirror_rows(name: str, half_width: int, frame: int) -> str:
    """Return a tracing: the long axis, and 20 chords across it."""
    axis = f"{name},56,20,56,90,{frame}\n"
    chords = (f"{name},{56 - half_width},{y},{56 + half_width},{y},{frame}\n"
              for y in np.linspace(22, 88, 20).round(1))  # fmt: skip
    return axis + "".join(chords)


@pytest.mark.parametrize("mirror", MIRRORS)
def test_kaggle_s_mirrors_are_read_where_they_are_unpacked(tmp_path, phantom_root, mirror):
    below, parts, ending, name = MIRRORS[mirror]
    listed, traced, videos = (tmp_path / below / part for part in parts.split())
    videos.mkdir(parents=True)
    listed.write_text(MIRROR_LIST.format(ending))
    clips = sorted((phantom_root / "Videos").iterdir())
    rows = ""
    for number, video in enumerate(("1A", "2B")):
        file = videos / name.format(video)
        if mirror == "mp4":
            write_video(file.with_suffix(".mp4"), np.zeros((30, 112, 112), np.uint8) + number, 50)
        else:
            file.with_suffix(".avi").symlink_to(clips[number])
        ends = "" if mirror == "mp4" else ".avi"
        rows += mirror_rows(f"0X{video}{ends}", 20, 3) + mirror_rows(f"0X{video}{ends}", 14, 17)
    traced.write_text(MIRROR_HEAD + rows)
    module = EchoNetDataModule(root=str(tmp_path), limit=1)
    assert find_layout(tmp_path).label_files(tmp_path) == [listed, traced]
    assert find_layout(tmp_path).video_folders(tmp_path) == [videos]
    module.setup("fit")
    assert module.table["split"].tolist() == ["TRAIN", "VAL"]
    assert module.table[["ed_frame", "es_frame"]].values.tolist() == [[3, 17]] * 2
    assert not len(module.folder.excluded)
    assert Path(module.folder.root) == tmp_path / below
    assert not module.is_phantom
    (tmp_path / below / "phantom.json").write_text("{}")
    assert module.is_phantom, "wherever its marker lies"


def test_volumes_are_not_needed(folder, tables):
    files, tracings = tables
    for without in (files.drop(columns=["ESV", "EDV"]), files.assign(ESV="", EDV=""),
                    files.assign(ESV=0, EDV=0)):  # fmt: skip
        read = read_labels(put(folder, without, tracings))
        assert len(read.table) == 32
        assert read.table[["esv", "edv"]].isna().all(axis=None)
        assert list(table_bounds([read.table])) == [MEAN, MEDIAN, MAJORITY]
    assert np.isfinite(ef_from_volume(files.ESV, files.EF, files.ESV)).all()


def test_ef_as_a_fraction_becomes_percent_and_that_is_said(folder, tables):
    files, tracings = tables
    read = read_labels(put(folder, files.assign(EF=files.EF / 100), tracings))
    np.testing.assert_allclose(read.table["ef_true"], files.EF)
    assert "EF is written as a fraction of 1: taken times 100" in read.summary()
    kept = set_aside(read, {0: "unreadable"}, 0.1)
    assert "fraction of 1" in kept.summary(), "nor is it forgotten when a video is set aside"


def test_ef_with_a_percent_sign_is_in_percent(folder, tables):
    files, tracings = tables
    signed = files.assign(EF=files.EF.round(1).astype(str) + " %")
    read = read_labels(put(folder, signed, tracings))
    np.testing.assert_allclose(read.table["ef_true"], files.EF.round(1))
    assert not read.notes
    with pytest.raises(DatasetError, match="32 EF of 1 % or less"):
        read_labels(put(folder, files.assign(EF=(files.EF / 100).astype(str) + "%"), tracings))


def test_a_class_is_not_taken_for_ef(folder, tables):
    files, tracings = tables
    classes = files.assign(EF=(files.EF <= 40).astype(int), ESV="", EDV="")
    with pytest.raises(DatasetError, match="32 EF of 1 % or less"):
        read_labels(put(folder, classes, tracings))


def test_ef_of_two_planes_is_kept_and_counted_and_another_patients_is_not(folder, tables):
    files, tracings = tables
    from_elsewhere = (files.EF + np.where(files.index % 2, 4, -5)).clip(5, 90)
    from_elsewhere[3] = files.EF[3] + 30 if files.EF[3] < 50 else files.EF[3] - 30
    read = read_labels(put(folder, files.assign(EF=from_elsewhere), tracings))
    assert len(read.table) == 31
    assert read.excluded["reason"].tolist() == ["EF inconsistent with volumes"]
    assert "EF of 31 is 2 to 15 points from what the volumes say (median" in read.summary()
    np.testing.assert_allclose(read.table["ef_true"], from_elsewhere.drop(3))


def test_where_ef_was_made_of_the_volumes_one_that_differs_is_a_mistake(folder, tables):
    files, tracings = tables
    files = files.assign(EF=files.EF.where(files.index != 3, files.EF + 4))
    read = read_labels(put(folder, files, tracings))
    assert read.excluded["reason"].tolist() == ["EF inconsistent with volumes"]
    assert not read.notes


def test_names_that_differ_in_capitals_alone_are_not_guessed(folder, tables, phantom_root):
    files, tracings = tables
    first, second = (phantom_root / "Videos" / f"{name}.avi" for name in files.FileName[:2])
    (folder / "Videos").unlink()
    (folder / "Videos").mkdir()
    (folder / "Videos" / "clip.avi").symlink_to(first)
    (folder / "Videos" / "Clip.avi").symlink_to(second)
    files = files.iloc[[1, 1]].assign(FileName=["Clip", "CLIP"])
    tracings = tracings[tracings.FileName == second.name].assign(FileName="Clip.avi")
    read = read_labels(put(folder, files, tracings), 1.0)
    assert read.table["path"].tolist() == [str(folder / "Videos" / "Clip.avi")]
    assert read.excluded["reason"].tolist() == ["video file missing or empty"]


def test_files_that_macos_lays_beside_videos_are_none(folder, tables, phantom_root):
    (folder / "Videos").unlink()
    (folder / "Videos").mkdir()
    for video in (phantom_root / "Videos").iterdir():
        (folder / "Videos" / video.name).symlink_to(video)
        (folder / "Videos" / f"._{video.name}").write_bytes(b"\0\5\x16\7")
    table = read_labels(put(folder, *tables)).table
    assert len(table) == 32
    assert not table["path"].str.contains(r"\._").any()


def test_a_folder_is_found_at_home_and_parts_in_small_letters_are_read(folder, tables, monkeypatch):
    put(folder, *tables)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(read_labels(f"~/{folder.name}").table) == 32
    assert EchoNetDataModule(f"~/{folder.name}").root == str(folder)
    (folder / "Videos").rename(folder / "videos")
    (folder / "FileList.csv").rename(folder / "filelist.csv")
    assert len(read_labels(folder).table) == 32


def test_patients_are_known_and_none_may_be_in_two_splits(folder, tables):
    files, tracings = tables
    own = [f"p{number // 2}" for number in range(len(files))]
    by_split = files.sort_values("Split", kind="stable").reset_index(drop=True)
    patients = by_split["Split"].str[:2] + pd.Series(own)
    read = read_labels(put(folder, by_split.assign(Patient=patients), tracings)).table
    assert read["patient"].nunique() < len(read)
    module = EchoNetDataModule(root=str(folder))
    module.setup("fit")
    assert set(module.table["patient"]) <= set(patients)
    unknown = put(folder, by_split.assign(Patient=""), tracings)
    assert set(read_labels(unknown).table["patient"]) == {""}
    with pytest.raises(DatasetError, match="1 of 1 patients have clips in several splits"):
        read_labels(put(folder, by_split.assign(Subject="one"), tracings))
