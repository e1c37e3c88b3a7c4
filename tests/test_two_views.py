"""Models that see two views of a heart: their slots, and what a case may lack."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import best, newest, words
from lightning import Trainer
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lvef.cardiac import NO_FRAME
from lvef.cli.commands import main
from lvef.data.dataset import KeyFrameDataset
from lvef.data.features import Request
from lvef.data.formats import write_video
from lvef.data.keyframes import KeyFrameDataModule
from lvef.data.layouts import read_labels
from lvef.data.layouts.lacking import with_two_chamber_views
from lvef.data.shown import case_sector
from lvef.data.slots import A2C, A4C, FRAME_COLUMNS, slots_by_view
from lvef.data.transforms import Augmentation, augmented_views
from lvef.errors import DatasetError
from lvef.figures.heat_maps import heat_map_sheet
from lvef.models.loading import load_task
from lvef.phantom import PhantomClip, write_phantoms

nibabel = pytest.importorskip("nibabel")

BOTH = ["EDF", "ESF", "EDF_A2C", "ESF_A2C"]
COUNT, FIRST = 6, 20
FRAMES = {"4CH": (1, 6), "2CH": (2, 5)}
"""ED and ES as they are written, from 1: those of the two views differ."""
SPLITS = {"training": range(3), "validation": range(3, 5), "testing": range(5, 7)}


def value(patient: int, view: str, frame: int) -> int:
    """The grey of a frame, which no other frame has."""
    return FIRST + 10 * patient + frame + 100 * (view == "2CH")


def write_patient(database: Path, patient: int) -> None:
    name = f"patient{patient:04d}"
    folder = database / name
    folder.mkdir(parents=True)
    for view, (ed, es) in FRAMES.items():
        greys = [value(patient, view, frame) for frame in range(COUNT)]
        loop = np.broadcast_to(np.array(greys, np.uint8), (32, 32, COUNT))
        image = nibabel.Nifti1Image(np.ascontiguousarray(loop), np.eye(4))
        nibabel.save(image, folder / f"{name}_{view}_half_sequence.nii.gz")
        (folder / f"Info_{view}.cfg").write_text(
            f"ED: {ed}\nES: {es}\nNbFrame: {COUNT}\nSex: F\nAge: 50\nImageQuality: Good\n"
            f"EF: {40 + 3 * patient}\nFrameRate: 50\n"
        )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CAMUS folder of seven patients, each frame of another grey."""
    root = tmp_path_factory.mktemp("camus")
    for split, patients in SPLITS.items():
        for patient in patients:
            write_patient(root, patient)
        names = "".join(f"patient{patient:04d}\n" for patient in patients)
        (root / f"subgroup_{split}.txt").write_text(names)
    return root


@pytest.fixture
def own(written: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(written, tmp_path / "own"))


def part(root: Path, patient: int, what: str) -> Path:
    """Return a file of a patient."""
    name = f"patient{patient:04d}"
    return root / name / (what if what.startswith("Info") else f"{name}_{what}")


def seen(root: Path, frames: list[str]) -> torch.Tensor:
    """Return the grey in the middle of each frame of each case, `(n, F)`."""
    table = read_labels(root).for_frames(frames).table
    dataset = KeyFrameDataset(table, frames, 32, remove_artifacts=False)
    return torch.stack([dataset[item]["frames"][:, 0, 16, 16] for item in range(len(dataset))])


@pytest.mark.parametrize(
    "frames", [BOTH, BOTH[::-1], ["ESF_A2C", "MF", "EDF_A2C", "EDF", "MF_A2C"], ["MF_A2C"]]
)
def test_each_slot_holds_its_frame_of_its_view_of_its_patient(written, frames):
    numbers = {"EDF": 0, "ESF": 5, "MF": 2, "EDF_A2C": 1, "ESF_A2C": 4, "MF_A2C": 2}
    views = {name: "2CH" if name.endswith("_A2C") else "4CH" for name in frames}
    expected = [[value(p, views[n], numbers[n]) for n in frames] for p in range(7)]
    assert seen(written, frames).tolist() == expected


def test_two_chamber_views_are_read_with_frames_from_0(written):
    row = read_labels(written).table.iloc[3]
    assert Path(row["path_a2c"]).name == "patient0003_2CH_half_sequence.nii.gz"
    known = ["ed_frame_a2c", "es_frame_a2c", "mid_frame_a2c", "num_frames_a2c", "fps_a2c"]
    assert row[known].tolist() == [1, 4, 2, COUNT, 50]
    assert row["reason_a2c"] == ""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("ED: 2", "ED: 5", "A2C: ED and ES are the same frame"),
        ("ES: 5", "ES: 7", "A2C: ED or ES outside the clip"),
        ("ED: 2", "ED: 0", "A2C: ED or ES outside the clip"),
        ("ES: 5", "ES: last", "A2C: ED or ES missing or no number"),
    ],
)
def test_frames_of_the_second_view_that_cannot_be_are_its_own_reason(own, old, new, reason):
    info = part(own, 1, "Info_2CH.cfg")
    info.write_text(info.read_text().replace(old, new))
    folder = read_labels(own, 0.0)
    assert len(folder.table) == 7, "models of the four-chamber view keep the patient"
    assert "1 (14.3 %) have no A2C: kept, as its frames are not asked for" in folder.summary()
    asked = folder.for_frames(BOTH)
    assert asked.lacking[["video", "reason"]].values.tolist() == [["patient0001", reason]]
    assert "1 (14.3 %) have no A2C: left out, as its frames are asked for" in asked.summary()
    assert len(folder.for_frames(["EDF", "ESF"]).table) == 7


def test_second_views_that_are_missing_damaged_or_anothers_are_told(own):
    part(own, 0, "2CH_half_sequence.nii.gz").unlink()
    part(own, 1, "2CH_half_sequence.nii.gz").write_bytes(b"no picture")
    part(own, 2, "Info_2CH.cfg").unlink()
    shutil.copy(part(own, 3, "2CH_half_sequence.nii.gz"), part(own, 4, "2CH_half_sequence.nii.gz"))
    shutil.copy(part(own, 5, "4CH_half_sequence.nii.gz"), part(own, 5, "2CH_half_sequence.nii.gz"))
    folder = read_labels(own, 0.0)
    assert len(folder.table) == 7
    asked = folder.for_frames(BOTH)
    assert asked.table["video"].tolist() == ["patient0006"]
    told = asked.lacking.set_index("video")["reason"]
    assert told["patient0000"] == "no two-chamber view"
    assert told["patient0001"].startswith("A2C: unreadable video: patient0001_2CH_half_sequence")
    assert told["patient0002"] == "A2C: Info_2CH.cfg missing"
    assert told["patient0003"] == told["patient0004"] == "A2C: same content as that of another case"
    assert told["patient0005"] == "A2C: same content as a four-chamber clip"
    shutil.copy(part(own, 6, "4CH_half_sequence.nii.gz"), part(own, 6, "2CH_half_sequence.nii.gz"))
    with pytest.raises(DatasetError, match="none of 7 cases has a two-chamber view that can be"):
        read_labels(own).for_frames(["ESF_A2C"])


def test_a_second_view_that_begins_with_es_has_no_mid_frame(own):
    info = part(own, 2, "Info_2CH.cfg")
    info.write_text(info.read_text().replace("ED: 2", "ED: 6"))
    folder = read_labels(own)
    without = folder.table["mid_frame_a2c"] == NO_FRAME
    assert folder.table.loc[without, "video"].tolist() == ["patient0002"]
    assert "mid frame" not in folder.summary()
    assert len(folder.for_frames(["EDF", "MF", "ESF_A2C"]).table) == 7
    asked = folder.for_frames(["EDF", "MF_A2C"])
    assert asked.lacking["reason"].tolist() == ["A2C: no mid frame, as ES comes before ED"]
    assert "left out, as MF_A2C is asked for" in asked.summary()


def test_a_run_lists_who_lacks_the_second_view_and_checks_it_where_asked(own, tmp_path):
    part(own, 5, "2CH_half_sequence.nii.gz").unlink()
    loop = part(own, 6, "2CH_half_sequence.nii.gz")
    whole = gzip.decompress(loop.read_bytes())
    loop.write_bytes(gzip.compress(whole[:2000]))  # its header is whole
    for frames, left in ((["ESF"], 7), (BOTH, 5)):
        data = KeyFrameDataModule(
            str(own), frames, num_workers=0, max_excluded=0.0, check_videos=True
        )
        folder = tmp_path / str(left)
        data.trainer = Trainer(default_root_dir=folder, accelerator="cpu", logger=True)
        data.setup("fit")
        assert len(data.table) == left
        listed = pd.read_csv(next(folder.rglob("excluded.csv")))
        assert list(listed) == ["video", "split", "reason"]
        assert listed["video"].tolist() == ["patient0005", "patient0006"][: 7 - left]
    assert listed["reason"][1].startswith("A2C: unreadable video: ")


def test_a_data_set_without_second_views_is_refused_in_one_line(phantom_root):
    data = KeyFrameDataModule(str(phantom_root), BOTH, num_workers=0, check_videos=True)
    with pytest.raises(DatasetError, match="EDF_A2C, ESF_A2C are asked for, but it has no two-ch"):
        data.setup("fit")


def test_features_of_a_second_view_are_known_by_its_own_file_and_frame(own):
    table = read_labels(own).table

    def digests() -> list[str]:
        request = Request(table, BOTH, 32, False, "network")
        return [request.digest(frame) for frame in ("ESF", "ESF_A2C")]

    before = digests()
    assert len(set(before)) == 2
    info = part(own, 0, "2CH_half_sequence.nii.gz").stat()
    loop = part(own, 0, "2CH_half_sequence.nii.gz")
    loop.write_bytes(loop.read_bytes() + b"\0")
    changed = digests()
    assert loop.stat().st_size == info.st_size + 1
    assert changed[0] == before[0]
    assert changed[1] != before[1]
    table.loc[1, "es_frame_a2c"] = 3
    assert digests()[0] == before[0]
    assert digests()[1] not in (before[1], changed[1])


def test_views_are_augmented_each_by_a_draw_of_its_own_and_ed_and_es_alike():
    torch.manual_seed(3)
    gradient = torch.linspace(20, 230, 32).to(torch.uint8)
    frames = gradient.expand(5, 4, 3, 32, 32)
    names = ["EDF", "EDF_A2C", "ESF", "ESF_A2C"]
    augmentation = Augmentation(speckle=0)
    moved = augmented_views(augmentation, frames, names)
    assert torch.equal(moved[:, 0], moved[:, 2]), "ED and ES of a view"
    assert torch.equal(moved[:, 1], moved[:, 3])
    assert ((moved[:, 0] - moved[:, 1]).abs().amax((1, 2, 3)) > 0.01).all(), "the views differ"
    torch.manual_seed(4)
    one = augmented_views(augmentation, frames[:, :2], ["EDF", "ESF"])
    torch.manual_seed(4)
    assert torch.equal(one, augmentation(frames[:, :2])), "one view is augmented as ever"


def test_what_may_be_shown_is_known_of_each_view(tmp_path):
    for name, number in (("a", 0), ("b", 3)):
        write_video(tmp_path / f"{name}.avi", PhantomClip(5, number).frames(range(40)), 50)
    rows = pd.DataFrame({
        "path": [str(tmp_path / "a.avi")], "num_frames": 40, "ef_true": 50.0, "ed_frame": 3,
        "path_a2c": [str(tmp_path / "b.avi")], "num_frames_a2c": 40, "ed_frame_a2c": 3,
    })  # fmt: skip
    both, a4c, a2c = (
        case_sector(KeyFrameDataset(rows, frames), 0)
        for frames in (["EDF_A2C", "EDF"], ["EDF"], ["EDF_A2C"])
    )
    assert both is not None
    assert np.array_equal(both[1], a4c[0])
    assert np.array_equal(both[0], a2c[0])
    assert not np.array_equal(both[0], both[1])


@pytest.mark.parametrize("count", [1, 4, 6])
def test_the_names_of_heat_maps_are_in_the_picture_however_many_slots(count):
    names = list(FRAME_COLUMNS)[:count]
    maps = dict.fromkeys(("Grad-CAM", "Integrated gradients"), np.ones((count, 8, 8)))
    sheet = heat_map_sheet(np.zeros((count, 3, 8, 8), np.uint8), maps, names, "title", None)
    canvas = FigureCanvasAgg(sheet)
    canvas.draw()
    rows = sheet.axes[count : 3 * count : count]
    assert [axis.get_ylabel() for axis in rows] == list(maps)
    places = [axis.yaxis.label.get_window_extent(canvas.get_renderer()) for axis in rows]
    assert min(place.x0 for place in places) >= 0
    assert [axis.get_title() for axis in sheet.axes[:count]] == names


def test_slots_and_columns_are_told_by_view():
    assert FRAME_COLUMNS["MF_A2C"] == "mid_frame_a2c"
    assert slots_by_view(["ESF_A2C", "EDF", "EDF_A2C"]) == {A4C: [1], A2C: [0, 2]}
    table = pd.DataFrame({"path_a2c": ["a", ""], "ed_frame_a2c": [0.0, np.nan],
                          "es_frame_a2c": [4.0, np.nan], "num_frames_a2c": [9.0, np.nan],
                          "fps_a2c": np.nan})  # fmt: skip
    known = with_two_chamber_views(table, pd.Series(["", ""]))
    assert known["mid_frame_a2c"].tolist() == [2, NO_FRAME]
    assert known["reason_a2c"].tolist() == ["", "no two-chamber view"]


@pytest.mark.slow
def test_frozen_features_and_ensembles_know_their_slots(tmp_path, monkeypatch):
    root = write_phantoms(
        tmp_path / "camus", 14, seed=15, num_workers=1, progress=False, layout="camus"
    )
    monkeypatch.chdir(tmp_path)
    both = ["--data.frames", f"[{', '.join(BOTH)}]"]
    logs = tmp_path / "logs"
    assert main(words("fit", "edf_esf_a2c_mlp", root, logs)) == 0
    assert main(words("fit", "edf_esf_gpr", root, logs, *both)) == 0
    assert len(list((logs / "features").iterdir())) == 2 * len(BOTH), "of TRAIN and of VAL"
    assert main(words("fit", "edf_esf_mlp", root, logs)) == 0
    joined = ["--data.frames", "[EDF_A2C, EDF, ESF, ESF_A2C]"]
    joined += ["--model.members", "[edf_esf_mlp, edf_esf_a2c_mlp]"]
    assert main(words("fit", "ensemble", root, logs, *joined)) == 0
    ensemble = load_task(best(logs, "ensemble"))
    assert ensemble.slots == [[1, 2], [1, 2, 0, 3]]
    assert main(words("predict", "edf_esf_a2c_mlp", root, logs)) == 0
    said = pd.read_csv(newest(logs, "predictions.csv"))
    assert (said["status"] == "ok").all()
