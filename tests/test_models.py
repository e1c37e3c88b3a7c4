from collections import OrderedDict

import numpy as np
import pytest
import torch
from jsonargparse._util import get_import_path
from safetensors.torch import save_file
from torch import nn

from lvef import models
from lvef.errors import CheckpointError, ConfigurationError, WeightsError
from lvef.models import EFClassifier, EFRegressor, MLPHead, ResNet50Backbone
from lvef.models.attribution import METHODS, SaliencyMapper
from lvef.models.backbones import BACKBONES, Backbone
from lvef.models.backbones.provenance import taught_by
from lvef.models.cases import CaseStore
from lvef.models.options import BackboneOptions, HeadOptions, OptimizerOptions
from lvef.pretraining.backbone_module import PhantomPretraining

IMAGENET_FILE = "resnet50-11ad3fa6.pth"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """ResNet-50 weights of some other training, as torchvision would hand them out."""
    torch.manual_seed(42)
    network = ResNet50Backbone(None).network.state_dict()
    weights = {name: value.contiguous() for name, value in network.items()}
    return {**weights, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def frames(batch: int = 2, slots: int = 1, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 255, (batch, slots, 3, size, size), dtype=torch.uint8)


@pytest.fixture
def tiny(monkeypatch) -> str:
    """A backbone of another kind, with seven features: what a user may add."""
    monkeypatch.setitem(BACKBONES, "tiny", None)  # so that it is gone afterwards

    class TinyBackbone(Backbone):
        name = "tiny"
        title = "Tiny"
        num_features = 7
        stage_channels = (5, 7)
        pixel_mean = pixel_std = (0.5, 0.5, 0.5)

        def __init__(self, weights, freeze=False):
            parts = {
                "first": nn.Conv2d(3, 5, 3, stride=2),
                "last": nn.Conv2d(5, 7, 3, stride=2),
                "pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            }
            super().__init__(nn.Sequential(OrderedDict(parts)), weights, freeze)

        def feature_maps(self, images):
            first = self.network.first(self.normalise(images))
            return [first, self.network.last(first)]

        def stage(self, which):
            return {"fine": self.network.first, "coarse": self.network.last}[which]

        def folded(self):
            copy = type(self)(None, freeze=True).eval()
            copy.load_state_dict(self.state_dict())
            return copy

        def load(self, weights):
            self.network.load_state_dict(torch.load(weights, weights_only=True))

    return TinyBackbone.name


def test_another_backbone_is_one_class(tiny, tmp_path):
    torch.manual_seed(0)
    options = BackboneOptions(None, True, name=tiny)
    task = EFRegressor(["EDF", "ESF"], options).eval()
    frames = torch.randint(0, 256, (2, 2, 3, 64, 64), dtype=torch.uint8)
    assert task.backbone(frames).shape == (2, 14)
    assert task(frames).shape == (2, task.num_outputs)
    nn.init.normal_(task.head.output.weight)  # which starts from the same answer for all
    mapper = SaliencyMapper(task, steps=2)
    for method in METHODS:
        maps = sum(mapper.maps(frames, method, side * torch.ones(2)) for side in (1, -1))
        assert maps.shape == (2, 2, 64, 64), method
        assert float(maps.max()) > 0, method
    shaken = mapper.randomised("last_block").evidence.parts[0].backbone.network
    assert torch.equal(shaken.first.weight, task.backbone.network.first.weight)
    assert not torch.equal(shaken.last.weight, task.backbone.network.last.weight)
    before = task.backbone.fingerprint("32-true")
    other = mapper.randomised("all").evidence.parts[0].backbone.network
    assert not torch.equal(other.first.weight, task.backbone.network.first.weight)
    torch.save(other.state_dict(), tmp_path / "w")
    task.backbone.load(str(tmp_path / "w"))
    assert task.backbone.fingerprint("32-true") != before


def test_a_backbone_that_is_not_there_is_told_in_a_line():
    with pytest.raises(ConfigurationError, match="name is 'vgg', but must be one of resnet50"):
        EFRegressor(["ESF"], BackboneOptions(None, name="vgg"))


def test_a_frame_gives_2048_features_and_two_frames_are_concatenated():
    backbone = ResNet50Backbone(None).eval()
    pair = frames(3, 2)
    features = backbone(pair)
    assert features.shape == (3, 4096)
    torch.testing.assert_close(features[:, 2048:], backbone(pair[:, 1:]), atol=1e-4, rtol=1e-3)


def test_bytes_and_their_fractions_are_the_same_picture():
    backbone = ResNet50Backbone(None).eval()
    picture = frames()
    torch.testing.assert_close(backbone(picture), backbone(picture / 255))


def test_the_maps_of_the_stages_end_in_the_pooled_features():
    backbone = ResNet50Backbone(None).eval()
    picture = frames(2, 1, 64)
    maps = backbone.feature_maps(picture[:, 0])
    assert [m.shape[1] for m in maps] == [256, 512, 1024, 2048]
    torch.testing.assert_close(maps[-1].mean((2, 3)), backbone(picture))


def test_a_frozen_backbone_keeps_weights_and_batch_norm_statistics():
    backbone = ResNet50Backbone(None, freeze=True).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    features = backbone(frames(4))
    assert not features.requires_grad
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_a_backbone_frozen_for_some_epochs_thaws():
    backbone = ResNet50Backbone(None, freeze=2).train()
    assert not backbone(frames(4)).requires_grad
    backbone.set_frozen(False)
    mean = backbone.network.bn1.running_mean.clone()
    assert backbone(frames(4)).requires_grad
    assert not torch.equal(mean, backbone.network.bn1.running_mean)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt"])
def test_weights_come_from_a_local_file_of_any_kind(tmp_path, state, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    elif suffix == ".ckpt":
        inside = {f"backbone.network.{k}": v for k, v in state.items() if "fc" not in k}
        torch.save({"state_dict": {**inside, "head.output.bias": torch.zeros(2)}}, path)
    else:
        torch.save(state, path)
    backbone = ResNet50Backbone(str(path))
    assert torch.equal(backbone.network.conv1.weight, state["conv1.weight"])


def test_imagenet_weights_come_from_the_torch_hub_cache(tmp_path, monkeypatch, state):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(state, cache / IMAGENET_FILE)
    backbone = ResNet50Backbone("IMAGENET1K_V2")
    assert torch.equal(backbone.network.conv1.weight, state["conv1.weight"])


def test_offline_the_error_names_three_ways_on_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(WeightsError) as error:
        ResNet50Backbone("IMAGENET1K_V2")
    text = str(error.value)
    assert "\n" not in text
    assert IMAGENET_FILE in text
    assert "--model.backbone.weights PATH" in text
    assert "--model.backbone.weights null" in text


def test_weights_say_whether_phantoms_had_a_part_in_them(tmp_path, state):
    said = {"pretrain": {"trained_on": "PHANTOM seed 9, 10 frames"}, "other": None}
    for name, metadata in said.items():
        save_file({"a": torch.zeros(1)}, tmp_path / f"{name}.safetensors", metadata=metadata)
    for name, about in {
        "fitted": {"data": {"is_phantom": True}},
        "later": {"data": {"is_phantom": False}, "trained_on": "phantoms"},
        "patients": {"data": {"is_phantom": False}, "trained_on": ""},
    }.items():
        torch.save({"state_dict": {}, "lvef": about}, tmp_path / f"{name}.ckpt")
    torch.save(state, tmp_path / "plain.pt")
    assert {file.stem: taught_by(str(file)) for file in tmp_path.iterdir()} == {
        "pretrain": "phantoms", "other": "", "fitted": "phantoms", "later": "phantoms",
        "patients": "", "plain": "",
    }  # fmt: skip
    assert taught_by("IMAGENET1K_V2") == ""


def test_weights_that_do_not_exist_or_fit_are_refused(tmp_path, state):
    with pytest.raises(WeightsError, match="neither a file nor one of imagenet, IMAGENET1K_V1"):
        ResNet50Backbone("IMAGENET2K")
    torch.save({"conv1.weight": state["conv1.weight"]}, tmp_path / "part.pt")
    with pytest.raises(WeightsError, match=r"no ResNet-50: 1 tensors, the first conv1\.weight"):
        ResNet50Backbone(str(tmp_path / "part.pt"))
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(WeightsError, match=r"text\.pt: .*not a file of PyTorch"):
        ResNet50Backbone(str(tmp_path / "text.pt"))


def test_the_head_starts_with_the_same_answer_for_every_case_and_learns():
    torch.manual_seed(0)
    head = MLPHead(16, 1, hidden=32, dropout=0.0)
    x = torch.randn(64, 16)
    assert torch.equal(head(x), torch.zeros(64, 1))
    optimizer = torch.optim.Adam(head.parameters(), 0.01)
    for _ in range(200):
        loss = (head(x)[:, 0] - x[:, 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize("name", ["mlp", "torch.nn.Linear"])
def test_mixed_precision_does_not_round_ef_whatever_the_head(tiny, name):
    torch.manual_seed(0)
    task = EFRegressor(["ESF"], BackboneOptions(None, name=tiny), HeadOptions(name=name)).eval()
    torch.nn.init.normal_(next(reversed(list(task.head.modules()))).weight)
    features = torch.randn(500, task.backbone.num_features, dtype=torch.bfloat16)
    pictures = torch.randint(0, 256, (500, 1, 3, 8, 8), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        for batch in ({"features": features}, {"frames": pictures}):
            output = task.batch_output(batch)
            assert output.dtype == torch.float32
            assert len(output.unique()) > 480


def test_the_regressor_starts_at_the_mean_of_train():
    task = EFRegressor(["EDF", "ESF"], BackboneOptions(weights=None))
    task.take_training_statistics(np.array([30.0, 60.0, 66.0]))
    task.eval()
    said = task.raw_answer(task(frames(3, 2)))["ef"]
    torch.testing.assert_close(said, torch.full((3,), 52.0))


def test_the_losses_are_those_of_their_names():
    batch = {"ef_true": torch.tensor([60.0, 20.0])}
    output = torch.tensor([[0.0], [0.0]])
    expected = {"mse": [1.0, 9.0], "mae": [1.0, 3.0], "huber": [0.5, 2.5]}
    for name, values in expected.items():
        task = EFRegressor(["ESF"], BackboneOptions(weights=None), loss=name)
        task.take_training_statistics(np.array([40.0, 60.0]))  # mean 50, standard deviation 10
        torch.testing.assert_close(task.case_loss(output, batch), torch.tensor(values))


def test_balanced_class_weights_weigh_both_classes_alike():
    task = EFClassifier(["ESF"], BackboneOptions(weights=None), class_weights="balanced")
    task.take_training_statistics(np.array([30.0, 50.0, 60.0, 65.0]))
    assert task.class_weight.tolist() == pytest.approx([4 / 6, 2.0])
    assert int(task.majority) == 0
    with pytest.raises(ConfigurationError, match="twice"):
        task.take_training_statistics(np.array([30.0, 50.0]), balanced_sampling=True)


@pytest.mark.parametrize("way", ["class weights", "sampling"])
def test_a_balanced_classifier_reports_the_risk_at_the_prevalence_of_train(way):
    weighted = way == "class weights"
    task = EFClassifier(
        ["ESF"], BackboneOptions(weights=None), class_weights="balanced" if weighted else None
    )
    task.take_training_statistics(np.array([30.0] + 7 * [60.0]), balanced_sampling=not weighted)
    # Knowing nothing, a balanced loss is least at even odds: the head's output is then zero.
    said = task.calibrated_answer(task.raw_answer(torch.zeros(1, 2)))
    assert said["p_reduced"].tolist() == pytest.approx([0.125])


@pytest.mark.parametrize("kind", [EFClassifier, EFRegressor])
def test_weights_that_move_on_leave_behind_what_val_taught_of_others(kind):
    task = kind(["ESF"], BackboneOptions(weights=None))
    names = [name for name in task.state_dict() if "calibration" in name or name == "threshold"]
    before = {name: task.state_dict()[name].clone() for name in names}
    said = {"log_odds": torch.tensor([-2.0, 1.0, 3.0]), "reduced_true": torch.tensor([0, 0, 1])}
    said |= {"ef": torch.tensor([50.0, 41.0, 30.0]), "raw_std": torch.full((3,), 9.0)}
    task.calibrate({**said, "ef_true": torch.tensor([60.0, 44.0, 33.0])})
    for name in ("slope", "offset"):  # VAL moves no answer, but another place may have
        if hasattr(task.calibration, name):
            getattr(task.calibration, name).fill_(0.5)
    assert all(not torch.equal(task.state_dict()[name], before[name]) for name in names)
    task.on_train_epoch_start()
    after = {name: task.state_dict()[name] for name in names}
    torch.testing.assert_close(after, before, equal_nan=True)


def test_threshold_and_temperature_chosen_on_val_travel_in_the_state_dict():
    task = EFClassifier(["ESF"], BackboneOptions(weights=None))
    reduced = torch.tensor([0, 0, 1, 0, 1, 1])
    cases = {"log_odds": torch.tensor([-9.0, -6.0, -3.0, 2.0, 4.0, 7.0]), "reduced_true": reduced}
    task.calibrate(cases)
    assert float(task.calibration.temperature) > 1, "so sure and once wrong: it was too sure"
    fresh = EFClassifier(["ESF"], BackboneOptions(weights=None))
    fresh.load_state_dict(task.state_dict())
    said, again = task.calibrated_answer(cases), fresh.calibrated_answer(cases)
    for name in ("p_reduced", "reduced", "review"):
        torch.testing.assert_close(said[name], again[name])
    assert said["reduced"].tolist() in ([0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1])
    assert said["p_reduced"][0] > torch.sigmoid(cases["log_odds"][0])


def test_the_regressor_tells_an_interval_from_the_residuals_on_val():
    task = EFRegressor(["ESF"], BackboneOptions(weights=None)).eval()
    task.take_training_statistics(np.array([30.0, 42.0, 54.0]))
    residual = torch.linspace(-10, 10, 41)
    val = {
        "ef": 50 + residual,
        "ef_true": torch.full((41,), 50.0),
        "raw_std": task.ef_scale.expand(41),
    }
    task.calibrate(val)
    said = task.predict_step({"frames": frames(1), "row": torch.tensor([4])}, 0)
    assert said["ef_std"].tolist() == pytest.approx([float(residual.square().mean().sqrt())])
    assert float(said["ef"]) == 42
    # 41 residuals and one to come: the 38th smallest, 9.5, holds nine in ten.
    assert float(said["ef_lower"]) == pytest.approx(42 - 9.5, abs=1e-3)
    assert float(said["ef_upper"]) == pytest.approx(42 + 9.5, abs=1e-3)
    assert float(said["p_reduced"]) == pytest.approx(0.368, abs=1e-2)
    assert bool(said["review"])
    assert not bool(said["reduced"])


def test_the_backbone_learns_more_slowly_and_norms_do_not_decay():
    task = EFRegressor(
        ["ESF"],
        BackboneOptions(weights=None, lr_factor=0.1),
        optimizer=OptimizerOptions(lr=0.01, schedule="constant"),
    )
    groups = task.configure_optimizers().param_groups
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [
        (pytest.approx(0.001), 0.05), (pytest.approx(0.001), 0.0), (0.01, 0.05), (0.01, 0.0),
    ]  # fmt: skip
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(
        p.numel() for p in task.parameters()
    )


def test_a_case_repeated_by_a_sampler_counts_once():
    store = CaseStore("ef")
    store.update(row=torch.tensor([4, 2]), ef=torch.tensor([40.0, 20.0]))
    store.update(row=torch.tensor([9, 4]), ef=torch.tensor([90.0, 40.0]))
    cases = store.cases()
    assert cases["row"].tolist() == [2, 4, 9]
    assert cases["ef"].tolist() == [20.0, 40.0, 90.0]


def test_a_split_of_one_case_stays_a_list_of_one():
    store = CaseStore("ef")
    store.update(row=torch.tensor([4]), ef=torch.tensor([40.0]))
    assert store.cases()["row"].shape == (1,)


def test_a_task_refuses_frames_it_was_not_made_for():
    task = EFRegressor(["ESF"], BackboneOptions(weights=None))
    with pytest.raises(ConfigurationError, match="2 frames a case, but the model takes 1: ESF"):
        task(frames(2, 2))
    with pytest.raises(CheckpointError, match="holds a EFClassifier, not a EFRegressor"):
        task.on_load_checkpoint({"lvef": {"task": "EFClassifier"}})


def test_pretraining_reaches_every_parameter_of_the_backbone():
    task = PhantomPretraining()
    task.log_dict = lambda *_, **__: None  # there is no trainer to log to
    batch = {
        "images": frames(4, 1, 112)[:, 0],
        "mask": torch.rand(4, 1, 112, 112) > 0.7,
        "sizes": torch.randn(4, 2),
    }
    task.training_step(batch, 0).backward()
    assert all(p.grad is not None for p in task.parameters())


def test_every_public_name_is_imported_when_asked_for():
    for name in models.__all__:
        assert getattr(models, name).__module__.startswith("lvef.models.")
    with pytest.raises(AttributeError, match="no attribute 'EFRegresor'"):
        models.EFRegresor  # noqa: B018
    assert get_import_path(models.EFRegressor) == "lvef.models.EFRegressor"  # in config.yaml
