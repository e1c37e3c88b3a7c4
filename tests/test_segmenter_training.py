"""Segmenters trained side by side on phantoms that are kept in memory."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from lvef.cardiac import polygon_mask
from lvef.data.transforms import ClipAugmentation
from lvef.evaluation.overlap import dice
from lvef.models.segmentation.loss import inside_outline, outline_loss, segmentation_loss
from lvef.models.segmentation.network import SEEN, LVSegmentationNet, Painter
from lvef.models.segmentation.weights import SHIPPED, read_weights
from lvef.phantom.pool import LookedClip
from lvef.pretraining import segmenter_measure as measuring
from lvef.pretraining import segmenter_memory as memory
from lvef.pretraining import segmenter_training as training
from lvef.pretraining.reader import further_inside
from lvef.pretraining.segmenter_memory import Windows
from lvef.pretraining.segmenter_recipes import Recipe


def clip(number: int, looks: int = 14) -> LookedClip:
    """A disc that grows and shrinks; its grey level says which clip it is."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    masks = np.stack(
        [polygon_mask(56 + (20 + 5 * np.cos(look / 3)) * ring, 112, 112) for look in range(looks)]
    )
    frames = np.where(masks, 10 * number + 5, 200).astype(np.uint8)
    return LookedClip(
        frames, frames[:10], np.packbits(masks, axis=-1), np.array([[0, 9]]), 50.0, "disc"
    )


def test_windows_hold_looks_and_their_masks_and_grow(tmp_path):
    counts = {"plain": memory._PART + 2}
    parts = memory.parts_of(counts)
    assert [len(numbers) for _, numbers in parts] == [memory._PART, 2]
    memory.fill(tmp_path, parts[0][0], [clip(i % 9) for i in parts[0][1]])
    windows = Windows(tmp_path, counts, "cpu")
    assert len(windows) == memory._PART
    memory.fill(tmp_path, parts[1][0], [clip(10), clip(11)])
    windows.grow()
    assert len(windows) == memory._PART + 2
    batch = windows.batch(torch.tensor([3, memory._PART + 1]))
    for number, slot in ((3, 0), (11, 1)):
        grey, mask = batch["clip"][slot], batch["mask"][slot]
        assert grey.shape == mask.shape == (12, 112, 112)
        assert torch.equal(grey == 10 * number + 5, mask.bool()), "masks lie on their looks"


def test_a_reader_further_inside_draws_all_edges_but_the_pictures_own_so():
    mask = torch.zeros(2, 9, 9, dtype=torch.uint8)
    mask[0, 4:, 2:8] = 1  # cut off by the lower edge of the picture
    drawn = further_inside(mask, 1)
    assert drawn.dtype == mask.dtype
    expected = torch.zeros_like(mask)
    expected[0, 5:, 3:7] = 1
    assert torch.equal(drawn, expected)
    expected[0] = 0
    expected[0, 6:, 4:6] = 1
    assert torch.equal(further_inside(mask, 2), expected)
    assert torch.equal(further_inside(mask, 0), mask)


def test_the_reader_is_learned_from_and_judged_by(tmp_path, monkeypatch):
    """The discs are 20 pixels wide and more: one pixel is a tenth of their area."""
    memory.fill(tmp_path, "plain.0", [clip(number) for number in range(16)])
    windows = Windows(tmp_path, {"plain": 16}, "cpu")
    drawn = []

    def loss(logits, masks):
        drawn.append(masks.float().mean())
        return segmentation_loss(logits, masks)

    monkeypatch.setattr(training, "segmentation_loss", loss)
    for inset in (0, 1):
        training.train(
            Recipe("disc", {"plain": 1.0}, clips=16, epochs=1, inset=inset), windows, "cpu"
        )
    areas = torch.stack(drawn).reshape(2, -1).mean(1)
    assert 0.85 < areas[1] / areas[0] < 0.95

    arrays = memory.joined([clip(1)])
    masks = np.unpackbits(arrays["masks"], axis=-1)
    inside = further_inside(torch.from_numpy(masks), 1).numpy().astype(np.float32)
    monkeypatch.setattr(measuring, "segment_closely", lambda *_, **__: inside)
    assert measuring.measure(LVSegmentationNet(), arrays, inset=1)["dice"][0] == 1
    assert measuring.measure(LVSegmentationNet(), arrays)["dice"][0] < 0.97


def test_the_rate_goes_through_one_cycle():
    shares = [training.one_cycle_share(p) for p in np.linspace(0, 1, 201)]
    assert shares[0] == pytest.approx(1 / 25)
    assert max(shares) == pytest.approx(1.0)
    assert np.argmax(shares) == 30
    assert shares[-1] == pytest.approx(0.0, abs=1e-9)


def test_a_network_learns_and_another_seed_is_another_network(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "BATCH", 2)
    monkeypatch.setattr(memory, "WINDOW", 4)
    memory.fill(tmp_path, "plain.0", [clip(i) for i in range(4)])
    recipe = Recipe("try", {"plain": 1.0}, clips=4, epochs=2)
    nets = []
    for seed in (0, 0, 1):
        windows = Windows(tmp_path, recipe.counts(), "cpu")
        net, steps = training.train(replace(recipe, seed=seed), windows, "cpu")
        assert steps == 4
        nets.append(net.head.weight.detach().clone())
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


def test_training_by_the_clock_ends_when_it_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "BATCH", 2)
    memory.fill(tmp_path, "plain.0", [clip(i) for i in range(4)])
    recipe = Recipe("try", {"plain": 1.0}, clips=4, epochs=1000, warm=True)
    windows = Windows(tmp_path, recipe.counts(), "cpu")
    net, steps = training.train(recipe, windows, "cpu", seconds=2.0)
    assert 1 <= steps < 100
    shipped = read_weights(SHIPPED)[0]
    moved = (net.state_dict()["head.weight"] - shipped["head.weight"]).abs().max()
    assert 0 < moved < 0.1, "it began from the shipped weights"


class Narrow(Painter):
    """Sees the dark disc of `clip`, two pixels too narrow all round."""

    def described(
        self, looks: torch.Tensor, survey: torch.Tensor, wanted: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self(looks, survey, wanted), torch.zeros(1, 2, SEEN)

    def forward(
        self, looks: torch.Tensor, survey: torch.Tensor, wanted: tuple[int, int]
    ) -> torch.Tensor:
        bright = (looks[:, slice(*wanted)] > 100).float()
        inside = 1 - functional.max_pool2d(bright, 5, stride=1, padding=2)
        return 40 * functional.avg_pool2d(inside, 2) - 20


def test_what_a_reader_leaves_out_on_every_side_is_told_apart_from_a_wrong_outline():
    """Masks two pixels too narrow all round fit perfectly once they are widened."""
    held = {k: np.array(v) for k, v in memory.joined([clip(1), clip(2)]).items()}
    figures = measuring.summarise(measuring.measure(Narrow(), held))
    assert figures["dice"] < 0.95
    assert figures["dice_fitted"] > 0.98
    assert figures["edv_error"] < -15


def test_distances_to_the_outline_are_those_of_a_disc_and_lie_between_pixels():
    """Octagons stay within a tenth of circles; the edge of the picture is none of the outline."""
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(80.0), indexing="ij")
    true = 20 - torch.hypot(x - 39.5, y - 39.5)
    found = inside_outline((true > 0)[None].to(torch.uint8))[0]
    near = true.abs() < 4
    assert (found - true)[near].abs().max() < 1.2
    assert torch.equal(found > 0, true > 0)
    assert found.max() == 5.5
    assert found.min() == -5.5
    half = torch.zeros(1, 40, 40)
    half[..., 20:] = 1
    expected = (torch.arange(40.0) - 19.5).clamp(-5.5, 5.5)
    assert torch.equal(inside_outline(half)[0], expected.expand(40, 40))


@pytest.mark.slow
def test_a_network_that_learns_outlines_finds_the_disc(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "BATCH", 2)
    monkeypatch.setattr(memory, "WINDOW", 4)
    memory.fill(tmp_path, "plain.0", [clip(i) for i in range(4)])
    recipe = Recipe("try", {"plain": 1.0}, clips=4, epochs=15, outline=True, warm=True, rate=1e-3)
    windows = Windows(tmp_path, recipe.counts(), "cpu")
    net, _ = training.train(recipe, windows, "cpu")
    batch = windows.batch(torch.arange(4))
    with torch.no_grad():
        logits = net(batch["clip"], batch["survey"]).flatten(0, 1)
    masks = batch["mask"].flatten(0, 1)
    assert outline_loss(logits, masks) < 0.35
    overlap = dice((logits > 0).numpy(), masks[:, ::2, ::2].bool().numpy())
    assert overlap.mean() > 0.9


def test_new_augmentations_change_what_they_say_and_move_masks_with_looks():
    torch.manual_seed(0)
    clip = torch.randint(10, 25, (4, 6, 112, 112), dtype=torch.uint8)
    mask = torch.zeros_like(clip)
    mask[:, torch.arange(6), :, torch.arange(6) * 10] = 1  # tells which look it is
    batch = {
        "clip": clip, "survey": clip[:, :2], "mask": mask,
        "traced": torch.ones(4, 6, dtype=torch.bool),
    }  # fmt: skip
    still = dict.fromkeys(
        ("rotation", "translation", "scale", "gain", "gamma", "speckle", "veil", "blur"), 0.0
    )

    def shown(**asked: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        return ClipAugmentation(**still, **asked).clips(batch)

    plain = shown()["clip"]
    uneven = shown(unevenness=0.7)["clip"] / plain
    assert (uneven.std(1) < 1e-4).all(), "the same field in every look"
    assert uneven[0, 0].std() > 0.02
    shaded = shown(shadow=1.0)["clip"] / plain
    assert (shaded < 1.0001).all()
    assert (shaded[:, 0] < 0.8).float().mean() > 0.02
    flickering = shown(flicker=1.0)["clip"] / plain
    assert flickering.flatten(2).std(2).max() < 0.2
    frozen = shown(frozen=0.5)
    repeats = (frozen["clip"][:, 1:] == frozen["clip"][:, :-1]).flatten(2).all(2)
    assert repeats.any()
    same = (frozen["mask"][:, 1:] == frozen["mask"][:, :-1]).flatten(2).all(2)
    assert torch.equal(repeats, same)


@pytest.mark.slow
def test_the_whole_job_on_a_cpu(tmp_path):
    """Two networks, from noise and from the shipped weights, measured on both generators."""
    judges = tmp_path / "judges"
    judges.mkdir()
    training.write_judges(judges, workers=2, scale=0.02)
    recipes = [
        Recipe("noise", {"plain": 1.0}, clips=16, epochs=2),
        *(
            Recipe("warm", {"plain": 0.5, "dilated": 0.5}, 16, 2, seed=s, rate=1e-3, warm=True)
            for s in range(3)
        ),
    ]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    job = training.Job(scratch, judges, "cpu", None)
    training.work(recipes, tmp_path, job, workers=2, at_once=1)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    ways = {"warm, by turns", "warm, averaged", "warm, turned"}
    assert {line["recipe"]["name"] for line in lines} == {"noise", "warm"} | ways
    assert len(lines) == 7
    warm = next(line for line in lines if line["recipe"]["name"] == "warm")
    assert set(warm["figures"]) == {"solid", "wider", "hard", "standard"}
    assert warm["figures"]["solid"]["dice"] > 0.6
    each = [read_weights(tmp_path / f"warm_s{s}.safetensors")[0]["head.weight"] for s in range(3)]
    mean = read_weights(tmp_path / "warm_averaged_s0.safetensors")[0]["head.weight"]
    assert torch.allclose(mean, torch.stack(each).mean(0), atol=1e-6)
    assert read_weights(tmp_path / "warm_s0.safetensors")[1]["trained_on"] == "phantoms"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["final", "--output", "{file}/x"], "cannot be written"),
        (["judges", "--output", "{file}"], "cannot be written"),
        (["final", "--output", "{new}", "--scale", "-1"], "--scale is -1, but must be above 0"),
        (
            ["final", "--output", "{new}", "--workers", "0"],
            "--workers is 0, but must be at least",
        ),
        (["final", "--output", "{new}", "--seconds", "nan"], "--seconds is nan"),
        (["final", "--output", "{new}", "--judges", "{new}"], "solid.npz not found"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(asked, said, tmp_path, capsys, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    words = [word.format(file=file, new=tmp_path / "new") for word in asked]
    monkeypatch.setattr("sys.argv", ["segmenter_training", *words])
    with pytest.raises(SystemExit) as stop:
        training.main()
    assert stop.value.code == 1
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
