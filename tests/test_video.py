from pathlib import Path

import av
import numpy as np
import pytest

from lvef.data import video
from lvef.data.video import count_frames, read_frames, write_video
from lvef.errors import VideoError

needs_decord = pytest.mark.skipif(video.decord is None, reason="decord has no wheel here")


def moving_picture(count: int, height: int, width: int, colour: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    phase = np.arange(count)[:, None, None]
    grey = 127 + 90 * np.sin(x / 9 + phase / 3) * np.cos(y / 7 - phase / 5)
    grey = np.clip(grey + rng.normal(0, 2, grey.shape), 0, 255).astype(np.uint8)
    return np.stack([grey, np.roll(grey, 9, 2), 255 - grey], -1) if colour else grey


@needs_decord
@pytest.mark.parametrize("extension", [".avi", ".mp4"])
@pytest.mark.parametrize(
    ("height", "width", "colour", "fps"),
    [(112, 112, False, 50), (112, 112, True, 18), (96, 130, True, 138), (600, 800, False, 30)],
)
def test_decord_and_pyav_return_the_same_pixels(tmp_path, extension, height, width, colour, fps):
    path = tmp_path / f"clip{extension}"
    write_video(path, moving_picture(31, height, width, colour), fps)
    wanted = [0, 30, 7, 7, 15, 29]
    by_decord = read_frames(path, wanted, backend="decord")
    by_pyav = read_frames(path, wanted, backend="pyav")
    assert by_decord.shape == (6, height, width, 3)
    np.testing.assert_array_equal(by_decord, by_pyav)


@pytest.mark.parametrize("backend", ["pyav", pytest.param("decord", marks=needs_decord)])
def test_what_an_mp4_was_cut_down_to_is_what_it_holds(tmp_path, backend):
    """Cut between two key frames and not encoded anew, a file keeps frames that are not shown."""
    pictures = moving_picture(60, 112, 112, colour=False)
    write_video(tmp_path / "whole.mp4", pictures, 50)
    with (
        av.open(str(tmp_path / "whole.mp4")) as whole,
        av.open(str(tmp_path / "a.mp4"), "w") as cut,
    ):
        stream = whole.streams.video[0]
        kept = cut.add_stream_from_template(stream)
        lost = int(0.4 / stream.time_base)
        for packet in whole.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - lost, packet.dts - lost, kept
                cut.mux(packet)
    path = tmp_path / "a.mp4"
    assert count_frames(path) == 40
    shown = read_frames(path, [0, 39], backend)
    expected = read_frames(tmp_path / "whole.mp4", [20, 59], backend)
    np.testing.assert_array_equal(shown, expected)
    with pytest.raises(VideoError, match="ends at frame 39"):
        read_frames(path, [40], backend)


@needs_decord
@pytest.mark.parametrize(("height", "width"), [(113, 97), (111, 112)])
def test_both_readers_agree_on_odd_sizes(tmp_path, height, width):
    path = tmp_path / "odd.avi"
    write_video(path, moving_picture(9, height, width, False), 25)
    by_decord = read_frames(path, range(9), backend="decord")
    np.testing.assert_array_equal(by_decord, read_frames(path, range(9), backend="pyav"))


@pytest.mark.parametrize("extension", [".avi", ".mp4"])
@pytest.mark.parametrize("backend", ["auto", "pyav"])
def test_the_frames_read_are_those_that_were_written(tmp_path, extension, backend):
    frames = moving_picture(40, 112, 112, False)
    path = tmp_path / f"clip{extension}"
    write_video(path, frames, 50)
    assert count_frames(path) == 40
    read = read_frames(path, [0, 39, 20], backend=backend)
    for slot, index in enumerate([0, 39, 20]):
        errors = np.abs(read[slot, ..., 0].astype(int) - frames).mean(axis=(1, 2))
        assert errors.argmin() == index
        assert errors[index] < 4


def test_a_frame_past_the_end_names_file_and_last_frame(tmp_path):
    path = tmp_path / "short.avi"
    write_video(path, moving_picture(5, 64, 64, False), 50)
    for backend in ("auto", "pyav"):
        with pytest.raises(VideoError, match=r"short.avi: frame 5 .* ends at frame 4"):
            read_frames(path, [0, 5], backend=backend)
    with pytest.raises(VideoError, match="frames count from 0"):
        read_frames(path, [-1])


@pytest.mark.parametrize("backend", ["auto", "pyav"])
@pytest.mark.parametrize("content", [b"", b"this is no video" * 40, None])
def test_a_file_that_cannot_be_read_says_so_by_name(tmp_path, content, backend):
    path = tmp_path / "broken.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=r"broken\.mp4: "):
        read_frames(path, [0], backend=backend)
    with pytest.raises(VideoError, match=r"broken\.mp4: "):
        count_frames(path)


@pytest.mark.parametrize("backend", ["auto", "pyav"])
def test_a_truncated_clip_raises_and_does_not_crash(tmp_path, backend):
    path = tmp_path / "whole.mp4"
    write_video(path, moving_picture(40, 112, 112, False), 50)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(VideoError, match=r"cut\.mp4"):
        read_frames(cut, [30], backend=backend)


def test_only_avi_and_mp4_are_written(tmp_path: Path):
    with pytest.raises(VideoError, match=r"use \.avi or \.mp4"):
        write_video(tmp_path / "clip.mkv", moving_picture(2, 32, 32, False), 50)
