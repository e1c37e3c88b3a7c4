"""Phantoms as an archive keeps loops: DICOM of several transfer syntaxes, whole screens."""

import filecmp

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest

from lvef.cardiac import polygon_area
from lvef.data.formats import read_frames
from lvef.data.formats.dicom import read_dicom
from lvef.data.formats.dicom.write import SYNTAXES, write_dicom
from lvef.data.layouts import read_labels
from lvef.data.phantom_folder import read_truth
from lvef.errors import DatasetError
from lvef.phantom import PhantomClip, open_phantom, write_phantoms
from lvef.phantom.purpose import Purpose

CLIP = PhantomClip(3, 0)
LOOP = CLIP.frames(range(6))
LOSSLESS = ("native", "deflated", "rle")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_loop_is_read_back_as_it_was_written(tmp_path, syntax):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "loop.dcm"
        write_dicom(path, LOOP, 40.0, syntax, (0, 0, 111, 111), 0.1)
    clip = read_dicom(path)
    read = clip.frames
    assert clip.fps == pytest.approx(40)
    assert read.shape[:3] == LOOP.shape
    difference = np.abs(read.mean(axis=-1) - LOOP)
    assert difference.max() == 0 if syntax in LOSSLESS else difference.mean() < 3
    known = pydicom.dcmread(path)
    assert known.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == 0.1
    assert filecmp.cmp(tmp_path / "a" / "loop.dcm", path, shallow=False)


def test_phantoms_are_dicom_of_every_syntax_by_turns_and_labelled(tmp_path):
    for workers in (1, 2):
        write_phantoms(
            tmp_path / str(workers), 5, seed=9, container="dicom", num_workers=workers,
            progress=False,
        )  # fmt: skip
    paths = sorted((tmp_path / "1" / "Videos").iterdir())
    assert len({pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in paths}) == 5
    for path in paths:
        assert filecmp.cmp(path, tmp_path / "2" / "Videos" / path.name, shallow=False)
    folder = read_labels(tmp_path / "1")
    assert len(folder.table) == 5
    for row in folder.table.itertuples():
        clip = open_phantom(tmp_path / "1", row.video)
        [read] = read_frames(row.path, [row.es_frame])
        assert np.abs(read.mean(axis=-1) - clip.frames([row.es_frame])[0]).mean() < 4


@pytest.mark.parametrize(("container", "shape"), [("avi", (600, 800)), ("dicom", (448, 448))])
def test_a_screen_has_the_picture_where_its_truth_says(tmp_path, container, shape):
    write_phantoms(
        tmp_path, 3, seed=4, container=container, screen=True, num_workers=1, progress=False
    )
    listed = pd.read_csv(tmp_path / "FileList.csv")
    assert set(zip(listed["FrameHeight"], listed["FrameWidth"], strict=True)) == {shape}
    folder = read_labels(tmp_path)
    for number, row in enumerate(folder.table.itertuples()):
        clip = PhantomClip(4, number, marks=False, purpose=Purpose[row.split])
        [read] = read_frames(row.path, [row.ed_frame])
        left, top = (190, 90) if container == "avi" else (0, 0)
        picture = read[top : top + 448, left : left + 448].mean(axis=-1)
        shrunk = cv2.resize(picture, (112, 112), interpolation=cv2.INTER_AREA)
        assert read.shape[:2] == shape
        assert np.abs(shrunk - clip.frames([row.ed_frame])[0]).mean() < 4
        small, truth = clip.truth(), read_truth(tmp_path, row.video)
        edges = 4 * (small["contour"][row.ed_frame] + 0.5) + np.array([left, top])
        np.testing.assert_allclose(truth.contour[row.ed_frame] + 0.5, edges, atol=1e-3)
        assert truth.area[row.ed_frame] == pytest.approx(16 * small["area"][row.ed_frame])
        traced = folder.contour(row.video, row.ed_frame, shape)
        assert polygon_area(traced) == pytest.approx(truth.area[row.ed_frame], rel=0.02)
        assert np.abs(traced.mean(0) - truth.contour[row.ed_frame].mean(0)).max() < 4
        if container == "dicom":
            region = pydicom.dcmread(row.path).SequenceOfUltrasoundRegions[0]
            assert region.PhysicalDeltaX * 40 * clip.scanner.pixels_per_mm == pytest.approx(1)
    with pytest.raises(DatasetError, match="without --screen"):
        open_phantom(tmp_path, folder.table["video"].iloc[0])
