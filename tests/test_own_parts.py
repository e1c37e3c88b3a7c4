"""A head, an optimiser and a schedule of a user's own: what works, and what is told in a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers import in_folder_of, told, words
from own_parts import SCRIPT
from torch import nn

from lvef.cli.commands import main
from lvef.errors import CheckpointError, ConfigurationError, PartError
from lvef.models import EFClassifier, EFRegressor, MLPHead
from lvef.models.answers import for_export
from lvef.models.attribution import SaliencyMapper
from lvef.models.heads import new_head
from lvef.models.loading import load_task
from lvef.models.optimizers import new_optimizer, new_schedule, parameter_groups, try_options
from lvef.models.options import BackboneOptions, HeadOptions, OptimizerOptions, options
from lvef.testing import check_task

SMALL = BackboneOptions(None, name="encoders.Plain")
STEP = "torch.optim.lr_scheduler.StepLR"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a script of a user's, in which commands are run."""
    yield from in_folder_of(SCRIPT, "my_parts", tmp_path, monkeypatch)


def frames(batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 1, 3, 32, 32), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", ["torch.nn.Linear", "own_parts.Linear", "own_parts.Sums"])
@pytest.mark.parametrize("kind", [EFRegressor, EFClassifier])
def test_a_head_of_any_class_answers_explains_and_exports(name, kind):
    torch.manual_seed(0)
    task = kind(["ESF"], SMALL, HeadOptions(name=name)).eval()
    output = task(frames())
    assert output.shape == (3, task.num_outputs)
    assert list(task.raw_answer(output)) == list(task.raw_columns)
    torch.testing.assert_close(for_export(task)(frames()), output)
    mapper = SaliencyMapper(task, steps=2)
    assert mapper.randomised("head").maps(frames(), "integrated_gradients").shape == (3, 1, 32, 32)


def test_a_head_is_made_with_its_arguments():
    head = new_head(HeadOptions(name="torch.nn.Linear", arguments={"bias": False}), 5, 2)
    assert isinstance(head, nn.Linear)
    assert head.bias is None
    assert head.training, "as it was made"
    assert isinstance(new_head(HeadOptions(), 5, 2), MLPHead)
    assert new_head(HeadOptions(hidden=7), 5, 2).output.in_features == 7


REFUSED_HEADS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"name": "mpl"}, "model.head.name is 'mpl', but must be mlp, or the class path"),
    "no module": ({"name": "my_absent.Head"}, "model.head.name my_absent.Head would run code "),
    "absent": ({"name": "own_parts.Absent"}, "model.head.name own_parts.Absent: the module own_pa"),
    "no class": ({"name": "own_parts.SCRIPT"}, "SCRIPT is no class of torch.nn.Module"),
    "an optimiser": ({"name": "torch.optim.SGD"}, "SGD is no class of torch.nn.Module"),
    "no sizes": (
        {"name": "own_parts.NoSizes"},
        "model.head.name own_parts.NoSizes cannot be made with model.head.arguments {}: TypeError",
    ),
    "argument": (
        {"name": "own_parts.Sums", "arguments": {"width": 3}},
        r'cannot be made with model.head.arguments {"width": 3}: TypeError',
    ),
    "column": ({"name": "own_parts.OneColumn"}, r"returns float32 \(2,\) for 2 cases, but must r"),
    "wide": ({"name": "own_parts.TooWide"}, r"returns float32 \(2, 2\) .* float32 \(n, 1\)"),
    "pair": ({"name": "own_parts.Pair"}, r"returns a tuple, but must return one tensor \(n, 1\)"),
    "whole": ({"name": "own_parts.Counts"}, r"returns int64 \(2, 1\) for 2 cases"),
    "fails": ({"name": "own_parts.Fails"}, r"no features \(2, 3\): ValueError: no such features"),
    "hidden": (
        {"name": "own_parts.Sums", "hidden": 3},
        "model.head.hidden: it is of mlp: give own_parts.Sums its own by model.head.arguments",
    ),
    "dropout": ({"name": "own_parts.Sums", "dropout": 0.0}, "model.head.dropout: it is of mlp"),
    "mlp's": ({"arguments": {"hidden": 3}}, "model.head.arguments: mlp takes none: it has hidden"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_HEADS)
def test_what_cannot_be_a_head_is_told_in_a_line_when_it_is_made(case):
    said, message = REFUSED_HEADS[case]
    with pytest.raises(ConfigurationError, match=message) as error:
        EFRegressor(["ESF"], SMALL, HeadOptions(**said))
    assert "\n" not in str(error.value)
    assert "model.head." in str(error.value)


def test_a_checkpoint_of_before_has_the_mlp_and_adamw():
    task = EFRegressor(
        ["ESF"], SMALL, head={"hidden": 9, "dropout": 0.1},
        optimizer={"lr": 0.1, "weight_decay": 0.2, "schedule": "plateau", "warmup_epochs": 1.0,
                   "patience": 2},
    )  # fmt: skip
    assert task.head.output.in_features == 9
    assert task.optimizer_options == OptimizerOptions(0.1, 0.2, "plateau", 1.0, 2)
    assert task.hparams["head"]["name"] == "mlp"


def test_a_checkpoint_runs_no_head_of_a_user_s_unless_it_is_trusted(folder):
    sys.path.insert(0, str(folder))
    __import__("my_parts")
    chosen = HeadOptions(name="my_parts.MyHead", arguments={"width": 4})
    optimizer = OptimizerOptions(name="my_parts.MyOptimizer")
    task = EFRegressor(["ESF"], SMALL, chosen, optimizer)
    said = {"class_path": task.class_path(), "task": "EFRegressor", "data": {}}
    metadata = {**said, "hparams": dict(task.hparams)}
    torch.save({"lvef": metadata, "state_dict": task.state_dict()}, folder / "own.ckpt")
    del sys.modules["my_parts"]
    with pytest.raises(CheckpointError, match=r"own\.ckpt: model.head.name my_parts\.MyHead would"):
        load_task(folder / "own.ckpt")
    assert "my_parts" not in sys.modules
    found = load_task(folder / "own.ckpt", trusted=["my_parts"])
    assert torch.equal(found.head.first.weight, task.head.first.weight)
    other = {**metadata, "hparams": {**task.hparams, "head": {"hidden": 4}}}
    torch.save({"lvef": other, "state_dict": EFRegressor(["ESF"], SMALL, {"hidden": 4},
                optimizer).state_dict()}, folder / "mlp.ckpt")  # fmt: skip
    del sys.modules["my_parts"]
    assert isinstance(load_task(folder / "mlp.ckpt").head, MLPHead), "to predict needs no optimiser"


def test_positions_tokens_and_what_a_network_names_do_not_decay():
    task = EFRegressor(["ESF"], BackboneOptions(None, name="own_parts.Patches"),
                       optimizer=OptimizerOptions(schedule="constant"))  # fmt: skip
    names = {id(own): name for name, own in task.backbone.network.named_parameters()}
    groups = {group["name"]: group for group in task.configure_optimizers().param_groups}
    assert {names[id(own)] for own in groups["backbone"]["params"]} == {
        "conv_proj.weight", "rest.weight", "encoder.position.weight", "encoder.mix.in_proj_weight",
        "encoder.mix.out_proj.weight",
    }  # fmt: skip
    spared = {names[id(own)] for own in groups["backbone_norm_and_bias"]["params"]}
    assert {
        "class_token", "encoder.pos_embedding", "gate", "encoder.relative", "encoder.ln.weight",
        "conv_proj.bias",
    } < spared  # fmt: skip
    assert groups["backbone"]["weight_decay"] == 0.05
    assert groups["backbone_norm_and_bias"]["weight_decay"] == 0.0


@pytest.mark.parametrize(
    ("name", "spared"),
    [
        ("torchvision/vit_b_16", ["class_token", "encoder.pos_embedding"]),
        ("torchvision/swin_t", ["features.1.0.attn.relative_position_bias_table"]),
        ("timm/test_vit", ["cls_token", "pos_embed"]),
    ],
)
def test_the_embeddings_of_libraries_networks_are_found(name, spared):
    with torch.device("meta"):
        task = EFRegressor(["ESF"], BackboneOptions(None, name=name))
    network = task.backbone.network
    (_, still) = parameter_groups([("backbone", network, 0.1)])
    found = {id(own) for own in still["params"]}
    assert all(id(network.get_parameter(each)) in found for each in spared)
    matrices = [name for name, own in network.named_parameters()
                if own.ndim > 1 and id(own) in found]  # fmt: skip
    assert not [each for each in matrices if each.endswith("weight")]


@pytest.mark.parametrize(
    ("name", "arguments", "decays"),
    [
        ("torch.optim.SGD", {"momentum": 0.8}, True),
        ("torch.optim.RAdam", {"betas": [0.8, 0.99]}, True),
        ("own_parts.Whatever", {"nesterov": True, "momentum": 0.9}, True),
        ("own_parts.NoDecay", {"beta": 0.5}, False),
        ("torch.optim.Rprop", {"etas": [0.4, 1.3]}, False),
    ],
)
def test_groups_have_their_rates_and_decay_where_the_optimiser_takes_one(name, arguments, decays):
    chosen = OptimizerOptions(0.01, schedule="constant", name=name, arguments=arguments)
    slow = BackboneOptions(None, name="encoders.Plain", lr_factor=0.5)
    optimizer = EFRegressor(["ESF"], slow, optimizer=chosen).configure_optimizers()
    assert type(optimizer).__name__ == name.rpartition(".")[2]
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"backbone": 0.005, "backbone_norm_and_bias": 0.005, "head": 0.01,
                     "head_norm_and_bias": 0.01}  # fmt: skip
    for group in optimizer.param_groups:
        assert {key: group[key] for key in arguments} == arguments
        ends = 0.0 if group["name"].endswith("bias") else 0.05
        assert group.get("weight_decay") == (ends if decays else None)


REFUSED_OPTIMIZERS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"name": "sgd"}, "model.optimizer.name is 'sgd', but must be adamw, or the class"),
    "no module": ({"name": "my_absent.Lion"}, "model.optimizer.name my_absent.Lion would run code"),
    "absent": ({"name": "torch.optim.Lyon"}, "the module torch.optim has no Lyon"),
    "a head": ({"name": "torch.nn.Linear"}, "Linear is no class of torch.optim.Optimizer"),
    "argument": (
        {"name": "torch.optim.SGD", "arguments": {"beta": 1}},
        r'name torch.optim.SGD cannot be made with model.optimizer.arguments {"beta": 1}: TypeErr',
    ),
    "of one group": (
        {"name": "torch.optim.LBFGS"},
        "LBFGS cannot be made .* ValueError: LBFGS doesn't support per-parameter options",
    ),
    "adamw's": ({"arguments": {"beta": 1}}, "adamw cannot be made with model.optimizer.arguments"),
    "lr": ({"arguments": {"lr": 1}}, "model.optimizer.arguments.lr is model.optimizer.lr"),
    "params": ({"arguments": {"params": []}}, "model.optimizer.arguments.params is the model's"),
    "decay": (
        {"name": "own_parts.NoDecay", "weight_decay": 0.1},
        "model.optimizer.weight_decay: own_parts.NoDecay takes none",
    ),
    "schedule": (
        {"schedule": "cosin"},
        "model.optimizer.schedule is 'cosin', but must be cosine, plateau, constant, or the class",
    ),
    "no schedule": ({"schedule": "torch.optim.SGD"}, "SGD is no class of torch.optim.lr_scheduler"),
    "lacking": (
        {"schedule": STEP},
        "StepLR cannot be made with model.optimizer.schedule_arguments {}: TypeError",
    ),
    "cosine's": (
        {"schedule_arguments": {"T_max": 3}},
        "model.optimizer.schedule_arguments: cosine has none: it is of a schedule by its class",
    ),
    "interval": ({"schedule_interval": "step"}, "model.optimizer.schedule_interval: cosine has no"),
    "plateau's": (
        {"schedule": "torch.optim.lr_scheduler.ReduceLROnPlateau", "schedule_interval": "step"},
        "ReduceLROnPlateau looks at VAL, once an epoch: leave schedule_interval away",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_OPTIMIZERS)
def test_what_cannot_be_an_optimiser_or_a_schedule_is_told_in_a_line(case):
    said, message = REFUSED_OPTIMIZERS[case]
    with pytest.raises(ConfigurationError, match=message) as error:
        try_options(OptimizerOptions(**said))
    assert "\n" not in str(error.value)


def test_a_schedule_that_takes_the_steps_of_the_run_is_told_them():
    chosen = OptimizerOptions(
        schedule="torch.optim.lr_scheduler.OneCycleLR", schedule_arguments={"max_lr": 0.1},
        schedule_interval="step",
    )  # fmt: skip
    optimizer = new_optimizer(chosen, parameter_groups([("head", nn.Linear(2, 2), 0.1)]))
    assert new_schedule(chosen, optimizer, "min", 77).total_steps == 77
    with pytest.raises(PartError, match=r"OneCycleLR needs an end: set --trainer\.max_e"):
        new_schedule(chosen, optimizer, "min")


def test_a_plateau_by_its_class_path_watches_the_metric_of_the_task():
    chosen = OptimizerOptions(schedule="torch.optim.lr_scheduler.ReduceLROnPlateau",
                              schedule_arguments={"patience": 1})  # fmt: skip
    optimizer = new_optimizer(chosen, parameter_groups([("head", nn.Linear(2, 2), 0.1)]))
    assert new_schedule(chosen, optimizer, "max").mode == "max"
    assert new_schedule(chosen, optimizer, "max").patience == 1


def test_null_of_arguments_is_read_as_none():
    read = options(OptimizerOptions, {"arguments": {"foreach": "None"}})
    assert read.arguments == {"foreach": None}
    assert HeadOptions(name="own_parts.Sums", arguments={"a": "None"}).arguments == {"a": None}
    assert OptimizerOptions(schedule=STEP, schedule_arguments={}).schedule_arguments is None


def test_what_parts_are_made_with_arrives_as_it_was_typed(folder, phantom_root, capsys):
    typed = [
        "--import", "my_parts", "--model.head.name", "my_parts.MyHead",
        "--model.head.arguments.width", "4", "--model.optimizer.name", "torch.optim.SGD",
        "--model.optimizer.arguments.momentum", "9e-1", "--model.optimizer.arguments.fused", "null",
        "--model.optimizer.schedule", STEP, "--model.optimizer.schedule_arguments.step_size", "2",
        "--model.optimizer.schedule_arguments.verbose", "null",
        "--model.optimizer.schedule_interval", "step", "--print_config",
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        main(words("fit", "esf_mlp", phantom_root, folder, *typed))
    said = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    assert HeadOptions(**said["head"]).arguments == {"width": 4}
    optimizer = OptimizerOptions(**said["optimizer"])
    assert optimizer.arguments == {"momentum": 0.9, "fused": None}
    assert optimizer.schedule_arguments == {"step_size": 2, "verbose": None}
    assert optimizer.schedule_interval == "step"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--model.head.class_path", "a.B"], "class path of head is its name: --model.head.name"),
        (["--model.optimizer.class_path", "a.B"], "its name: --model.optimizer.name torch.optim.S"),
        (["--model.head.name", "my_parts.MyHead"], "add --import my_parts"),
        (["--model.head.name", "torch.nn.Linear", "--model.head.hidden", "3"], "hidden: it is of"),
        (["--model.optimizer.schedule", "cosin"], "model.optimizer.schedule is 'cosin'"),
        (["--model.optimizer.name", "my_parts.MyOptimizer"], "add --import my_parts"),
        (["--model.optimizer.schedule", STEP], "StepLR cannot be made with"),
    ],
)
def test_a_part_that_cannot_be_had_is_one_line(folder, phantom_root, capsys, typed, message):
    small = ["--model.backbone.name", "torchvision/shufflenet_v2_x0_5"]
    assert main(words("fit", "esf_mlp", phantom_root, folder, *small, *typed)) == 1
    (line,) = told(capsys.readouterr().err)
    assert message in line


def test_a_task_of_own_parts_keeps_its_contract(tmp_path):
    parts = {"optimizer": OptimizerOptions(0.01, name="torch.optim.SGD", schedule=STEP,
                                           schedule_arguments={"step_size": 1, "gamma": 0.9}),
             "head": HeadOptions(name="own_parts.Linear")}  # fmt: skip
    assert "reloads" in check_task(EFRegressor(["EDF", "ESF"], SMALL, **parts), tmp_path)
