"""Whole studies of phantoms: one heart in six views, and what `analyse` makes of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from test_dicom_out import errors_of, numbers_of, uncertainty, value
from test_dicom_studies import evidence, holds_the_row, views

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
from lvef.predict.stream.stored import stored_records

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


@pytest.fixture(scope="module", params=["list", "dicom"])
def found(written, tmp_path_factory, request) -> tuple[Path, str]:
    """What `analyse` makes of them, by a list of views or by what it sees itself, and which."""
    output, by = tmp_path_factory.mktemp("found"), str(request.param)
    told = str(written / "studies.csv") if by == "list" else by
    of = ["--studies", told, "--output", str(output), "--no_previews"]
    of += ["--dicom_sr", str(output / "sr"), "--dicom_seg", str(output / "seg")]
    assert main(["analyse", *([] if by == "list" else [str(written)]), *of]) == 0
    return output, by


@pytest.mark.slow
def test_a_study_of_twenty_loops_of_six_views_gives_one_row_and_it_is_right(written, found):
    output, by = found
    if by == "dicom" and not SEES_VIEWS:
        pytest.skip("no gate of views yet")
    (study,) = pd.read_csv(output / "studies.csv").to_dict("records")
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
    clips = pd.read_csv(output / "predictions.csv").set_index("video")
    assert clips["study"].nunique() == 1
    right = clips[(clips["view"] == "A4C") & (clips["status"] == "ok")]
    assert study["num_a4c"] == len(right)
    assert right["quality"].idxmax() == study["best_a4c"]


def of_clip(output: Path, kind: str, clip: Path) -> Path | None:
    """Return the object of a clip, None where there is none."""
    (path, *more) = [*(output / kind).rglob(f"{clip.stem}.*.{kind}.dcm")] or [None]
    assert more == []
    return path


@pytest.mark.slow
def test_objects_of_a_study_of_twenty_loops_hold_the_numbers_of_its_tables(written, found):
    output, _ = found
    clips = pd.read_csv(output / "predictions.csv").set_index("video")
    (row,) = pd.read_csv(output / "studies.csv").to_dict("records")
    files = {name: next(written.rglob(f"{Path(name).name}.dcm")) for name in clips.index}
    uids = {name: dcmread(path).SOPInstanceUID for name, path in files.items()}

    (path,) = (output / "sr").rglob("*.study.dcm")
    assert errors_of(path) == []
    report = dcmread(path)
    holds_the_row(report, row)
    used = [name for view in ("a4c", "a2c") for name in str(row[view]).split("; ") if name in files]
    assert len(used) == row["num_a4c"] + row["num_a2c"] > 2
    assert evidence(report) == {uids[name] for name in used}
    known = {name: clips.loc[name, "view"] for name in used if pd.notna(clips.loc[name, "view"])}
    told = {"A4C": "Apical four chamber", "A2C": "Apical two chamber"}
    assert views(report) == {uids[name]: told[view] for name, view in known.items()}

    records = stored_records(output, [*clips.index])
    assert (clips["status"] == "ok").sum() > 2
    for name, clip in clips.iterrows():
        sr, seg = (of_clip(output, kind, files[name]) for kind in ("sr", "seg"))
        assert (sr is not None) == (clip["status"] == "ok")
        if sr is not None:
            numbers = numbers_of(dcmread(sr))
            ef = numbers["18043-0"]
            assert value(ef) == pytest.approx(clip["ef"], abs=1e-9)
            ends = value(ef) + uncertainty(ef)["+"], value(ef) - uncertainty(ef)["-"]
            assert ends == pytest.approx((clip["ef_upper"], clip["ef_lower"]), abs=1e-9)
            counted = [value(numbers[code]) for code in ("ED_FRAME", "ES_FRAME", "NUM_BEATS")]
            assert counted == [clip["ed_frame"] + 1, clip["es_frame"] + 1, clip["num_beats"]]
            assert errors_of(sr) == []
            assert seg is not None
        if seg is None:
            continue
        beats = records[name].beats
        assert errors_of(seg) == []
        masks = dcmread(seg)
        referred = [
            group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber - 1
            for group in masks.PerFrameFunctionalGroupsSequence
        ]
        assert referred == beats[:, :2].astype(int).ravel().tolist()
        areas = (masks.pixel_array > 0).sum((1, 2))
        assert areas.tolist() == records[name].area[referred].tolist()
        for made in (dcmread(path), masks):
            assert made.StudyInstanceUID == dcmread(files[name]).StudyInstanceUID
