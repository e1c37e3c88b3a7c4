"""DICOM loops of phantoms in the ways that machines and archives store them."""

from __future__ import annotations

import logging
import random
import traceback
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import (
    COLOUR,
    ENCODED,
    GREY,
    PATCHES,
    PATIENT,
    ROOT,
    jpeg,
    jpeg_2000,
    jpeg_adobe,
    jpeg_lossless,
    jpeg_ls,
    jpeg_unmarked,
    jpeg_untransformed,
    paletted,
    refusal,
    region,
    write_dicom,
    ybr,
)
from pydicom import uid
from pydicom.data import get_testdata_file

from lvef.data.formats.dicom import dicom_header, is_dicom, read_dicom
from lvef.errors import VideoError


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uid.ImplicitVRLittleEndian, None), (uid.ExplicitVRLittleEndian, None),
        (uid.ExplicitVRBigEndian, None), (uid.DeflatedExplicitVRLittleEndian, None),
        (uid.RLELossless, None), (uid.JPEG2000Lossless, jpeg_2000), (uid.JPEGLSLossless, jpeg_ls),
        (uid.JPEGLosslessSV1, jpeg_lossless),
    ],
)  # fmt: skip
def test_lossless_syntaxes_give_the_pixels_that_were_stored(tmp_path, syntax, encode):
    model = "YBR_RCT" if syntax == uid.JPEG2000Lossless else "RGB"
    clip = read_dicom(write_dicom(tmp_path / "a.dcm", COLOUR, syntax, model, encode))
    assert clip.frames.dtype == np.uint8
    np.testing.assert_array_equal(clip.frames, COLOUR)
    if encode is not jpeg_lossless:  # the encoder of it knows colours only
        path = write_dicom(tmp_path / "grey.dcm", GREY, syntax, "MONOCHROME2", encode)
        np.testing.assert_array_equal(read_dicom(path).frames, np.stack([GREY] * 3, axis=-1))


def test_planes_white_for_black_and_palettes_are_undone(tmp_path):
    planes = write_dicom(tmp_path / "planes.dcm", COLOUR, planar=1)
    np.testing.assert_array_equal(read_dicom(planes).frames, COLOUR)
    inverse = write_dicom(tmp_path / "inverse.dcm", 255 - GREY, model="MONOCHROME1")
    np.testing.assert_array_equal(read_dicom(inverse).frames, np.stack([GREY] * 3, axis=-1))
    red = read_dicom(paletted(tmp_path / "red.dcm", GREY)).frames
    np.testing.assert_array_equal(red, np.stack([GREY, 0 * GREY, 0 * GREY], axis=-1))


@pytest.mark.parametrize(
    ("syntax", "model", "encode"),
    [
        (uid.ExplicitVRLittleEndian, "YBR_FULL", None),
        (uid.ExplicitVRLittleEndian, "YBR_FULL_422", None),
        (uid.RLELossless, "YBR_FULL", None),
        (uid.JPEGLosslessSV1, "YBR_FULL", jpeg_lossless),
        (uid.JPEG2000Lossless, "YBR_FULL", lambda frame: jpeg_2000(frame, mct=0)),
    ],
)
def test_luma_and_chroma_become_red_green_and_blue_once(tmp_path, syntax, model, encode):
    path = write_dicom(tmp_path / "a.dcm", ybr(COLOUR), syntax, model, encode)
    assert np.abs(read_dicom(path).frames.astype(int) - COLOUR).max() <= 2


@pytest.mark.parametrize(
    ("syntax", "model", "encode"),
    [
        (uid.JPEGBaseline8Bit, "YBR_FULL_422", jpeg),
        (uid.JPEGBaseline8Bit, "RGB", jpeg),  # a wrong header, a right marker
        (uid.JPEGBaseline8Bit, "YBR_FULL_422", jpeg_adobe),
        (uid.JPEGBaseline8Bit, "YBR_FULL", jpeg_unmarked),
        (uid.JPEGBaseline8Bit, "RGB", jpeg_untransformed),
        (uid.JPEGExtended12Bit, "YBR_FULL_422", jpeg),
        (uid.JPEG2000, "YBR_ICT", lambda frame: jpeg_2000(frame, irreversible=True)),
        (uid.MPEG2MPML, "YBR_PARTIAL_420", None),
        (uid.MPEG4HP41, "YBR_PARTIAL_420", None),
        (uid.MPEG4HP41BD, "YBR_PARTIAL_420", None),
        (uid.HEVCMP51, "YBR_PARTIAL_420", None),
    ],
)
def test_lossy_syntaxes_keep_red_red_and_the_frames_in_order(tmp_path, syntax, model, encode):
    frames = read_dicom(write_dicom(tmp_path / "a.dcm", COLOUR, syntax, model, encode)).frames
    assert frames.shape == COLOUR.shape
    for (y, x), colour in PATCHES.items():
        np.testing.assert_allclose(frames[:, y, x], [colour] * len(frames), atol=6)
    errors = np.abs(frames[:, None].astype(int) - COLOUR[None]).mean(axis=(2, 3, 4))
    assert np.diag(errors).max() < 2.5
    assert errors.argmin(axis=1).tolist() == [0, 1, 2, 3]


def test_grey_of_more_than_eight_bits_is_scaled_by_its_bits_or_its_window(tmp_path):
    deep = GREY.astype(np.uint16) * 16
    path = write_dicom(tmp_path / "a.dcm", deep, model="MONOCHROME2", BitsStored=12, HighBit=11)
    frames = read_dicom(path).frames[..., 0]
    assert np.abs(frames.astype(int) - GREY).max() <= 1
    windowed = write_dicom(
        tmp_path / "b.dcm", deep, model="MONOCHROME2", WindowCenter=1024, WindowWidth=2048
    )
    frames = read_dicom(windowed).frames[..., 0]
    assert np.abs(frames.astype(int) - np.minimum(GREY.astype(int) * 2, 255)).max() <= 1


def test_region_is_the_largest_tissue_with_its_scale(tmp_path):
    regions = [
        region((0, 100, 111, 111), spatial=3, data=3), region((4, 4, 20, 20)),
        region((10, 5, 109, 200), step=-0.05), region((0, 0, 111, 111), data=2),
    ]  # fmt: skip
    path = write_dicom(tmp_path / "a.dcm", COLOUR, SequenceOfUltrasoundRegions=regions)
    header = dicom_header(path)
    assert header.region == (10, 5, 110, 112)
    assert header.millimetres_per_pixel == pytest.approx(0.5)
    clip = read_dicom(path)
    assert (clip.num_frames, clip.fps, clip.region) == (4, 50, header.region)


def test_colour_flow_over_2d_is_usable_and_a_loop_need_not_tell_its_region(tmp_path):
    flow = region((0, 0, 99, 99), data=2)
    path = write_dicom(tmp_path / "flow.dcm", COLOUR, SequenceOfUltrasoundRegions=[flow])
    assert read_dicom(path).region == (0, 0, 100, 100)
    bare = dicom_header(write_dicom(tmp_path / "bare.dcm", COLOUR))
    assert (bare.region, bare.millimetres_per_pixel) == (None, None)


def test_a_loop_of_a_real_machine_reads_as_its_makers_meant(tmp_path):
    path = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    clip = read_dicom(path)
    assert clip.frames.shape == (30, 240, 320, 3)
    assert clip.fps == pytest.approx(30, abs=0.01)
    assert clip.region == (84, 31, 320, 240)
    assert clip.millimetres_per_pixel == pytest.approx(0.5105, abs=1e-4)
    by_pydicom = pydicom.dcmread(path).pixel_array
    assert np.abs(clip.frames.astype(int) - by_pydicom).mean() < 0.5


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"NumberOfFrames": 1}, "a still picture"),
        ({"NumberOfFrames": None}, "a still picture"),
        ({"Modality": "CT", "SOPClassUID": uid.CTImageStorage}, "but 'CT Image Storage'"),
        ({"Modality": None, "SOPClassUID": None}, "not an ultrasound loop"),
        ({"SequenceOfUltrasoundRegions": [region((0, 0, 9, 9), 3, 3)]}, "no 2D picture"),
        ({"SequenceOfUltrasoundRegions": [region((0, 0, 9, 9), 2, 1)]}, "no 2D picture"),
        ({"PixelData": None}, "no pixel data"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words_by_both_functions(tmp_path, tags, words):
    path = tmp_path / "loop.dcm"
    write_dicom(path, GREY[:1] if tags.get("NumberOfFrames", 4) in (1, None) else GREY,
                model="MONOCHROME2", **tags)  # fmt: skip
    with pytest.raises(VideoError, match=rf"loop\.dcm: .*{words}"):
        dicom_header(path)
    with pytest.raises(VideoError, match=rf"loop\.dcm: .*{words}"):
        read_dicom(path)


def test_files_that_are_no_loop_at_all_are_refused_by_name(tmp_path):
    assert "no such file" in refusal(tmp_path / "missing.dcm")
    for name, content in (("empty.dcm", b""), ("text.dcm", b"this is no DICOM file" * 40)):
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name).endswith(f"{name}: not a DICOM file")
    computed_tomogram = str(get_testdata_file("CT_small.dcm", download=False))
    assert "not an ultrasound loop but 'CT Image Storage'" in refusal(computed_tomogram)


def test_a_compression_that_is_unknown_or_too_deep_says_what_to_do(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLOUR)
    content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1)
    path.write_bytes(content)
    assert "a private compression of 8 bits cannot be read: convert it" in refusal(path)
    deep = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    path = write_dicom(tmp_path / "b.dcm", GREY, uid.JPEGExtended12Bit, "MONOCHROME2", jpeg, **deep)
    assert "of 12 bits cannot be read: convert it" in refusal(path)


@pytest.mark.parametrize("how", ENCODED)
def test_a_file_cut_short_anywhere_is_refused(tmp_path, how):
    whole = write_dicom(tmp_path / "whole.dcm", COLOUR, *ENCODED[how]).read_bytes()
    cut = tmp_path / "cut.dcm"
    for part in (0.001, 0.02, 0.1, 0.3, 0.6, 0.95, 0.99):
        cut.write_bytes(whole[: int(part * len(whole))])
        assert refusal(cut).startswith("cut.dcm: ")


@pytest.mark.parametrize("how", ["jpeg", "jpeg_ls", "mpeg2", "mpeg4"])
def test_a_damaged_stream_is_refused_not_painted_over(tmp_path, how):
    """Where its decoder notices: that of MPEG-4 hides most damage to streams as short as these."""
    content = bytearray(write_dicom(tmp_path / "a.dcm", COLOUR, *ENCODED[how]).read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 400] = random.Random(1).randbytes(400)
    (tmp_path / "a.dcm").write_bytes(content)
    assert "cannot be decoded: damaged" in refusal(tmp_path / "a.dcm")


@pytest.mark.parametrize("how", ENCODED)
def test_damage_gives_an_error_of_ours_or_a_clip_and_nothing_else(tmp_path, how):
    whole = write_dicom(tmp_path / "whole.dcm", COLOUR, *ENCODED[how]).read_bytes()
    damaged, refused = tmp_path / "damaged.dcm", 0
    for seed in range(12):
        rng, content = random.Random(seed), bytearray(whole)
        for _ in range(30):
            content[rng.randrange(132, len(content) if seed % 2 else 1100)] = rng.randrange(256)
        damaged.write_bytes(content)
        try:
            assert read_dicom(damaged).frames.ndim == 4
        except VideoError:
            refused += 1
    assert refused >= 3


def test_a_header_that_claims_too_much_is_not_believed(tmp_path):
    huge = {"Rows": 60000, "Columns": 60000, "NumberOfFrames": 4}
    path = write_dicom(tmp_path / "a.dcm", COLOUR, uid.JPEGBaseline8Bit, "YBR_FULL", jpeg, **huge)
    assert "too large" in refusal(path)
    other = {"Rows": 100, "NumberOfFrames": 4}
    path = write_dicom(tmp_path / "b.dcm", COLOUR, uid.JPEGBaseline8Bit, "YBR_FULL", jpeg, **other)
    assert "frame 0 cannot be decoded" in refusal(path)


def test_nothing_that_tells_who_the_patient_is_comes_out(tmp_path, caplog, capfd, recwarn):
    caplog.set_level(logging.DEBUG)
    good = write_dicom(
        tmp_path / "good.dcm", COLOUR, uid.RLELossless, Modality="ZZZZZZZZ", StationName="AE-77",
        NumberOfFrames="00000004", SequenceOfUltrasoundRegions=[region((0, 0, 99, 99))],
    )  # fmt: skip
    content = good.read_bytes()
    # A careless export or a shifted byte puts a name where a number or an identifier belongs.
    class_uid = uid.UltrasoundMultiFrameImageStorage.encode()
    for number, value in enumerate([b"ZZZZZZZZ", b"00000004", b"20.00000", b"RGB ", class_uid]):
        secret = ROOT.encode() if value is class_uid else b"Doe^Jane"
        head, found, tail = content.rpartition(value)
        assert found
        wrong = head + secret[: len(value)].ljust(len(value), b"0") + tail
        (tmp_path / f"wrong{number}.dcm").write_bytes(wrong)
        (tmp_path / f"cut{number}.dcm").write_bytes(wrong[:-5000])
        (tmp_path / f"shifted{number}.dcm").write_bytes(wrong[:400] + wrong[401:])
    shown = []
    for path in sorted(tmp_path.glob("*.dcm")):
        for read in (read_dicom, dicom_header):
            try:
                shown.append(repr(read(path)))
            except VideoError as error:
                shown += traceback.format_exception(error)
                shown.append(f"{error!r} {error.__cause__!r} {error.__context__!r}")
    assert any("DicomClip" in text for text in shown)
    captured = capfd.readouterr()
    assert caplog.text == captured.out == captured.err == ""
    shown += [str(warning.message) for warning in recwarn]
    for secret in [*PATIENT.values(), ROOT.rstrip("."), "Doe", "Jane", "AE-77"]:
        assert secret not in "\n".join(shown)


def test_dicom_files_are_told_by_their_first_bytes_whatever_their_name(tmp_path):
    written = write_dicom(tmp_path / "loop.DCM", GREY, model="MONOCHROME2").read_bytes()
    for name in ("a.dcm", "a.dicom", "IM_0001", "1.2.840.113619.2", "a.avi", "a.b c"):
        (tmp_path / name).write_bytes(written)
        assert is_dicom(tmp_path / name)
    directory = written.replace(
        uid.UltrasoundMultiFrameImageStorage.encode(), b"1.2.840.10008.1.3.10".ljust(28, b"\0")
    )
    (tmp_path / "DICOMDIR").write_bytes(directory)
    (tmp_path / "README").write_text("text" * 200)
    assert not any(is_dicom(tmp_path / name) for name in ("DICOMDIR", "README", "missing", "."))
    (tmp_path / "page.dcm").write_text("<html>not found</html>")  # refused, not passed over
    assert is_dicom(tmp_path / "page.dcm")
    assert refusal(tmp_path / "page.dcm") == "page.dcm: not a DICOM file"
