"""CAMUS: as its publisher lays it out, as phantoms are, and what real users have."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lvef.cardiac import (
    NO_FRAME,
    Disks,
    biplane_ejection_fraction,
    ejection_fraction,
    mask_tracing,
    polygon_mask,
)
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.formats import read_frames
from lvef.data.layouts import Camus, find_layout, read_labels
from lvef.errors import ConfigurationError, DatasetError
from lvef.experiments.heart_regions import heart_regions
from lvef.phantom import open_phantom, write_phantoms

nibabel = pytest.importorskip("nibabel")

# Typed from the publisher's description of the NIfTI release: a folder a patient, both views, ED
# and ES counted from 1, some loops from ES to ED, masks with 1 cavity, 2 myocardium, 3 atrium.
INFO = """ED: {ed}
ES: {es}
NbFrame: {count}
Sex: {sex}
Age: {age}
ImageQuality: {quality}
EF: {ef}
FrameRate: {rate}
"""
COUNT, WIDTH, HEIGHT = 6, 50, 80
PATIENTS = {
    "patient0001": {"ed": 1, "es": 6, "sex": "F", "age": 56, "quality": "Good", "ef": 54},
    "patient0002": {"ed": 6, "es": 1, "sex": "M", "age": 71, "quality": "Poor", "ef": 31.5},
    "patient0003": {"ed": 1, "es": 5, "sex": "M", "age": 44, "quality": "Medium", "ef": 62},
    "patient0004": {"ed": 2, "es": 6, "sex": "F", "age": 63, "quality": "Good", "ef": 48},
}
SPACING = (0.308, 0.154)  # millimetres of x and y


def cavity(size: int) -> np.ndarray:
    """A mask of x, y: a cavity that is `size` wide, wall and atrium around it, and a speck."""
    labels = np.zeros((WIDTH, HEIGHT), np.uint8)
    labels[18 - size : 32, 15:62] = 2
    labels[20 - size : 30, 20:60] = 1
    labels[20:30, 62:70] = 3
    labels[2, 2] = 1
    return labels


def save(path: Path, array: np.ndarray) -> None:
    """Save an array of x, y(, t), as ITK orients it."""
    image = nibabel.Nifti1Image(array, np.diag([-SPACING[0], -SPACING[1], 1.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def write_view(folder: Path, view: str, stated: dict) -> None:
    start = f"{folder.name}_{view}"
    seed = int(folder.name[-1]) + 10 * (view == "2CH")
    pictures = np.random.default_rng(seed).integers(9, 256, (WIDTH, HEIGHT, COUNT), np.uint8)
    masks = np.stack([cavity(size) for size in (10, 8, 6, 4, 3, 2)], axis=-1)
    ed, es = stated["ed"] - 1, stated["es"] - 1
    if ed > es:
        masks = masks[..., ::-1]
    save(folder / f"{start}_half_sequence.nii.gz", pictures)
    save(folder / f"{start}_half_sequence_gt.nii.gz", masks)
    for phase, frame in (("ED", ed), ("ES", es)):
        save(folder / f"{start}_{phase}.nii.gz", pictures[..., frame])
        save(folder / f"{start}_{phase}_gt.nii.gz", masks[..., frame])
    text = INFO.format(**stated, count=COUNT, rate=48.7)
    (folder / f"Info_{view}.cfg").write_text(text)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the archive unpacks into, typed by hand."""
    root = tmp_path_factory.mktemp("unpacked")
    database = root / "CAMUS_public" / "database_nifti"
    for name, stated in PATIENTS.items():
        (database / name).mkdir(parents=True)
        for view in ("2CH", "4CH"):
            write_view(database / name, view, stated)
    split = root / "CAMUS_public" / "database_split"
    split.mkdir()
    (split / "subgroup_training.txt").write_bytes(b"patient0001\r\npatient0002\r\n")
    (split / "subgroup_validation.txt").write_text("patient0003")
    (split / "subgroup_testing.txt").write_text("patient0004\n\n")
    return root / "CAMUS_public"


@pytest.fixture
def own(original: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(original, tmp_path / "own"))


def test_the_published_layout_is_read_as_it_is_described(original):
    assert isinstance(find_layout(original), Camus)
    folder = read_labels(original)
    table = folder.table.set_index("video")
    assert table["split"].tolist() == ["TRAIN", "TRAIN", "VAL", "TEST"]
    assert table["ef_true"].tolist() == [54, 31.5, 62, 48]
    assert table["ed_frame"].tolist() == [0, 5, 0, 1]
    assert table["es_frame"].tolist() == [5, 0, 4, 5]
    assert table["mid_frame"].tolist() == [2, NO_FRAME, 2, 3]
    assert set(table["num_frames"]) == {COUNT}
    assert set(table["fps"]) == {48.7}
    assert set(table["view_true"]) == {"A4C"}
    assert table["patient"].tolist() == list(PATIENTS)
    assert table["own:ImageQuality"].tolist() == ["Good", "Poor", "Medium", "Good"]
    assert table["own:Sex"].tolist() == ["F", "M", "M", "F"]
    assert table[["edv", "esv"]].isna().all(axis=None)
    assert folder.excluded.empty
    assert "1 loops begin with ES" in folder.summary()
    for view, column in (("4CH", "path"), ("2CH", "path_a2c")):
        assert Path(table.loc["patient0001", column]).name == (
            f"patient0001_{view}_half_sequence.nii.gz"
        )


def test_contours_lie_on_the_cavity_in_square_pixels(original):
    folder = read_labels(original)
    for row in folder.table.itertuples():
        picture = read_frames(row.path, [0]).shape[1:3]
        assert picture == (HEIGHT, 2 * WIDTH)
        for frame in (row.ed_frame, row.es_frame):
            contour = folder.contour(row.video, frame, picture)
            size = 20 - round(contour[:, 0].min() / 2)
            assert size == {1: 8}.get(frame, 10) if frame == row.ed_frame else size < 8
            drawn = polygon_mask(contour, *picture)
            expected = np.kron(cavity(size).T == 1, np.ones((1, 2), bool))
            expected[2, 4:6] = False  # the speck
            assert (drawn != expected).sum() <= 4  # the corners
    assert len(folder.contour("patient0001", 3)) > 10  # of the loop's own masks
    with pytest.raises(DatasetError, match="frame 6 of patient0001 was not traced"):
        folder.contour("patient0001", 6)


def test_where_the_heart_lies_is_not_told_of_the_second_view(original):
    folder = read_labels(original)
    regions = heart_regions(folder, folder.table.iloc[0], ["EDF_A2C", "EDF"], 64)
    assert regions[0] == {}, "its masks are not those of the four-chamber loop"
    assert regions[1]["lv_cavity"].any()


def test_what_is_given_may_be_any_folder_above_the_patients(original, tmp_path):
    expected = read_labels(original).table
    for root in (original.parent, original / "database_nifti"):
        assert read_labels(root).table.equals(expected)
    flat = tmp_path / "flat"
    shutil.copytree(original / "database_nifti", flat)
    shutil.copytree(original / "database_split", flat, dirs_exist_ok=True)
    assert len(read_labels(flat).table) == 4


def test_a_fingerprint_names_no_patient(original):
    told = folder_fingerprint(original / "database_nifti")
    assert "../database_split/subgroup_testing.txt" in told
    assert {"Info_2CH.cfg", "Info_4CH.cfg"} < set(told)
    assert not any("patient" in name for name in told)
    assert told["videos"] == 4 * 14


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("EF: 54\n", "", "EF missing or no number"),
        ("EF: 54", "EF: 154", "EF outside 0-100"),
        ("EF: 54", "EF: 55", "the views state different EFs"),
        ("ED: 1", "ED: first", "ED or ES missing or no number"),
        ("ED: 1", "ED: 0", "ED or ES outside the clip"),
        ("ES: 6", "ES: 7", "ED or ES outside the clip"),
        ("ES: 6", "ES: 1", "ED and ES are the same frame"),
    ],
)
def test_a_patient_that_cannot_be_used_has_a_reason(own, old, new, reason):
    path = own / "database_nifti" / "patient0001" / "Info_4CH.cfg"
    path.write_text(path.read_text().replace(old, new))
    excluded = read_labels(own, 0.5).excluded
    assert excluded[["video", "reason"]].values.tolist() == [["patient0001", reason]]


def test_files_that_are_missing_or_damaged_are_reasons(own):
    database = own / "database_nifti"
    (database / "patient0001" / "Info_4CH.cfg").unlink()
    (database / "patient0002" / "patient0002_4CH_half_sequence.nii.gz").unlink()
    (database / "patient0003" / "patient0003_4CH_half_sequence.nii.gz").write_bytes(b"no")
    shutil.rmtree(database / "patient0004")
    shutil.copytree(database / "patient0001", database / "patient0009")
    reasons = read_reasons(own)
    assert reasons["patient0001"] == "Info_4CH.cfg missing"
    assert reasons["patient0002"] == "4CH_half_sequence missing or empty"
    assert reasons["patient0003"].startswith("unreadable video: patient0003_4CH_half_sequence")
    assert reasons["patient0004"] == "patient is in a split, but has no folder"
    assert reasons["patient0009"] == "patient is in none of the split files"


def read_reasons(root: Path) -> dict[str, str]:
    return read_labels(root, 1.0).excluded.set_index("video")["reason"].to_dict()


def test_the_earlier_release_is_told_for_what_it_is(own):
    for path in (own / "database_nifti").glob("*/*.nii.gz"):
        path.rename(path.with_name(path.name.replace(".nii.gz", ".mhd")))
    assert all(reason.startswith("MetaImage files") for reason in read_reasons(own).values())


def test_quirks_are_told_and_kept(own):
    database = own / "database_nifti"
    info = database / "patient0001" / "Info_4CH.cfg"
    info.write_bytes(
        b"\xef\xbb\xbf" + info.read_bytes().replace(b"NbFrame: 6", b"NbFrame: 9")
        .replace(b"FrameRate: 48.7\n", b"").replace(b": ", b":").replace(b"\n", b"\r\n")
    )  # fmt: skip
    for path in (database / "patient0002").glob("*_gt.nii.gz"):
        path.unlink()
    for path in (database / "patient0003").glob("*2CH*"):
        path.unlink()
    folder = read_labels(own)
    assert len(folder.table) == 4
    for said in ("of 1 no FrameRate is stated", "NbFrame of 1 is not what the loop holds",
                 "1 have no masks of ED and ES", "1 (25.0 %) have no A2C: kept"):  # fmt: skip
        assert said in folder.summary()
    with pytest.raises(DatasetError, match="frame 5 of patient0002 was not traced"):
        folder.contour("patient0002", 5)
    save(database / "patient0001" / "patient0001_4CH_ED_gt.nii.gz", 2 * np.ones((9, 9), np.uint8))
    with pytest.raises(DatasetError, match=r"patient0001_4CH_ED_gt.nii.gz: no left ventricle"):
        folder.contour("patient0001", 0)


def test_splits_that_are_missing_or_share_a_patient_are_refused(own):
    split = own / "database_split"
    (split / "subgroup_testing.txt").write_text("patient0004\npatient0001\n")
    with pytest.raises(DatasetError, match="patient0001 is in TEST and in TRAIN, so that TEST"):
        read_labels(own)
    (split / "subgroup_testing.txt").unlink()
    with pytest.raises(DatasetError, match=r"subgroup_testing.txt not found, and others"):
        read_labels(own)
    shutil.rmtree(split)
    with pytest.raises(DatasetError, match=r"no subgroup_training.txt, .*, a patient a line"):
        read_labels(own)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms")
    return write_phantoms(root, 6, seed=4, num_workers=1, progress=False, layout="camus")


def test_phantoms_are_written_in_the_layout_and_read_back(phantoms):
    folder = read_labels(phantoms)
    assert folder.is_phantom
    assert folder.table["split"].tolist() == ["TRAIN"] * 4 + ["VAL", "TEST"]
    row = folder.table.iloc[0]
    truth = folder.contours(row["video"], set())
    assert len(truth) == row["num_frames"]
    for frame in (row["ed_frame"], row["es_frame"], 3):
        drawn, known = (
            polygon_mask(contour, 112, 112)
            for contour in (folder.contour(row["video"], frame, (112, 112)), truth[frame])
        )
        assert 2 * (drawn & known).sum() / (drawn.sum() + known.sum()) > 0.97
    with pytest.raises(DatasetError, match="holds half beats"):
        open_phantom(folder.root, row["video"])


def test_ef_of_phantoms_is_that_of_the_masks_of_both_planes(phantoms):
    """As users measure it: the masks of both views, in millimetres, by disks in two planes."""
    folder = read_labels(phantoms)
    apart = []
    for row in folder.table.itertuples():
        place = Path(row.path).parent
        ends = []
        for view in ("4CH", "2CH"):
            disks = []
            for phase in ("ED", "ES"):
                image = nibabel.load(place / f"{row.video}_{view}_{phase}_gt.nii.gz")
                mask = np.asarray(image.dataobj).T == 1
                disks.append(Disks.of(mask_tracing(mask)).times(float(image.header.get_zooms()[0])))
            ends.append((disks[0], disks[1]))
        apart.append(biplane_ejection_fraction(*ends) - row.ef_true)
        single = [float(ejection_fraction(ed.volume, es.volume)) for ed, es in ends]
        assert min(single) - 4 < row.ef_true < max(single) + 4
    assert np.abs(apart).max() < 3, "masks are of whole pixels"


def test_labels_of_a_phantom_lie_where_its_heart_is(phantoms):
    """The wall is a closed band around the cavity that has the muscle's thickness."""
    folder = read_labels(phantoms)
    for row in folder.table.itertuples():
        place = Path(row.path).parent
        for view in ("4CH", "2CH"):
            image = nibabel.load(place / f"{row.video}_{view}_ED_gt.nii.gz")
            labels, side = np.asarray(image.dataobj).T, float(image.header.get_zooms()[0])
            assert set(np.unique(labels)) == {0, 1, 2}
            rows = np.nonzero(labels == 1)[0]
            middle = labels[int(np.percentile(rows, 50))]
            inside = np.flatnonzero(middle == 1)
            for wall in (middle[: inside[0]], middle[inside[-1] + 1 :]):
                assert 4 < (wall == 2).sum() * side < 25


def test_a_data_module_reads_batches_with_masks(phantoms):
    for masks in (False, True):
        data = EchoNetDataModule(str(phantoms), ["EDF", "ESF"], 2, num_workers=0, masks=masks)
        data.setup("fit")
        assert data.is_phantom
        batch = next(iter(data.train_dataloader()))
        assert batch["mask" if masks else "frames"].any()


def test_a_smaller_folder_written_over_a_larger_one_holds_no_other_patients(phantoms, tmp_path):
    root = Path(shutil.copytree(phantoms, tmp_path / "again"))
    write_phantoms(root, 3, seed=5, num_workers=1, progress=False, layout="camus")
    assert len(read_labels(root).table) == 3
    with pytest.raises(ConfigurationError, match="--container mp4 with --layout camus"):
        write_phantoms(root, 3, container="mp4", progress=False, layout="camus")
