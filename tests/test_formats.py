import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from clips import cut_clip, numbered, numbers, patched, turned, two_sizes, write_clip

from lvef.data.formats import (
    FORMATS,
    ClipInfo,
    FrameRangeError,
    clip_info,
    format_of,
    is_clip,
    read_frames,
    stream_frames,
    write_video,
)
from lvef.data.formats.base import LARGEST
from lvef.data.formats.rgb import ToRGB
from lvef.data.prepare import prepare_file
from lvef.errors import VideoError

needs_decord = pytest.mark.skipif(not find_spec("decord"), reason="decord has no wheel here")
COUNT = 40
FINE = {"qmin": "2", "qmax": "4"}
GROUPS = "keyint=12:min-keyint=12:scenecut=0"
KINDS = {
    "mjpeg.avi": ("mjpeg", "yuvj420p", FINE),
    "mjpeg.mov": ("mjpeg", "yuvj420p", FINE),
    "png.avi": ("png", "rgb24", {}),
    "ffv1.mkv": ("ffv1", "bgr0", {}),
    "huffyuv.avi": ("huffyuv", "yuv422p", {}),
    "raw.avi": ("rawvideo", "bgr24", {}),
    "msvideo1.avi": ("msvideo1", "rgb555le", {}),
    "h264.mp4": ("libx264", "yuv420p", {}),
    "h264_10_bit.mp4": ("libx264", "yuv420p10le", {}),
    "h264_grey.m4v": ("libx264", "gray", {}),
    "h264_without_b.mp4": ("libx264", "yuv420p", {"bf": "0", "g": "12"}),
    "h264_b.avi": ("libx264", "yuv420p", {"x264-params": f"{GROUPS}:bframes=3"}),
    "h264_open.mp4": ("libx264", "yuv420p", {"x264-params": f"{GROUPS}:open-gop=1:bframes=4"}),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "hevc_open.mkv": (
        "libx265",
        "yuv420p",
        {"x265-params": f"log-level=none:{GROUPS}:open-gop=1:bframes=4"},
    ),
    "av1.mp4": ("libsvtav1", "yuv420p", {"preset": "12", "svtav1-params": "lp=1"}),
    "vp8.webm": ("libvpx", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"cpu-used": "8", "deadline": "realtime"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", FINE),
    "mpeg4_b.avi": ("mpeg4", "yuv420p", {"bf": "2", "g": "12", **FINE}),
    "mpeg4_b.mp4": ("mpeg4", "yuv420p", {"bf": "2", "g": "12", **FINE}),
    "mpeg2_b.mpg": ("mpeg2video", "yuv420p", {"bf": "2", "g": "12", **FINE}),
    "wmv2.wmv": ("wmv2", "yuv420p", FINE),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, (codec, pixels, options) in KINDS.items():
        write_clip(folder / name, numbered(COUNT), codec, pixels, options)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_the_clips_however_it_is_coded(kinds, name):
    path = kinds / name
    whole = np.concatenate(list(stream_frames(path)))
    assert numbers(whole) == list(range(COUNT))
    info = clip_info(path)
    assert info.num_frames == COUNT
    np.testing.assert_allclose(info.times, np.arange(COUNT) / 50, atol=0.0012)
    rng = np.random.default_rng(0)
    for wanted in ([COUNT - 1], [0, 39, 20, 20], rng.integers(0, COUNT, 5).tolist()):
        read = read_frames(path, wanted)
        assert numbers(read) == wanted
        np.testing.assert_array_equal(read, whole[wanted])
    with pytest.raises(FrameRangeError, match=f"frame 40 .* ends at frame {COUNT - 1}"):
        read_frames(path, [3, COUNT])


@pytest.mark.parametrize("name", ["h264_without_b.mp4", "h264_open.mp4", "mpeg4_b.mp4"])
def test_what_was_cut_off_without_encoding_anew_is_no_part_of_the_clip(kinds, tmp_path, name):
    path = cut_clip(kinds / name, tmp_path / name, 0.4)
    whole = np.concatenate(list(stream_frames(path)))
    assert numbers(whole) == list(range(20, COUNT))
    assert clip_info(path).num_frames == 20
    assert numbers(read_frames(path, [0, 19, 7])) == [20, 39, 27]
    with pytest.raises(FrameRangeError, match="ends at frame 19"):
        read_frames(path, [20])


TURNS = {
    "90": ((0, 1, -1, 0), lambda frames: np.rot90(frames, 1, axes=(1, 2))),
    "180": ((-1, 0, 0, -1), lambda frames: np.rot90(frames, 2, axes=(1, 2))),
    "270": ((0, -1, 1, 0), lambda frames: np.rot90(frames, 3, axes=(1, 2))),
    "mirrored": ((-1, 0, 0, 1), lambda frames: frames[:, :, ::-1]),
}


@pytest.mark.parametrize("turn", TURNS)
def test_a_clip_that_a_phone_took_lying_down_is_read_upright(tmp_path, turn):
    matrix, stored = TURNS[turn]
    upright = numbered(5, 64, 96)
    write_clip(tmp_path / "stored.mp4", stored(upright))
    path = turned(tmp_path / "stored.mp4", tmp_path / "turned.mp4", matrix)
    for frames in (read_frames(path, range(5)), np.concatenate(list(stream_frames(path)))):
        assert frames.shape == upright.shape
        assert numbers(frames) == list(range(5))


def test_a_picture_that_stands_askew_is_refused(tmp_path):
    write_clip(tmp_path / "a.mp4", numbered(5))
    data = (tmp_path / "a.mp4").read_bytes()
    start = data.find(b"tkhd") + 4 + 4 + 32 + 4
    askew = (46341).to_bytes(4, "big")  # the cosine of 45 degrees
    (tmp_path / "b.mp4").write_bytes(data[:start] + askew + data[start + 4 :])
    with pytest.raises(VideoError, match=r"b\.mp4: the picture stands askew"):
        read_frames(tmp_path / "b.mp4", [0])


@pytest.fixture(scope="module")
def avi(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("avi") / "clip.avi"
    return write_clip(path, numbered(24), "mjpeg", "yuvj420p", FINE)


def test_a_header_that_claims_four_thousand_million_frames_does_no_harm(avi, tmp_path):
    path = patched(avi, tmp_path / "a.avi", (b"strh", 40, b"\xff\xff\xff\xff"))
    assert clip_info(path).num_frames == 24
    assert numbers(read_frames(path, [23, 5])) == [23, 5]
    with pytest.raises(VideoError, match="read this clip with PyAV"):
        read_frames(path, [0], reader="decord")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _, to: two_sizes(to), "change their size in mid-clip"),
        (
            lambda avi, to: patched(avi, to, (b"vidsMJPG", 4, b"QQQQ"), (b"\0MJPG", 1, b"QQQQ")),
            "compression is not known to FFmpeg",
        ),
        (lambda _, to: to.write_bytes(b""), "the file is empty"),
        (lambda _, to: to.write_bytes(b"no video " * 300), "not a readable video"),
        (lambda avi, to: to.write_bytes(avi.read_bytes()[:300]), "not a readable video"),
        (lambda _, to: to.mkdir(), "no such file"),
        (lambda avi, to: to.write_text(f"#EXTM3U\n#EXTINF:1,\n{avi}\n"), "not a readable video"),
        (lambda avi, to: to.write_text(f"ffconcat version 1.0\nfile {avi}\n"), "not a readable"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_in_one_line(avi, tmp_path, make, reason):
    path = tmp_path / "broken.avi"
    make(avi, path)
    with pytest.raises(VideoError, match=rf"^\S*broken\.avi: .*{reason}") as told:
        list(stream_frames(path))
    assert "\n" not in str(told.value)
    with pytest.raises(VideoError, match=r"broken\.avi: "):
        read_frames(path, [0, 20])
    with pytest.raises(VideoError, match="frames count from 0"):
        read_frames(avi, [-1])


def test_pictures_that_would_take_gigabytes_are_refused_before_they_are_decoded(tmp_path):
    frames = np.zeros((1, 2200, 4096, 3), np.uint8)
    path = write_clip(tmp_path / "huge.mp4", frames, options={"preset": "ultrafast"})
    assert frames[0, ..., 0].size > LARGEST
    with pytest.raises(VideoError, match=r"pictures of 4096 x 2200 pixels, but at most"):
        read_frames(path, [0])


def test_a_clip_is_streamed_in_portions_of_bounded_size(tmp_path):
    path = write_clip(
        tmp_path / "large.mp4", np.zeros((9, 1080, 1920, 3), np.uint8),
        options={"preset": "ultrafast"},
    )  # fmt: skip
    portions = [len(frames) for frames in stream_frames(path)]
    assert sum(portions) == 9
    assert max(portions) * 1080 * 1920 * 3 <= 32 * 2**20


def test_the_name_of_a_file_may_be_any_bytes(avi, tmp_path):
    path = tmp_path / b"caf\xe9 [1].avi".decode("utf-8", "surrogateescape")
    path.write_bytes(avi.read_bytes())
    assert numbers(read_frames(path, [3])) == [3]
    assert clip_info(path).num_frames == 24


def test_times_are_those_of_the_frames_not_of_a_mean_rate(tmp_path, avi):
    pause = np.arange(24) * 20 + np.where(np.arange(24) >= 12, 3000, 0)
    for name, codec, pixels in (("a.mp4", "libx264", "yuv420p"), ("a.avi", "mjpeg", "yuvj420p")):
        path = write_clip(tmp_path / name, numbered(24), codec, pixels, pts=pause.tolist())
        info = clip_info(path)  # of an AVI: chunks that hold nothing
        assert info.num_frames == 24
        np.testing.assert_allclose(info.times, pause / 1000, atol=0.0012)
        assert numbers(read_frames(path, [13, 23])) == [13, 23]
        with pytest.raises(VideoError, match=r"not evenly spaced .* 3\.02 s .* after frame 11"):
            prepare_file(path)
        assert prepare_file(path, fps=50).timing is None
    path = patched(avi, tmp_path / "b.avi", (b"strh", 28, bytes(8)), (b"avih", 8, bytes(4)))
    assert clip_info(path).times is None
    with pytest.raises(VideoError, match=r"b\.avi: the AVI states no frame rate: .* --data\.fps"):
        prepare_file(path)


@needs_decord
def test_decord_reads_only_what_it_is_right_about(kinds):
    for name in KINDS:
        if name == "mjpeg.avi":
            wanted = [39, 0, 7, 7]
            by_decord = read_frames(kinds / name, wanted, reader="decord")
            np.testing.assert_array_equal(by_decord, read_frames(kinds / name, wanted))
        else:
            with pytest.raises(VideoError, match="decord is right about MJPEG AVIs alone"):
                read_frames(kinds / name, [0], reader="decord")


def test_decord_is_not_imported_to_read_clips(avi):
    code = f"import sys; from lvef.data.formats import read_frames; read_frames({str(avi)!r}, [0])"
    code += "; print('decord' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_format_is_told_by_its_bytes_before_its_name(avi, tmp_path):
    hidden = tmp_path / "clip.dat"
    hidden.write_bytes(avi.read_bytes())
    assert format_of(hidden).name == "video"
    assert is_clip(hidden)
    note = tmp_path / "notes.txt"
    note.write_text("no clip")
    assert not is_clip(note)
    assert is_clip(tmp_path / "missing.avi")  # it shall be told, not left out


class Numbers:
    """A format of a test's own: a text of grey levels, one a frame."""

    name = "numbers"
    extensions = (".numbers",)

    def recognises(self, head):
        return head.startswith(b"numbers")

    def info(self, file):
        levels = self._levels(file)
        return ClipInfo(len(levels), np.arange(len(levels)) / 50)

    def read(self, file, indices):
        frames = list(self.stream(file))
        return np.stack([frames[index] for index in indices])

    def stream(self, file):
        for level in self._levels(file):
            yield np.full((16, 16, 3), level, np.uint8)

    def _levels(self, file):
        return [int(level) for level in file.read().split()[1:]]


def test_another_format_is_one_class_in_the_registry(tmp_path, monkeypatch):
    monkeypatch.setattr("lvef.data.formats.registry.FORMATS", [Numbers(), *FORMATS])
    path = tmp_path / "clip"
    path.write_text("numbers " + " ".join(map(str, range(0, 200, 5))))
    assert is_clip(path)
    assert read_frames(path, [3])[0, 0, 0, 0] == 15
    assert len(prepare_file(path).frames) == 40


def moving_picture(count: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    phase = np.arange(count)[:, None, None]
    grey = 127 + 90 * np.sin(x / 9 + phase / 3) * np.cos(y / 7 - phase / 5)
    return np.clip(grey + rng.normal(0, 2, grey.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("extension", [".avi", ".mp4"])
def test_the_frames_read_are_those_that_were_written(tmp_path, extension):
    frames = moving_picture(40, 112, 112)
    path = tmp_path / f"clip{extension}"
    write_video(path, frames, 50)
    read = read_frames(path, [0, 39, 20])
    for slot, index in enumerate([0, 39, 20]):
        errors = np.abs(read[slot, ..., 0].astype(int) - frames).mean(axis=(1, 2))
        assert errors.argmin() == index
        assert errors[index] < 4


def test_only_avi_and_mp4_are_written_and_nothing_half(tmp_path):
    with pytest.raises(VideoError, match=r"use \.avi or \.mp4"):
        write_video(tmp_path / "clip.mkv", moving_picture(2, 32, 32), 50)

    def breaks_off():
        yield from moving_picture(3, 32, 32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "clip.mp4", breaks_off(), 50)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "gray"])
def test_frames_become_rgb_as_pyav_does_it_and_in_this_thread(pixels):
    rng = np.random.default_rng(0)
    picture = av.VideoFrame.from_ndarray(rng.integers(0, 256, (98, 130, 3), np.uint8), "rgb24")
    frame, convert = picture.reformat(format=pixels), ToRGB()
    for _ in range(2):
        np.testing.assert_array_equal(convert(frame), frame.to_ndarray(format="rgb24"))
    threaded = int(av.__version__.split(".")[0]) >= 17  # 14 to 16 have no threads, nor the option
    assert convert._options == ({"threads": 1} if threaded else {})
