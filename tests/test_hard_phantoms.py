"""Hard kinds of phantoms: each shows what its name says, and its true contour stays the wall's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lvef.cardiac import method_of_disks, polygon_mask
from lvef.phantom import PhantomClip
from lvef.phantom.anatomy import rounder
from lvef.phantom.echogenicity import Echogenicity
from lvef.phantom.grid import to_grid
from lvef.phantom.hard import HARD_KINDS, evenly
from lvef.phantom.pool import PhantomKind, look_at, render
from lvef.phantom.tissue import draw_tissue

SEED = 31


def of_kind(kind: str, count: int = 12) -> list[PhantomClip]:
    return [PhantomClip(SEED, i, breadth=1.0, hard={kind: 1.0}) for i in range(count)]


def test_kinds_are_drawn_as_often_as_asked_and_never_unasked():
    kinds = [PhantomClip(SEED, i, breadth=1.0, hard=evenly(0.8)).kind for i in range(80)]
    for kind in HARD_KINDS:
        assert 7 <= kinds.count(kind) <= 28, kind
    assert 7 <= kinds.count("") <= 28
    assert {PhantomClip(SEED, i, breadth=1.0).kind for i in range(20)} == {""}


def test_a_dilated_ventricle_is_large_and_weak():
    clips = of_kind("dilated")
    assert max(clip.patient.ef for clip in clips) < 46
    assert min(clip.patient.end_diastolic_volume for clip in clips) > 100
    rest = [PhantomClip(SEED, i, breadth=1.0) for i in range(12)]

    def width_over_length(clip: PhantomClip) -> float:
        heart = clip.anatomy
        return float((heart.septal + heart.lateral).max() / heart.length)

    assert np.mean([*map(width_over_length, clips)]) > 1.05 * np.mean(
        [*map(width_over_length, rest)]
    )


def test_other_kinds_show_what_they_say():
    high = of_kind("high_apex")
    assert max(clip.anatomy.apex[1] for clip in high) < 16
    assert max(clip.anatomy.right_apex for clip in high) < 0.18
    hazy = of_kind("hazy_wall")
    assert min(clip.scanner.haze for clip in hazy) > 0
    assert np.mean([clip.anatomy.lateral_wall for clip in hazy]) > 11


def test_a_rounder_heart_has_the_same_volume():
    # Rocking tilts the long axis at end-systole, by the less the longer the heart.
    heart = replace(PhantomClip(SEED, 0).anatomy, rocking=0.0)
    other = rounder(heart, 1.3)
    assert other.length < heart.length
    for contraction in (0.0, 1.0):
        one, two = (method_of_disks(a.tracing(contraction)) for a in (heart, other))
        assert two == pytest.approx(one, rel=1e-6)


def test_trabeculae_lie_inside_the_contour_and_are_no_part_of_it():
    heart = replace(PhantomClip(SEED, 1).anatomy, margin=0.0, apical_margin=0.0)
    echo = Echogenicity(trabeculae=(0, 1), texture=(0.0, 0.0))
    smooth, lined = (
        draw_tissue(
            heart, np.random.default_rng(4), replace(echo, spongy=thickness, spongy_level=4.0)
        )
        for thickness in (0.0, 6.0)
    )
    chords = heart.tracing(0.0)[1:]
    outline = to_grid(np.concatenate([chords[:, :2], chords[::-1, 2:]]))
    cavity = polygon_mask(outline, *smooth.shape[:2])
    less = smooth[..., 2] - lined[..., 2] > 0.2
    assert less[cavity].mean() > 0.1, "a good part of the cavity is no longer blood alone"
    assert less[~cavity].mean() < 0.01
    u = np.linspace(0.2, 0.7, 30)
    lateral = heart.half_widths(u, 0.0)[1] + heart.lateral_wall / 2
    column, row = np.round(to_grid(heart.to_image(u, lateral))).astype(int).T
    walls = [np.hypot(*field[row, column, :2].T).mean() for field in (smooth, lined)]
    assert walls[1] < 2 * walls[0], "the compacted wall is as it was"


@pytest.mark.parametrize(
    ("echo", "where"),
    [
        (Echogenicity(grading=0.8), "septal"),
        (Echogenicity(septal_gap=1.0), "septal"),
        (Echogenicity(strands=3), "cavity"),
    ],
)
def test_echogenicity_changes_the_tissue_where_it_should(echo, where):
    heart = PhantomClip(SEED, 2).anatomy
    plain = Echogenicity(trabeculae=(0, 1), texture=(0.0, 0.0), septal_core=(0.0, 0.01))
    changed = replace(plain, grading=echo.grading, septal_gap=echo.septal_gap, strands=echo.strands)
    one, two = (
        np.hypot(*np.moveaxis(draw_tissue(heart, np.random.default_rng(5), each)[..., :2], -1, 0))
        for each in (plain, changed)
    )
    u = np.linspace(0.1, 0.3, 20) if where == "septal" else np.linspace(0.2, 0.8, 30)
    septal, lateral = heart.half_widths(u, 0.0)
    sides = [-septal - 2.0] if where == "septal" else [d * lateral for d in (0.3, 0.5, 0.7, 0.8)]
    places = np.concatenate([np.round(to_grid(heart.to_image(u, v))).astype(int) for v in sides])
    before, after = (image[places[:, 1], places[:, 0]].mean() for image in (one, two))
    assert (after < 0.75 * before) if where == "septal" else (after > 1.2 * before)


def test_a_pool_holds_looks_with_their_masks_whoever_renders_them():
    kind = PhantomKind(SEED, hard=evenly(1.0), most_looks=8)
    asked = [(kind, 0), (PhantomKind(SEED, solid=True, most_looks=16, from_ed=True), 3)]
    alone, together = [look_at(*one) for one in asked], list(render(asked, 2))
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.frames, two.frames)
        assert one.frames.shape[1:] == (112, 112)
        assert one.survey.shape == (10, 112, 112)
        masks = np.unpackbits(one.masks, axis=-1)
        assert masks.shape == one.frames.shape
        assert masks.sum((1, 2)).min() > 100
    assert alone[0].kinds in HARD_KINDS
    assert [len(one.frames) for one in alone] == [8, 16]
    assert len(alone[1].beats) >= 1, "the labelled beat is within the looks"
    ed, es = alone[1].beats[0]
    areas = np.unpackbits(alone[1].masks, axis=-1).sum((1, 2), dtype=int)
    assert areas[ed] > areas[es]
