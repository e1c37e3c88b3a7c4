"""What `analyse --studies --dicom_sr` files of a study: one report, with its row's numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest
from dicoms import PATIENT, ROOT
from test_dicom_out import COMPLETE, errors_of, loop, one, uncertainty, unit, value
from test_studies import stored

from lvef import stopping
from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.predict.dicom_out import Maker
from lvef.predict.dicom_out.folders import (
    GONE,
    NO_EF,
    SEVERAL_PATIENTS,
    SEVERAL_STUDIES,
    SOME_NO_DICOM,
)
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.store import ShardStore

MANIFEST = {
    "shards": 1, "version": "0.1.0", "segmenter": "ab" * 32, "model": None, "dicom_sr": "../sr",
    "studies": "list",
    "made_with": {
        "version": "0.1.0", "task": "LVSegmenter", "frames": [], "trained_on": "phantoms",
        "segmenter_trained_on": "phantoms", "level": 0.9, "studies": "list",
    },
}  # fmt: skip
SHARD = "01-of-01"


@pytest.fixture
def output(tmp_path) -> Path:
    """Where an archive that files reports goes, of which no clip is analysed yet."""
    (tmp_path / "out" / "shards").mkdir(parents=True)
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(MANIFEST))
    return tmp_path / "out"


def by_model(output: Path) -> None:
    made = {**MANIFEST["made_with"], "frames": ["ESF"], "task": "EFRegressor"}
    about = {**MANIFEST, "model": "ef" * 32, "made_with": made}
    (output / "manifest.json").write_text(json.dumps(about))


def dicom(folder: Path, name: str, **tags: object) -> Path:
    """Write a loop of a patient, an instance of its own."""
    number = sum(map(ord, name))
    return loop(folder / f"{name}.dcm", **{"SOPInstanceUID": f"{ROOT}5.{number}", **tags})


def found(
    output: Path, path: Path, study: str, view: str, shard: str = SHARD, listed: bool = True, **row
) -> None:
    """Store what is found in a loop of a study, which a list says, or else its place."""
    about = path.stat()
    clip = ClipInput(path, path.stem, path.name, about.st_size, about.st_mtime_ns)
    clip = replace(clip, study=study if listed else "")
    with ShardStore(output / "shards" / shard) as store:
        store.add(clip, stored(study, view, path.stem, **row).rows)


def groups(report: pydicom.Dataset) -> list[dict[str, list[pydicom.Dataset]]]:
    """Return what is said of the study, and then of each of its loops, by code."""
    (measurements,) = [
        item for item in report.ContentSequence if "ContentSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == "126010"
    ]  # fmt: skip
    named: list[dict[str, list[pydicom.Dataset]]] = []
    for group in measurements.ContentSequence:
        named.append({})
        for item in group.ContentSequence:
            code = item.ConceptNameCodeSequence[0].CodeValue
            named[-1].setdefault(code, []).append(item)
    return named


def instances(items: list[pydicom.Dataset]) -> list[str]:
    """Return which instances these items, or what is below them, refer to."""
    below = [item for each in items for item in (each, *each.get("ContentSequence", []))]
    images = [item.ReferencedSOPSequence[0] for item in below if item.ValueType == "IMAGE"]
    return [image.ReferencedSOPInstanceUID for image in images]


def method(item: pydicom.Dataset) -> str:
    """Return the code of the method that something was measured by, and nothing without one."""
    codes = [
        below.ConceptCodeSequence[0].CodeValue for below in item.ContentSequence
        if below.ConceptNameCodeSequence[0].CodeMeaning == "Measurement Method"
    ]  # fmt: skip
    return "".join(codes)


def views(report: pydicom.Dataset) -> dict[str, str]:
    """Return the view of each loop, by instance."""
    return {
        instance: loop["111031"][0].ConceptCodeSequence[0].CodeMeaning
        for loop in groups(report)[1:]
        for instance in instances([item for items in loop.values() for item in items])
    }


def evidence(report: pydicom.Dataset) -> set[str]:
    """Return the instances that a report rests on."""
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == report.StudyInstanceUID
    return {
        reference.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence for reference in series.ReferencedSOPSequence
    }  # fmt: skip


def holds_the_row(report: pydicom.Dataset, row: dict) -> None:
    """See that a report of contours says of a study what its row does."""
    study, *_ = groups(report)
    (ef,) = study["18043-0"]
    assert value(ef) == pytest.approx(row["ef"], abs=1e-9)
    reach = uncertainty(ef)
    assert value(ef) + reach["+"] == pytest.approx(row["ef_upper"], abs=1e-9)
    assert value(ef) - reach["-"] == pytest.approx(row["ef_lower"], abs=1e-9)
    assert reach["S"] == pytest.approx(row["ef_std"], abs=1e-9)
    disks = "125207" if row["planes"] == "biplane" else "125208"
    assert method(ef) == disks
    for code, name in (("18026-5", "edv"), ("18148-7", "esv")):
        (volume,) = study[code]
        assert value(volume) == pytest.approx(row[name], abs=1e-9)
        assert (method(volume), unit(volume)) == (disks, ("mL", "UCUM"))
    for name in ("num_beats", "num_clips", "num_a4c", "num_a2c"):
        assert value(study[name.upper()][0]) == row[name]
    (comment,) = study["121106"]
    assert comment.TextValue.startswith("Research use only, not for diagnosis. EF ")
    remark = row["remark"]
    assert (remark if isinstance(remark, str) else "") in comment.TextValue


def test_a_report_says_of_a_study_what_its_row_does(tmp_path, output, capsys):
    files = {name: dicom(tmp_path, name) for name in "abcde"}
    for name, view, ef in (("a", "A4C", 50.0), ("b", "A4C", 54.0), ("c", "A2C", 41.0)):
        found(output, files[name], "7", view, ef_geometric=ef)
    found(output, files["d"], "7", "PLAX", reason="another view")
    found(output, files["e"], "7", "A4C", reason="no beat")
    assert main(["merge", str(output)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"1 Structured Reports of studies went to {tmp_path / 'sr'}"
    ]
    (row,) = pd.read_csv(output / "studies.csv").to_dict("records")
    path = one(tmp_path / "sr")
    report = pydicom.dcmread(path)
    assert (path.name[:2], path.name[-10:]) == ("7.", ".study.dcm")
    assert row["planes"] == "biplane"
    holds_the_row(report, row)
    uid = {name: pydicom.dcmread(file).SOPInstanceUID for name, file in files.items()}
    assert evidence(report) == {uid[name] for name in "abc"}
    assert views(report) == {
        uid["a"]: "Apical four chamber", uid["b"]: "Apical four chamber",
        uid["c"]: "Apical two chamber",
    }  # fmt: skip
    (ef,) = groups(report)[0]["18043-0"]
    assert instances([ef]) == [uid[name] for name in "abc"]
    words = {item.TextValue for item in ef.ContentSequence if item.ValueType == "TEXT"}
    assert {f"segmenter_sha256: {'ab' * 32}", "0.1.0", "lvef"} <= words
    for keyword in ("PatientName", "PatientID", "PatientSex", "StudyInstanceUID", "StudyDate",
                    "AccessionNumber"):  # fmt: skip
        assert report[keyword].value == {**PATIENT, **COMPLETE}[keyword]
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report.SeriesDescription == "lvef: research use only, not for diagnosis"
    assert report.DeviceSerialNumber == "ab" * 32
    hd.sr.srread(path)
    assert errors_of(path) == []


def test_a_model_s_ef_is_of_the_four_chamber_clips_and_biplane_stands_beside_it(tmp_path, output):
    by_model(output)
    said = {"ef": 33.0, "ef_lower": 29.0, "ef_upper": 37.0, "ef_std": 2.0, "p_reduced": 0.9,
            "reduced": 1.0, "review": 0.0, "mid_frame": 3}  # fmt: skip
    four, two = dicom(tmp_path, "a"), dicom(tmp_path, "b")
    found(output, four, "7", "A4C", **said)
    found(output, two, "7", "A2C", **said)
    assert main(["merge", str(output)]) == 0
    (row,) = pd.read_csv(output / "studies.csv").to_dict("records")
    path = one(tmp_path / "sr")
    study, *_ = groups(pydicom.dcmread(path))
    model, geometric = study["18043-0"]
    assert f"(biplane) EF is {row['ef_geometric']:.1f} %." in study["121106"][0].TextValue
    assert (value(model), value(geometric)) == pytest.approx((row["ef"], row["ef_geometric"]))
    assert row["ef"] == 33
    assert (method(model), method(geometric)) == ("", "125207")
    assert instances([model]) == [pydicom.dcmread(four).SOPInstanceUID]
    assert len(instances([geometric])) == 2
    assert f"model_sha256: {'ef' * 32}" in [item.get("TextValue") for item in model.ContentSequence]
    assert errors_of(path) == []


def test_a_loop_whose_view_nothing_tells_is_called_none_and_a_copy_is_no_second_instance(
    tmp_path, output
):
    first, copy = dicom(tmp_path, "a"), tmp_path / "b.dcm"
    copy.write_bytes(first.read_bytes())
    found(output, first, "Ångström", "")
    found(output, copy, "Ångström", "")
    assert main(["merge", str(output)]) == 0
    report = pydicom.dcmread(one(tmp_path / "sr"))
    study, *loops = groups(report)
    assert loops == []
    assert "nothing tells the view of 2 of 2 clips: taken as A4C" in study["121106"][0].TextValue
    assert len(evidence(report)) == 1
    assert method(study["18043-0"][0]) == "125208"
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert errors_of(one(tmp_path / "sr")) == []


def make_avi(folder: Path, name: str) -> Path:
    write_video(folder / f"{name}.avi", np.zeros((5, 32, 32), np.uint8), 50)
    return folder / f"{name}.avi"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda folder: dicom(folder, "b", StudyInstanceUID=f"{ROOT}77"), SEVERAL_STUDIES),
        (lambda folder: dicom(folder, "b", PatientID="MRN-1"), SEVERAL_PATIENTS),
        (lambda folder: dicom(folder, "b", PatientID=None), SEVERAL_PATIENTS),
        (lambda folder: dicom(folder, "b", StudyInstanceUID=None),
         "no StudyInstanceUID: nothing can say of which study it is"),
        (lambda folder: make_avi(folder, "b"), SOME_NO_DICOM),
    ],
)  # fmt: skip
def test_a_study_that_is_not_known_to_be_one_is_passed_over_and_counted(
    tmp_path, output, capsys, other, reason
):
    found(output, dicom(tmp_path, "a"), "7", "A4C")
    found(output, other(tmp_path), "7", "A2C")
    assert main(["merge", str(output)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"0 Structured Reports of studies went to {tmp_path / 'sr'}; none of studies: 1 ({reason})"
    ]
    assert [*(tmp_path / "sr").rglob("*.dcm")] == []
    assert len(pd.read_csv(output / "studies.csv")) == 1


def written(folder: Path) -> dict[str, tuple[int, str]]:
    """Return when each report was written, and which instance it is."""
    return {
        path.name: (path.stat().st_mtime_ns, pydicom.dcmread(path).SOPInstanceUID)
        for path in folder.rglob("*.dcm")
    }


def test_a_report_is_written_anew_where_its_study_changed_and_goes_where_it_has_no_ef(
    tmp_path, output, capsys
):
    for study in ("7", "8"):
        found(output, dicom(tmp_path, f"{study}a"), study, "A4C")
    assert main(["merge", str(output)]) == 0
    first = written(tmp_path / "sr")
    assert main(["merge", str(output)]) == 0
    assert written(tmp_path / "sr") == first, "nothing changed"
    found(output, dicom(tmp_path, "7b"), "7", "A2C", left=0.6)
    assert main(["merge", str(output)]) == 0
    second = written(tmp_path / "sr")
    assert second.keys() == first.keys()
    changed = [name for name in first if first[name] != second[name]]
    assert [name[:2] for name in changed] == ["7."]
    assert first[changed[0]][1] != second[changed[0]][1]
    found(output, dicom(tmp_path, "7b", StudyDate="20200103"), "9", "A2C")  # it was of another
    found(output, dicom(tmp_path, "8a", StudyDate="20200103"), "8", "A4C", reason="no beat")
    capsys.readouterr()
    assert main(["merge", str(output)]) == 0
    assert f"none of studies: 1 ({NO_EF})" in capsys.readouterr().err
    third = written(tmp_path / "sr")
    assert sorted(name[:2] for name in third) == ["7.", "9."]
    assert third[changed[0]][1] == first[changed[0]][1], "the same answer is the same object"


def test_a_report_stays_where_its_clips_are_gone_and_none_is_made_without_them(
    tmp_path, output, capsys
):
    for study in ("7", "8"):
        found(output, dicom(tmp_path, study), study, "A4C")
    (tmp_path / "8.dcm").unlink()
    assert main(["merge", str(output)]) == 0
    assert f"none of studies: 1 ({GONE})" in capsys.readouterr().err
    before = written(tmp_path / "sr")
    (tmp_path / "7.dcm").unlink()
    assert main(["merge", str(output)]) == 0
    assert written(tmp_path / "sr") == before
    assert len(before) == 1


def test_no_report_is_of_some_shards_alone(tmp_path, output):
    about = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps({**about, "shards": 2}))
    found(output, dicom(tmp_path, "a"), "7", "A4C", "01-of-02")
    assert main(["merge", str(output)]) == 0
    assert (output / "studies.csv").exists()
    assert not (tmp_path / "sr").exists()
    found(output, dicom(tmp_path, "b"), "7", "A2C", "02-of-02")
    assert main(["merge", str(output)]) == 0
    assert len(evidence(pydicom.dcmread(one(tmp_path / "sr")))) == 2


def test_a_run_that_is_stopped_leaves_reports_to_the_next(tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    clip, output = dicom(tmp_path / "clips", "a"), tmp_path / "new"
    words = ["analyse", str(tmp_path / "clips"), "--studies", "folder", "--workers", "0"]
    words += ["--output", str(output), "--dicom_sr", str(tmp_path / "sr")]
    with monkeypatch.context() as patch:
        patch.setattr(stopping, "asked", lambda: True)
        assert main(words) == 0
        found(output, clip, "clips", "A4C", listed=False)
        assert main(words) == 0
    assert pd.read_csv(output / "studies.csv")["status"].tolist() == ["ok"]
    assert [*(tmp_path / "sr").rglob("*.dcm")] == []
    assert main(words) == 0
    holds_the_row(
        pydicom.dcmread(one(tmp_path / "sr")), pd.read_csv(output / "studies.csv").loc[0].to_dict()
    )


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": "../../mine.study.dcm"}', '{"a": "x.dcm"}'])
def test_what_tells_the_reports_of_before_can_remove_no_other_file(tmp_path, output, content):
    mine = tmp_path.parent / "mine.study.dcm"
    (tmp_path / "sr").mkdir()
    for kept in (mine, tmp_path / "sr" / "x.dcm"):
        kept.touch()
    (output / "shards" / "study_reports.json").write_text(content)
    found(output, dicom(tmp_path, "a"), "7", "A4C")
    assert main(["merge", str(output)]) == 0
    assert mine.exists()
    assert len([*(tmp_path / "sr").iterdir()]) == 2


def test_studies_of_one_exam_have_a_report_each(tmp_path, output):
    for study in ("rest", "peak"):
        found(output, dicom(tmp_path, study), study, "A4C")
    assert main(["merge", str(output)]) == 0
    made = written(tmp_path / "sr")
    assert len({instance for _, instance in made.values()}) == 2


def test_without_studies_there_is_no_report_of_any(tmp_path, output):
    about = json.loads((output / "manifest.json").read_text())
    made = {name: told for name, told in about["made_with"].items() if name != "studies"}
    (output / "manifest.json").write_text(json.dumps({**about, "studies": None, "made_with": made}))
    found(output, dicom(tmp_path, "a"), "7", "A4C")
    assert main(["merge", str(output)]) == 0
    assert not (tmp_path / "sr").exists()


def test_a_maker_is_what_the_manifest_says():
    maker = Maker.of(MANIFEST)
    assert (maker.segmenter, maker.model, maker.level) == ("ab" * 32, "", 0.9)
    assert (maker.task, maker.trained_on) == ("LVSegmenter", "phantoms")
