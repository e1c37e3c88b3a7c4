"""DICOM loops as people have them: read right, or refused by what they are."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import (
    COLOUR,
    ENCODED,
    GREY,
    bare,
    deflated_bomb,
    jpeg,
    jpeg_2000,
    refusal,
    region,
    rle,
    write_dicom,
    ybr,
)
from pydicom import uid
from pydicom.encaps import encapsulate

from lvef.data.formats import read_frames, stream_frames
from lvef.data.formats.dicom import dicom_header, is_dicom, iter_frames, read, read_dicom
from lvef.data.formats.dicom.file import opened
from lvef.data.formats.dicom.header import HEADER
from lvef.errors import VideoError

NATIVE = (
    uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)  # fmt: skip
JPEGS = [jpeg(frame) for frame in COLOUR]


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("stored", ["RGB", "YBR_FULL"])
def test_full_chroma_that_is_said_to_be_halved_is_read(tmp_path, syntax, planar, stored):
    frames = COLOUR if stored == "RGB" else ybr(COLOUR)
    pixels = (np.moveaxis(frames, -1, 1) if planar else frames).tobytes()
    path = write_dicom(
        tmp_path / "a.dcm", COLOUR, syntax, "YBR_FULL_422", planar=planar, PixelData=pixels
    )
    assert np.abs(read_dicom(path).frames.astype(int) - COLOUR).max() <= 2


def test_halved_chroma_of_half_as_many_frames_again_is_not_taken_for_full(tmp_path):
    six = np.concatenate([COLOUR, COLOUR[:2]])
    path = write_dicom(tmp_path / "a.dcm", ybr(six), model="YBR_FULL_422", NumberOfFrames=4)
    assert "says 4, but the pixel data holds 6 frames" in refusal(path)


@pytest.mark.parametrize("how", ["native", "rle", "jpeg_ls", "jpeg_lossless"])
def test_a_colour_model_that_the_picture_belies_is_put_right(tmp_path, how):
    syntax, _, encode = ENCODED[how]
    for number, (said, stored) in enumerate(
        [("RGB", ybr(COLOUR)), ("YBR_FULL", COLOUR), ("YBR_FULL_422", COLOUR)]
    ):
        if said == "YBR_FULL_422" and how == "native":
            continue
        path = tmp_path / f"{number}.dcm"
        encode = rle if how == "rle" else encode
        pixels = {"PixelData": encapsulate([encode(frame) for frame in stored])} if encode else {}
        write_dicom(path, stored, syntax, said, **pixels)
        assert np.abs(read_dicom(path).frames.astype(int) - COLOUR).max() <= 2


def test_a_tinted_loop_keeps_its_tint(tmp_path):
    tinted = (COLOUR * np.array([1.0, 0.8, 0.5])).astype(np.uint8)
    np.testing.assert_array_equal(
        read_dicom(write_dicom(tmp_path / "a.dcm", tinted)).frames, tinted
    )
    again = write_dicom(tmp_path / "b.dcm", ybr(tinted), model="YBR_FULL")
    assert np.abs(read_dicom(again).frames.astype(int) - tinted).max() <= 2
    full = write_dicom(tmp_path / "c.dcm", tinted, model="YBR_FULL_422", PixelData=tinted.tobytes())
    np.testing.assert_array_equal(read_dicom(full).frames, tinted)


def test_full_chroma_that_may_be_anything_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, COLOUR.shape, dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", noise, model="YBR_FULL_422", PixelData=noise.tobytes())
    with pytest.raises(VideoError, match="RGB or YCbCr"):
        list(iter_frames(path))


@pytest.mark.parametrize("said", [3, 5, 2**31 - 1, None])
@pytest.mark.parametrize(
    ("syntax", "model", "pixels"),
    [
        (uid.ExplicitVRLittleEndian, "RGB", COLOUR.tobytes()),
        (uid.DeflatedExplicitVRLittleEndian, "RGB", COLOUR.tobytes()),
        (uid.JPEGBaseline8Bit, "YBR_FULL_422", encapsulate(JPEGS)),
        (uid.JPEGBaseline8Bit, "YBR_FULL_422", encapsulate(JPEGS, has_bot=False)),
        (uid.JPEGBaseline8Bit, "YBR_FULL_422", encapsulate(JPEGS, 2, has_bot=False)),
        (uid.RLELossless, "RGB", encapsulate([rle(frame) for frame in COLOUR])),
        (uid.RLELossless, "RGB", encapsulate([rle(frame) for frame in COLOUR], has_bot=False)),
        (uid.JPEG2000Lossless, "YBR_RCT", encapsulate([jpeg_2000(frame) for frame in COLOUR])),
    ],
)
def test_another_number_of_frames_than_is_said_is_refused_with_both(
    tmp_path, said, syntax, model, pixels
):
    path = write_dicom(
        tmp_path / "a.dcm", COLOUR, syntax, model, PixelData=pixels, NumberOfFrames=said
    )
    says = f"says {said}" if said else "is missing"
    for reader in (dicom_header, read_dicom, lambda path: read(path, [0])):
        with pytest.raises(VideoError, match=rf"NumberOfFrames {says}, .* holds 4"):
            reader(path)


@pytest.mark.parametrize("said", [3, 5])
@pytest.mark.parametrize("how", ["mpeg2", "mpeg4"])
def test_a_video_of_another_number_of_frames_is_refused_with_both(tmp_path, how, said):
    path = write_dicom(tmp_path / "a.dcm", COLOUR, *ENCODED[how], NumberOfFrames=said)
    for reader in (read_dicom, lambda path: read(path, [0]), lambda path: list(iter_frames(path))):
        with pytest.raises(VideoError, match=rf"says {said}, but the video holds 4 frames"):
            reader(path)
    path = write_dicom(tmp_path / "b.dcm", COLOUR, *ENCODED[how], NumberOfFrames=None)
    assert "NumberOfFrames is missing or says 1, but the pixel data is a video" in refusal(path)


@pytest.mark.parametrize(
    ("syntax", "model", "streams"),
    [
        (uid.JPEGBaseline8Bit, "YBR_FULL_422", JPEGS),
        (uid.JPEG2000Lossless, "YBR_RCT", [jpeg_2000(frame) for frame in COLOUR]),
        (uid.RLELossless, "RGB", [rle(frame) for frame in COLOUR]),
    ],
)
def test_frames_in_several_fragments_are_told_apart(tmp_path, syntax, model, streams):
    whole = write_dicom(tmp_path / "a.dcm", COLOUR, syntax, model, PixelData=encapsulate(streams))
    expected = read_dicom(whole).frames
    split = encapsulate(streams, 3)
    stale = bytearray(encapsulate(streams))
    stale[12:16] = struct.pack("<L", 77)  # an offset at which no fragment begins
    ways = [split, bytes(stale)]
    if syntax != uid.RLELossless:  # which does not say where a frame begins
        ways += [encapsulate(streams, 3, has_bot=False)]
    for number, pixels in enumerate(ways):
        path = write_dicom(tmp_path / f"{number}.dcm", COLOUR, syntax, model, PixelData=pixels)
        np.testing.assert_array_equal(read_dicom(path).frames, expected)
        np.testing.assert_array_equal(read(path, [2]), expected[2:3])


@pytest.mark.parametrize("syntax", NATIVE[:3])
def test_a_bare_data_set_is_told_and_read(tmp_path, syntax):
    written = write_dicom(tmp_path / "whole.dcm", COLOUR, syntax)
    content = written.read_bytes()
    for name, without in {
        "bare": bare(content), "no_preamble": content[132:],
        "no_syntax.dcm": content[:132] + bare(content),
        "IM_0007.avi": bare(content),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(without)
        assert is_dicom(tmp_path / name)
        clip = read_dicom(tmp_path / name)
        np.testing.assert_array_equal(clip.frames, COLOUR)
        assert clip.fps == 50


@pytest.mark.parametrize("how", ["jpeg", "jpeg_lossless", "jpeg_ls", "jpeg_2000", "rle"])
def test_compressed_pixels_without_a_transfer_syntax_are_told_by_themselves(tmp_path, how):
    path = write_dicom(tmp_path / "whole.dcm", COLOUR, *ENCODED[how])
    expected = read_dicom(path).frames
    (tmp_path / "bare").write_bytes(bare(path.read_bytes()))
    np.testing.assert_array_equal(read_dicom(tmp_path / "bare").frames, expected)
    syntax = ENCODED[how][0].encode()
    lying = path.read_bytes().replace(syntax, b"1.2.840.10008.1.2.1".ljust(len(syntax), b"\0"))
    (tmp_path / "lying.dcm").write_bytes(lying)
    np.testing.assert_array_equal(read_dicom(tmp_path / "lying.dcm").frames, expected)


def test_native_pixels_under_a_compressed_syntax_are_read(tmp_path):
    content = write_dicom(tmp_path / "a.dcm", COLOUR).read_bytes()
    lying = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1)
    (tmp_path / "a.dcm").write_bytes(lying)
    np.testing.assert_array_equal(read_dicom(tmp_path / "a.dcm").frames, COLOUR)


def test_what_only_looks_like_a_data_set_is_none(tmp_path):
    others = {
        "zeros": bytes(600), "ones": b"\x08\0" * 300, "short": b"\x08\0\x05\0CS",
        "riff": b"RIFF\0\0\0\0AVI LIST" * 20, "text": b"08 00 05 00" * 40,
        "group_28": struct.pack("<HHLH", 0x28, 2, 2, 1) + struct.pack("<HHLH", 0x28, 6, 2, 0)
        + struct.pack("<HHLH", 0x28, 0x10, 2, 112) + bytes(600),
        "one": b"\x08\0\x16\0\x1a\0\0\0" + bytes(600),
    }  # fmt: skip
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        assert not is_dicom(tmp_path / name)


SECONDARY = uid.MultiFrameTrueColorSecondaryCaptureImageStorage


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SOPClassUID": uid.EnhancedUSVolumeStorage}, "a 3D volume .*'Enhanced US Volume"),
        ({"SOPClassUID": "1.2.840.113543.6.6.1.3.10002"}, "a 3D volume, whose frames are slices"),
        ({"ImageType": ["DERIVED", "PRIMARY", "CARDIAC", "0400"]}, "a 3D volume"),
        ({"FrameIncrementPointer": 0x00182005}, "a 3D volume"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "", "0002"]}, "no 2D picture in it but M-mode"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "", "0008"]}, "but PW Doppler"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "", "0024"]}, "CW Doppler and colour M-mode"),
        ({"SequenceOfUltrasoundRegions": [region((0, 0, 9, 9), 2)]}, "but M-mode"),
        ({"SequenceOfUltrasoundRegions": [region((0, 0, 9, 9), 3, 3)]}, "but spectral Doppler"),
        ({"SOPClassUID": SECONDARY, "Modality": "OT"}, "a secondary capture .*set Modality to US"),
        ({"SOPClassUID": SECONDARY, "Modality": None}, "a secondary capture"),
        ({"Modality": "IVUS"}, "intravascular ultrasound"),
        ({"SOPClassUID": uid.VideoEndoscopicImageStorage, "Modality": "ES"}, "but 'Video Endosc"),
        ({"PixelData": None, "SOPClassUID": uid.ComprehensiveSRStorage}, "'Comprehensive SR Stor"),
        ({"PhotometricInterpretation": "CMYK"}, "colour model .* cannot be read"),
        ({"PhotometricInterpretation": "RGB"}, "'RGB' of 1 samples"),
        ({"Rows": None}, "Rows is missing or garbled"),
        ({"BitsAllocated": 32}, "samples of 8 bits in 32"),
        ({"NumberOfFrames": 0}, "says 0, but the pixel data holds 4"),
    ],
)
def test_what_it_is_instead_is_told(tmp_path, tags, words):
    path = write_dicom(tmp_path / "a.dcm", GREY, model="MONOCHROME2", **tags)
    with pytest.raises(VideoError, match=rf"^a\.dcm: .*{words}"):
        dicom_header(path)


@pytest.mark.parametrize(
    "tags",
    [
        {"SOPClassUID": SECONDARY},  # of modality US
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "0019"]},  # 2D, PW and colour Doppler
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "0010"]},  # colour flow is a 2D picture
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "TTE_"]},
        {"SequenceOfUltrasoundRegions": [region((0, 90, 9, 99), 3, 3), region((0, 0, 50, 50))]},
        {"SOPClassUID": None},
    ],
)
def test_what_has_a_2d_picture_is_read(tmp_path, tags):
    path = write_dicom(tmp_path / "a.dcm", GREY, model="MONOCHROME2", **tags)
    assert read_dicom(path).num_frames == 4


@pytest.mark.parametrize("how", ENCODED)
def test_frames_one_by_one_and_by_number_are_those_of_the_whole(tmp_path, how):
    path = write_dicom(
        tmp_path / "a.dcm", COLOUR, *ENCODED[how],
        SequenceOfUltrasoundRegions=[region((8, 4, 99, 103))],
    )  # fmt: skip
    whole = read_dicom(path).frames
    np.testing.assert_array_equal(np.stack(list(iter_frames(path))), whole)
    np.testing.assert_array_equal(read(path, [3, 0, 3, 1]), whole[[3, 0, 3, 1]])
    np.testing.assert_array_equal(read_frames(path, [2, 1]), whole[[2, 1], 4:104, 8:100])
    parts = list(stream_frames(path))
    np.testing.assert_array_equal(np.concatenate(parts), whole[:, 4:104, 8:100])
    for wrong in ([4], [-1], []):
        with pytest.raises(VideoError, match=r"the clip ends at frame 3|count from 0"):
            read(path, wrong)


def test_a_deflated_loop_of_large_frames_is_read_in_any_order(tmp_path):
    large = np.tile(COLOUR, (1, 4, 4, 1))
    path = write_dicom(tmp_path / "a.dcm", large, uid.DeflatedExplicitVRLittleEndian)
    np.testing.assert_array_equal(read_dicom(path).frames, large)
    np.testing.assert_array_equal(read(path, [3, 1, 0]), large[[3, 1, 0]])


def test_a_loop_that_is_left_half_way_is_closed(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLOUR)
    coming = iter_frames(path)
    next(coming)
    coming.close()
    assert list(coming) == []
    with opened(path, HEADER) as file:
        stream = file.stream
    assert stream.closed


@pytest.mark.parametrize("how", ["jpeg", "jpeg_ls", "mpeg4"])
def test_the_reason_of_a_decoder_is_passed_on(tmp_path, how):
    content = bytearray(write_dicom(tmp_path / "a.dcm", COLOUR, *ENCODED[how]).read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 600] = np.random.default_rng(0).bytes(600)
    (tmp_path / "a.dcm").write_bytes(content)
    assert "FFmpeg: Invalid data found" in refusal(tmp_path / "a.dcm")


def test_overlay_bits_and_signs_of_deep_samples_are_heeded(tmp_path):
    deep = GREY.astype(np.uint16) * 16
    with_overlay = deep | (np.uint16(0xA) << 12)
    tags = {"BitsStored": 12, "HighBit": 11}
    for number, (frames, more) in enumerate(
        [
            (with_overlay, {}),
            ((deep.astype(np.int32) - 2048).astype("<i2").view("<u2"), {"PixelRepresentation": 1}),
            (deep << 4, {"HighBit": 15}),
        ]
    ):
        path = write_dicom(
            tmp_path / f"{number}.dcm", frames, model="MONOCHROME2", **{**tags, **more}
        )
        assert np.abs(read_dicom(path).frames[..., 0].astype(int) - GREY).max() <= 1


def test_eight_bits_in_big_endian_words_are_swapped_back(tmp_path):
    odd = COLOUR[:, :111, :111]  # frames of an odd number of bytes
    stored = odd.tobytes()
    swapped = np.frombuffer(stored + bytes(len(stored) % 2), "u2").byteswap().tobytes()
    path = write_dicom(tmp_path / "a.dcm", odd, uid.ExplicitVRBigEndian, PixelData=swapped)
    dataset = pydicom.dcmread(path)
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).frames, odd)


def test_no_reason_names_a_folder(tmp_path):
    folder = tmp_path / "Doe^Jane [1950] 'x' \u00e9"
    folder.mkdir()
    whole = write_dicom(folder / "a.dcm", COLOUR, *ENCODED["jpeg"]).read_bytes()
    for size in (0, 200, 900, len(whole) // 2):
        (folder / "a.dcm").write_bytes(whole[:size])
        for reader in (read_dicom, dicom_header, lambda path: read(path, [0])):
            with pytest.raises(VideoError) as caught:
                reader(folder / "a.dcm")
            assert str(caught.value).startswith("a.dcm: ")
            assert "Jane" not in str(caught.value)


MOST = """
import resource

def most():  # megabytes at the most; on Linux, ru_maxrss begins with that of the parent
    try:
        status = open("/proc/self/status").read()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

"""


def test_claims_and_bombs_cost_no_memory(tmp_path):
    small = {"model": "MONOCHROME2"}
    write_dicom(tmp_path / "frames.dcm", GREY, NumberOfFrames=2**31 - 1, **small)
    write_dicom(tmp_path / "rows.dcm", GREY, Rows=65535, Columns=65535, **small)
    for name, how in (("jpeg", "jpeg"), ("video", "mpeg4")):
        path = tmp_path / f"{name}.dcm"
        write_dicom(path, COLOUR, *ENCODED[how], NumberOfFrames=2**31 - 1)
        write_dicom(tmp_path / f"{name}_1.dcm", COLOUR, *ENCODED[how], NumberOfFrames=99_999)
    sizes = [bytearray(data) for data in JPEGS]
    for data in sizes:
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", 65500, 65500)
    lossy = (uid.JPEGBaseline8Bit, "YBR_FULL_422")
    write_dicom(tmp_path / "size.dcm", COLOUR, *lossy, PixelData=encapsulate([*map(bytes, sizes)]))
    large = jpeg(np.zeros((5000, 5000, 3), np.uint8))  # a whole one, of 75 MB
    write_dicom(tmp_path / "large.dcm", COLOUR[:2], *lossy, PixelData=encapsulate([large] * 2))
    tables = [bytearray(jpeg_2000(frame)) for frame in COLOUR]
    for data in tables:
        data[8:16] = struct.pack(">LL", 60000, 60000)
    write_dicom(
        tmp_path / "size_2000.dcm", COLOUR, uid.JPEG2000Lossless, "YBR_RCT",
        PixelData=encapsulate([*map(bytes, tables)]),
    )  # fmt: skip
    runs = b"\x81\x00" * 2**19  # 64 MB
    head = struct.pack("<16L", 3, *(64 + number * len(runs) for number in range(3)), *[0] * 12)
    write_dicom(
        tmp_path / "runs.dcm", COLOUR[:2], uid.RLELossless, "RGB",
        PixelData=encapsulate([head + 3 * runs] * 2),
    )  # fmt: skip
    deflated_bomb(tmp_path / "deflated.dcm", 80, 600, 600)  # 86 MB in 0.1
    deflated_bomb(tmp_path / "too_large.dcm", 3000, 600, 600, held=1)
    deflated_bomb(tmp_path / "tag.dcm", 2, 600, 600, before=10)
    paths = sorted(tmp_path.glob("*.dcm"))
    program = (
        "import sys\n"
        "from lvef.data.formats.dicom import iter_frames\n"
        "from lvef.errors import VideoError\n"
        "for path in sys.argv[1:]:\n"
        "    before = most()\n"
        "    try: told = sum(1 for _ in iter_frames(path))\n"
        "    except VideoError as error: told = error\n"
        "    print(f'{most() - before} MB {told}')\n"
    )
    command = [sys.executable, "-c", MOST + program, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    lines = dict(zip([path.stem for path in paths], done.stdout.splitlines(), strict=True))
    assert all(int(line.split(" MB ")[0]) < 40 for line in lines.values()), lines
    assert lines["deflated"].endswith("MB 80")
    assert lines["runs"].endswith("MB 2")
    for name, words in {
        "frames": "holds 4 frames", "rows": "too large", "jpeg": "holds 4 frames",
        "video": "at most 100000", "video_1": "the video holds 4", "jpeg_1": "holds 4 frames",
        "size": "cannot be decoded", "large": "FFmpeg: Invalid argument",
        "size_2000": "of another size", "too_large": "2 GB", "tag": "pieces before the pixels",
    }.items():  # fmt: skip
        assert words in lines[name], lines[name]


FUZZED = """
import random, sys, time
from pathlib import Path
from dicoms import damaged
from lvef.data.formats.dicom import is_dicom, iter_frames, read_dicom
from lvef.errors import VideoError

whole = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.dcm"))]
place = Path(sys.argv[1]) / "damaged"
before, read, refused, slowest = most(), 0, 0, 0.0
for seed in range(int(sys.argv[2])):
    place.write_bytes(damaged(random.Random(seed), whole[seed % len(whole)]))
    start = time.monotonic()
    is_dicom(place)
    try:
        clip = read_dicom(place)
        assert clip.frames.shape == (clip.num_frames, clip.height, clip.width, 3)
        assert clip.times is None or clip.times.shape == (clip.num_frames,)
        read += 1
    except VideoError as error:
        assert chr(10) not in str(error) and "/" not in str(error)
        refused += 1
    slowest = max(slowest, time.monotonic() - start)
print(read, refused, slowest, most() - before)
"""


@pytest.mark.slow
def test_damage_of_any_kind_is_read_or_refused_without_a_crash_a_hang_or_much_memory(tmp_path):
    for how, (syntax, model, encode) in ENCODED.items():
        write_dicom(
            tmp_path / f"{how}.dcm", COLOUR, syntax, model, encode, FrameTime=None,
            FrameTimeVector=[0, 20, 20, 20], FrameIncrementPointer=0x00181065,
            SequenceOfUltrasoundRegions=[region((0, 0, 99, 99))],
        )  # fmt: skip
    half = write_dicom(tmp_path / "half.dcm", ybr(COLOUR), model="YBR_FULL_422")
    write_dicom(tmp_path / "deep.dcm", GREY.astype(np.uint16), model="MONOCHROME2")
    (tmp_path / "bare.dcm").write_bytes(bare(half.read_bytes()))
    for count in (300, 3000):
        done = subprocess.run(
            [sys.executable, "-c", MOST + FUZZED, str(tmp_path), str(count)],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        read_ones, refused, slowest, megabytes = map(float, done.stdout.split())
        assert read_ones + refused == count
        assert min(read_ones, refused) > count / 10
        assert slowest < 10
        assert megabytes < 200
