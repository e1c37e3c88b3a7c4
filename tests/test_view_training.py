"""How heads that tell views are taught and judged: clips, limits, tables, and going on."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.gate import Limits, repeats
from lvef.cardiac.order import ASYMMETRIES, asymmetries
from lvef.errors import ConfigurationError, WeightsError
from lvef.files import write_tensors
from lvef.models.segmentation.network import SEEN
from lvef.models.segmentation.view_head import PREFIX, VIEWS, ViewHeads
from lvef.models.segmentation.weights import SHIPPED, read_weights
from lvef.phantom.purpose import Purpose
from lvef.phantom.views import KINDS
from lvef.pretraining import view_material, view_training
from lvef.pretraining.model_card import with_views
from lvef.pretraining.view_clips import (
    LOOKS,
    MANY,
    SHORT,
    ShortClip,
    keep,
    kept,
    purpose_of,
    taught_kinds,
)
from lvef.pretraining.view_features import AUGMENTATIONS, versions
from lvef.pretraining.view_judge import (
    WIDE,
    asked_clips,
    by_border,
    by_kind,
    judge,
    write_summary,
)
from lvef.pretraining.view_limits import chosen_arrow, chosen_limit, learned_arrow
from lvef.pretraining.view_material import Material
from lvef.pretraining.view_training import train

HELD = sorted(name for name, kind in KINDS.items() if kind.held_out and not kind.ef)


def row(kind: str, index: int, ef: float, gate: bool, view: str = "A4C") -> dict[str, object]:
    """A row as the judge writes it."""
    return {
        "kind": kind, "index": index, "wanted": KINDS[kind].ef, "ef": ef, "view": view,
        "p_a4c": 0.5, "gate": gate, "reason": "",
    }  # fmt: skip


NOTHING = float("nan")
ROWS = [
    row(WIDE, 0, 60.0, False), row(WIDE, 1, NOTHING, True, "other"), row(WIDE, 2, NOTHING, False),
    row("liver", 0, NOTHING, True, "none"), row("liver", 1, NOTHING, False, "none"),
    row("two-chamber", 0, 55.0, False), row(HELD[0], 0, 50.0, False),
]  # fmt: skip


def test_what_heads_learn_from_holds_nothing_that_is_held_out():
    assert not set(taught_kinds()) & set(HELD)
    assert WIDE not in taught_kinds()
    assert KINDS[WIDE].held_out
    assert [purpose_of(number) for number in range(4, 7)] == [
        Purpose.VIEWS, Purpose.VIEWS_CHOICE, Purpose.VIEWS
    ]  # fmt: skip


def test_every_beginning_of_the_clips_that_judge_is_as_balanced_as_the_whole():
    clips = asked_clips(400)
    assert len(clips) == len(set(clips)) == 400
    others = [name for name, kind in KINDS.items() if not kind.ef]
    for part in (clips[: 2 * len(others)], clips):
        counts = Counter(kind for kind, _ in part)
        assert counts.pop(WIDE) == len(part) // 2
        assert set(counts) == set(others), "those that were never learned among them"
        assert max(counts.values()) - min(counts.values()) <= 1
    assert asked_clips(100) == clips[:100]
    more = asked_clips(400, held_out=20)
    assert more[:400] == clips
    counts = Counter(kind for kind, _ in more)
    assert {counts[kind] for kind in HELD} == {20}
    assert len(set(more)) == len(more)
    assert {kind for kind, _ in more[400:]} == {*HELD}


def test_a_table_by_kind_counts_what_has_an_ef_and_who_refused_the_rest():
    table = by_kind(pd.DataFrame(ROWS)).set_index("kind")
    columns = ["clips", "given an EF", "refused by the gate", "refused otherwise", "named right"]
    assert table.loc[WIDE, columns].tolist() == [3, 1, 1, 1, 2]
    assert table.loc["liver", columns].tolist() == [2, 0, 1, 1, 2]
    assert table.loc["two-chamber", columns].tolist() == [1, 1, 0, 0, 0]
    assert table["never learned"].to_dict()[HELD[0]]
    assert not table.loc["liver", "never learned"]


def test_a_judge_may_be_asked_for_some_kinds_alone():
    assert asked_clips(3, 20, [WIDE, "liver"]) == [(WIDE, 0), ("liver", 0), (WIDE, 1)]
    with pytest.raises(ConfigurationError, match="--kinds names 'heart': there are A4C"):
        asked_clips(3, 0, ["heart"])


def test_a_table_by_border_counts_clips_whose_tracing_is_known(tmp_path):
    seen = [6, 2, 2, NOTHING, NOTHING, NOTHING, NOTHING]
    rows = pd.DataFrame(ROWS).assign(segments=seen)
    wanted = [[WIDE, 2, 2, 0, 1, 1], [WIDE, 6, 1, 1, 0, 0]]
    assert by_border(rows).to_numpy().tolist() == wanted
    assert by_border(pd.DataFrame(ROWS)).empty, "rows of before, when none were counted"
    rows.to_csv(tmp_path / "judged_1_of_1.csv", index=False)
    assert write_summary(tmp_path)["by border"][1]["segments seen"] == 6
    assert pd.read_csv(tmp_path / "judged_by_border.csv").to_numpy().tolist() == wanted


@pytest.mark.parametrize("counted", [True, False])
def test_a_card_tells_kinds_and_borders_once(tmp_path, counted):
    rows = pd.DataFrame(ROWS)
    rows = rows.assign(segments=[6, 2, 2, *[NOTHING] * 4]) if counted else rows
    rows.to_csv(tmp_path / "judged_1_of_1.csv", index=False)
    figures = write_summary(tmp_path)
    once = with_views("# Card\n", figures, Limits(0.038, (0.0,) * ASYMMETRIES, -2.5))
    assert "| liver | yes | 2 | 0 | 1 | 1 |" in once
    assert (f"| {WIDE} | 2 | 2 | 0 | 1 | 1 |" in once) is counted
    assert ("On 3 four-chamber views judged for this" in once) is counted
    assert "\n\n\n" not in once
    assert with_views(once, figures, Limits(0.038, (0.0,) * ASYMMETRIES, -2.5)) == once


def test_kinds_that_were_never_learned_are_told_apart_and_a_clip_counts_once(tmp_path):
    pd.DataFrame(ROWS[:5]).to_csv(tmp_path / "judged_1_of_2.csv", index=False)
    pd.DataFrame(ROWS[3:]).to_csv(tmp_path / "judged_2_of_2.csv", index=False)
    figures = write_summary(tmp_path)
    assert (figures["four-chamber views"], figures["others"]) == (3, 4)
    assert figures["four-chamber views given an EF"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["four-chamber views not refused by the gate"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["others given an EF"] == 0.5
    assert figures["others given an EF, of kinds that were learned"] == pytest.approx(
        1 / 3, abs=1e-4
    )
    assert figures["others given an EF, of kinds never learned"] == 1
    assert json.loads((tmp_path / "judged.json").read_text())["others"] == 4
    more = [row(HELD[0], number, NOTHING, True) for number in range(1, 5)]
    pd.DataFrame([*ROWS, *more]).to_csv(tmp_path / "judged_1_of_1.csv", index=False)
    again = write_summary(tmp_path)
    assert (again["others"], again["others given an EF"]) == (5, 0.4), "as many of each kind"
    held = next(kind for kind in again["by kind"] if kind["kind"] == HELD[0])
    assert (held["clips"], held["given an EF"]) == (5, 1), "its own line is of all"
    with pytest.raises(ConfigurationError, match="holds no judged"):
        write_summary(tmp_path / "elsewhere")


@pytest.mark.parametrize("part", ["", "3", "0/2", "3/2", "1/2/3"])
def test_a_part_that_is_none_is_told(tmp_path, part):
    with pytest.raises(ConfigurationError, match=f"--part is {part}"):
        judge(argparse.Namespace(part=part, output=tmp_path))


def test_weights_that_are_not_there_are_told_before_any_worker_starts(tmp_path):
    asked = argparse.Namespace(part="1/1", output=tmp_path, weights=tmp_path / "no.safetensors")
    with pytest.raises(WeightsError, match="not found"):
        judge(asked)


def bright_and_dark() -> Material:
    """Pictures of two views that anything tells apart."""
    material = Material()
    material.views = [VIEWS.index("A4C"), VIEWS.index("none")] * 8
    seen = torch.rand(16, 2, SEEN)
    seen[::2] += 2
    material.seen = [seen.half()]
    return material


def test_heads_that_have_learned_go_on_from_what_they_know():
    material = bright_and_dark()
    learned = train(material, 8, 0, "cpu")
    before = deepcopy(learned.state_dict())
    one, other = (train(material, 4, seed, "cpu", learned) for seed in (0, 1))
    for name, value in learned.state_dict().items():
        assert torch.equal(value, before[name]), "itself it is left as it was"
    weights = {"new": train(material, 4, 1, "cpu"), "one": one, "other": other}
    apart = {name: (head.both[-1].weight - learned.both[-1].weight).abs().max().item()
             for name, head in weights.items()}  # fmt: skip
    assert 0 < apart["one"] < 2e-3, "four steps of the rate at which heads go on"
    assert 0 < apart["other"] < 2e-3
    assert apart["new"] > 1e-2
    assert not torch.equal(one.both[-1].weight, other.both[-1].weight), "in an order of their own"


@pytest.mark.parametrize("count", [0, 2])
def test_heads_that_are_not_there_cannot_go_on_and_nothing_is_rendered(
    count, tmp_path, monkeypatch, capsys
):
    state, metadata = read_weights(SHIPPED)
    kept = {name: value for name, value in state.items() if not name.startswith(PREFIX)}
    tensors = kept | (ViewHeads(count).tensors() if count else {})
    write_tensors(tmp_path / "few.safetensors", tensors, metadata)
    monkeypatch.setattr(view_training, "rendered_rounds", None)
    with pytest.raises(SystemExit):
        job(monkeypatch, "learn", "--output", str(tmp_path / "out"), "--further",
            "--weights", str(tmp_path / "few.safetensors"))  # fmt: skip
    told = capsys.readouterr().err
    assert "few.safetensors has not the 3 heads that would go on" in told
    assert told.count("\n") == 1


def test_a_limit_costs_one_four_chamber_view_in_a_hundred():
    p_a4c = np.linspace(0.1, 0.9, 1601)
    limit = chosen_limit(p_a4c)
    assert (p_a4c < limit).sum() == 16
    assert chosen_limit(np.full(100, 0.9)) == 0.5, "no more is asked for"
    assert chosen_limit(np.full(100, 0.001)) == 0.02, "nor less"


def test_copies_are_changed_by_turns(monkeypatch):
    asked = []

    def seen(net, looks, device, augmentation):
        asked.append((len(looks), augmentation))
        return torch.zeros(len(looks), 2, 3)

    monkeypatch.setattr(view_material, "encoded", seen)
    material = Material()
    clip = ShortClip("two-chamber", 0, 30.0, np.zeros((48, 8, 8), np.uint8))
    material.add(None, [clip], "cpu", copies=2)
    mild, strong = AUGMENTATIONS
    assert [way for _, way in asked].count(None) == 1, "as it is, once"
    assert sum(n for n, way in asked if way is mild) == 6, "three times, long and short"
    assert sum(n for n, way in asked if way is strong) == 6
    assert sorted(set(material.kinds)) == [
        "two-chamber", "two-chamber, changed", "two-chamber, changed more"
    ]  # fmt: skip


def test_of_a_kind_of_which_there_are_many_each_teaches_less(monkeypatch):
    kinds = taught_kinds()
    assert kinds[MANY] > 50
    monkeypatch.setattr(view_material, "encoded", lambda _, looks, *__: torch.zeros(len(looks), 2))
    curves = np.zeros((2, LOOKS))
    monkeypatch.setattr(view_material, "fullness_curves", lambda *_: curves)
    picture = np.zeros((LOOKS, 8, 8), np.uint8)
    monkeypatch.setattr(view_material, "versions", lambda clip: [("A4C", clip.frames)] * 2)
    seen = {}
    for kind in (MANY, "A4C randomised"):
        seen[kind] = Material()
        clips = [ShortClip(kind, number, 25.0, picture) for number in range(kinds[MANY])]
        seen[kind].add(None, clips, "cpu", copies=2)
    assert len(seen["A4C randomised"].views) == 5 * kinds[MANY], "as it is, and two copies of each"
    assert len(seen[MANY].views) == 3 * kinds[MANY], "as it is, and a copy of each"
    assert len(seen["A4C randomised"].curves) == kinds[MANY]
    assert not seen[MANY].curves, "the way of time is learned from the plain kinds"


def beating(noise: float = 0.02) -> Material:
    """Curves of a ventricle that empties faster than it fills."""
    phase = np.arange(60) / 20 % 1
    rng = np.random.default_rng(0)
    material = Material()
    for _ in range(20):
        curve = np.where(phase < 0.35, 1 - phase / 0.35, (phase - 0.35) / 0.65)
        curve = np.roll(curve, rng.integers(20)) + rng.normal(0, noise, 60)
        material.curves.append((curve, curve[::-1], 25.0))
    return material


def test_the_arrow_of_time_is_learned_and_costs_hardly_a_clip():
    material = beating()
    least, found = chosen_arrow(learned_arrow(material), material)
    assert found == 1, "all that run backwards"
    assert least <= -2.5, "twelve to one, at least"


def test_a_limit_of_time_is_chosen_by_clips_whose_beats_repeat():
    arrow = learned_arrow(beating())
    least, _ = chosen_arrow(arrow, beating())
    irregular = beating(noise=1.0)
    ways = [[asymmetries(curve, fps) @ arrow for curve in (one, other)]
            for one, other, fps in irregular.curves]  # fmt: skip
    assert np.min(ways) < least, "some noise runs backwards"
    assert not any(repeats(one, fps) for one, _, fps in irregular.curves)
    assert chosen_arrow(arrow, irregular) == (-2.5, 0.0), "which none is asked"
    both = Material(curves=irregular.curves + beating().curves)
    assert chosen_arrow(arrow, both) == (least, 0.5)


def test_every_kind_is_seen_at_both_lengths():
    """Heads that saw four-chamber views alone at full length let long clips of others through."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (LOOKS, 112, 112)).astype(np.uint8)
    for kind in ("liver", "two-chamber", "A4C solid"):
        own = [v for v in versions(ShortClip(kind, 3, 25.0, frames)) if v[0] == KINDS[kind].view]
        assert {len(shown) for _, shown in own} == {LOOKS, SHORT}


def test_rounds_are_kept_as_they_were_rendered(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (5, 112, 112)).astype(np.uint8)
    clips = [ShortClip("liver", 3, 25.0, frames[:2]), ShortClip("lung", 4, 12.5, frames[2:])]
    keep(clips, tmp_path / "round.npz")
    for one, other in zip(kept(tmp_path / "round.npz"), clips, strict=True):
        assert (one.kind, one.index, one.fps) == (other.kind, other.index, other.fps)
        assert np.array_equal(one.frames, other.frames)


def job(monkeypatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["view_training", *words])
    view_training.main()


def rounds(folder: Path) -> None:
    """Two rounds of pictures that are told by their brightness, one to choose limits on."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    phase = np.arange(LOOKS) / 20 % 1
    size = np.where(phase < 0.35, 1 - phase / 0.35, (phase - 0.35) / 0.65)
    y, x = np.mgrid[:112, :112]
    disc = [(x - 56) ** 2 + (y - 56) ** 2 < (20 + 10 * each) ** 2 for each in size]
    heart = np.where(np.stack(disc), 20, 150).astype(np.uint8)
    dark = rng.integers(0, 40, (SHORT, 112, 112)).astype(np.uint8)
    for number in (4, 5):
        clips = [ShortClip("A4C randomised", number, 25.0, heart),
                 ShortClip("liver", number, 25.0, dark)]  # fmt: skip
        keep(clips, folder / f"{purpose_of(number).name.lower()}_0_{number:05d}.npz")


@pytest.mark.slow
def test_heads_are_taught_on_what_is_kept_and_the_weights_then_see_views(
    tmp_path, monkeypatch, capsys
):
    rounds(tmp_path / "looks")
    words = ["--looks", str(tmp_path / "looks"), "--first", "4", "--copies", "1", "--steps", "30",
             "--device", "cpu"]  # fmt: skip
    job(monkeypatch, "learn", "--output", str(tmp_path / "out"), "--rounds", "2", *words)
    analyser = ClipAnalyser(tmp_path / "out" / "lv_seg.safetensors")
    assert analyser.gate is not None
    assert 0.02 <= analyser.gate.limits.least_p <= 0.5
    figures = json.loads((tmp_path / "out" / "view_head.json").read_text())
    assert figures["rounds"] == 2
    assert figures["let through by kind"]["liver"][1] == 1
    dark = kept(tmp_path / "looks" / "views_0_00004.npz")[1]
    found = analyser(np.repeat(dark.frames, 2, 0), fps=25)
    assert np.isnan(found.ef)
    assert 0 <= found.p_a4c <= 1
    words += ["--rounds", "2"]
    job(monkeypatch, "learn", "--output", str(tmp_path / "more"), *words, "--further",
        "--weights", str(tmp_path / "out" / "lv_seg.safetensors"))  # fmt: skip
    heads, further = (
        read_weights(tmp_path / name / "lv_seg.safetensors")[0] for name in ("out", "more")
    )
    last = f"{PREFIX}heads.0.both.9.weight"
    moved = (further[last].float() - heads[last].float()).abs().max()
    assert 0 < moved < 0.05, "thirty steps of at most a thousandth"
    with pytest.raises(SystemExit):
        job(monkeypatch, "learn", "--output", str(tmp_path / "few"), *words, "--rounds", "1")
    assert "six rounds at least" in capsys.readouterr().err


@pytest.mark.slow
def test_a_judge_goes_on_and_does_nothing_twice(tmp_path, monkeypatch, capsys):
    first = row(*asked_clips(2)[0], 12.0, False)
    pd.DataFrame([first]).to_csv(tmp_path / "judged_1_of_1.csv", index=False)
    job(monkeypatch, "judge", "--output", str(tmp_path), "--clips", "2", "--workers", "1",
        "--device", "cpu", "--most_seconds", "1", "--held_out", "0")  # fmt: skip
    rows = pd.read_csv(tmp_path / "judged_1_of_1.csv")
    assert list(zip(rows["kind"], rows["index"], strict=True)) == asked_clips(2)
    assert rows["ef"][0] == 12.0, "what was judged is as it was"
    assert rows["frames"][1] > 0
    assert rows["segments"].isna().all(), "the second is no four-chamber view"
    job(monkeypatch, "judge", "--output", str(tmp_path / "wide"), "--clips", "1", "--kinds", WIDE,
        "--workers", "1", "--device", "cpu", "--most_seconds", "1")  # fmt: skip
    one = pd.read_csv(tmp_path / "wide" / "judged_1_of_1.csv")
    assert one["segments"][0] in range(7)
    assert "others given an EF" in capsys.readouterr().out
