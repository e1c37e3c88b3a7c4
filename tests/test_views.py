"""Clips by what they show: each kind is what its label says, and the same wherever it is made."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lvef.cardiac import PICTURE_SIZE
from lvef.data.formats import read_frames
from lvef.errors import ConfigurationError
from lvef.phantom.purpose import Purpose
from lvef.phantom.solid.tissue import chambers
from lvef.phantom.views import KINDS, ViewClip, four_chamber
from lvef.phantom.views.folder import write_views
from lvef.phantom.views.place import Place
from lvef.phantom.views.sliced import SlicedClip
from lvef.phantom.views.sweep import Sweep

NUMBERS = {
    1: "A4C of a clinic", 2: "A4C randomised", 3: "A4C solid", 4: "A4C wide", 5: "A4C after black",
    6: "A4C widest",
    10: "two-chamber", 11: "three-chamber", 12: "parasternal long axis", 13: "short axis, apex",
    14: "short axis, papillary muscles", 15: "short axis, mitral valve",
    16: "short axis, aortic valve", 17: "subcostal", 20: "apex down", 21: "mirrored",
    22: "colour box", 30: "still", 31: "shuffled", 32: "reversed", 33: "one loop repeated",
    40: "M-mode", 41: "Doppler", 42: "split screen", 43: "words", 50: "liver", 51: "kidney",
    52: "carotid", 53: "lung", 60: "noise", 61: "black", 62: "in air",
}  # fmt: skip
"""A kind's random numbers are by its number, so that none may change."""
QUICK = {
    "A4C of a clinic", "A4C randomised", "A4C wide", "A4C widest", "words", "liver", "carotid",
    "noise", "black",
}  # fmt: skip
"""Kinds that show no solid heart, which takes a second."""


def sliced(plane, index, level=(0.5, 0.5)):
    return SlicedClip(plane, Place(7, Purpose.LOOK, 99, index), level)


def moment(clip, systole=False):
    return clip.es_frame if systole else clip.ed_frame


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow])
     for kind in KINDS],
)  # fmt: skip
def test_a_clip_of_any_kind_is_the_same_wherever_it_is_made(kind):
    clip, again, other = (ViewClip(3, kind, index) for index in (1, 1, 2))
    last = clip.num_frames - 1
    frames = clip.frames([0, last, 5])
    assert frames.shape == (3, PICTURE_SIZE, PICTURE_SIZE)
    assert frames.dtype == np.uint8
    assert (again.fps, again.num_frames) == (clip.fps, clip.num_frames)
    assert 5 <= clip.fps <= 110
    assert np.array_equal(again.frames([5])[0], frames[2])
    assert np.array_equal(again.frames([last])[0], frames[1])
    if kind not in ("black", "A4C after black"):
        assert frames[0].std() > 3
        assert not np.array_equal(frames[0], other.frames([0])[0])
    assert "PHANTOM" in clip.name
    assert clip.name != other.name


def test_kinds_keep_their_numbers():
    assert {kind.number: name for name, kind in KINDS.items()} == NUMBERS


def test_an_ef_may_be_given_of_upright_four_chamber_views_in_their_own_order_alone():
    allowed = {name for name, kind in KINDS.items() if kind.ef}
    assert allowed == {name for name in KINDS if name.startswith("A4C")}
    assert {KINDS[name].view for name in allowed} == {"A4C"}
    assert not ViewClip(0, "reversed", 0).ef
    assert ViewClip(0, "A4C randomised", 0).ef


def test_what_is_never_trained_on_is_flagged():
    held_out = {name for name, kind in KINDS.items() if kind.held_out}
    assert held_out == {"subcostal", "M-mode", "one loop repeated", "kidney", "A4C widest"}
    assert ViewClip(0, "kidney", 0).held_out
    assert not ViewClip(0, "liver", 0).held_out


def test_hearts_that_are_learned_from_are_never_as_wide_as_those_that_judge(monkeypatch):
    monkeypatch.setattr(four_chamber, "randomised", lambda _, breadth: breadth)
    places = [Place(0, Purpose.VIEWS, 4, number) for number in range(400)]
    wide = np.array([four_chamber.wide(place) for place in places])
    widest = np.array([four_chamber.widest(place) for place in places])
    assert 1.1 <= wide.min() < 1.12
    assert 1.48 < wide.max() <= 1.5 <= widest.min() < 1.52
    assert 1.73 < widest.max() <= 1.75
    assert np.mean(wide > 1.3) == pytest.approx(0.75, abs=0.06), "most are of the wider half"


def test_a_purpose_has_clips_of_its_own():
    for kind in ("A4C randomised", "liver", "words"):
        frames = [ViewClip(0, kind, 0, p).frames([3])[0] for p in (Purpose.TRAIN, Purpose.TEST)]
        assert not np.array_equal(*frames)


def test_a_kind_that_is_not_known_is_told_in_one_line():
    with pytest.raises(ConfigurationError, match="no kind of phantom is 'PLAX': one of A4C"):
        ViewClip(0, "PLAX", 0)


def first_generator(kind):
    """Return the first clip of a kind that is of the first generator: those are quick."""
    for index in range(20):
        clip = ViewClip(5, kind, index)
        inner = clip.clip.inner
        chamber = getattr(inner, "inner", inner)
        if not isinstance(getattr(chamber, "clip", None), SlicedClip):
            return clip
    raise AssertionError(kind)


def test_a_reversed_clip_ends_where_the_clip_begins():
    clip = first_generator("reversed")
    forwards, last = clip.clip.inner, clip.num_frames - 1
    assert np.array_equal(clip.frames([0, 1, last]), forwards.frames([last, last - 1, 0]))
    assert not np.array_equal(forwards.frames([0]), forwards.frames([last]))


def test_a_shuffled_clip_has_the_same_frames_in_another_order():
    clip = first_generator("shuffled")
    order = clip.clip.order
    assert np.array_equal(np.sort(order), np.arange(clip.clip.inner.num_frames))
    assert np.abs(np.diff(order)).mean() > 0.2 * len(order)
    assert np.array_equal(clip.frames([4, 0]), clip.clip.inner.frames(order[[4, 0]].tolist()))


def test_a_still_does_not_move_though_its_clip_does():
    clip = first_generator("still")
    frames = clip.frames([0, 7, clip.num_frames - 1])
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[0], frames[2])
    moving = clip.clip.inner.frames([0, clip.clip.inner.num_frames // 3])
    assert not np.array_equal(*moving)


def test_one_loop_comes_again_and_jumps():
    jumps = []
    for index in range(12):
        clip = ViewClip(6, "one loop repeated", index)
        order = clip.clip.order
        length = int(np.flatnonzero(np.diff(order) != 1)[0]) + 1
        assert np.array_equal(order[length:], order[:-length])
        assert len(order) >= 3 * length
        beats = length / (clip.clip.inner.seconds_a_beat * clip.fps)
        jumps.append(abs(beats - round(beats)))
    assert min(jumps) > 0.1


def test_mirrored_is_the_mirror_of_the_same_four_chamber_view():
    flipped = first_generator("mirrored").clip.inner
    assert np.array_equal(flipped.frames([0, 9]), flipped.inner.frames([0, 9])[:, :, ::-1])


def test_apex_down_has_the_probe_below():
    turned = 0
    for index in range(12):
        clip = ViewClip(8, "apex down", index).clip.inner
        assert clip.rows
        assert clip.origin[1] > 80
        turned += clip.columns
    assert 0 < turned < 12
    clip = first_generator("apex down").clip.inner
    above = clip.inner.frames([0])[:, ::-1, :: -1 if clip.columns else 1]
    assert np.array_equal(clip.frames([0]), above)


def test_colour_lies_in_its_box_alone_and_changes():
    clip = first_generator("colour box").clip.inner
    step, beat = clip.inner.num_frames // clip.num_frames, round(clip.fps * clip.seconds_a_beat)
    frames = clip.frames([0, beat // 2])
    grey = clip.inner.frames([0, step * (beat // 2)])
    outside = ~(clip._box | clip._edge)
    outside[6:32, 104:108] = False  # the scale of colours
    assert np.array_equal(frames[:, outside], grey[:, outside])
    assert (frames != grey)[:, clip._box].mean() > 0.1


def test_colour_is_seen_in_bright_pictures_too():
    clip = ViewClip(8, "colour box", 2).clip.inner
    grey = clip.inner.frames([0])
    assert (clip.frames([0]) != grey)[:, clip._box].mean() > 0.25


def test_a_clip_after_black_is_a_clip():
    for index in range(5):
        clip = ViewClip(9, "A4C after black", index)
        faded = clip.clip
        if not faded.fade:
            break
    shown = clip.frames([0, faded.black - 1, faded.black, faded.black + 6])
    assert not shown[:2].any()
    assert np.array_equal(shown[2:], faded.inner.frames([0, 6]))


def cavity(clip, frame):
    """Return the mask of the ventricle's blood in the image plane."""
    rows, columns = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE].astype(np.float64)
    machine = clip.drawn.machine
    plane = np.stack([columns, rows], axis=-1) - np.array(machine.origin)
    plane = plane / machine.pixels_per_mm - clip._shift(frame)
    points = np.concatenate([plane, np.zeros((*plane.shape[:-1], 1))], axis=-1)
    c = np.full(rows.shape, float(clip.contraction[frame]))
    points = clip.drawn.pose.to_heart(points)
    outside = clip.drawn.heart.outside_cavity(points, c)
    return outside < 0, clip.drawn.heart.within_wall(points, float(clip.contraction[frame]))


def roundness(mask):
    """Return the short axis over the long one."""
    spread = np.linalg.eigvalsh(np.cov(np.argwhere(mask).T))
    return float(np.sqrt(spread[0] / spread[1]))


@pytest.mark.parametrize("systole", [False, True])
def test_a_short_axis_is_rounder_than_a_long_one(systole):
    short, long = (
        [
            roundness(cavity(clip, moment(clip, systole))[0])
            for clip in (sliced(plane, index) for index in range(5))
        ]
        for plane in ("PSAX", "A4C")
    )
    assert min(short) > 0.75 > max(long)


def test_a_short_axis_has_the_right_ventricle_at_its_left():
    for index in range(5):
        clip = sliced("PSAX", index)
        heart, pose, echo = clip.drawn.heart, clip.drawn.pose, clip.drawn.echo
        centre = np.array(chambers(heart, echo)[2][0])
        right, left = pose.to_probe(np.stack([centre, centre * [0.0, 0.0, 1.0]]))
        assert right[0] < left[0] - 10


def test_a_parasternal_long_axis_shows_the_aorta_in_front_of_the_left_atrium():
    for index in range(5):
        clip = sliced("PLAX", index)
        heart, pose, aorta = clip.drawn.heart, clip.drawn.pose, clip.around.aorta
        root = pose.to_probe(aorta.start + 15 * aorta.axis)
        atrium = pose.to_probe(np.array(chambers(heart, clip.drawn.echo)[0][0]))
        apex, base = pose.to_probe(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, heart.length]]))
        assert root[1] < atrium[1]
        assert min(root[0], atrium[0]) > base[0] - 6 > apex[0]
        assert abs(base[1] - apex[1]) < 0.7 * abs(base[0] - apex[0])  # it lies


def test_a_three_chamber_view_has_the_aorta_at_the_right_and_a_four_chamber_view_none():
    for index in range(3):
        clip = sliced("A3C", index)
        aorta, pose = clip.around.aorta, clip.drawn.pose
        along = pose.to_probe(np.stack([aorta.start, aorta.start + 20 * aorta.axis]))
        middle = pose.to_probe(np.array([0.0, 0.0, clip.drawn.heart.length]))
        assert (along[:, 0] > middle[0]).all()
        assert along[1, 1] > along[0, 1]
        assert sliced("A4C", index).around.aorta is None


def test_a_subcostal_view_has_its_right_heart_above_and_its_apex_at_the_right():
    for index in range(5):
        clip = sliced("subcostal", index)
        heart, pose, echo = clip.drawn.heart, clip.drawn.pose, clip.drawn.echo
        right = pose.to_probe(np.array(chambers(heart, echo)[2][0]))
        apex, base = pose.to_probe(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, heart.length]]))
        assert right[1] < base[1]
        assert apex[0] > base[0] + 30
        assert clip.around.liver is not None


def test_tissue_that_moves_into_the_plane_is_there():
    """Scatterers of the plane at end-diastole alone would leave it black at end-systole."""
    clip = sliced("PSAX", 1)
    grey = []
    for systole in (False, True):
        frame = moment(clip, systole)
        blood, wall = cavity(clip, frame)
        picture = clip.frames([frame])[0]
        assert picture[wall].mean() > 1.3 * picture[blood].mean()
        grey.append(picture[wall].mean())
    assert grey[1] > 0.7 * grey[0]


def test_a_sweep_writes_time_into_columns():
    strip = np.tile(np.arange(1, 151, dtype=np.uint8), (40, 1))
    scrolling, written = (Sweep(strip, 100, 50.0, scrolls, None) for scrolls in (True, False))
    rng = np.random.default_rng(0)
    early, later = (scrolling.draw(seconds, rng)[-20, 6:106] for seconds in (0.0, 0.2))
    assert np.array_equal(later[:-10], early[10:])
    assert later[-1] == 110
    early, later = (written.draw(seconds, rng)[-20, 6:106] for seconds in (0.0, 0.2))
    same = (early == later)[13:]
    assert same.all()
    assert np.array_equal(later[:10], np.arange(101, 111))
    assert not later[10:13].any()


def test_parts_of_a_split_screen_are_clips_of_their_own_beside_each_other():
    counts = set()
    for index in range(6):
        screen = ViewClip(0, "split screen", index).clip.inner
        counts.add(len(screen.parts))
        covered = np.zeros((PICTURE_SIZE, PICTURE_SIZE), int)
        for left, top, side in screen.boxes:
            covered[top : top + side, left : left + side] += 1
        assert covered.max() == 1
    assert counts == {2, 4}
    place = Place(0, Purpose.LOOK, 42, 0)
    assert len({replace(place, part=part).key for part in range(4)}) == 4


def test_a_folder_says_what_its_clips_show(tmp_path):
    kinds = ["words", "carotid", "A4C randomised"]
    table = pd.read_csv(write_views(tmp_path / "views", 1, 4, kinds))
    assert table.columns.tolist() == ["FileName", "View", "Kind", "EF", "HeldOut"]
    assert table["View"].tolist() == ["none", "none", "A4C"]
    assert table["EF"].tolist() == [0, 0, 1]
    clip = ViewClip(4, "carotid", 0)
    kept = read_frames(tmp_path / "views" / f"{clip.name}.avi", [5])[0][..., 0]
    assert np.abs(kept.astype(int) - clip.frames([5])[0]).mean() < 8
    with pytest.raises(ConfigurationError, match="is not empty"):
        write_views(tmp_path / "views", 1)
