"""Backbones of libraries and of a user's own: what comes out, which weights fit, what does not."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from downloads import downloads_of, timm_download, torchvision_download
from encoders import SCRIPT
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from lvef.errors import BackboneError, CheckpointError, ConfigurationError, WeightsError
from lvef.models import EFGaussianProcess, EFRegressor, ResNet50Backbone
from lvef.models.answers import for_export
from lvef.models.attribution import SaliencyMapper
from lvef.models.backbones import Backbone, new_backbone
from lvef.models.loading import load_task
from lvef.models.options import BackboneOptions, GPOptions
from lvef.testing import check_task

CONVNEXT, VIT, MOBILE = "timm/test_convnext", "timm/test_vit", "torchvision/mobilenet_v3_small"
OWN = "my_encoders.MyEncoder"
EACH = [CONVNEXT, VIT, MOBILE, OWN]


@pytest.fixture
def script(tmp_path, monkeypatch) -> Path:
    """A script of a user's, imported as `--import` does; what it defines is gone afterwards."""
    (tmp_path / "my_encoders.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_encoders", raising=False)
    __import__("my_encoders")
    yield tmp_path / "my_encoders.py"
    sys.modules.pop("my_encoders", None)


def frames(batch: int = 2, slots: int = 1, size: int = 112) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, slots, 3, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def seeded(name: str, **arguments: object) -> Backbone:
    torch.manual_seed(0)
    return new_backbone(name, arguments=arguments).eval()


@pytest.mark.parametrize(
    ("name", "features"), [(CONVNEXT, 64), (VIT, 64), (MOBILE, 1024), (OWN, 32)]
)
def test_each_gives_features_of_frames(script, name, features):
    backbone, pair = seeded(name), frames(3, 2)
    found = backbone(pair)
    assert found.shape == (3, 2 * features)
    assert backbone.num_features == features
    torch.testing.assert_close(found[:, features:], backbone(pair[:, 1:]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found, backbone(pair / 255), atol=1e-5, rtol=1e-4)
    folded = backbone.folded()
    assert folded.frozen
    assert not any(p.requires_grad for p in folded.parameters())
    torch.testing.assert_close(found, folded(pair), atol=1e-5, rtol=1e-4)


def test_pictures_are_scaled_as_each_was_trained(script):
    grey = frames()[:, :1]
    for name in EACH:
        backbone, plain = seeded(name), grey[:, 0].float() / 255
        if name == VIT:  # of 160 pixels
            plain = functional.interpolate(plain, (160, 160), mode="bilinear")
        if name == OWN:
            plain = (plain.mean(1, keepdim=True) - 0.3) / 0.2
        else:
            half = name in (CONVNEXT, VIT)
            mean = [0.5] * 3 if half else [0.485, 0.456, 0.406]
            std = [0.5] * 3 if half else [0.229, 0.224, 0.225]
            plain = torchvision.transforms.functional.normalize(plain, mean, std)
        torch.testing.assert_close(backbone(grey), backbone.network(plain), atol=1e-5, rtol=1e-4)


def test_many_frames_are_looked_at_in_parts_where_nothing_is_learned():
    backbone = ResNet50Backbone(None).eval()
    frames = torch.randint(256, (444, 2, 3, 32, 32), dtype=torch.uint8)
    sizes = []
    backbone.network.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    seen = {}
    for way in (torch.enable_grad, torch.inference_mode):
        with way():
            seen[way] = backbone(frames).detach()
    assert sizes == [888, 392, 392, 104]
    torch.testing.assert_close(seen[torch.inference_mode], seen[torch.enable_grad])


def test_a_transformer_can_be_made_for_another_size_or_any():
    for arguments in ({"img_size": 112}, {"dynamic_img_size": True}):
        backbone = seeded(VIT, **arguments)
        seen = backbone.normalise(frames()[:, 0])
        assert seen.shape[-1] == 112, arguments
        assert backbone(frames()).shape == (2, 64)
    assert seeded(VIT).normalise(frames()[:, 0]).shape[-1] == 160


SIDES = {
    CONVNEXT: {"fine": 14, "coarse": 3},
    MOBILE: {"fine": 14, "coarse": 4},
    OWN: {"fine": 14, "coarse": 7},
    VIT: {},
    "torchvision/shufflenet_v2_x0_5": {"fine": 14, "coarse": 4},
    "torchvision/squeezenet1_1": {"fine": 13, "coarse": 6},
    "timm/test_efficientnet": {"fine": 14, "coarse": 4},
    "timm/test_resnet": {"fine": 14, "coarse": 4},
}


@pytest.mark.parametrize("name", SIDES)
def test_stages_put_out_maps_of_their_size(script, name):
    backbone, seen = seeded(name), {}
    for which in backbone.stages:
        backbone.stage(which).register_forward_hook(
            lambda _m, _i, output, which=which: seen.update({which: output.shape})
        )
    backbone(frames(1))
    assert {which: shape[-1] for which, shape in seen.items()} == SIDES[name]
    assert all(shape[-1] == shape[-2] for shape in seen.values())
    for which in {"fine", "coarse"} - set(backbone.stages):
        with pytest.raises(BackboneError, match=f"no {which} stage that puts out maps"):
            backbone.stage(which)


def test_gradcam_weights_the_channels_of_the_last_stage_of_another_network():
    task = EFRegressor(["ESF"], BackboneOptions(None, name=CONVNEXT)).eval()
    nn.init.normal_(task.head.output.weight)
    picture, kept = frames(1) / 255, []
    hook = task.backbone.network.stages[3].register_forward_hook(lambda _m, _i, o: kept.append(o))
    ef = task.raw_answer(task(picture))["ef"]
    hook.remove()
    (slope,) = torch.autograd.grad(ef.sum(), kept)
    side = float(task.side_of(task.explained({"ef": ef.detach()})))
    weighted = (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True) * side
    expected = functional.interpolate(weighted.detach(), (112, 112), mode="bilinear").relu()
    torch.testing.assert_close(SaliencyMapper(task).maps(picture, "gradcam"), expected,
                               atol=1e-5, rtol=1e-3)  # fmt: skip


def test_heat_maps_that_do_not_apply_are_refused_by_name():
    task = EFRegressor(["ESF"], BackboneOptions(None, name=VIT)).eval()
    nn.init.normal_(task.head.output.weight)
    mapper = SaliencyMapper(task, steps=2)
    assert mapper.methods == ["integrated_gradients"]
    assert mapper.depths == ["head", "all"]
    with pytest.raises(
        ConfigurationError, match="no HiResCAM: backbone timm/test_vit has no stage"
    ):
        mapper.maps(frames(1), "hirescam")
    assert mapper.left_out.startswith("no Grad-CAM and no HiResCAM: backbone timm/test_vit has no")
    maps = sum(
        mapper.maps(frames(1), "integrated_gradients", torch.tensor([s])) for s in (1.0, -1.0)
    )
    assert float(maps.max()) > 0


REFUSED = {
    "timm/convnext_tinny": r"has no 'convnext_tinny': near are .*convnext_tiny",
    "timm/convnext_tiny.no_tag": r"no weights 'no_tag' of convnext_tiny; there are: .*fb_in1k",
    "timm/hf-hub:timm/resnet18": "timm .* has no 'hf-hub:timm/resnet18'",
    "timm/": "timm .* has no ''",
    "torchvision/convnext_tinny": r"'convnext_tinny' for pictures or clips: near are convnext_tiny",
    "torchvision/fcn_resnet50": "'fcn_resnet50' for pictures",
    "torchvision/inception_v3": "auxiliary classifiers .* take timm/inception_v3",
    "convnext_tiny": "is 'convnext_tiny', but must be one of resnet50.* timm/convnext_tiny",
    "": "is '', but must be one of resnet50",
    "my_absent.Encoder": "not imported: if you trust it, add --import my_absent",
    "encoders.Absent": "the module encoders has no Absent",
    "encoders.factory": "encoders.factory is no class of torch.nn.Module",
    "encoders.SCRIPT": "encoders.SCRIPT is no class of torch.nn.Module",
    "torch.nn.Linear": "is part of torch: give timm/NAME or torchvision/NAME",
    "encoders.Unpooled": r"returns \(n, 3, 14, 14\) for n pictures, but must return "
    r"\(n, features\): pool its maps",
    "encoders.Several": "returns a tuple, but must return one tensor",
    "encoders.Flat": r"returns \(n\) for n pictures, but must return \(n, features\)",
    "encoders.OneSize": "takes no picture of 3 x 112 x 112: RuntimeError: .* let its input_size",
    "encoders.TwoChannels": r"pixel_mean is \(0.5, 0.5\), but must be three numbers",
    "encoders.NamesNoPart": "its coarse stage 'last' is no part whose output is a map",
    "encoders.NamesAnotherStage": "stages are fine and coarse, not 'last'",
    "encoders.Fails": "cannot be made with model.backbone.arguments {}: OSError: no weights here",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_backbone_is_told_in_a_line(name):
    with pytest.raises(BackboneError, match=REFUSED[name]) as error:
        new_backbone(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet50", {"width": 3}, "resnet50 takes none"),
        (CONVNEXT, {"colour": 1}, r"cannot be made with .*\"colour\": 1"),
        (CONVNEXT, {"pretrained": True}, "arguments.pretrained of .*--model.backbone.weights says"),
        (CONVNEXT, {"checkpoint_path": "x"}, "arguments.checkpoint_path of"),
        (CONVNEXT, {"num_classes": 3}, "features and no classifier"),
        (VIT, {"global_pool": ""}, r"returns \(n, 101, 64\) for n pictures"),
        ("torchvision/shufflenet_v2_x0_5", {"colour": 1}, r"cannot be made with .*\"colour\": 1"),
        (MOBILE, {"weights": "DEFAULT"}, "--model.backbone.weights says which weights"),
        ("encoders.Plain", {"colour": 1}, r"cannot be made with .*\"colour\": 1.*TypeError"),
    ],
)
def test_arguments_that_it_is_not_made_with_are_told_in_a_line(name, arguments, message):
    with pytest.raises(BackboneError, match=message):
        new_backbone(name, arguments=arguments)


def test_a_network_that_says_nothing_gets_imagenet_s_normalisation_and_its_own_layout():
    backbone = seeded("encoders.Plain", width=4)
    assert backbone.num_features == 4
    assert backbone.pixel_mean == (0.485, 0.456, 0.406)
    assert backbone(frames(2, 2)).shape == (2, 8), "its view wants rows of pixels"
    assert backbone.stages == ()
    assert seeded("encoders.SaysItsSize")(frames()).shape == (2, 5)


def test_without_timm_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BackboneError, match=r"needs timm, which is not installed: pip install 'lv"):
        new_backbone(CONVNEXT)
    assert new_backbone("resnet50").name == "resnet50"


def library_file(name: str, path: Path) -> dict[str, torch.Tensor]:
    """Weights of a network as its library leaves them, classifier included."""
    torch.manual_seed(1)
    library, _, architecture = name.partition("/")
    make = timm.create_model if library == "timm" else torchvision.models.get_model
    state = {key: value.contiguous() for key, value in make(architecture).state_dict().items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return state


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", [CONVNEXT, MOBILE])
def test_a_file_of_the_library_is_loaded_whole_without_its_classifier(tmp_path, name, suffix):
    path = tmp_path / f"weights{suffix}"
    state = library_file(name, path)
    backbone = seeded(name)
    backbone.load(str(path))
    own = backbone.network.state_dict()
    assert len(state) - len(own) == 2, "weight and bias of the classifier"
    assert all(torch.equal(own[key], state[key]) for key in own)


def test_weights_of_a_run_s_backbone_are_found_in_its_checkpoint(tmp_path):
    trained = EFRegressor(["ESF"], BackboneOptions(None, name=CONVNEXT))
    run = {"hparams": {"backbone": {"name": CONVNEXT}}}
    torch.save({"state_dict": trained.state_dict(), "lvef": run}, tmp_path / "run.ckpt")
    backbone = seeded(CONVNEXT)
    backbone.load(str(tmp_path / "run.ckpt"))
    first = "network.stem.0.weight"
    assert torch.equal(backbone.get_parameter(first), trained.backbone.get_parameter(first))
    with pytest.raises(WeightsError, match="it holds the backbone timm/test_convnext, but"):
        seeded(MOBILE).load(str(tmp_path / "run.ckpt"))
    with pytest.raises(WeightsError, match="it holds no ResNet-50"):
        ResNet50Backbone(str(tmp_path / "run.ckpt"))


WRONG = {
    "another": (
        lambda _: library_state("timm/test_resnet"),
        "it is no timm/test_convnext: none of",
    ),
    "larger": (lambda _: library_state("timm/test_convnext2"), "test_convnext"),
    "part": (lambda s: dict(list(s.items())[:9]), "tensors are missing, the first"),
    "variant": (
        lambda s: {**s, "stem.9.weight": torch.zeros(1)},
        "parts that the backbone has not",
    ),
    "shape": (
        lambda s: {**s, "stem.0.bias": torch.zeros(3)},
        "stem.0.bias is 3, but timm/test_con",
    ),
    "not finite": (lambda s: {**s, "stem.0.bias": s["stem.0.bias"] * torch.nan}, "holds NaN"),
    "nothing": (lambda _: {}, "holds no named tensors"),
    "two": (lambda s: {"a": s, "b": s}, r"several networks \('a.', 'b.'\)"),
}


def library_state(name: str) -> dict[str, torch.Tensor]:
    return dict(timm.create_model(name.partition("/")[2]).state_dict())


@pytest.mark.parametrize("kind", WRONG)
def test_weights_of_another_architecture_are_told_in_a_line(tmp_path, kind):
    make, message = WRONG[kind]
    torch.save(make(library_state(CONVNEXT)), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message) as error:
        seeded(CONVNEXT).load(str(tmp_path / "w.pth"))
    assert str(error.value).startswith(f"{tmp_path / 'w.pth'}: cannot be used as backbone weights")
    assert "\n" not in str(error.value)


def test_imagenet_weights_of_timm_come_from_the_cache_of_hugging_face(tmp_path):
    state = timm_download("test_convnext.r160_in1k", tmp_path)
    for name in (CONVNEXT, f"{CONVNEXT}.r160_in1k"):
        backbone = seeded(name)
        with downloads_of(tmp_path):
            backbone.load("imagenet")
        assert torch.equal(backbone.network.stem[0].weight, state["stem.0.weight"])
    said = backbone.facts["weights"]
    assert (said["library"], said["name"], said["licence"]) == ("timm", "r160_in1k", "apache-2.0")
    assert said["hf_hub_id"] == "timm/test_convnext.r160_in1k"


def test_imagenet_weights_of_torchvision_come_from_its_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    chosen = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT
    state = torchvision_download(chosen, tmp_path)
    for weights in ("imagenet", "IMAGENET1K_V1"):
        backbone = seeded(MOBILE)
        backbone.load(weights)
        found = backbone.network.features[0][0].weight
        assert torch.equal(found, state["features.0.0.weight"])
    said = {"library": "torchvision", "name": "IMAGENET1K_V1", "url": chosen.url}
    assert backbone.facts["weights"] == said


@pytest.mark.parametrize(
    ("name", "cached"),
    [(f"{CONVNEXT}.r160_in1k", "https://huggingface.co/timm/test_convnext.r160_in1k"),
     (MOBILE, "mobilenet_v3_small-047dcff4.pth")],
)  # fmt: skip
def test_offline_the_error_names_three_ways_on_in_one_line(tmp_path, monkeypatch, name, cached):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    with downloads_of(tmp_path), pytest.raises(WeightsError) as error:
        seeded(name).load("imagenet")
    text = str(error.value)
    assert "\n" not in text
    assert cached in text
    assert "--model.backbone.weights PATH" in text
    assert "--model.backbone.weights null" in text


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        (CONVNEXT, "IMAGENET1K_V2", "neither a file nor imagenet, as timm's weights come with"),
        ("timm/test_mambaout", "imagenet", "timm has no weights of timm/test_mambaout"),
        (MOBILE, "IMAGENET1K_V7", "nor one of imagenet, IMAGENET1K_V1 of torchvision/mobilenet"),
        ("encoders.Plain", "imagenet", "a class of your own, of which no library has weights"),
        ("encoders.Plain", "no.pth", "no backbone weights 'no.pth': no file is called so"),
    ],
)
def test_weights_that_there_are_not_are_told_in_a_line(name, weights, message):
    with pytest.raises(WeightsError, match=message):
        seeded(name).load(weights)


def test_features_of_resnet50_that_were_kept_are_found_again():
    backbone = ResNet50Backbone(None)
    digest = hashlib.sha256(f"ResNet50Backbone 2, torch {torch.__version__}, 32-true".encode())
    for name, value in backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    assert backbone.fingerprint("32-true") == digest.hexdigest()


def test_the_fingerprint_of_a_backbone_is_of_all_that_its_features_depend_on(script):
    def found(name: str, **arguments: object) -> str:
        return seeded(name, **arguments).fingerprint("32-true")

    for name in EACH:
        assert found(name) == found(name), name
    assert found(VIT, dynamic_img_size=True) != found(VIT)
    assert found(CONVNEXT, norm_eps=1e-3) != found(CONVNEXT), "the same weights, other features"
    assert found("timm/test_convnext.r160_in1k") != found(CONVNEXT)
    before = found(OWN)
    script.write_text(SCRIPT.replace("0.3", "0.4"))
    assert found(OWN) != before, "its file says other things now"
    script.write_text(SCRIPT)
    assert found(OWN) == before
    sys.modules["my_encoders"].MyEncoder.version = 2
    assert found(OWN) != before


@pytest.mark.parametrize("name", ["timm/test_efficientnet", "timm/test_resnet", MOBILE, OWN])
def test_the_form_that_is_exported_says_the_same(script, name):
    backbone = seeded(name)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after a training
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    with torch.no_grad():
        expected, found = backbone(frames()), for_export(backbone)(frames())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "name",
    [OWN, *(pytest.param(name, marks=pytest.mark.slow) for name in (CONVNEXT, MOBILE))],
)
def test_tasks_keep_their_contract_on_each(script, tmp_path, name):
    arguments = {"width": 8} if name == OWN else None
    backbone = BackboneOptions(None, name=name, arguments=arguments)
    assert "exports" in check_task(EFRegressor(["EDF", "ESF"], backbone), tmp_path)


@pytest.mark.slow
def test_a_gaussian_process_keeps_its_contract_on_a_transformer(tmp_path):
    backbone = BackboneOptions(None, True, name=VIT)
    assert "exports" in check_task(
        EFGaussianProcess(["ESF"], backbone, GPOptions(restarts=1)), tmp_path
    )


def test_a_checkpoint_runs_no_code_of_a_user_s_unless_it_is_trusted(script, tmp_path):
    task = EFRegressor(["ESF"], BackboneOptions(None, name=OWN, arguments={"width": 4}))
    path, said = tmp_path / "own.ckpt", {"class_path": task.class_path(), "task": "EFRegressor"}
    metadata = {**said, "hparams": dict(task.hparams), "data": {}}
    torch.save({"lvef": metadata, "state_dict": task.state_dict()}, path)
    del sys.modules["my_encoders"]
    with pytest.raises(CheckpointError, match=r"own\.ckpt: backbone my_encoders\.MyEncoder would"):
        load_task(path)
    assert "my_encoders" not in sys.modules
    found = load_task(path, trusted=["my_encoders"])
    assert found.backbone.num_features == 8
    assert torch.equal(
        found.backbone.network.early[0].weight, task.backbone.network.early[0].weight
    )


def test_a_backbone_class_outside_the_package_goes_by_its_path_too(tmp_path, monkeypatch):
    text = Path(__file__).with_name("broken_tasks.py").read_text()
    (tmp_path / "my_tiny.py").write_text(text.replace('    name: ClassVar[str] = "tiny"\n', ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("my_tiny")
    backbone = new_backbone("my_tiny.TinyBackbone", True)
    assert (backbone.name, backbone.freeze) == ("my_tiny.TinyBackbone", True)
    assert backbone(frames()).shape == (2, 24)
    sys.modules.pop("my_tiny")
