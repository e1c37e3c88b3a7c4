"""What `analyse` gives back to a hospital: Structured Reports and Segmentations of DICOM clips."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest
from dicoms import PATIENT, region, write_dicom
from helpers import on_screen, told

import lvef
from lvef.analysis.result import AnalysedBeat, ClipAnalysis
from lvef.cli.commands import main
from lvef.data.formats import read_identity, write_video
from lvef.data.formats.dicom.write import write_dicom as write_phantom_dicom
from lvef.data.prepare import PreparedClip, Square
from lvef.errors import ConfigurationError, OutputError, VideoError
from lvef.phantom import PhantomClip
from lvef.predict.dicom_out import DicomFolders, Maker, Written
from lvef.predict.dicom_out.answer import Answer, answer_of
from lvef.predict.dicom_out.folders import NO_DICOM, NO_EF
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.objects import Objects, check_apart, check_one_view
from lvef.predict.stream.work import FoundClip, WorkOptions

LENGTH = 75
MAKER = Maker("0.1.0", "ab" * 32, "phantoms", task="LVSegmenter", trained_on="phantoms")
ANSWER = Answer(
    55.123456789, 41.25, 69.5, ed_frame=1, es_frame=4, num_beats=3, quality=0.83, review=True,
    edv=101.5, esv=45.5, view="A4C",
)  # fmt: skip
COMPLETE = {
    "StudyDate": "20200102", "StudyTime": "101112.5", "StudyID": "7", "SeriesInstanceUID":
    "1.2.826.0.1.3680043.10.9999.3", "PatientSex": "F", "ReferringPhysicianName": "Who^Doctor",
    "InstanceNumber": 12, "SeriesNumber": 3, "PatientID": "MRN-778899",
}  # fmt: skip


def loop(path: Path, height: int = 40, width: int = 50, **tags: object) -> Path:
    """Write a loop of six grey frames, of a patient."""
    frames = np.zeros((6, height, width), np.uint8)
    return write_dicom(path, frames, model="MONOCHROME2", **{**COMPLETE, **tags})


def numbers_of(report: pydicom.Dataset) -> dict[str, pydicom.Dataset]:
    """Return the measurements of a report, by code."""
    (measurements,) = [
        item for item in report.ContentSequence if "ContentSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == "126010"
    ]  # fmt: skip
    (group,) = measurements.ContentSequence
    return {
        item.ConceptNameCodeSequence[0].CodeValue: item
        for item in group.ContentSequence if item.ValueType in ("NUM", "TEXT", "CODE")
    }  # fmt: skip


def value(item: pydicom.Dataset) -> float:
    measured = item.MeasuredValueSequence[0]
    return float(measured.get("FloatingPointValue", measured.NumericValue))


def unit(item: pydicom.Dataset) -> tuple[str, str]:
    code = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    return code.CodeValue, code.CodingSchemeDesignator


def frames_of(item: pydicom.Dataset) -> list[int]:
    """Return the frames, counted from 1, that a measurement was made in."""
    found: list[int] = []
    for below in item.ContentSequence:
        if below.ValueType == "IMAGE":
            reference = below.ReferencedSOPSequence[0]
            assert reference.ReferencedSOPInstanceUID == PATIENT["SOPInstanceUID"]
            told = reference.ReferencedFrameNumber
            found += [int(told)] if isinstance(told, (int, str)) else [int(each) for each in told]
    return found


def uncertainty(item: pydicom.Dataset) -> dict[str, float]:
    return {
        below.ConceptNameCodeSequence[0].CodeMeaning[:1]: value(below)
        for below in item.ContentSequence if below.ValueType == "NUM"
    }  # fmt: skip


def below(item: pydicom.Dataset) -> list[str]:
    """Return what is said of a measurement, by name."""
    return [each.ConceptNameCodeSequence[0].CodeMeaning for each in item.ContentSequence]


def one(folder: Path) -> Path:
    (path,) = folder.rglob("*.dcm")
    return path


def errors_of(path: Path) -> list[str]:
    """Return the errors that dciodvfy (dicom3tools) finds in an object, none where it is not."""
    if shutil.which("dciodvfy") is None:
        return []
    run = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True)
    lines = [*run.stdout.splitlines(), *run.stderr.splitlines()]
    assert {"EnhancedSR", "Segmentation"} & {*lines}
    return [line for line in lines if line.startswith(("Error", "Abort"))]


def test_a_report_says_what_was_found_where_and_by_what(tmp_path):
    clip = loop(tmp_path / "loop.dcm")
    assert DicomFolders(MAKER, sr=tmp_path / "sr").report(clip, "study/loop", ANSWER) == ""
    path = one(tmp_path / "sr" / "study")
    report = pydicom.dcmread(path)
    assert report.SOPClassUID.name == "Enhanced SR Storage"
    found = numbers_of(report)
    ef = found["18043-0"]
    assert value(ef) == ANSWER.ef
    assert unit(ef) == ("%", "UCUM")
    assert value(ef) + uncertainty(ef)["+"] == pytest.approx(ANSWER.upper, abs=1e-9)
    assert value(ef) - uncertainty(ef)["-"] == pytest.approx(ANSWER.lower, abs=1e-9)
    assert frames_of(ef) == [2, 5]
    for code, volume, frame in (("18026-5", 101.5, 2), ("18148-7", 45.5, 5)):
        assert (value(found[code]), frames_of(found[code])) == (volume, [frame])
        assert unit(found[code]) == ("mL", "UCUM")
    assert [value(found[code]) for code in ("ED_FRAME", "ES_FRAME", "NUM_BEATS", "QUALITY")] == [
        2, 5, 3, 0.83,
    ]  # fmt: skip
    assert found["111031"].ConceptCodeSequence[0].CodeMeaning == "Apical four chamber"
    assert found["121106"].TextValue.startswith("Research use only, not for diagnosis. EF 55.1 %")
    told = {
        below.TextValue for below in ef.ContentSequence if below.ValueType == "TEXT"
    }  # fmt: skip
    assert {f"segmenter_sha256: {MAKER.segmenter}", "0.1.0", "lvef"} <= told
    observer = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.get("TextValue", "")
        for item in report.ContentSequence
    }
    assert observer["Device Observer Name"] == "lvef"
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    hd.sr.srread(path)


def test_what_is_not_known_is_left_out_of_a_report(tmp_path):
    nan = math.nan
    answer = replace(ANSWER, num_beats=1, quality=nan, edv=nan, esv=nan, view="", review=False)
    DicomFolders(MAKER, sr=tmp_path / "sr").report(loop(tmp_path / "a.dcm"), "a", answer)
    found = numbers_of(pydicom.dcmread(one(tmp_path / "sr")))
    assert not {"18026-5", "18148-7", "QUALITY", "111031"} & found.keys()
    derived = [
        item.ConceptNameCodeSequence[0].CodeValue for item in found["18043-0"].ContentSequence
    ]
    assert "121401" not in derived  # the median of one
    assert frames_of(found["ED_FRAME"]) == [2]


def analysis(height: int, width: int, square: Square, stored=None) -> ClipAnalysis:
    """What was found in a loop of six frames: a rectangle that is smaller at end-systole."""
    masks = np.zeros((6, 112, 112), bool)
    masks[1, 20:100, 30:70], masks[4, 40:80, 40:60] = True, True
    clip = PreparedClip(
        np.zeros(masks.shape, np.uint8), 50.0, height, width, square, 0.3, masks[0],
        np.zeros((height, width, 3), np.uint8), stored,
    )  # fmt: skip
    beat = AnalysedBeat(1, 4, 2, 60.0, 5.0, 100.0, 40.0, 0.9, 60.0, 60.0)
    curve = np.zeros(6)
    return ClipAnalysis(
        clip, masks, curve, curve, curve, "mL", curve, (beat,), 60.0, 5.0, 0.9, "",
    )  # fmt: skip


def test_contours_lie_in_the_pixels_of_the_file_and_name_their_frames(tmp_path):
    # The 2D picture lies at 60, 20 of the screen, beside another region; half as large as it was
    # prepared, so that the ventricle at end-diastole is 20 x 40 pixels at 75, 30.
    regions = [region([60, 20, 115, 75]), region([0, 90, 139, 99], spatial=2)]
    clip = loop(tmp_path / "loop.dcm", 100, 140, SequenceOfUltrasoundRegions=regions)
    found = analysis(56, 56, Square(0, 0, 56), (100, 140, 60, 20))
    assert DicomFolders(MAKER, seg=tmp_path / "seg").contours(clip, "loop", found) == ""
    seg = hd.seg.segread(one(tmp_path / "seg"))
    assert (seg.Rows, seg.Columns, seg.NumberOfFrames) == (100, 140, 2)
    assert [item.SegmentLabel for item in seg.SegmentSequence] == [
        "LV end-diastole, beat 1", "LV end-systole, beat 1",
    ]  # fmt: skip
    boxes, sources = [], []
    for mask, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append((rows[0], rows[-1], columns[0], columns[-1]))
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == PATIENT["SOPInstanceUID"]
        assert source.ReferencedSOPClassUID.name == "Ultrasound Multi-frame Image Storage"
        sources.append(int(source.ReferencedFrameNumber))
    assert boxes == [(30, 69, 75, 94), (40, 59, 80, 89)]
    assert sources == [2, 5]
    by_frame = seg.get_pixels_by_source_frame(PATIENT["SOPInstanceUID"], [5])
    assert by_frame.sum((1, 2)).tolist() == [[0, 200]]


def test_objects_are_filed_with_their_source_and_say_what_they_are(tmp_path):
    clip = loop(tmp_path / "loop.dcm")
    folders = DicomFolders(MAKER, tmp_path / "sr", tmp_path / "seg")
    folders.report(clip, "loop", ANSWER)
    folders.contours(clip, "loop", analysis(40, 50, Square(5, 0, 40)))
    for path in (one(tmp_path / "sr"), one(tmp_path / "seg")):
        made = pydicom.dcmread(path)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID",
                        "StudyInstanceUID", "StudyDate", "AccessionNumber"):  # fmt: skip
            assert made[keyword].value == {**PATIENT, **COMPLETE}[keyword]
        assert made.SeriesDescription == "lvef: research use only, not for diagnosis"
        assert (made.SoftwareVersions, made.DeviceSerialNumber) == ("0.1.0", "ab" * 32)
        assert made.InstanceNumber == 12
        assert len({made.SOPInstanceUID, made.SeriesInstanceUID, made.StudyInstanceUID}) == 3


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy, of dicom3tools")
@pytest.mark.parametrize("tags", [{}, {"LossyImageCompression": "01"}])
def test_dciodvfy_finds_no_error(tmp_path, tags):
    clip = loop(tmp_path / "loop.dcm", **tags)
    folders = DicomFolders(MAKER, tmp_path / "sr", tmp_path / "seg")
    folders.report(clip, "loop", ANSWER)
    folders.contours(clip, "loop", analysis(40, 50, Square(5, 0, 40)))
    assert errors_of(one(tmp_path / "sr")) == []
    assert errors_of(one(tmp_path / "seg")) == []


def test_the_same_answer_is_the_same_object_and_another_is_not(tmp_path):
    clip, uids = loop(tmp_path / "loop.dcm"), []
    for number, (maker, answer) in enumerate(
        [(MAKER, ANSWER), (MAKER, ANSWER), (MAKER, replace(ANSWER, ef=50.0)),
         (replace(MAKER, segmenter="cd" * 32), ANSWER)]
    ):  # fmt: skip
        folder = tmp_path / str(number)
        DicomFolders(maker, sr=folder).report(clip, "loop", answer)
        made = pydicom.dcmread(one(folder))
        assert made.SOPInstanceUID.is_valid
        uids.append((made.SOPInstanceUID, made.SeriesInstanceUID))
    assert uids[0] == uids[1]
    assert len({uid for uid, _ in uids}) == 3
    assert uids[0][1] == uids[2][1] != uids[3][1]  # a series is of one maker


def test_clips_of_one_name_do_not_take_each_others_place(tmp_path):
    folders = DicomFolders(MAKER, sr=tmp_path / "sr")
    for number in range(2):
        uid = f"{PATIENT['SOPInstanceUID']}.{number}"
        clip = loop(tmp_path / f"{number}.dcm", SOPInstanceUID=uid)
        folders.report(clip, "loop", ANSWER)
        folders.report(clip, "loop", ANSWER)
    assert len([*(tmp_path / "sr").iterdir()]) == 2
    assert folders.report(clip, "loop", None) == NO_EF  # it has changed, and is now refused
    assert len([*(tmp_path / "sr").iterdir()]) == 1


@pytest.mark.parametrize(
    ("tags", "keyword", "value"),
    [
        ({"PatientSex": "female"}, "PatientSex", ""),
        ({"StudyDate": "2020.01.02"}, "StudyDate", ""),
        ({"StudyDate": "20201341"}, "StudyDate", ""),
        ({"StudyTime": "25"}, "StudyTime", ""),
        ({"StudyID": None, "AccessionNumber": None}, "StudyID", ""),
        ({"PatientName": "Ångström^Åse", "SpecificCharacterSet": "ISO_IR 100"}, "PatientName",
         "Ångström^Åse"),
        ({"PatientName": "Yamada^Tarou=山田^太郎", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]},
         "PatientName", "Yamada^Tarou=山田^太郎"),
        ({"InstanceNumber": None}, "InstanceNumber", "1"),
        ({"PatientName": "DOE"}, "PatientName", "DOE"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*Invalid value for VR.*:UserWarning")
def test_a_patient_is_named_as_in_the_source_and_what_dicom_has_not_is_left_empty(
    tmp_path, tags, keyword, value, recwarn, caplog
):
    clip = loop(tmp_path / "loop.dcm", **tags)
    recwarn.clear(), caplog.clear()
    folders = DicomFolders(MAKER, tmp_path / "sr", tmp_path / "seg")
    assert folders.report(clip, "loop", ANSWER) == ""
    assert folders.contours(clip, "loop", analysis(40, 50, Square(5, 0, 40))) == ""
    assert [*recwarn, *caplog.records] == []  # they would quote the patient
    for path in (one(tmp_path / "sr"), one(tmp_path / "seg")):
        assert str(pydicom.dcmread(path)[keyword].value or "") == value


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"StudyInstanceUID": None}, "no StudyInstanceUID: nothing can say of which study it is"),
        ({"SeriesInstanceUID": ""}, "no SeriesInstanceUID: nothing can say of which series it is"),
        ({"NumberOfFrames": 7}, "NumberOfFrames says 7, but the pixel data holds 6 frames"),
    ],
)  # fmt: skip
def test_what_cannot_be_referred_to_has_no_object_and_a_reason(tmp_path, tags, reason):
    clip = loop(tmp_path / "loop.dcm", **tags)
    folders = DicomFolders(MAKER, tmp_path / "sr", tmp_path / "seg")
    assert folders.report(clip, "loop", ANSWER).startswith(reason)
    assert folders.contours(clip, "loop", analysis(40, 50, Square(5, 0, 40))).startswith(reason)
    assert not [*tmp_path.rglob("*.sr.dcm"), *tmp_path.rglob("*.seg.dcm")]


def test_a_loop_of_a_class_of_its_own_is_referred_to_as_that(tmp_path):
    clip = loop(tmp_path / "loop.dcm", SOPClassUID="1.2.840.113543.6.6.1.3.10009")
    folders = DicomFolders(MAKER, tmp_path / "sr", tmp_path / "seg")
    assert folders.report(clip, "loop", ANSWER) == ""
    assert folders.contours(clip, "loop", analysis(40, 50, Square(5, 0, 40))) == ""
    for path in (one(tmp_path / "sr"), one(tmp_path / "seg")):
        referred = {
            element.value for element in pydicom.dcmread(path).iterall()
            if element.keyword == "ReferencedSOPClassUID"
        }  # fmt: skip
        assert referred == {"1.2.840.113543.6.6.1.3.10009"}


@pytest.mark.parametrize("syntax", ["deflated", "rle", "jpeg", "mpeg4"])
def test_objects_say_whether_their_source_lost_anything(tmp_path, syntax):
    path = tmp_path / "loop.dcm"
    write_phantom_dicom(path, np.zeros((6, 64, 64), np.uint8), 50, syntax)
    found = read_identity(path)
    lossy = syntax in ("jpeg", "mpeg4")
    assert found.LossyImageCompression == ("01" if lossy else "00")
    assert ("LossyImageCompressionMethod" in found) == lossy
    assert float(found.get("LossyImageCompressionRatio", 2)) > 1
    folders = DicomFolders(MAKER, seg=tmp_path / "seg")
    assert folders.contours(path, "loop", analysis(64, 64, Square(0, 0, 64))) == ""
    assert errors_of(one(tmp_path / "seg")) == []


def test_a_report_says_what_a_model_said_in_the_tables(tmp_path):
    path = loop(tmp_path / "loop.dcm")
    folders = DicomFolders(replace(MAKER, model="ef" * 32, task="EFRegressor"), sr=tmp_path / "sr")
    kept: list[str] = []

    def keep(clip, rows, record):
        assert one(tmp_path / "sr")  # before the clip counts as done
        kept.append(clip.name)

    clip = ClipInput(path, "loop", "loop.dcm")
    beat = {
        **clip.row, "num_frames": 6, "ed_frame": 1, "es_frame": 4, "mid_frame": 2, "quality": 0.9,
        "beat_quality": 0.9, "ef_geometric": 30.0, "ef": 61.0, "ef_std": 4.0, "ef_lower": 54.0,
        "ef_upper": 68.0, "p_reduced": 0.01, "reduced": 0.0, "review": 0.0, "edv": 90.0,
        "esv": 63.0,
    }  # fmt: skip
    objects = Objects(folders, ["EDF"])
    objects.before(keep)(clip, [beat], b"")
    found = numbers_of(pydicom.dcmread(one(tmp_path / "sr")))
    assert value(found["18043-0"]) == 61.0
    assert uncertainty(found["18043-0"]) == {"+": 7.0, "-": 7.0}
    assert value(found["18026-5"]) == 90.0
    told = [item.get("TextValue") for item in found["18043-0"].ContentSequence]
    assert f"model_sha256: {'ef' * 32}" in told
    assert "Measurement Method" not in below(found["18043-0"])  # no disks made it
    assert kept == ["loop"]
    assert objects.written.remarks(folders) == [f"1 Structured Reports went to {folders.sr}"]


def test_a_clip_without_an_ef_has_no_report():
    assert answer_of({"status": "failed", "ef": 55.0}, [{}]) is None
    assert answer_of({"status": "ok", "ef": math.nan}, [{}]) is None  # a classifier has none


def test_what_was_passed_over_is_counted_in_a_line(tmp_path):
    folders, written = DicomFolders(MAKER, seg=Path("seg")), Written()
    for reason in ("", "", NO_DICOM, NO_EF, NO_DICOM):
        written.add("seg", reason)
    assert written.remarks(folders) == [
        "2 Segmentations went to seg; none of clips: 2 (no DICOM), 1 (no EF)"
    ]
    video = tmp_path / "a.avi"
    write_video(video, np.zeros((5, 32, 32), np.uint8), 50)
    assert folders.contours(video, "a", analysis(32, 32, Square(0, 0, 32))) == NO_DICOM


def test_a_folder_that_cannot_be_written_ends_the_command(tmp_path):
    (tmp_path / "sr").touch()
    with pytest.raises(OutputError, match="sr"):
        DicomFolders(MAKER, sr=tmp_path / "sr").make_room()
    with pytest.raises(OutputError, match="sr"):
        DicomFolders(MAKER, sr=tmp_path / "sr").report(loop(tmp_path / "a.dcm"), "a", ANSWER)


def test_objects_go_to_workers():
    options = WorkOptions(dicom=DicomFolders(MAKER, seg=Path("seg")))
    assert pickle.loads(pickle.dumps(options)) == options
    assert pickle.loads(pickle.dumps(FoundClip([{}], contours=""))).contours == ""


def test_identity_is_not_read_of_what_is_no_loop(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"no DICOM" * 100)
    with pytest.raises(VideoError, match=r"a\.dcm: not a DICOM file"):
        read_identity(tmp_path / "a.dcm")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A phantom in a screen of 600 x 800, as DICOM in JPEG, and a file that is neither."""
    root = tmp_path_factory.mktemp("clips")
    (root / "study7").mkdir()
    screen(root / "study7" / "a.dcm", 0, "jpeg")
    (root / "broken.avi").write_bytes(b"not a video" * 100)
    return root


def screen(path: Path, number: int, syntax: str) -> None:
    """Write a phantom in the screen of a machine, of which a part is the region of its picture."""
    frames = PhantomClip(5, number).frames(range(LENGTH))
    write_phantom_dicom(path, on_screen(frames, 600, 800), 50, syntax, [100, 0, 799, 599], 0.03)


@pytest.fixture(scope="module")
def analysed(clips, tmp_path_factory) -> tuple[Path, ClipAnalysis]:
    """What `analyse` writes of them, in two shares, and what it found in the phantom."""
    output, found = tmp_path_factory.mktemp("analysed") / "out", []
    write = DicomFolders.contours

    def watched(folders, clip, name, analysis):
        found.append(analysis)
        return write(folders, clip, name, analysis)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DicomFolders, "contours", watched)
        for share in ("1/2", "2/2"):
            assert main(words(clips, output, "--shard", share)) == 0
    assert main(["merge", str(output)]) == 0
    return output, *found


@pytest.fixture(scope="module")
def written(analysed) -> Path:
    """What `analyse` writes of them."""
    return analysed[0]


def words(clips: Path, output: Path, *more: str) -> list[str]:
    folders = ["--dicom_sr", str(output / "sr"), "--dicom_seg", str(output / "dicom")]
    common = ["analyse", str(clips), "--output", str(output), "--workers", "0", "--no_previews"]
    return [*common, *folders, *more]


def holds_the_numbers(row: pd.Series, clip: Path, sr: Path, seg: Path, alone: ClipAnalysis) -> None:
    """See that objects say of a clip what its row does, and show what was found in it."""
    source = pydicom.dcmread(clip, stop_before_pixels=True)
    made, found = pydicom.dcmread(sr), numbers_of(pydicom.dcmread(sr))
    ef = found["18043-0"]
    assert value(ef) == pytest.approx(row["ef"], abs=1e-9)
    assert value(ef) + uncertainty(ef)["+"] == pytest.approx(row["ef_upper"], abs=1e-9)
    assert value(ef) - uncertainty(ef)["-"] == pytest.approx(row["ef_lower"], abs=1e-9)
    assert value(found["ED_FRAME"]) == row["ed_frame"] + 1
    assert value(found["ES_FRAME"]) == row["es_frame"] + 1
    assert value(found["NUM_BEATS"]) == row["num_beats"]
    beat = next(each for each in alone.beats if each.ed_frame == row["ed_frame"])
    assert value(found["18026-5"]) == pytest.approx(beat.edv, rel=1e-6)
    assert value(found["18148-7"]) == pytest.approx(beat.esv, rel=1e-6)
    masks = hd.seg.segread(seg)
    assert masks.StudyInstanceUID == made.StudyInstanceUID == source.StudyInstanceUID
    assert made.PatientName == masks.PatientName == source.PatientName
    frames = [frame for beat in alone.beats for frame in (beat.ed_frame, beat.es_frame)]
    np.testing.assert_array_equal(masks.pixel_array > 0, alone.lv_masks[frames])
    assert masks.pixel_array.shape[1:] == (source.Rows, source.Columns)
    assert errors_of(sr) == errors_of(seg) == []


def test_objects_of_an_archive_hold_the_numbers_of_its_tables(clips, analysed):
    written, found = analysed
    rows = pd.read_csv(written / "predictions.csv").set_index("video")
    assert rows["status"].to_dict() == {"broken": "failed", "study7/a": "ok"}
    sr, seg = one(written / "sr" / "study7"), one(written / "dicom" / "study7")
    assert len([*written.rglob("*.dcm")]) == 2
    holds_the_numbers(rows.loc["study7/a"], clips / "study7" / "a.dcm", sr, seg, found)


@pytest.mark.slow
def test_processes_write_objects_of_every_transfer_syntax(tmp_path, capfd):
    (tmp_path / "clips").mkdir()
    for number, syntax in enumerate(("native", "deflated", "rle", "jpeg", "mpeg4")):
        screen(tmp_path / "clips" / f"{syntax}.dcm", number, syntax)
    write_video(tmp_path / "clips" / "b.avi", PhantomClip(5, 7).frames(range(LENGTH)), 50)
    output = tmp_path / "out"
    more = ["--dicom_sr", str(output / "o"), "--dicom_seg", str(output / "o"), "--workers", "2"]
    assert main(["analyse", str(tmp_path / "clips"), "--output", str(output), *more]) == 0
    line = f"5 Structured Reports went to {output / 'o'}; none of clips: 1 (no DICOM)"
    assert line in capfd.readouterr().err.splitlines()
    for name, row in pd.read_csv(output / "predictions.csv").set_index("video").iterrows():
        if name != "b":
            (sr,), (seg,) = (output.rglob(f"{name}.*.{kind}.dcm") for kind in ("sr", "seg"))
            clip = tmp_path / "clips" / f"{name}.dcm"
            holds_the_numbers(row, clip, sr, seg, lvef.analyse_clip(clip))


def test_the_manifest_says_that_objects_name_patients(written):
    manifest = json.loads((written / "manifest.json").read_text())
    assert (manifest["dicom_sr"], manifest["dicom_seg"]) == ("sr", "dicom")
    assert manifest["identity"] == "objects in these folders name the patient of each clip"


def test_a_folder_is_gone_on_with_as_it_was_begun(clips, written, capsys):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*.dcm")}
    assert main(words(clips, written, "--shard", "1/2")) == 0  # all is done
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*.dcm")} == before
    capsys.readouterr()
    without = ["analyse", str(clips), "--output", str(written), "--shard", "1/2"]
    assert main([*without, "--dicom_sr", str(written / "elsewhere")]) == 1
    (line,) = told(capsys.readouterr().err)
    assert "dicom_sr (sr there, elsewhere now)" in line
    assert not (written / "elsewhere").exists()
    assert main(without) == 1
    assert "dicom_seg (dicom there, None now)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--dicom_sr", "sr", "--anonymize", "key.csv"],
         "--dicom_sr with --anonymize: such objects name the patient of each clip"),
        (["--dicom_seg", "clips/below/seg"],
         "--dicom_seg clips/below/seg lies in clips, where clips are looked for"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_before_any_work(tmp_path, monkeypatch, capsys, more, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    loop(tmp_path / "clips" / "a.dcm")
    assert main(["analyse", "clips", "--output", "out", *more]) == 1
    assert told(capsys.readouterr().err)[0].startswith(f"error: {line}")
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_a_folder_beside_what_is_searched_will_do(tmp_path):
    check_apart("--dicom_sr", tmp_path / "sr", [tmp_path / "clips", tmp_path / "sr.dcm"])
    (tmp_path / "clips").mkdir()
    with pytest.raises(ConfigurationError, match="give a folder elsewhere"):
        check_apart("--dicom_sr", tmp_path / "clips" / "sr", [tmp_path / "clips" / "*.dcm"])


def test_without_highdicom_a_line_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    loop(tmp_path / "a.dcm")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    output = ["--output", str(tmp_path / "out"), "--dicom_seg", str(tmp_path / "seg")]
    assert main(["analyse", str(tmp_path / "a.dcm"), *output]) == 1
    (line,) = told(capsys.readouterr().err)
    assert line.endswith("pip install 'lvef[dicom]', or pip install highdicom")
    assert not (tmp_path / "out").exists()


def test_a_model_of_two_views_is_refused():
    check_one_view(["EDF", "ESF"])
    with pytest.raises(ConfigurationError, match="sees two views"):
        check_one_view(["ESF", "ESF_A2C"])
