"""When an analysis is believed, and in which words it is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lvef.analysis.quality import Evidence, judge

FRAMES, FPS, SIZE = 100, 50.0, 40


def evidence(**changed: object) -> Evidence:
    """A good analysis of two beats of 50 frames, but for what is changed."""
    masks = np.zeros((FRAMES, SIZE, SIZE), bool)
    masks[:, 10:30, 12:26] = True
    beating = 240 + 40 * np.cos(2 * np.pi * np.arange(FRAMES) / 50)
    good = Evidence(
        frames=FRAMES,
        fps=FPS,
        confidence=np.full(FRAMES, 0.95),
        area=beating,
        masks=masks,
        sector=np.ones((SIZE, SIZE), bool),
        agreement=0.9,
        periodicity=0.9,
        spans=((0, 50), (50, 100)),
        depths=np.ones(2),
        ef_by_motion=np.array([55.0, 52.0]),
        ef_by_contours=np.array([50.0, 54.0]),
    )
    return replace(good, **changed)  # type: ignore[arg-type]


def test_a_good_analysis_is_believed():
    verdict = judge(evidence())
    assert verdict.reason == ""
    assert verdict.quality > 0.9
    assert all(beat > 0.8 for beat in verdict.beats)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"frames": 5}, "no whole beat: 5 frames (0.10 s)"),
        ({"fault": "two pictures side by side"}, "two pictures side by side"),
        ({"confidence": np.full(FRAMES, 0.5)}, "no left ventricle found in 100 % of frames"),
        ({"area": np.full(FRAMES, np.nan)}, "no left ventricle found in 100 % of frames"),
        ({"confidence": np.full(FRAMES, 0.8)}, "the contour is uncertain"),
        ({"area": 240 + 60 * np.cos(np.pi * np.arange(FRAMES))}, "the contour jumps"),
        (
            {"sector": np.arange(SIZE)[:, None] < np.full(SIZE, 20)},
            "the ventricle is cut off by the edge of the sector",
        ),
        (
            {"depths": np.array([]), "spans": ()},
            "no whole beat: 100 frames (2.00 s) hold no end-diastole with the end-systole",
        ),
        (
            {"depths": np.array([]), "spans": (), "area": np.full(FRAMES, 240.0)},
            "no beat found: nothing in the picture beats",
        ),
        (
            {"depths": np.array([]), "spans": (), "agreement": 0.4},
            "no beat found: nothing in the picture beats",
        ),
        (
            {"ef_by_motion": np.array([0.2, np.nan]), "ef_by_contours": np.array([2.0, 9.0])},
            "the walls do not move inwards",
        ),
        ({"ef_by_contours": np.array([5.0, 6.0])}, "contours and motion disagree: EF 6 and 54"),
        (
            {"agreement": 0.2, "periodicity": 0.1},
            "the contour and the grey levels do not move together",
        ),
    ],
)
def test_a_clip_is_refused_in_words(changed, reason):
    verdict = judge(evidence(**changed))
    assert reason in verdict.reason
    assert verdict.quality < 0.8


def test_another_view_and_frames_in_disorder_are_refused_whatever_the_quality():
    good = judge(evidence())
    for wrong in ({"other_view": "looks like another"}, {"disorder": "in no order"}):
        verdict = judge(evidence(**wrong))
        assert verdict.reason in wrong.values()
        assert verdict.gated
        assert (verdict.quality, verdict.beats) == (good.quality, good.beats)
    assert not good.gated
    short = judge(evidence(frames=5, other_view="looks like another"))
    assert "no whole beat" in short.reason, "of which nothing else can be told"
    empty = {"confidence": np.full(FRAMES, 0.5)}
    for wrong in ({"other_view": "no heart is seen"}, {"disorder": "a still picture"}):
        assert "no left ventricle found" in judge(evidence(**empty, **wrong)).reason
    assert judge(evidence(**empty, other_view="looks like a page")).reason == "looks like a page"
    screen = judge(evidence(fault="two pictures", other_view="looks like another"))
    assert screen.reason == "two pictures", "which says what to do"


def test_the_quality_falls_with_each_of_its_parts():
    good = judge(evidence()).quality
    for worse in (
        {"confidence": np.full(FRAMES, 0.85)},
        {"confidence": np.repeat([0.95, 0.1], [70, 30])},
        {"area": 240 + 12 * np.cos(np.pi * np.arange(FRAMES))},
        {"periodicity": 0.2},
        {"agreement": 0.7},
        {"ef_by_contours": np.array([30.0, 28.0])},
    ):
        assert judge(evidence(**worse)).quality < good


def test_one_beat_need_not_repeat_and_a_beat_without_a_ventricle_is_left_out():
    one = {
        "spans": ((0, 50),), "depths": np.ones(1), "periodicity": 0.0,
        "ef_by_motion": np.array([55.0]), "ef_by_contours": np.array([52.0]),
    }  # fmt: skip
    assert judge(evidence(**one)).quality > 0.9
    lost = np.full(FRAMES, 0.95)
    lost[60:90] = 0.2
    first, second = judge(evidence(confidence=lost)).beats
    assert first > 0
    assert second == 0
    only = judge(evidence(**{**one, "spans": ((60, 90),)}, confidence=lost))
    assert only.beats == (0.0,)
    assert "lost in every beat" in only.reason, "a clip without a beat needs a reason"


def test_a_heart_that_hardly_beats_is_believed_where_the_grey_levels_follow():
    weak = {
        "agreement": 0.62,
        "area": 240 + 8 * np.cos(2 * np.pi * np.arange(FRAMES) / 50),
        "ef_by_motion": np.array([10.0, 9.0]),
        "ef_by_contours": np.array([14.0, 12.0]),
    }
    verdict = judge(evidence(**weak))
    assert verdict.reason == ""
    assert verdict.quality < judge(evidence(**{**weak, "agreement": 0.8})).quality
    by_chance = judge(evidence(**{**weak, "agreement": 0.5}))
    assert "do not move together" in by_chance.reason


def test_a_beat_whose_contours_and_motion_disagree_is_left_out():
    three = {
        "depths": np.ones(3),
        "spans": ((0, 33), (33, 66), (66, 100)),
        "ef_by_motion": np.array([55.0, 20.0, 50.0]),
    }
    verdict = judge(evidence(**three, ef_by_contours=np.array([52.0, 80.0, 55.0])))
    assert verdict.reason == ""
    assert [beat > 0 for beat in verdict.beats] == [True, False, True]
