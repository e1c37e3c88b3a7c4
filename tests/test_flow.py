"""Colour flow over a picture is told from tints, marks and an ECG, and its clip gets no EF."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from gates import weights_that_see

from lvef.analysis.analyse import ClipAnalyser
from lvef.cardiac import survey
from lvef.data.decode import decode_clip
from lvef.data.flow import flow_share
from lvef.data.formats import open_clip, write_video
from lvef.data.prepare import prepare_file, prepare_frames
from lvef.data.sector import find_sector
from lvef.phantom import PhantomClip
from lvef.phantom.purpose import Purpose
from lvef.phantom.views import four_chamber
from lvef.phantom.views.place import Place


@pytest.fixture(scope="module")
def boxes():
    """Clips of the first generator."""
    places = (Place(5, Purpose.LOOK, 22, index) for index in (2, 4, 12, 17))
    return [four_chamber.ColourBox(four_chamber.randomised(place), place) for place in places]


def share(pictures):
    probe = pictures[survey(len(pictures), each_once=True)]
    return flow_share(probe, find_sector(probe))


def beating():
    return np.repeat(PhantomClip(21, 0).frames(range(40))[..., None], 3, axis=-1)


def test_flow_is_found_however_it_is_kept(boxes, tmp_path):
    for number, box in enumerate(boxes):
        pictures = box.pictures()
        assert share(pictures) > 0.04
        assert prepare_frames(pictures, 25).flow > 0.04
        assert prepare_frames(box.frames(), 25).flow == 0, "its grey copy shows none"
        for ending in (".avi", ".mp4"):
            path = tmp_path / f"{number}{ending}"
            write_video(path, pictures, box.fps)
            with open_clip(path) as file:
                assert decode_clip(file).flow > 0.04
            assert prepare_file(path).flow > 0.04


def test_a_grey_copy_is_the_luminance_of_the_picture(boxes):
    for picture, grey in zip(boxes[0].pictures([3, 9]), boxes[0].frames([3, 9]), strict=True):
        assert np.array_equal(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), grey)


def test_what_is_coloured_and_no_flow_counts_little():
    grey = beating()
    assert share(grey) == 0
    sepia = np.clip(grey * np.array([1.0, 0.8, 0.45]), 0, 255).astype(np.uint8)
    assert share(sepia) < 0.02, "a tint"
    marked = grey.copy()
    marked[:, 40:60, 50:70] = (200, 0, 0)
    assert share(marked) < 0.02, "what stands still"
    washed = grey.copy()
    washed[:, 30:70, 40:80, 0] = np.minimum(washed[:, 30:70, 40:80, 0].astype(int) + 60, 255)
    assert share(washed) < 0.02, "a field that is coloured in"
    traced = grey.copy()
    for index in range(len(grey)):
        traced[index, 95:97, : 2 * index] = (0, 255, 0)
    assert 0 < share(traced) < 0.02, "an ECG that is drawn"


def test_a_clip_in_colour_gets_no_ef(boxes, tmp_path):
    weights = weights_that_see("A4C", tmp_path / "sees.safetensors")
    found = ClipAnalyser(weights, "cpu")(boxes[0].pictures(), fps=boxes[0].fps)
    assert np.isnan(found.ef)
    assert found.view == "colour"
    assert found.gated
    assert found.reason.startswith("colour flow is painted over")
    plain = ClipAnalyser(weights, "cpu")(boxes[0].frames(), fps=boxes[0].fps)
    assert plain.view == "A4C"
