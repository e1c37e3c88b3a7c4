"""When the frames of a DICOM loop were taken."""

from __future__ import annotations

import numpy as np
import pytest
from dicoms import GREY, write_dicom

from lvef.data.formats.dicom import dicom_header
from lvef.data.prepare import prepare_file
from lvef.errors import VideoError

TIME, VECTOR, CINE = 0x00181063, 0x00181065, 0x00180040
FRAMES = np.concatenate([GREY, GREY, GREY])  # 12
EVEN, PAUSE = [0] + [20] * 11, [0] + [20] * 5 + [500] + [20] * 5


def header(path, **tags):
    return dicom_header(write_dicom(path / "a.dcm", FRAMES, model="MONOCHROME2", **tags))


@pytest.mark.parametrize(
    ("tags", "fps"),
    [
        ({"FrameTime": "20"}, 50),
        ({"FrameTime": "20", "CineRate": "30"}, 50),
        ({"FrameTime": None, "FrameTimeVector": [0, *[25, 15, 20] * 3, 20, 20]}, 50),
        ({"FrameTime": None, "FrameTimeVector": [20] * 11}, 50),  # the intervals alone
        ({"FrameTime": "0", "CineRate": "60"}, 60),
        ({"FrameTime": None, "CineRate": "0", "RecommendedDisplayFrameRate": "40"}, 40),
        ({"FrameTime": "0.02", "CineRate": "50"}, 50),  # seconds, not milliseconds
        ({"FrameTime": ["20", "30"], "CineRate": "25"}, 25),
        ({"FrameTime": "20", "CineRate": "25", "FrameIncrementPointer": CINE}, 25),
        ({"FrameTime": "40", "FrameTimeVector": EVEN, "FrameIncrementPointer": VECTOR}, 50),
        ({"FrameTime": "40", "FrameTimeVector": EVEN, "FrameIncrementPointer": TIME}, 25),
        ({"FrameTime": "40", "FrameTimeVector": [1], "FrameIncrementPointer": TIME}, 25),
        ({"FrameTime": "40", "FrameIncrementPointer": VECTOR}, 25),  # which is not there
        ({"FrameTime": "0", "FrameTimeVector": EVEN, "FrameIncrementPointer": TIME}, 50),
        ({"FrameTime": "20", "FrameTimeVector": EVEN}, 50),
        ({"FrameTime": "20", "FrameIncrementPointer": [VECTOR, TIME]}, 50),
    ],
)
def test_the_rate_is_that_of_the_tag_that_counts(tmp_path, tags, fps):
    found = header(tmp_path, **tags)
    assert found.fps == pytest.approx(fps)
    assert found.untimed == ""
    assert found.times.shape == (12,)
    assert found.times[0] == 0
    if "FrameTimeVector" not in tags:
        np.testing.assert_allclose(found.times, np.arange(12) / fps)


def test_a_pause_stands_in_the_times_and_not_in_the_rate(tmp_path):
    tags = {"FrameTime": "65", "FrameTimeVector": PAUSE, "FrameIncrementPointer": VECTOR}
    found = header(tmp_path, **tags)
    assert found.fps == pytest.approx(50)
    np.testing.assert_allclose(found.times, np.cumsum(PAUSE) / 1000)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"FrameTimeVector": [0, 20, 20]}, "has 3 values for 12 frames"),
        ({"FrameTimeVector": [0] + [20] * 10}, "has 11 values for 12 frames"),
        ({"FrameTimeVector": [0] + [20] * 200}, "has 201 values for 12 frames"),
        ({"FrameTimeVector": [0] + [20] * 5 + [-20] + [20] * 5}, "intervals of zero or less"),
        ({"FrameTimeVector": [0] + [20] * 5 + [0] + [20] * 5}, "intervals of zero or less"),
        ({"FrameTimeVector": [0] * 12}, "intervals of zero or less"),
        ({"FrameTimeVector": list(range(0, 240, 20))}, "seems to hold times"),
        ({"FrameTimeVector": [0] + [0.02] * 11}, "none of an echo machine"),
        ({"FrameTimeVector": PAUSE, "FrameTime": "20"}, "FrameTime and FrameTimeVector disagree"),
        ({"FrameTimeVector": EVEN, "FrameTime": "40"}, "FrameTime and FrameTimeVector disagree"),
        ({"FrameTimeVector": [9], "FrameTime": "40", "CineRate": "25"}, "has 1 values for 12"),
        ({"FrameTime": "20", "FrameTimeVector": [1, 2], "FrameIncrementPointer": VECTOR}, "has 2"),
        ({}, "missing or none of an echo machine"),
        ({"FrameTime": "1000", "CineRate": "0"}, "missing or none of an echo machine"),
    ],
)
def test_a_loop_without_times_says_why_and_wants_to_be_told_its_rate(tmp_path, tags, words):
    found = header(tmp_path, **{"FrameTime": None, **tags})
    assert (found.times, found.fps) == (None, None)
    assert words in found.untimed
    with pytest.raises(VideoError, match=rf"how many frames a second .*{words}.* --data\.fps"):
        prepare_file(tmp_path / "a.dcm")
    assert prepare_file(tmp_path / "a.dcm", fps=40).fps == 40


def test_garbled_numbers_are_no_times(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm", FRAMES, model="MONOCHROME2", FrameTime=None, FrameTimeVector=["77"] * 12
    )
    path.write_bytes(path.read_bytes().replace(b"77\\77", b"Doe^J", 1))
    found = dicom_header(path)
    assert found.times is None
    assert found.untimed == "FrameTimeVector is garbled"
