"""What augmentation may do to a picture of a heart, and what it must leave alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lvef.data.transforms import Augmentation, ClipAugmentation

STILL = {"rotation": 0, "translation": 0, "scale": 0, "gain": 0, "gamma": 0, "speckle": 0}
STEADY = {**STILL, "veil": 0, "blur": 0}
SIZE = 96
MARKS = torch.tensor([[48.0, 24.0], [30.0, 60.0], [70.0, 66.0]])
"""Column and row of three spots: a long axis, and two ends of a base that no mirror makes equal."""


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def spots(cases: int, height: int = SIZE, width: int = SIZE) -> Tensor:
    """Return `(cases, 1, 3, height, width)` frames, a spot as large as a valve in each colour."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = (x - MARKS[:, 0, None, None]) ** 2 + (y - MARKS[:, 1, None, None]) ** 2
    bright = (255 * torch.exp(-distance / 18)).to(torch.uint8)
    return bright[None, None].expand(cases, 1, 3, height, width)


def places(frames: Tensor) -> Tensor:
    """Return where the spots `(cases, 3, height, width)` lie, `(cases, 3, 2)`, column and row."""
    height, width = frames.shape[-2:]
    mass = frames / frames.sum((-2, -1), keepdim=True)
    column = (mass.sum(-2) * torch.arange(width)).sum(-1)
    return torch.stack([column, (mass.sum(-1) * torch.arange(height)).sum(-1)], dim=-1)


def sides(points: Tensor) -> Tensor:
    """Return the three sides of the triangle of the spots as vectors, `(cases, 3, 2)`."""
    return points.roll(-1, dims=1) - points


def turns(points: Tensor) -> Tensor:
    """Return by how many degrees each side was turned, counter-clockwise as it is seen."""
    before, after = sides(MARKS[None]).unbind(-1), sides(points).unbind(-1)
    angle = torch.rad2deg(torch.atan2(*reversed(before)) - torch.atan2(*reversed(after)))
    return (angle + 180) % 360 - 180


def grey(cases: int, level: float, frames: int = 2) -> Tensor:
    return torch.full((cases, frames, 3, 24, 24), round(255 * level), dtype=torch.uint8)


def test_a_rotation_keeps_lengths_and_angles_and_never_mirrors():
    moved = places(Augmentation(**{**STILL, "rotation": 25})(spots(100))[:, 0])
    lengths = sides(moved).norm(dim=-1) / sides(MARKS[None]).norm(dim=-1)
    assert float((lengths - 1).abs().max()) < 0.02
    turned = turns(moved)
    assert float((turned - turned.mean(1, keepdim=True)).abs().max()) < 1.5, "all sides alike"
    assert 20 < float(turned.max()) <= 25.5, "both ways, and as far as asked"
    assert -25.5 <= float(turned.min()) < -20
    assert float(turned.mean().abs()) < 4


def test_a_zoom_is_the_same_in_every_direction_and_goes_both_ways():
    moved = places(Augmentation(**{**STILL, "scale": 0.2})(spots(100))[:, 0])
    zoom = sides(moved).norm(dim=-1) / sides(MARKS[None]).norm(dim=-1)
    assert float((zoom - zoom.mean(1, keepdim=True)).abs().max()) < 0.02
    assert math.exp(-0.21) < float(zoom.min()) < math.exp(-0.17)
    assert math.exp(0.17) < float(zoom.max()) < math.exp(0.21)
    assert float(turns(moved).abs().max()) < 1


def test_a_shift_is_a_share_of_the_width_in_each_direction():
    moved = places(Augmentation(**{**STILL, "translation": 0.1})(spots(100))[:, 0]) - MARKS
    assert float((moved - moved.mean(1, keepdim=True)).abs().max()) < 0.2, "all spots alike"
    for shift in moved[:, 0].unbind(-1):
        assert 0.085 < float(shift.max()) / SIZE <= 0.102
        assert -0.102 <= float(shift.min()) / SIZE < -0.085
    column, row = moved[:, 0].unbind(-1)
    assert abs(float(torch.corrcoef(torch.stack([column, row]))[0, 1])) < 0.3, "drawn apart"


def mirrored(frames: Tensor) -> int:
    """Return of how many cases left has become right: the triangle runs the other way round."""
    first, second, _ = sides(places(frames[:, 0])).unbind(1)
    own, other, _ = sides(MARKS[None])[0]
    way = own[0] * other[1] - own[1] * other[0]
    ways = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    return int((ways * way < 0).sum())


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (1.0, 100, 100), (0.25, 13, 37)])
def test_left_and_right_are_exchanged_as_often_as_asked(share, low, high):
    turning = Augmentation(**{**STILL, "rotation": 20}, horizontal_flip=share)
    assert low <= mirrored(turning(spots(100))) <= high


def test_left_and_right_are_anatomy_unless_asked_otherwise():
    assert mirrored(Augmentation()(spots(60))) == 0
    shown = spots(60)[:, 0]
    clips = {"clip": shown, "survey": shown, "mask": shown // 255}
    assert mirrored(ClipAugmentation(veil=0).clips(clips)["clip"][:, None]) == 0


def test_what_moves_in_from_outside_is_black():
    white = torch.full((50, 1, 3, 32, 32), 255, dtype=torch.uint8)
    moved = Augmentation(**{**STILL, "translation": 0.2})(white)
    assert float(moved.amin((1, 2, 3, 4)).median()) == 0


def test_gain_brightens_and_darkens_by_its_share_and_both_frames_alike():
    level = round(255 * 0.4) / 255
    seen = Augmentation(**{**STILL, "gain": 0.3})(grey(400, 0.4)) / level
    assert torch.equal(seen[:, 0], seen[:, 1]), "what changes from ED to ES is the heart"
    gain = seen[:, 0, 0, 0, 0]
    torch.testing.assert_close(seen, gain[:, None, None, None, None].expand_as(seen))
    assert math.exp(-0.3) <= float(gain.min()) < math.exp(-0.27)
    assert math.exp(0.27) < float(gain.max()) <= math.exp(0.3)
    assert abs(float(gain.log().mean())) < 0.03


def test_gamma_leaves_black_and_white_and_bends_what_is_between():
    frames = torch.cat([grey(200, level, 1) for level in (0.0, 0.5, 1.0)], dim=1)
    black, middle, white = Augmentation(**{**STILL, "gamma": 0.4})(frames)[..., 0, 0, 0].unbind(1)
    assert float(black.max()) == 0
    assert float(white.min()) == 1
    exponent = middle.log() / math.log(round(255 * 0.5) / 255)
    assert math.exp(-0.4) <= float(exponent.min()) < math.exp(-0.35)
    assert math.exp(0.35) < float(exponent.max()) <= math.exp(0.4)


def test_speckle_multiplies_so_that_blood_stays_black_and_its_strength_varies():
    frames = torch.cat([grey(300, level, 1) for level in (0.0, 0.2, 0.4)], dim=1)
    blood, dark, bright = Augmentation(**{**STILL, "speckle": 0.2})(frames)[:, :, 0].unbind(1)
    assert float(blood.max()) == 0
    spread = bright.std((1, 2)) / 0.4
    assert 0.17 < float(spread.max()) < 0.23, "at most what was asked for"
    assert float(spread.min()) < 0.03
    assert float(spread.mean()) == pytest.approx(0.1, abs=0.02)
    ratio = dark.std((1, 2)).mean() / bright.std((1, 2)).mean()
    assert float(ratio) == pytest.approx(0.5, abs=0.03), "twice as bright, twice the noise"
    assert float(bright.mean()) == pytest.approx(0.4, abs=0.01), "and none on average"
    colours = Augmentation(**{**STILL, "speckle": 0.2})(grey(2, 0.4))
    assert torch.equal(colours[:, :, 0], colours[:, :, 2]), "grey stays grey"
    assert not torch.equal(colours[:, 0], colours[:, 1]), "every frame has noise of its own"


def clips(cases: int, level: float = 0.5, looks: int = 6) -> dict[str, Tensor]:
    """Return clips of an even grey in a sector that fills the left half of the picture."""
    picture = torch.zeros(cases, looks, 32, 32, dtype=torch.uint8)
    picture[..., :16] = round(255 * level)
    return {
        "clip": picture, "survey": picture[:, :2],
        "mask": (picture > 0).to(torch.uint8), "traced": torch.ones(cases, looks, dtype=torch.bool),
    }  # fmt: skip


def test_masks_follow_their_own_looks_and_the_survey_follows_the_clip():
    marked = spots(3)[:, 0]
    batch = {"clip": marked, "survey": marked[:, :1], "mask": (marked > 128).to(torch.uint8)}
    moved = ClipAugmentation(**{**STEADY, "rotation": 20, "translation": 0.1}).clips(batch)
    seen, masks = places(moved["clip"]), places(moved["mask"].float())
    assert float((seen - masks).abs().max()) < 0.6
    assert float((seen - MARKS).norm(dim=-1).max()) > 3
    assert torch.equal(moved["survey"][:, 0], moved["clip"][:, 0])
    assert moved["mask"].dtype == torch.uint8
    assert set(moved["mask"].unique().tolist()) == {0, 1}


def test_a_veil_lies_in_the_sector_alone_and_takes_away_contrast():
    seen = ClipAugmentation(**{**STEADY, "veil": 0.3}).clips(clips(200, 0.5))["clip"]
    assert float(seen[..., 16:].max()) == 0, "outside the sector there is nothing"
    level = round(255 * 0.5) / 255
    veil = (seen[:, 0, 5, 5] - level) / (1 - level)
    assert 0 <= float(veil.min()) < 0.02
    assert 0.28 < float(veil.max()) <= 0.3


def test_so_many_clips_are_blurred_each_as_a_whole_and_no_brighter():
    point = torch.zeros(400, 3, 9, 9, dtype=torch.uint8)
    point[..., 4, 4] = 255
    batch = {"clip": point, "survey": point[:, :1], "mask": (point > 0).to(torch.uint8)}
    seen = ClipAugmentation(**{**STEADY, "blur": 0.25}).clips(batch)["clip"]
    assert seen.shape == point.shape
    blurred = seen[..., 4, 4] < 0.5
    assert torch.equal(blurred.any(1), blurred.all(1))
    assert 70 < int(blurred.all(1).sum()) < 130
    torch.testing.assert_close(seen.sum((2, 3)), torch.ones(400, 3))
    spread = seen[blurred][:, 3:6, 3:6]
    torch.testing.assert_close(spread, torch.full_like(spread, 1 / 9))


def test_unevenness_is_smooth_the_same_in_every_look_and_centred():
    seen = ClipAugmentation(**{**STEADY, "unevenness": 0.3}).clips(clips(200, 0.3))["clip"]
    assert torch.equal(seen[:, 0], seen[:, 5])
    gain = (seen[:, 0, :, :16] / (round(255 * 0.3) / 255)).log()
    assert 0.08 < float(gain.std()) < 0.2
    assert abs(float(gain.mean())) < 0.05
    steps = (gain[:, 1:] - gain[:, :-1]).abs().mean()
    assert float(steps) < 0.25 * float(gain.std())


def test_a_shadow_only_darkens_lies_deep_and_falls_on_so_many_clips():
    shown = torch.full((400, 2, 64, 64), 128, dtype=torch.uint8)
    batch = {"clip": shown, "survey": shown[:, :1], "mask": shown // 128}
    seen = ClipAugmentation(**{**STEADY, "shadow": 0.4}).clips(batch)["clip"][:, 0] / (128 / 255)
    assert float(seen.max()) <= 1 + 1e-6
    deepest = seen.amin((1, 2))
    assert 110 < int((deepest < 0.75).sum()) < 200, "0.4 of 400, less what lies beside"
    assert float(deepest.min()) < 0.1
    shaded = deepest < 0.75
    above, below = seen[shaded, :8].mean(), seen[shaded, -8:].mean()
    assert float(below) < float(above) - 0.1, "a rib hides what is behind it"
    left, right = seen[shaded, 32:, :24].mean(), seen[shaded, 32:, 40:].mean()
    assert float(left - right) == pytest.approx(0, abs=0.08), "on either side"


def test_flicker_changes_whole_looks_and_each_in_its_own_way():
    seen = ClipAugmentation(**{**STEADY, "flicker": 0.2}).clips(clips(300, 0.3))["clip"]
    gain = seen[..., :16] / (round(255 * 0.3) / 255)
    assert float((gain.amax((2, 3)) - gain.amin((2, 3))).max()) < 1e-5
    spread = gain[..., 0, 0].log().std(1)
    assert float(spread.min()) < 0.03
    assert 0.15 < float(spread.max()) < 0.45
    assert float(gain[..., 0, 0].log().mean()) == pytest.approx(0, abs=0.02)


def test_a_frozen_look_repeats_the_one_before_with_its_mask_and_what_is_known_of_it():
    looks = torch.arange(10, 130, 10, dtype=torch.uint8)
    picture = looks[None, :, None, None].expand(200, -1, 8, 8).contiguous()
    batch = {
        "clip": picture, "survey": picture[:, :1], "mask": (picture // 10) % 2,
        "traced": ((picture[..., 0, 0] // 10) % 3 == 0), "row": torch.arange(200),
    }  # fmt: skip
    frozen = ClipAugmentation(**{**STEADY, "frozen": 0.3}).clips(batch)
    number = (frozen["clip"][..., 0, 0] * 255 / 10).round().int()
    assert torch.equal(number[:, 0], torch.ones(200, dtype=torch.int32)), "nothing is before it"
    own = torch.arange(1, 13)
    repeats = number[:, 1:] != own[1:]
    assert 0.25 < float(repeats.float().mean()) < 0.35
    assert torch.equal(number[:, 1:][repeats], number[:, :-1][repeats])
    assert torch.equal(frozen["mask"][..., 0, 0].int(), number % 2)
    assert torch.equal(frozen["traced"], number % 3 == 0)
    assert torch.equal(frozen["row"], batch["row"])
