"""Weights of other trainings: what is found in them, and in which words others are refused."""

from __future__ import annotations

import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from lvef.errors import CheckpointError, WeightsError
from lvef.models.backbones.provenance import taught_by
from lvef.models.backbones.resnet50 import ResNet50Backbone
from lvef.models.backbones.resnet_weights import resnet50_state
from lvef.models.loading import load_task, read_checkpoint
from lvef.models.torch_file import UnreadableError, read_torch

State = dict[str, Tensor]


def of(network: nn.Module) -> State:
    return {name: value.detach() for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def state() -> State:
    return of(models.resnet50(weights=None))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return ResNet50Backbone(None).network


@pytest.fixture(scope="module")
def wanted(network: nn.Module) -> State:
    return of(network)


def another(name: str) -> State:
    """Names and shapes of another network's tensors."""
    with torch.device("meta"):
        return of(models.get_model(name))


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def numbered(state: State) -> State:
    """As in `nn.Sequential(*list(resnet.children())[:-1])`."""
    places = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    parts = ((name.partition("."), value) for name, value in state.items() if "fc" not in name)
    return {f"{places.index(part)}.{rest}": value for (part, _, rest), value in parts}


def moco(state: State) -> Any:
    others = under("module.encoder_k.", {name: value + 1 for name, value in state.items()})
    head = {"module.encoder_q.fc.0.weight": torch.zeros(4, 4), "module.queue": torch.zeros(2, 2)}
    return {"epoch": 3, "state_dict": {**under("module.encoder_q.", state), **others, **head}}


KEPT: dict[str, Callable[[State], Any]] = {
    "plain": lambda s: s,
    "DataParallel": lambda s: under("module.", s),
    "compiled": lambda s: under("_orig_mod.", s),
    "in state_dict": lambda s: {"epoch": 1, "state_dict": under("module.", s)},
    "in model": lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    "nested": lambda s: {"model": {"state_dict": under("module.model.backbone.encoder.", s)}},
    "Lightning": lambda s: {"state_dict": under("model.", s), "pytorch-lightning_version": "2.1"},
    "Lightning of a wrapper": lambda s: {"state_dict": under("net.module.", s)},
    "MoCo": moco,
    "numbered": lambda s: under("backbone.", numbered(s)),
    "with a head": lambda s: {**under("backbone.", s), "head.weight": torch.zeros(2, 2048)},
    "older, without counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("kind", KEPT)
def test_the_backbone_is_found_whatever_stands_before_its_names(kind, state, wanted):
    found = resnet50_state(KEPT[kind](state), wanted)
    expected = {name for name in wanted if kind[:5] != "older" or "num_batches" not in name}
    assert set(found) == expected
    assert all(torch.equal(found[name], state[name]) for name in found)


def test_every_tensor_of_a_wrapped_checkpoint_arrives_in_the_network(tmp_path, state):
    torch.save({"state_dict": under("module.", state)}, tmp_path / "a.pth.tar")
    network = ResNet50Backbone(str(tmp_path / "a.pth.tar")).network
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    few = {"bn1.weight": state["bn1.weight"]}
    torch.save(few, tmp_path / "older.pth", _use_new_zipfile_serialization=False)
    assert taught_by(str(tmp_path / "older.pth")) == ""


def test_weights_of_before_the_counters_load(state, wanted, network):
    network.load_state_dict(resnet50_state(KEPT["older, without counters"](state), wanted))


REFUSED: dict[str, tuple[Callable[[State], Any], str]] = {
    "ResNet-18": (lambda _: another("resnet18"), "a ResNet-18, but the backbone is a ResNet-50"),
    "wrapped 34": (lambda _: {"model": under("module.", another("resnet34"))}, "a ResNet-34"),
    "ResNet-101": (lambda _: another("resnet101"), "a ResNet-101"),
    "ResNeXt": (lambda _: another("resnext50_32x4d"), "ResNeXt"),
    "no ResNet": (lambda _: {"patch.weight": torch.zeros(3)}, "1 tensors, the first patch.weight"),
    "a list": (lambda _: [torch.zeros(3)], "no named tensors"),
    "nothing": (lambda _: {}, "no named tensors"),
    "grey": (
        lambda s: {**s, "conv1.weight": torch.zeros(64, 1, 7, 7)},
        "conv1.weight is 64x1x7x7, but a ResNet-50 of RGB pictures has 64x3x7x7",
    ),
    "part": (
        lambda s: under("net.", {k: v for k, v in s.items() if k != "bn1.weight"}),
        "lacks 1 tensors, the first net.bn1.weight",
    ),
    "variant": (
        lambda s: {**s, "layer1.0.se.weight": torch.zeros(3)}, "such as layer1.0.se.weight"
    ),
    "NaN": (
        lambda s: {**s, "bn1.bias": torch.full((64,), float("nan"))}, "bn1.bias holds NaN"
    ),
    "two": (
        lambda s: {"student": s, "teacher": s}, r"several networks \('student.', 'teacher.'\)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_other_weights_are_refused_by_what_they_are(kind, state, wanted):
    make, words = REFUSED[kind]
    with pytest.raises(UnreadableError, match=words) as told:
        resnet50_state(make(state), wanted)
    assert "\n" not in str(told.value)


def test_a_dict_that_holds_itself_ends(wanted):
    held: dict[str, Any] = {"weight": torch.zeros(1)}
    held["model"] = held
    with pytest.raises(UnreadableError, match="no ResNet-50"):
        resnet50_state(held, wanted)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def damaged(folder: Path) -> dict[str, str]:
    """Make files that are no weights, and return what is said of each."""
    tensors = {"a.weight": torch.zeros(64, 64)}
    torch.save(nn.Linear(2, 2), folder / "whole.pt")
    torch.save({"args": Namespace(lr=1), "state_dict": tensors}, folder / "args.pth")
    torch.jit.script(nn.Linear(2, 2)).save(str(folder / "script.pt"))
    for name, share in (("cut.safetensors", 0.5), ("cut_in_header.safetensors", 0.002)):
        save_file(tensors, folder / name)
        cut(folder / name, share)
    torch.save(tensors, folder / "cut.pth")
    cut(folder / "cut.pth", 0.5)
    (folder / "empty.pth").write_bytes(b"")
    (folder / "text.safetensors").write_text("hello")
    (folder / "page.pth").write_text("<!doctype html>")
    (folder / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "pickle.pth").write_bytes(pickle.dumps({"a": print}))
    objects = "pickled Python objects"
    return {
        "whole.pt": f"{objects} (torch.nn.modules.linear.Linear), as a whole pickled module",
        "args.pth": f"{objects} (argparse.Namespace)",
        "script.pt": "a TorchScript program",
        "cut.safetensors": "cut short",
        "cut_in_header.safetensors": "cut short",
        "cut.pth": "cut short",
        "empty.pth": "the file is empty",
        "text.safetensors": "not a safetensors file",
        "page.pth": "a page of HTML",
        "pointer.pth": "a pointer of Git LFS",
        "pickle.pth": "",
    }


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_files_that_are_no_weights_are_told_in_one_line_without_torchs_advice(tmp_path):
    for name, words in damaged(tmp_path).items():
        path = tmp_path / name
        for read, kind in (
            (lambda p: ResNet50Backbone(str(p)), WeightsError),
            (lambda p: taught_by(str(p)), WeightsError),
            (read_checkpoint, CheckpointError),
            (load_task, CheckpointError),
        ):
            with pytest.raises(kind) as told:
                read(path)
            said = str(told.value)
            assert words in said, name
            assert str(path) in said
            assert "\n" not in said
            assert "\x1b" not in said
            assert "weights_only" not in said


def test_safetensors_are_known_by_what_they_hold_and_say_who_taught_them(tmp_path):
    held, path = {"a.weight": torch.ones(2)}, tmp_path / "weights.bin"
    save_file(held, path, metadata={"trained_on": "PHANTOM"})
    assert torch.equal(read_torch(path)["a.weight"], held["a.weight"])
    assert taught_by(str(path)) == "phantoms"
