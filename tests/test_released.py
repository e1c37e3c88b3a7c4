"""Released echo encoders: files of their names and shapes are told, loaded and scaled as taught."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from helpers import best, newest, told, words
from released_files import FILES, content_of, on_meta, write_released
from torch import Tensor
from torch.nn.init import zeros_
from torchvision import models

import lvef
from lvef.cli.commands import main
from lvef.errors import CheckpointError, WeightsError
from lvef.models import EFGaussianProcess, EFRegressor
from lvef.models.backbones import Backbone, new_backbone
from lvef.models.backbones.released import RELEASED, released_in
from lvef.models.loading import load_task
from lvef.models.options import BackboneOptions, ReleasedName
from lvef.models.torch_file import UnreadableError, read_torch

ECHONET = (
    torch.tensor([31.834011, 31.95879, 32.082172]),
    torch.tensor([48.866325, 49.137333, 49.361984]),
)
ECHOPRIME = (
    torch.tensor([29.110628, 28.076836, 29.096405]),
    torch.tensor([47.989223, 46.456997, 47.20083]),
)
IMAGENET = torch.tensor([0.485, 0.456, 0.406]) * 255, torch.tensor([0.229, 0.224, 0.225]) * 255
CHOICES = {
    "echonet_dynamic_ef": ("torchvision/r2plus1d_18", "state_dict.module.", ECHONET),
    "echonet_dynamic_lv": ("resnet50", "state_dict.module.backbone.", ECHONET),
    "panecho": ("torchvision/convnext_tiny", "weights.encoder.encoder.model.", IMAGENET),
    "echoprime": ("torchvision/mvit_v2_s", "", ECHOPRIME),
}
"""The backbone of each, what stands before its names, and pixels' mean and deviation in 0..255."""
QUICK = [name for name in CHOICES if name != "echoprime"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("released")
    return {name: write_released(name, folder) for name in FILES}


def untaught(name: str, freeze: bool = True) -> Backbone:
    """Return a backbone without numbers in its tensors, to be filled from a file."""
    with torch.device("meta"):
        backbone = new_backbone(name, freeze)
    return backbone.to_empty(device="cpu").eval()


@pytest.fixture(scope="module")
def loaded(files: dict[str, Path]) -> dict[str, Backbone]:
    """Backbones that have taken them."""
    made = {name: untaught(backbone) for name, (backbone, _, _) in CHOICES.items()}
    for name, backbone in made.items():
        backbone.load(str(files[name]))
    return made


def tensors(name: str) -> dict[str, Tensor]:
    """Return the tensors behind the prefix of a file, by the names that torchvision has."""
    content: Any = content_of(name)
    first, _, prefix = CHOICES[name][1].partition(".")
    return {
        key.removeprefix(prefix): value
        for key, value in (content[first] if first else content).items()
        if key.startswith(prefix)
    }


def by_hand(name: str, make: Any = None, **arguments: Any) -> torch.nn.Module:
    """Return torchvision's network with a file's tensors put in."""
    architecture = CHOICES[name][0].rpartition("/")[2]
    network = on_meta(make or partial(models.get_model, architecture), **arguments)
    for part in ("fc", "classifier", "head"):
        last = getattr(network, part, None)
        if isinstance(last, torch.nn.Sequential):
            last[-1] = torch.nn.Identity()
        elif last is not None:
            setattr(network, part, torch.nn.Identity())
    network.to_empty(device="cpu")
    network.load_state_dict({key: tensors(name)[key] for key in network.state_dict()})
    return network.eval()


def check_forward(name: str, backbone: Backbone, size: int, length: int) -> None:
    """Compare what a backbone says with the network by hand, on pictures scaled by hand."""
    clip = torch.randint(0, 256, (2, length, 3, size, size), dtype=torch.uint8)
    mean, std = (value.view(3, 1, 1) for value in CHOICES[name][2])
    images = (clip.float() - mean) / std
    network = by_hand(name)
    with torch.no_grad():
        if backbone.takes_clips:
            expected = network(images.transpose(1, 2))
        else:
            expected = network(images.flatten(0, 1)).reshape(2, -1)
        torch.testing.assert_close(backbone(clip), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", QUICK)
def test_a_backbone_of_it_says_what_its_network_says_of_pictures_as_it_was_taught(name, loaded):
    check_forward(name, loaded[name], 64, 2)


@pytest.mark.slow
def test_a_backbone_of_echoprime_says_what_its_network_says(loaded):
    check_forward("echoprime", loaded["echoprime"], 224, 16)


def test_features_of_the_deeplab_are_of_every_fourth_cell_of_its_own():
    """With strides in place of dilations the same maps come out, a quarter as dense."""
    dilate = {"replace_stride_with_dilation": [False, True, True]}
    dilated, plain = (by_hand("echonet_dynamic_lv", **more) for more in (dilate, {}))
    for network in (dilated, plain):
        network.layer4.register_forward_hook(lambda module, _, out: setattr(module, "map", out))
    with torch.no_grad():
        images = torch.randn(1, 3, 112, 112)
        dilated(images), plain(images)
    assert dilated.layer4.map.shape == (1, 2048, 14, 14)
    torch.testing.assert_close(
        plain.layer4.map, dilated.layer4.map[..., ::4, ::4], rtol=1e-3, atol=1e-3
    )


def test_all_that_options_name_are_known_and_told_by_their_tensors(files):
    assert set(get_args(ReleasedName)) == {"auto", "none", *RELEASED}
    assert set(RELEASED) == set(FILES)
    for name, path in files.items():
        content = read_torch(path)
        assert released_in(content).name == name
        assert released_in(content, "none") is None
        assert released_in({"lvef": {}, "state_dict": content}) is None, "a run of ours"
    held = content_of("echonet_dynamic_ef")["state_dict"]
    alone = {key.removeprefix("module."): value for key, value in held.items()}
    assert released_in(alone).name == "echonet_dynamic_ef"
    of_kinetics = {**alone, "fc.weight": torch.zeros(400, 512)}
    assert released_in(of_kinetics) is None


@pytest.mark.parametrize("name", CHOICES)
def test_where_it_comes_from_and_its_terms_are_kept(name, loaded):
    said = loaded[name].facts["weights"]
    assert said == RELEASED[name].facts
    assert (said["released"], said["taught_by"]) == (name, "patients")
    assert said["url"].startswith("https://github.com/")
    assert json.loads(json.dumps(said)) == said, "plain data"


@pytest.mark.parametrize(
    ("name", "backbone", "message"),
    [
        ("echoprime", "torchvision/r2plus1d_18",
         "it holds EchoPrime's MViTv2 of videos, but model.backbone.name is torchvision/r2plus1d_18"
         ": give --model.backbone.name torchvision/mvit_v2_s"),
        ("panecho", "resnet50", "PanEcho's image encoder.*give .* torchvision/convnext_tiny"),
        ("panecho", "timm/convnext_tiny", "PanEcho's image .*give .* torchvision/convnext_tiny"),
        ("echonet_dynamic_ef", "resnet50", "R.2.1.D of EF, .* give .* torchvision/r2plus1d_18"),
        ("echonet_dynamic_lv", "torchvision/mobilenet_v3_small", "DeepLab.*give .* resnet50"),
    ],
)  # fmt: skip
def test_another_architecture_is_told_the_one_to_choose(files, name, backbone, message):
    with torch.device("meta"):  # nothing is computed
        network = new_backbone(backbone)
    with pytest.raises(WeightsError, match=message) as error:
        network.load(str(files[name]))
    assert str(error.value).startswith(f"{files[name]}: cannot be used as backbone weights: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", QUICK)
def test_one_with_tensors_missing_or_cut_short_is_told(tmp_path, files, loaded, name):
    content: Any = content_of(name)
    first = CHOICES[name][1].partition(".")[0]
    inner = ("layer4.0.conv1.weight", "layer4.0.conv1.0.0.weight", "features.5.2.block.3.weight")
    last = next(key for key in content[first] if key.endswith(inner))
    lacking = {key: value for key, value in content[first].items() if key != last}
    torch.save({first: lacking}, tmp_path / "lacking.pt")
    with pytest.raises(WeightsError, match=f"as {RELEASED[name].title}'s .*{last}"):
        loaded[name].load(str(tmp_path / "lacking.pt"))
    whole = files[name].read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"cut\.pt: cannot be used") as error:
        loaded[name].load(str(tmp_path / "cut.pt"))
    assert "\n" not in str(error.value)


def test_numbers_of_numpy_beside_the_weights_are_read_and_objects_are_not(tmp_path, files):
    content = read_torch(files["echonet_dynamic_ef"])
    assert (content["r2"], content["frames"], content["period"]) == (0.81, 32, 2)
    assert type(content["r2"]) is float

    class Strange:
        def __reduce__(self):
            return type(np.float64(0)).__reduce__(np.float64(0))[0], (np.dtype("O"), b"12345678")

    torch.save({"a": Strange()}, tmp_path / "objects.pt")
    torch.save({"a": np.ones(2)}, tmp_path / "array.pt")
    for file in ("objects.pt", "array.pt"):
        with pytest.raises(UnreadableError, match="pickled Python objects"):
            read_torch(tmp_path / file)


def test_what_pixels_it_was_taught_with_is_part_of_its_state(files, loaded):
    backbone = loaded["echonet_dynamic_lv"]
    plain, same_weights = (untaught("resnet50").requires_grad_(False) for _ in range(2))
    for each in (plain, same_weights):
        each.set_pixels()
    assert not {"mean", "std"} & plain.state_dict().keys()
    same_weights.network.load_state_dict(backbone.network.state_dict())
    assert backbone.fingerprint("32-true") != same_weights.fingerprint("32-true")
    plain.load_state_dict(backbone.state_dict())
    assert plain.fingerprint("32-true") == backbone.fingerprint("32-true")
    torch.testing.assert_close(plain.mean.flatten() * 255, ECHONET[0])
    torch.testing.assert_close(backbone.folded().std.flatten() * 255, ECHONET[1])
    plain.load_state_dict(same_weights.state_dict())
    torch.testing.assert_close(plain.mean.flatten() * 255, IMAGENET[0])
    assert plain.fingerprint("32-true") == same_weights.fingerprint("32-true")


def test_one_may_say_what_a_file_is_or_that_it_is_none(tmp_path, files, loaded):
    backbone, file = loaded["panecho"], str(files["panecho"])
    alone, other = tmp_path / "image_encoder.pt", tmp_path / "other.pt"
    torch.save(tensors("panecho"), alone)
    torch.save({"weight": torch.zeros(1)}, other)
    try:
        for said, path, origin in (
            ("none", file, None),
            ("auto", str(alone), None),
            ("panecho", str(alone), "panecho"),
            ("panecho", file, "panecho"),
        ):
            backbone.released = said
            backbone.load(path)
            assert backbone.provenance.get("released") == origin
        backbone.released = "echoprime"
        with pytest.raises(WeightsError, match=r"are those of PanEcho's image .* is echoprime"):
            backbone.load(file)
        with pytest.raises(WeightsError, match=r"holds EchoPrime's MViTv2 .* torchvision/mvit"):
            backbone.load(str(other))
    finally:
        backbone.released = "auto"


@pytest.mark.parametrize(
    ("name", "weights"),
    [("resnet50", models.ResNet50_Weights.IMAGENET1K_V2),
     ("torchvision/mobilenet_v3_small", models.MobileNet_V3_Small_Weights.IMAGENET1K_V1)],
)  # fmt: skip
def test_weights_of_a_library_bring_its_own_pixels_back(tmp_path, monkeypatch, name, weights):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub" / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    place.parent.mkdir(parents=True)
    whole = on_meta(partial(models.get_model, name.rpartition("/")[2])).state_dict()
    torch.save({key: torch.zeros(()).expand(like.shape) for key, like in whole.items()}, place)
    backbone = untaught(name)
    backbone.set_pixels(ECHONET[0] / 255, ECHONET[1] / 255)
    torch.testing.assert_close(backbone.mean.flatten() * 255, ECHONET[0])
    backbone.load("imagenet")
    torch.testing.assert_close(backbone.mean.flatten() * 255, IMAGENET[0])
    assert "mean" not in backbone.state_dict()


# Runs.


@pytest.fixture
def no_draws(monkeypatch):
    """Make networks of zeros: to draw numbers that a file replaces takes seconds."""
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(f"torch.nn.init.{name}", lambda tensor, *_, **__: zeros_(tensor))


def taught(name: str, file: Path, kind: type[EFRegressor], **options: Any) -> EFRegressor:
    """Return a task whose backbone was filled as a fit does."""
    frames = ["CLIP_32_25"] if name == "echonet_dynamic_ef" else ["EDF", "ESF"]
    task = kind(frames, BackboneOptions(str(file), True, name=CHOICES[name][0]), **options)
    task.load_weights()
    return task


def checkpoint_of(task: Any, path: Path, phantoms: bool = True) -> Path:
    """Write a checkpoint as a fit does, of a task that no data module taught."""
    trainer = SimpleNamespace(
        datamodule=SimpleNamespace(
            frames=task.frames, image_size=32, remove_artifacts=False, is_phantom=phantoms
        ),
        callback_metrics={},
    )
    task._trainer = trainer
    held: dict[str, Any] = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(held)
    task._trainer = None
    torch.save(held, path)
    return path


@pytest.mark.parametrize(
    "name", ["echonet_dynamic_lv", pytest.param("echonet_dynamic_ef", marks=pytest.mark.slow)]
)
def test_a_checkpoint_goes_on_without_the_file(tmp_path, files, name, no_draws, caplog):
    file = tmp_path / files[name].name
    file.write_bytes(files[name].read_bytes())
    with caplog.at_level("INFO"):
        task = taught(name, file, EFRegressor)
    (line,) = [text for text in caplog.messages if text.startswith("Weights ")]
    assert RELEASED[name].terms in line
    assert "--model.backbone.released none" in line
    assert "EchoNet-Dynamic" in task.network_title
    run = checkpoint_of(task, tmp_path / "run.ckpt")
    file.unlink()
    again = load_task(run)
    assert again.backbone.fingerprint("32") == task.backbone.fingerprint("32")
    torch.testing.assert_close(again.backbone.mean.flatten() * 255, ECHONET[0])
    assert again.backbone.provenance == RELEASED[name].facts
    assert again.network_title == task.network_title
    assert again.trained_on == "phantoms"
    assert again.patients, "whatever its head learned from"
    assert again.backbone_taught_by == [{}], "of whom, nobody says"
    following = EFRegressor(task.frames, BackboneOptions(
        None, checkpoint=str(run), name=CHOICES[name][0]))  # fmt: skip
    following.load_weights()
    torch.testing.assert_close(following.backbone.mean.flatten() * 255, ECHONET[0])
    assert following.backbone.provenance["released"] == name
    assert following.patients


def test_a_gaussian_process_knows_that_somebody_taught_it(files, no_draws):
    task = taught("echonet_dynamic_lv", files["echonet_dynamic_lv"], EFGaussianProcess)
    assert task.learned_from == "cases that are not known"
    assert task.backbone_taught_by == [{}]


def test_a_damaged_normalisation_is_told(tmp_path, files, no_draws):
    task = taught("echonet_dynamic_lv", files["echonet_dynamic_lv"], EFRegressor)
    task.backbone.std.zero_()
    run = checkpoint_of(task, tmp_path / "run.ckpt")
    with pytest.raises(CheckpointError, match="damaged, as its mean or standard deviation of pix"):
        load_task(run)


def fit(name: str, config: str, root: Path, logs: Path, file: Path, *more: str) -> list[str]:
    backbone = ["--model.backbone.name", CHOICES[name][0], "--model.backbone.weights", str(file)]
    return words("fit", config, root, logs, *backbone, *more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "configs", "frames"),
    [
        ("echonet_dynamic_ef", ("clip_mlp", "clip_gpr"), "[CLIP_8_25]"),
        ("echonet_dynamic_lv", ("edf_esf_mlp", "edf_esf_gpr"), "[EDF, ESF]"),
        ("panecho", ("edf_esf_mlp", "edf_esf_gpr"), "[EDF, ESF]"),
    ],
)
def test_it_goes_through_every_command(
    phantom_root, tmp_path, files, capsys, name, configs, frames
):
    file = tmp_path / files[name].name
    file.write_bytes(files[name].read_bytes())
    made = ["--data.frames", frames]
    for config in configs:
        assert main(fit(name, config, phantom_root, tmp_path, file, *made)) == 0
    file.unlink()
    members = [*made, "--model.members", f"[{', '.join(configs)}]"]
    assert main(words("fit", "ensemble", phantom_root, tmp_path, *members)) == 0
    title = RELEASED[name].title
    for config in (*configs, "ensemble"):
        assert main(words("test", config, phantom_root, tmp_path, *made)) == 0
        metrics = json.loads(newest(tmp_path / config, "metrics.json").read_text())
        assert f" from {title}, " in metrics["backbone"]
        run = newest(tmp_path / config, "metrics.json").parent
        assert main(["report", str(run), "--output", str(tmp_path / f"{config}.html")]) == 0
        assert f" from {title}, " in (tmp_path / f"{config}.html").read_text()
    clip = str(next((phantom_root / "Videos").iterdir()))
    for config in (*configs, "ensemble"):
        (row,) = lvef.load(best(tmp_path, config)).predict(clip).to_dict("records")
        assert row["status"] == "ok"
        exported = ["export", "--ckpt_path", str(best(tmp_path, config))]
        assert main([*exported, "--output", str(tmp_path / f"{config}.onnx")]) == 0
        assert RELEASED[name].terms in capsys.readouterr().out, "it is theirs, too"
    capsys.readouterr()
    assert main(fit(name, configs[0], phantom_root, tmp_path, file, *made)) == 1
    (line,) = told(capsys.readouterr().err)
    assert file.name in line
