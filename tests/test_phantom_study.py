"""Whole studies of phantoms: one heart in six views, and what `analyse` makes of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread

from lvef.cli.commands import main
from lvef.data.formats import clip_info
from lvef.data.phantom_folder import is_phantom
from lvef.errors import ConfigurationError
from lvef.models.segmentation.weights import SHIPPED, read_weights
from lvef.phantom import write_phantoms
from lvef.phantom.layouts import clear_loops, write_truth
from lvef.phantom.purpose import Purpose
from lvef.phantom.views import ViewStudy
from lvef.phantom.views.study import ORDER

SEES_VIEWS = "view_gate" in read_weights(SHIPPED)[1]
"""Whether the shipped weights tell views; without that a list has to."""


def test_a_study_has_six_views_of_one_heart():
    study = ViewStudy(0, 1)
    loops = [study.loop(number) for number in range(6)]
    assert {loop.around.plane for loop in loops} == set(ORDER)
    assert all(loop.drawn.heart is study.heart for loop in loops)
    assert all(abs(loop.ef_3d - study.patient.ef) < 0.1 for loop in loops)
    aortas = [loop.around.aorta for loop in loops if loop.around.aorta is not None]
    assert len(aortas) == 3
    assert all(aorta is aortas[0] for aorta in aortas)
    assert Counter(ORDER)["A4C"] >= 3
    assert Counter(ORDER)["A2C"] >= 2
    assert len(ORDER) == 20


def test_loops_are_held_anew_and_each_is_the_same_wherever_it_is_made():
    study, again = ViewStudy(0, 1), ViewStudy(0, 1)
    first, second = study.loop(2), study.loop(8)
    assert (first.around.plane, second.around.plane) == ("A4C", "A4C")
    assert not np.allclose(first.drawn.pose.apex, second.drawn.pose.apex)
    assert np.array_equal(again.loop(2).frames([4]), first.frames([4]))
    assert ViewStudy(0, 1, Purpose.TEST).heart != study.heart
    assert first.num_frames / first.fps >= 1.5, "a beat and a half at least"


def test_what_is_true_of_studies_is_listed_and_an_earlier_run_s_is_taken_away(tmp_path):
    rows = [
        {"study": f"STUDYPHANTOM000S{n}", "view": view, "path": f"STUDYPHANTOM000S{n}/{view}.avi",
         "EF": 40.0 + n, "EDV": 100.0, "ESV": 60.0} for n in (0, 1) for view in ("A4C", "PLAX")
    ]  # fmt: skip
    write_truth(tmp_path, rows)
    assert pd.read_csv(tmp_path / "truth.csv")["EF"].tolist() == [40, 41]
    assert list(pd.read_csv(tmp_path / "studies.csv")) == ["study", "view", "path"]
    (tmp_path / "STUDYPHANTOM000S0").mkdir()
    (tmp_path / "mine").mkdir()
    clear_loops(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "studies.csv"}


def test_studies_are_neither_screens_nor_domain_randomised(tmp_path):
    for more in ({"screen": True}, {"breadth": 1.0}):
        with pytest.raises(ConfigurationError, match="with --layout study"):
            write_phantoms(tmp_path, 3, progress=False, layout="study", **more)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Twenty DICOM loops of one heart."""
    root = tmp_path_factory.mktemp("studies") / "study"
    of = ["--num_videos", str(len(ORDER)), "--layout", "study", "--container", "dicom"]
    assert main(["phantom", "--root", str(root), *of]) == 0
    return root


@pytest.mark.slow
def test_loops_of_a_study_are_dicom_of_one_study_whose_names_tell_no_view(written):
    files = sorted(written.rglob("*.dcm"))
    assert len(files) == len(ORDER)
    assert is_phantom(written)
    assert len({str(dcmread(file).StudyInstanceUID) for file in files}) == 1
    assert len({str(dcmread(file).SOPInstanceUID) for file in files}) == len(files)
    assert all(clip_info(file).millimetres_per_pixel for file in files)
    listed = pd.read_csv(written / "studies.csv")
    assert listed["view"].tolist() == list(ORDER)
    assert all((written / path).is_file() for path in listed["path"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "by",
    [
        "list",
        pytest.param(
            "dicom", marks=pytest.mark.skipif(not SEES_VIEWS, reason="no gate of views yet")
        ),
    ],
)
def test_a_study_of_twenty_loops_of_six_views_gives_one_row_and_it_is_right(written, tmp_path, by):
    told = str(written / "studies.csv") if by == "list" else by
    of = ["--studies", told, "--output", str(tmp_path / "found"), "--no_previews"]
    assert main(["analyse", *([] if by == "list" else [str(written)]), *of]) == 0
    (study,) = pd.read_csv(tmp_path / "found" / "studies.csv").to_dict("records")
    (truth,) = pd.read_csv(written / "truth.csv").to_dict("records")
    assert study["planes"] == "biplane"
    counts = [study[f"num_{kind}"] for kind in ("clips", "a4c", "a2c", "other", "failed")]
    assert counts[0] == sum(counts[1:]) == len(ORDER)
    assert counts[1] >= 3
    assert counts[2] >= 2
    assert counts[3] >= 9
    views = pd.read_csv(written / "studies.csv")
    of_four = {Path(path).stem for path in views.loc[views["view"] == "A4C", "path"]}
    assert {Path(name).name for name in study["a4c"].split("; ")} <= of_four
    assert study["best_a4c"] in study["a4c"].split("; ")
    assert abs(study["ef"] - truth["EF"]) < 10
    assert study["ef_lower"] <= truth["EF"] <= study["ef_upper"]
    assert abs(study["edv"] / truth["EDV"] - 1) < 0.45
    clips = pd.read_csv(tmp_path / "found" / "predictions.csv").set_index("video")
    assert clips["study"].nunique() == 1
    right = clips[(clips["view"] == "A4C") & (clips["status"] == "ok")]
    assert study["num_a4c"] == len(right)
    assert right["quality"].idxmax() == study["best_a4c"]
