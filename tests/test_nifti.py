"""Loops in NIfTI: which axis is which, pixels that are not square, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lvef.data.formats import clip_info, format_of, is_clip, read_frames, stream_frames
from lvef.data.names import stem
from lvef.errors import VideoError

nibabel = pytest.importorskip("nibabel")

WIDTH, HEIGHT, COUNT = 60, 40, 5


def loop(count: int = COUNT) -> np.ndarray:
    """An array of x, y, t: it grows brighter to the right, and has a bright row near the top."""
    x, y, t = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT), np.arange(count), indexing="ij")
    return np.where(y == 3, 250, x + 10 * t).astype(np.uint8)


def save(path: Path, array: np.ndarray, zooms=(0.308, 0.308), units="mm", time="unknown") -> Path:
    image = nibabel.Nifti1Image(array, np.diag([-zooms[0], -zooms[1], 1.0, 1.0]))
    image.header.set_zooms([*zooms, *[1.0] * (array.ndim - 2)][: array.ndim])
    image.header.set_xyzt_units(units, time)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("name", ["loop.nii.gz", "loop.nii", "LOOP.NII.GZ"])
def test_a_frame_has_x_to_the_right_and_y_down(tmp_path, name):
    path = save(tmp_path / "loop.nii", loop())
    named = tmp_path / name
    packed = name.lower().endswith("gz")
    named.write_bytes(gzip.compress(path.read_bytes()) if packed else path.read_bytes())
    assert format_of(named).name == "NIfTI"
    frames = read_frames(named, [4, 0, 4])
    assert frames.shape == (3, HEIGHT, WIDTH, 3)
    assert (frames[:, 3] == 250).all()
    np.testing.assert_array_equal(frames[1, 20, :, 0], np.arange(WIDTH))
    np.testing.assert_array_equal(frames[0, 20, :, 1], np.arange(WIDTH) + 40)
    np.testing.assert_array_equal(frames[0], frames[2])
    streamed = np.concatenate(list(stream_frames(named)))
    np.testing.assert_array_equal(streamed[[4, 0, 4]], frames)
    info = clip_info(named)
    assert info.num_frames == COUNT
    assert info.times is None
    assert "does not say how many frames a second" in info.untimed
    assert info.millimetres_per_pixel == pytest.approx(0.308)
    assert stem(f"clips/{name}") == f"clips/{name[:4]}"


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    path = save(tmp_path / "loop.nii.gz", loop(), (0.308, 0.154))
    frames = read_frames(path, [0])
    assert frames.shape == (1, HEIGHT, 2 * WIDTH, 3)
    assert clip_info(path).millimetres_per_pixel == pytest.approx(0.154)
    assert (frames[0, 3] == 250).all()
    rising = frames[0, 20, :, 0].astype(float)
    np.testing.assert_allclose(rising, np.clip(np.arange(2 * WIDTH) / 2 - 0.25, 0, 59), atol=0.51)


def test_a_loop_of_four_axes_may_state_its_times(tmp_path):
    array = loop()[:, :, None]
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.header.set_zooms([0.3, 0.3, 1, 20])
    image.header.set_xyzt_units("mm", "msec")
    nibabel.save(image, tmp_path / "a.nii")
    info = clip_info(tmp_path / "a.nii")
    np.testing.assert_allclose(info.times, np.arange(COUNT) * 0.02)
    np.testing.assert_array_equal(
        read_frames(tmp_path / "a.nii", [1])[0, :, :, 0], loop()[..., 1].T
    )


def test_scaled_values_and_colours_are_read(tmp_path):
    image = nibabel.Nifti1Image(loop().astype(np.int16) * 2, np.eye(4))
    image.header.set_slope_inter(0.5, 0)
    raw = bytearray(image.to_bytes())
    nibabel.save(nibabel.Nifti1Image.from_bytes(bytes(raw)), tmp_path / "a.nii")
    # nibabel rescales what it saves: the header that was written is what counts here.
    expected = np.rint(np.asanyarray(nibabel.load(tmp_path / "a.nii").dataobj)[..., 2].T)
    np.testing.assert_array_equal(read_frames(tmp_path / "a.nii", [2])[0, :, :, 0], expected)
    colours = np.zeros((WIDTH, HEIGHT, COUNT), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"] = 90
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / "b.nii.gz")
    assert read_frames(tmp_path / "b.nii.gz", [0])[0, 0, 0].tolist() == [0, 90, 0]
    assert clip_info(tmp_path / "b.nii.gz").millimetres_per_pixel is None  # 1 of no unit


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize(
    ("array", "spoil", "message"),
    [
        (loop()[..., 0], None, "a still picture"),
        (loop(1), None, "a still picture"),
        (np.ones((8, 8, 6, 4), np.uint8) * 9, None, "an array of 8 x 8 x 6 x 4, which is no loop"),
        (loop() % 4, None, "labels, no picture"),
        (loop().astype(np.float32) - 90.0, None, r"values from -60 to 160: pictures have 0 to 255"),
        (loop().astype(np.complex64), None, "pixels of the type complex64"),
        (loop(), lambda path: cut(path, 3000), "the file ends in frame 1 of 5"),
        (loop(), lambda path: cut(path, 200), "damaged|Invalid|holds no|unreadable"),
    ],
)
def test_what_is_no_loop_of_pictures_is_refused_in_a_line(tmp_path, array, spoil, message):
    path = save(tmp_path / "a.nii", array)
    if spoil:
        spoil(path)
    with pytest.raises(VideoError, match=message) as error:
        read_frames(path, [3])
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


def test_a_packed_file_that_ends_early_is_refused_and_is_still_a_clip(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (WIDTH, HEIGHT, COUNT), np.uint8)
    path = save(tmp_path / "a.nii.gz", noise)
    cut(path, 6000)
    assert read_frames(path, [0]).shape == (1, HEIGHT, WIDTH, 3)
    with pytest.raises(VideoError, match=r"a\.nii\.gz: the file is damaged, or ends early"):
        read_frames(path, [4])
    with pytest.raises(VideoError, match="frame 5 asked for, but the clip ends at frame 4"):
        read_frames(path, [5])
    path.write_bytes(b"nothing")
    assert is_clip(path)
    other = tmp_path / "a.tar.gz"
    other.write_bytes(gzip.compress(b"x" * 600))
    assert not is_clip(other)
