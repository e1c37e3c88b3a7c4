"""Which layout a folder of labels has, and how a new one is added."""

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from lvef.callbacks.run_record import data_fingerprint
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.layouts import (
    LAYOUTS,
    EchoNetDynamic,
    ExcludedError,
    LabelFolder,
    Layout,
    check_excluded,
    find_layout,
    read_labels,
    register,
)
from lvef.errors import ConfigurationError, DatasetError
from lvef.phantom import open_phantom, write_phantoms

TOY = """clip;percent;ed;es
one;55;3;11
two;30;2;12
three;;0;0
"""


@dataclass(frozen=True)
class ToyFolder(LabelFolder):
    """Every ventricle is the same triangle, traced in pixels of 112 x 112."""

    def _traced(self, video, frame):
        return np.array([[50.0, 20.0], [70.0, 90.0], [30.0, 90.0]]), None


class ToyLayout(Layout):
    """`labels.txt` beside clips, all of them for training."""

    name = "toy"

    def recognises(self, root):
        return (root / "labels.txt").is_file()

    def read(self, root, max_excluded):
        labels = pd.read_csv(root / "labels.txt", sep=";")
        table = pd.DataFrame(
            {
                "video": labels["clip"], "path": [str(root / f"{c}.avi") for c in labels["clip"]],
                "split": "TRAIN", "ef_true": labels["percent"], "edv": np.nan, "esv": np.nan,
                "fps": 50.0, "num_frames": 40, "frame_height": np.nan, "frame_width": np.nan,
                "ed_frame": labels["ed"], "es_frame": labels["es"],
                "mid_frame": (labels["ed"] + labels["es"]) // 2,
            }
        )  # fmt: skip
        known = table["ef_true"].notna()
        excluded = table.loc[~known, ["video", "split"]].assign(reason="no EF")
        folder = ToyFolder(root, table[known].reset_index(drop=True), excluded)
        return check_excluded(folder, max_excluded)

    def label_files(self, root):
        return [root / "labels.txt"]

    def video_folders(self, root):
        return [root]

    def advice(self, root):
        return "A toy folder holds labels.txt"


@pytest.fixture
def toy(tmp_path, phantom_root):
    """A folder of a layout that only this test knows."""
    (tmp_path / "labels.txt").write_text(TOY)
    clips = sorted((phantom_root / "Videos").iterdir())[:2]
    for name, video in zip(("one", "two"), clips, strict=True):
        (tmp_path / f"{name}.avi").symlink_to(video)
    register(ToyLayout())
    yield tmp_path
    del LAYOUTS["toy"]


def test_a_layout_that_is_registered_is_found_and_feeds_a_data_module(toy):
    data = EchoNetDataModule(str(toy), ["EDF", "ESF"], 2, num_workers=0, max_excluded=0.5)
    data.setup("fit")
    assert type(data.folder) is ToyFolder
    assert data.folder.excluded["video"].tolist() == ["three"]
    (batch,) = data.train_dataloader()
    assert batch["frames"].shape == (2, 2, 3, 112, 112)
    assert sorted(data.split("TRAIN")["ef_true"]) == [30.0, 55.0]
    masks = EchoNetDataModule(str(toy), batch_size=2, num_workers=0, max_excluded=0.5, masks=True)
    masks.setup("fit")
    (batch,) = masks.train_dataloader()
    drawn = batch["mask"][batch["traced"]].sum((1, 2))
    assert ((drawn - 1400).abs() < 60).all()  # half of 40 x 70


def test_too_much_that_is_unusable_is_refused_in_any_layout(toy):
    with pytest.raises(ExcludedError, match=r"33\.3 % of the videos cannot be used") as error:
        read_labels(toy)
    assert error.value.folder.excluded["reason"].tolist() == ["no EF"]


def test_a_fingerprint_is_of_the_files_that_the_layout_names(toy):
    before = folder_fingerprint(toy)
    assert list(before) == ["labels.txt", "videos", "bytes", "names_and_sizes"]
    (toy / "labels.txt").write_text(TOY.replace("55", "56"))
    assert folder_fingerprint(toy)["labels.txt"] != before["labels.txt"]


def test_a_folder_of_two_layouts_is_refused_and_one_can_be_named(toy):
    (toy / "FileList.csv").write_text("FileName\n")
    with pytest.raises(DatasetError, match=r"several layouts \(echonet-dynamic, toy\): say which"):
        read_labels(toy)
    assert len(read_labels(toy, 0.5, layout="toy").table) == 2
    module = EchoNetDataModule(str(toy), max_excluded=0.5, layout="toy")
    module.setup("fit")
    assert len(module.table) == 2
    assert "labels.txt" in data_fingerprint(module)
    with pytest.raises(DatasetError, match=r"no layout is called 'kamus': there is .*echonet-dyn"):
        read_labels(toy, layout="kamus")


def test_a_folder_of_no_layout_gets_a_line_that_names_what_each_looks_for(toy, tmp_path):
    (toy / "labels.txt").rename(toy / "others.txt")
    with pytest.raises(DatasetError) as error:
        read_labels(toy)
    for part in ("holds no labels that are known", "An EchoNet-Dynamic folder holds FileList.csv",
                 "An EchoNet-Pediatric folder holds A4C/", "A CAMUS folder holds patient0001/",
                 "A MIMIC-IV-ECHO folder holds echo-record-list.csv", "A BIDS folder holds",
                 "Or give a CSV file with columns path and EF",
                 "A toy folder holds labels.txt"):  # fmt: skip
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("Or give a CSV file with columns path and EF, a clip a row")


@pytest.mark.parametrize("part", ["FileList.csv", "VolumeTracings.csv", "Videos", "videos"])
def test_an_echonet_folder_is_told_by_any_part_and_the_others_are_asked_for(tmp_path, part):
    (tmp_path / part).mkdir()
    assert isinstance(find_layout(tmp_path), EchoNetDynamic)
    with pytest.raises(DatasetError, match=r"(FileList|Tracings)\.csv not found\. An EchoNet-"):
        read_labels(tmp_path)


def test_a_folder_without_tracings_says_that_a_frame_was_not_traced(tmp_path, phantom_root):
    table = read_labels(phantom_root).table
    plain = LabelFolder(tmp_path, table, table.iloc[:0])
    with pytest.raises(DatasetError, match="frame 3 of A was not traced"):
        plain.contour("A", 3)
    assert not plain.is_phantom


def test_of_a_phantom_every_contour_is_known_and_of_a_patient_two(phantom_root, tmp_path):
    folder = read_labels(phantom_root)
    row = folder.table.iloc[0]
    traced = {int(row["ed_frame"]), int(row["es_frame"])}
    known = folder.contours(row["video"], traced)
    assert sorted(known) == list(range(row["num_frames"]))
    clip = open_phantom(phantom_root, row["video"])
    np.testing.assert_allclose(known[5], clip.truth()["contour"][5])
    for name in ("FileList.csv", "VolumeTracings.csv", "Videos"):
        (tmp_path / name).symlink_to(phantom_root / name)
    contours = read_labels(tmp_path).contours(row["video"], traced)
    assert set(contours) == traced
    np.testing.assert_allclose(
        contours[int(row["ed_frame"])], known[int(row["ed_frame"])], atol=0.01
    )


def test_a_folder_of_nifti_files_without_nibabel_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "patient0001").mkdir()
    (tmp_path / "patient0001" / "Info_4CH.cfg").write_text("ED: 1\n")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    assert find_layout(tmp_path).name == "camus"
    with pytest.raises(DatasetError, match=r"not installed: pip install nibabel$"):
        read_labels(tmp_path)
    with pytest.raises(ConfigurationError, match=r"--layout camus: .*pip install nibabel$"):
        write_phantoms(tmp_path / "new", 3, layout="camus", progress=False)
