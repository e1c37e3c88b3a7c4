"""Pre-training backbones on phantoms: of single frames and of whole clips, any of them."""

from __future__ import annotations

import re
import time

import encoders  # noqa: F401  (by its class paths)
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lvef.cardiac import WholeClip
from lvef.errors import ConfigurationError
from lvef.models import EFRegressor
from lvef.models.options import BackboneOptions
from lvef.models.torch_file import read_metadata
from lvef.phantom.clip import PhantomClip
from lvef.phantom.purpose import Purpose
from lvef.phantom.stream import LOG_VOLUME, ClipStream
from lvef.precision import cpu_precision
from lvef.pretraining.backbone import pretrain
from lvef.pretraining.backbone_module import PhantomPretraining

FRAMES, CLIPS = "encoders.Plain", "encoders.OfClips"


@pytest.mark.parametrize(("name", "seen"), [(FRAMES, ["EDF", "ESF"]), (CLIPS, ["CLIP"])])
def test_any_backbone_is_pretrained_and_taken_up(name, seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = pretrain(
        tmp_path / "w.safetensors", num_images=96, batch_size=32, num_workers=0, backbone=name
    )
    assert read_metadata(file)["trained_on"].startswith("PHANTOM seed 1000, 96 frames")
    task = EFRegressor(seen, BackboneOptions(name=name, weights=str(file)))
    before = {key: value.clone() for key, value in task.backbone.network.state_dict().items()}
    task.load_weights()
    assert task.trained_on == "phantoms"
    moved = [key for key, value in task.backbone.network.state_dict().items()
             if not torch.equal(value, before[key])]  # fmt: skip
    assert moved


def _weights(folder, **options):
    file = pretrain(
        folder / "w.safetensors", num_images=160, batch_size=32, num_workers=0, **options,
        backbone="encoders.DropsSome",
    )  # fmt: skip
    return file, load_file(file)


def test_time_enough_changes_no_weight(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, plain = _weights(tmp_path)
    file, timed = _weights(tmp_path, max_minutes=1000)
    assert "160 take" in (out := capsys.readouterr().out)
    assert "all of them" in out
    assert read_metadata(file)["trained_on"].startswith("PHANTOM seed 1000, 160 frames")
    assert all(torch.equal(timed[key], value) for key, value in plain.items())


def test_too_little_time_trains_on_what_fits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lvef.pretraining.backbone._seconds_a_step", lambda *_: 2.0)
    steps = []
    monkeypatch.setattr(PhantomPretraining, "on_train_batch_end", lambda *_: steps.append(1))
    file, _ = _weights(tmp_path, max_minutes=0.11)
    assert "At 16.0 images a second 160 take 0.2 minutes: 105 are" in capsys.readouterr().out
    assert read_metadata(file)["trained_on"].startswith("PHANTOM seed 1000, 105 frames")
    assert len(steps) == 2


def test_the_rate_is_that_of_the_steps_after_the_first_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sleeps = iter([2.0, 2.0, *[0.02] * 100])
    step = PhantomPretraining.training_step

    def slow(self, batch, batch_idx):
        time.sleep(next(sleeps))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(PhantomPretraining, "training_step", slow)
    _weights(tmp_path, max_minutes=1000)
    rate = float(re.search(r"At ([\d.]+) images", capsys.readouterr().out)[1])
    assert 32 / 1.0 < rate < 32 / 0.02  # far from both, however busy the machine is


def test_a_backbone_of_clips_is_told_the_size_in_every_frame():
    item = next(iter(ClipStream(7, 1, WholeClip(6, 25.0))))
    assert item["images"].shape == (6, 3, 112, 112)
    assert item["sizes"].shape == (6, 2)
    clip = PhantomClip(7, 0, purpose=Purpose.PRETRAINING)
    volumes = np.array([clip.volume(frame) for frame in range(clip.patient.num_frames)])
    told = np.exp(item["sizes"][:, 0].numpy() * LOG_VOLUME[1] + LOG_VOLUME[0])
    steps = WholeClip(6, 25.0).frames(0, len(volumes), clip.patient.fps)
    starts = range(len(volumes) - int(steps[-1]))
    assert any(np.allclose(volumes[steps + start], told, rtol=1e-4) for start in starts)


def test_each_frame_of_a_clip_teaches():
    task = PhantomPretraining(backbone=CLIPS, length=4)
    task.log_dict = lambda *_, **__: None
    batch = {
        "images": torch.randint(0, 255, (2, 4, 3, 32, 32), dtype=torch.uint8),
        "sizes": torch.randn(2, 4, 2),
    }
    loss = task.training_step(batch, 0)
    for frame in range(4):
        other = {**batch, "sizes": batch["sizes"].clone()}
        other["sizes"][:, frame] += 1
        assert task.training_step(other, 0) != loss


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "none"}, "model.backbone.name is 'none'"),
        ({"backbone": CLIPS, "num_images": 40}, "less than two batches: each of 32"),
        ({"arguments": {"depth": 3}}, "resnet50 takes none"),
        ({"max_minutes": 0}, "--max_minutes is 0"),
    ],
)
def test_what_cannot_be_pretrained_is_told(options, message, tmp_path):
    with pytest.raises(ConfigurationError, match=message):
        pretrain(tmp_path / "w.safetensors", batch_size=8, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("instructions", "any_network", "dense"),
    [
        ((), "32-true", "32-true"),
        (("_is_avx512_bf16_supported",), "32-true", "bf16-mixed"),
        (("_is_avx512_bf16_supported", "_is_amx_tile_supported"), "bf16-mixed", "bf16-mixed"),
    ],
)
def test_a_cpu_trains_in_what_it_is_fastest_in(monkeypatch, instructions, any_network, dense):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        has = name in instructions
        monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    assert (cpu_precision(), cpu_precision(dense=True)) == (any_network, dense)
