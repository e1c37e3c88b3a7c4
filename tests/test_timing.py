import numpy as np
import pytest
from clips import write_clip

import lvef
from lvef.data.timing import timing
from lvef.errors import VideoError
from lvef.phantom import PhantomClip


@pytest.mark.parametrize("fps", [50, 25, 62.5, 30000 / 1001, 138, 5])
def test_even_frames_have_the_rate_that_their_times_say(fps):
    found = timing(np.arange(150) / fps)
    assert found.fps == fps
    assert found.even is None


@pytest.mark.parametrize("fps", [30, 50, 90])
def test_the_ticks_of_a_container_and_a_dropped_frame_leave_frames_even(fps):
    times = np.round(np.arange(150) / fps, 3)
    assert timing(times).even is None
    assert timing(times).fps == pytest.approx(fps, rel=1e-3)
    jitter = times + np.random.default_rng(0).uniform(0, 0.4 / fps, 150)
    assert timing(jitter).even is None
    assert timing(np.delete(times, 70)).even is None


def test_frames_that_are_not_even_are_resampled_at_the_median_interval():
    times = np.concatenate([np.arange(75) * 0.02, 1.5 + np.arange(25) * 0.06])
    found = timing(times)
    assert found.fps == 50
    np.testing.assert_array_equal(times[found.even[found.moments]], times)
    moments = times[0] + np.arange(len(found.even)) / 50
    assert np.abs(times[found.even] - moments).max() <= 0.03 + 1e-9
    assert len(found.even) == round(times[-1] * 50) + 1


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (np.arange(40) * 0.02 + 3 * (np.arange(40) > 20), r"3\.02 s pass after frame 20, 20 ms"),
        ([0.0], "a still picture"),
        ([0.0, 0.02, 0.01, 0.03], "do not rise"),
        (np.zeros(9), "do not rise"),
        ([0.0, np.nan, 0.04], "do not rise"),
        (np.arange(9) * 0.5, "2 frames a second, which no echo machine makes"),
        (np.arange(9) * 1e-5, "100000 frames a second, which no echo machine makes"),
        (np.r_[np.arange(40) * 1e-5, 10], "which no echo machine makes"),
    ],
)
def test_times_that_no_beat_can_be_found_in_are_refused(times, reason):
    with pytest.raises(VideoError, match=reason):
        timing(np.asarray(times, np.float64))


def test_beats_of_a_clip_whose_rate_changes_are_told_in_its_own_frames(tmp_path):
    frames = np.repeat(PhantomClip(5, 1).frames()[:150, ..., None], 3, axis=-1)
    even = lvef.analyse_clip(frames, fps=50)
    kept = np.r_[np.arange(75), np.arange(75, len(frames), 3)]
    path = write_clip(tmp_path / "a.mp4", frames[kept], pts=(kept * 20).tolist())
    found = lvef.analyse_clip(path)
    assert found.fps == 50
    assert len(found.masks) == len(found.area) == len(found.lv_masks) == len(kept)
    # Whether the beat that the clip begins in counts is a matter of hundredths of a second.
    ends = [(b.ed_frame, b.es_frame) for b in even.beats if b.ed_frame > 1]
    again = [(kept[b.ed_frame], kept[b.es_frame]) for b in found.beats if b.ed_frame > 1]
    assert len(ends) >= 2
    assert max(ends)[1] > 90  # a beat of the slower part is among them
    np.testing.assert_allclose(again, ends, atol=2)
    assert found.ef == pytest.approx(even.ef, abs=3)
    for beat in found.beats:
        assert beat.ed_frame < beat.mid_frame < beat.es_frame
