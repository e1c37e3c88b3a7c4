"""Every number that any command takes: what cannot work is told in one line, before any work."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import torch
from helpers import told
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lvef.callbacks.options import check_callbacks
from lvef.cli import lightning_cli, option_errors
from lvef.cli.commands import LIGHTNING_COMMANDS, OTHER_COMMANDS, main, run_other
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.transforms import Augmentation, ClipAugmentation
from lvef.errors import ConfigurationError, LvefError, OutputError, one_line
from lvef.files import make_room
from lvef.models.options import HeadOptions, options
from lvef.models.registry import registered_tasks

BILLION = "1000000000"
INTEGERS = ("-1", "0", "1.5", ".nan", ".inf", BILLION)
FLOATS = ("-1", "0", ".nan", ".inf", BILLION)
SEED = {"0": "a seed", BILLION: "a seed"}
NOTHING = {"0": "no change of that kind"}
WORKS: dict[str, dict[str, str]] = {
    "seed_everything": SEED,
    "data.fold_seed": SEED,
    "data.calibration_share": {"0": "all of VAL does both"},
    "data.batch_size": {BILLION: "one batch holds the whole split"},
    "data.feature_batch_size": {BILLION: "one batch holds the whole split"},
    "data.num_workers": {"0": "the main process decodes"},
    "data.limit": {BILLION: "the whole split"},
    "data.max_excluded": {"0": "no video may be unusable"},
    **{
        f"data.augmentation.{name}": NOTHING
        for name in (
            "rotation", "translation", "scale", "gain", "gamma", "speckle", "horizontal_flip",
            "veil", "blur", "unevenness", "shadow", "flicker", "frozen",
        )
    },
    "model.backbone.freeze": {"0": "trained from the start", BILLION: "never thawed"},
    "model.backbone.lr_factor": {"0": "only batch-norm statistics move"},
    "model.head.dropout": {"0": "no dropout"},
    "model.gp.components": {BILLION: "as many as the features span"},
    "model.gp.max_cholesky": {BILLION: "always exact"},
    "model.optimizer.weight_decay": {"0": "none"},
    "model.optimizer.warmup_epochs": {"0": "none", BILLION: "the whole run"},
    "model.optimizer.patience": {"0": "none", BILLION: "for ever"},
    "model.label_smoothing": {"0": "none"},
    "model.weight_decay": {"0": "none"},
    "checkpoint.save_top_k": {"0": "last.ckpt alone"},
    "checkpoint.every_n_train_steps": {BILLION: "last.ckpt alone"},
    "checkpoint.every_n_epochs": {BILLION: "last.ckpt alone"},
    "early_stopping.min_delta": {"0": "any progress counts", BILLION: "no progress counts"},
    "early_stopping.patience": {"0": "stops at once", BILLION: "never stops"},
    "early_stopping.stopping_threshold": {
        "-1": "a value of the metric", "0": "a value of the metric", BILLION: "one never reached",
    },
    "early_stopping.divergence_threshold": {
        "-1": "a value of the metric", "0": "a value of the metric", BILLION: "one never reached",
    },
    "phantom seed": SEED,
    "pretrain num_images": {BILLION: "a year of work, which can be stopped"},
    "pretrain seed": SEED,
    "pretrain num_workers": {"0": "the main process renders"},
    "weights calibration_clips": {BILLION: "years of work, which can be stopped"},
    "weights test_clips": {BILLION: "years of work, which can be stopped"},
    "weights judge_clips": {BILLION: "years of work, which can be stopped"},
    "weights trust": {"0": "contours alone"},
    "weights seed": SEED,
    "saliency num_cases": {BILLION: "all cases"},
    "saliency seed": SEED,
    "saliency max_excluded": {"0": "no video may be unusable"},
    "robustness num_cases": {BILLION: "all cases"},
    "robustness seed": SEED,
    "external seed": SEED,
    "external max_excluded": {"0": "no video may be unusable"},
    "recalibrate seed": SEED,
    "keyframes seed": SEED,
    "keyframes workers": {"0": "no process but this one"},
    "recalibrate max_excluded": {"0": "no video may be unusable"},
    "report max_pictures": {"0": "no pictures", BILLION: "all cases"},
    "verify tolerance": {"0": "not a digit may differ"},
    "sweep trials": {BILLION: "until it is stopped"},
    "sweep max_epochs": {BILLION: "until early stopping"},
    "sweep seed": SEED,
    "table fold_seed": {"0": "the default"},
    "table max_epochs": {BILLION: "until early stopping"},
    "table max_excluded": {"0": "no video may be unusable"},
}  # fmt: skip
"""What of the values tried is no mistake, and why; everything else must be refused."""

CLASSES: dict[str, tuple[Any, str]] = {
    **{
        task.__name__: (task, "model")
        for task in registered_tasks().values()
        if task.__module__.startswith("lvef.")
    },
    "EchoNetDataModule": (EchoNetDataModule, "data"),
    "Augmentation": (Augmentation, "data.augmentation"),
    "ClipAugmentation": (ClipAugmentation, "data.augmentation"),
}
COMMANDS: dict[str, tuple[list[str], str]] = {
    "phantom": (["--root", "{full}"], "is not empty and holds no phantoms"),
    "pretrain": (["--output", "{file}/w.safetensors"], "cannot be written"),
    "weights": (["--ckpt_path", "none", "--output", "w.safetensors"], "none not found"),
    "export": (["--ckpt_path", "none", "--output", "m.onnx"], "none not found"),
    "saliency": (["--ckpt_path", "none", "--root", "none"], "none not found"),
    "robustness": (["--config", "none"], "none not found"),
    "external": (["--ckpt_path", "none", "--root", "none", "--output", "o"], "none not found"),
    "recalibrate": (
        ["--ckpt_path", "none", "--root", "none", "--output", "o.ckpt"],
        "none not found",
    ),
    "report": (["none"], "none not found"),
    "verify": (["none"], "none not found"),
    "keyframes": (["none"], "none not found"),
    "sweep": (["--config", "c", "--search", "none", "--root", "r"], "--search none"),
    "table": (["--root", "r", "--output", "o", "--configs", "none"], "in none; see --configs"),
}
"""Arguments of each command that end it after its numbers were looked at, and in what words."""


BESIDE = ("the ensemble has no members", "a Gaussian process needs a frozen backbone")
"""Refusals that have nothing to do with the number."""


def numbers(kind: Any, name: str) -> Iterator[tuple[str, bool]]:
    """Yield the numeric options of a type, and whether each is whole."""
    if kind in (int, float):
        yield name, kind is int
    elif get_origin(kind) in (Union, UnionType):
        found = [each for part in get_args(kind) for each in numbers(part, name)]
        yield from sorted(found)[:1] if len({n for n, _ in found}) == 1 else found
    elif is_dataclass(kind):
        for field, hint in get_type_hints(kind).items():
            yield from numbers(hint, f"{name}.{field}")


def options_of(parser: ArgumentParser) -> dict[str, bool]:
    """Return the numeric options of a parser, and whether each is whole."""
    kinds = [(a.dest, getattr(a, "_typehint", a.type)) for a in parser._actions]
    return dict(found for dest, kind in kinds for found in numbers(kind, dest))


class _StoppedError(Exception):
    """Carries a command line that was about to parse."""


@cache
def command_line(command: str = "fit") -> Any:
    class Stopping(lightning_cli.LvefCLI):
        def parse_arguments(self, parser, args):
            raise _StoppedError(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightning_cli, "LvefCLI", Stopping)
        with pytest.raises(_StoppedError) as stopped:
            lightning_cli.run([command])
    return stopped.value.args[0]


@cache
def class_parser(name: str) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    kind, key = CLASSES[name]
    parser.add_class_arguments(kind, key)
    return parser


@cache
def command_options(command: str) -> dict[str, bool]:
    module, name = OTHER_COMMANDS[command][0].split(":")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(getattr(import_module(module), name), skip=set())
    return options_of(parser)


def refusal(call: Callable[[], Any]) -> str:
    """Return the line that the command line would print, nothing where a call goes through."""
    try:
        call()
    except argparse.ArgumentError as error:
        return str(one_line(error))
    except LvefError as error:
        return str(error)
    except ValueError as error:
        own = option_errors.user_error(error)
        if own is None:
            raise
        return str(own)
    return ""


def judge(option: str, values: tuple[str, ...], said: Callable[[str], str], stop: str = "") -> None:
    """Assert that every value is refused by name in one line, or works for a reason."""
    works, name = WORKS.get(option, {}), option.replace(" ", ".").rsplit(".")[-1]
    for value in values:
        line = said(value)
        assert "\n" not in line
        if value in works:
            assert stop in line if stop else not line, f"{option} {value}: {line}"
        else:
            assert name in line, f"{option} {value} is accepted, or refused in other words: {line}"


def tried(whole: bool) -> tuple[str, ...]:
    return INTEGERS if whole else FLOATS


@pytest.mark.parametrize("name", CLASSES)
def test_no_number_of_a_class_is_impossible(name):
    parser = class_parser(name)

    def said(option: str, value: str) -> str:
        def make() -> None:
            asked = parser.parse_args([f"--{option}", value])
            # No memory, no time; but GPyTorch looks at values.
            with torch.device("cpu" if name == "EFGaussianProcess" else "meta"):
                parser.instantiate_classes(asked)

        line = refusal(make)
        return "" if line.startswith(BESIDE) else line

    found = options_of(parser)
    assert found
    if name == "EFGaussianProcess":  # costs time; what it shares with the others they have tried
        found = {option: whole for option, whole in found.items() if "model.gp." in option}
    for option, whole in found.items():
        judge(option, tried(whole), lambda value, option=option: said(option, value))


def test_no_number_of_a_callback_or_seed_is_impossible():
    cli = command_line()
    parser = cli._subcommand_parsers["fit"]
    found = options_of(parser)
    parts = {"checkpoint": ModelCheckpoint, "early_stopping": EarlyStopping}
    cli.subcommand = "fit"

    def said(option: str, value: str) -> str:
        def make() -> None:
            asked = parser.parse_args(["--model", "lvef.models.LVSegmenter", f"--{option}", value])
            cli.config = {"fit": asked}
            cli._set_seed()
            check_callbacks(asked)
            for part, kind in parts.items():
                kind(**asked[part].as_dict())

        return refusal(make)

    ours = [o for o in found if not o.startswith(("trainer.", "data.", "model"))]
    assert len(ours) == 8
    for option in ours:
        judge(option, tried(found[option]), lambda value, option=option: said(option, value))


def test_every_number_of_the_command_line_is_tried_somewhere():
    tried_here = {"seed_everything"} | {
        option for name in CLASSES for option in options_of(class_parser(name))
    }
    for command in LIGHTNING_COMMANDS:
        for option in options_of(command_line(command)._subcommand_parsers[command]):
            # Lightning's own are tried in a table of their own.
            known = option.startswith(("trainer.", "checkpoint.", "early_stopping."))
            assert known or option in tried_here, option
    assert {*COMMANDS} == {c for c in OTHER_COMMANDS if command_options(c)}
    named = {o for c in COMMANDS for o in (f"{c} {name}" for name in command_options(c))}
    named |= tried_here | set(options_of(command_line()._subcommand_parsers["fit"]))
    assert not set(WORKS) - named, "a reason for an option that is gone"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_number_of_a_command_is_impossible(command, tmp_path):
    (tmp_path / "file").touch()
    words, stop = COMMANDS[command]
    rest = [word.format(full=tmp_path, file=tmp_path / "file") for word in words]

    def said(name: str, value: str) -> str:
        return refusal(lambda: run_other(command, [*rest, f"--{name}", value]))

    for name, whole in command_options(command).items():
        judge(f"{command} {name}", tried(whole), lambda value, n=name: said(n, value), stop)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.batch_size", "0"], "data.batch_size is 0, but must be at least 1"),
        (["--data.augmentation.gain", ".nan"], "augmentation.gain is nan, but must be at least"),
        (["--model.head.dropout", "1"], "head.dropout is 1, but must be at least 0 and below 1"),
        (["--model.optimizer.lr", ".inf"], "model.optimizer.lr is inf, but must be above 0"),
        (["--seed_everything", "-1"], "seed_everything is -1, but must be at least 0"),
        (["--early_stopping.patience", "-1"], "early_stopping.patience is -1, but must be at"),
        (["--checkpoint.save_top_k", "3"], "all would be called best.ckpt"),
    ],
)  # fmt: skip
def test_the_command_line_says_which_number_and_what_it_must_be(capsys, more, message):
    config = Path(__file__).parents[1] / "configs" / "esf_mlp.yaml"
    assert main(["fit", "--config", str(config), *more]) == 1
    error = capsys.readouterr().err
    assert len(told(error)) == 1
    assert message in told(error)[0]
    assert "Traceback" not in error


def test_options_are_plain_in_the_config():
    parser = class_parser("EFRegressor")
    assert "class_path" not in parser.dump(parser.parse_args([]), skip_none=False)


def test_what_a_checkpoint_says_of_its_options_is_looked_at_too():
    with pytest.raises(ConfigurationError, match=r"model\.head\.hidden is -3"):
        options(HeadOptions, {"hidden": -3, "dropout": 0.3})
    with pytest.raises(ConfigurationError, match="hidden is 'many', but must be a number"):
        options(HeadOptions, {"hidden": "many"})
    with pytest.raises(ConfigurationError, match="HeadOptions"):
        options(HeadOptions, {"hiden": 3})


@pytest.mark.parametrize(("limit", "words"), [(-1, "must be at least 1"), ("all", "be a number")])
def test_what_a_run_s_config_says_is_looked_at_too(tmp_path, limit, words):
    (tmp_path / "config.yaml").write_text(f"data:\n  root: none\n  limit: {limit}\n")
    said = refusal(lambda: run_other("robustness", ["--config", str(tmp_path / "config.yaml")]))
    assert "config.yaml: data.limit is" in said
    assert words in said


def test_what_cannot_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        make_room(tmp_path / "file" / "weights.safetensors")
    make_room(tmp_path / "new" / "weights.safetensors")
    assert list((tmp_path / "new").iterdir()) == []
