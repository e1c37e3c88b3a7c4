"""Screens that are not one picture of one heart, and in which words they are refused."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import lvef
from lvef.analysis.layout import (
    NEGATIVE,
    SIDE_BY_SIDE,
    layout_fault,
    pass_length,
    usable_beats,
)
from lvef.cardiac import FoundBeat
from lvef.data.formats import read_frames, write_video
from lvef.data.prepare import prepare_frames
from lvef.data.sector import moving_tissue
from lvef.phantom import PhantomClip

Frames = NDArray[np.uint8]


def beating(index: int = 0, count: int = 60) -> Frames:
    return PhantomClip(21, index, marks=False).frames(range(count))


def fault(frames: Frames) -> str:
    return layout_fault(prepare_frames(frames, 50))


def beside(left: Frames, right: Frames, gap: int = 4) -> Frames:
    """Two clips on one screen of 4:3."""
    screen = np.zeros((len(left), 180, 240), np.uint8)
    screen[:, 30:142, 120 - gap - 112 : 120 - gap] = left
    screen[:, 30:142, 120 + gap : 120 + gap + 112] = right
    return screen


@pytest.mark.parametrize("other", [0, 1])
@pytest.mark.parametrize("gap", [0, 6])
def test_two_pictures_side_by_side_are_told(other, gap):
    screen = beside(beating(0), beating(other), gap)
    assert fault(screen) == SIDE_BY_SIDE


@pytest.mark.parametrize("size", [112, 300])
def test_a_negative_is_told(size):
    screen = np.zeros((60, size, size), np.uint8)
    corner = (size - 112) // 2
    screen[:, corner : corner + 112, corner : corner + 112] = 255 - beating()
    assert fault(screen) == NEGATIVE


@pytest.mark.parametrize("size", [112, 224])
def test_a_picture_of_too_much_gain_is_no_negative(size):
    frames = beating().astype(np.uint16)
    white = np.where(frames > 0, np.minimum(frames + 140, 255), 0).astype(np.uint8)
    assert np.median(white[:, moving_tissue(white)]) > 128
    assert fault(white.repeat(size // 112, 1).repeat(size // 112, 2)) == ""


@pytest.mark.parametrize("index", range(6))
def test_one_picture_is_not_refused_for_what_it_looks_like(index):
    clip = PhantomClip(5, 30 + index, marks="heavy")
    frames = clip.frames(range(0, 60, 2))
    assert fault(frames) == ""
    assert fault(frames[:, :, ::-1]) == "", "mirrored"
    squeezed = np.stack([cv2.resize(frame, (112, 84)) for frame in frames])
    assert fault(np.pad(squeezed, ((0, 0), (14, 14), (0, 0)))) == "", "squeezed to 4:3"
    assert fault(np.maximum(frames, 60)) == "", "on grey"
    assert fault(np.zeros_like(frames)) == ""
    assert fault(frames[:3]) == ""


def test_such_screens_are_refused_in_these_words():
    found = lvef.analyse_clip(beside(beating(0, 12), beating(1, 12)), fps=25)
    assert found.reason == SIDE_BY_SIDE
    assert found.beats == ()


def beat(ed: int, es: int, end: int) -> FoundBeat:
    return FoundBeat(ed, es, end, True, 1.0)


def test_beats_of_dark_frames_do_not_count():
    frames = beating(count=80)
    beats = [beat(0, 14, 30), beat(33, 47, 66)]
    assert usable_beats(beats, frames, 50) == beats
    frames[0] = 0
    assert usable_beats(beats, frames, 50) == beats[1:]
    assert usable_beats([], frames, 50) == []


@pytest.mark.parametrize("suffix", ["", ".avi", ".mp4"])
def test_a_loop_played_again_counts_once(suffix, tmp_path):
    once = beating(count=49)
    frames = np.concatenate([once] * 3)
    if suffix:
        write_video(tmp_path / f"a{suffix}", frames, 50)
        frames = read_frames(tmp_path / f"a{suffix}", range(len(frames)), "pyav")[..., 0]
    assert pass_length(frames, 50) == 49
    beats = [beat(0, 14, 33), beat(34, 45, 51), beat(51, 63, 84), beat(100, 112, 133)]
    assert usable_beats(beats, frames, 50) == beats[:1]
    cut = [replace(beat(34, 40, 51), end_frame=48, whole=False)]
    assert usable_beats([beat(34, 40, 51)], frames, 50) == cut, "its systole is whole"


def test_a_second_pass_that_is_cut_off_is_told_where_frames_are_the_same():
    loop = beating(count=60)
    frames = np.concatenate([loop, loop[:20]])
    assert pass_length(frames, 50) == 60
    assert pass_length(frames[:70], 50) is None, "ten frames may be alike by chance"
    other = 0.75 * loop[:20] + 0.25 * loop[1:21]
    assert pass_length(np.concatenate([loop, other.astype(np.uint8)]), 50) is None, "not the same"


@pytest.mark.parametrize("index", [0, 21])
def test_a_heart_that_beats_regularly_is_no_loop(index):
    clip = PhantomClip(5, index)
    assert pass_length(clip.frames(), clip.patient.fps) is None
    assert pass_length(np.zeros((100, 112, 112), np.uint8), 50) is None
    assert pass_length(clip.frames(range(20)), 50) is None
    assert pass_length(clip.frames(range(22)), 50, 4) is None, "a pass is shorter than a stretch"
