"""Commands that leave unsaid what the checkpoint knows, or that a flag is true."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import pytest
from helpers import best, newest, told, words
from lightning import Trainer

from lvef.cli.bare import with_flags, with_task
from lvef.cli.commands import main
from lvef.predict.datamodule import EchoNetDataModule
from lvef.runs import command_with

CLASSES: dict[str, type] = {"trainer.": Trainer, "data.": EchoNetDataModule}
FLAG = "--trainer.fast_dev_run"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["fit", FLAG], ["fit", FLAG, "true"]),
        (["fit", FLAG, "--data.root", "x"], ["fit", FLAG, "true", "--data.root", "x"]),
        (["fit", FLAG, "-c", "x"], ["fit", FLAG, "true", "-c", "x"]),
        (["fit", FLAG, "3"], ["fit", FLAG, "3"]),
        (["fit", f"{FLAG}=3", "--data.root", "x"], ["fit", f"{FLAG}=3", "--data.root", "x"]),
        (["fit", "--data.check_videos"], ["fit", "--data.check_videos", "true"]),
        (["fit", "--data.root"], ["fit", "--data.root"]),
        (["fit", "--trainer.max_epochs", "--data.root"], ["fit", "--trainer.max_epochs",
                                                          "--data.root"]),
    ],
)  # fmt: skip
def test_a_flag_alone_says_true_and_no_other_option_does(given, meant):
    assert with_flags(given, CLASSES) == meant


def test_a_test_needs_no_config_where_it_is_given_a_checkpoint(logs, phantom_root, tmp_path):
    checkpoint = best(logs, "esf_mlp")
    runs = ["--trainer.default_root_dir", str(tmp_path), "--saliency", "false"]
    assert main(["test", "--ckpt_path", str(checkpoint), *runs]) == 0
    of_run = json.loads(newest(tmp_path, "metrics.json").read_text())
    assert (tmp_path / "esf_mlp").is_dir(), "called as its experiment is"

    moved = tmp_path / "moved.ckpt"
    shutil.copyfile(checkpoint, moved)
    root = ["--data.root", str(phantom_root), "--data.num_workers", "0"]
    assert main(["test", f"--ckpt_path={moved}", *root, *runs]) == 0
    alone = json.loads(newest(tmp_path / "run", "metrics.json").read_text())
    assert alone["metrics"]["mae"] == of_run["metrics"]["mae"]


def test_what_is_given_wins_over_what_the_checkpoint_says(logs):
    checkpoint = str(best(logs, "esf_mlp"))
    command = ["predict", "--ckpt_path", checkpoint, "--data.videos", "clips"]
    config = str(Path(checkpoint).parents[1] / "config.yaml")
    assert with_task(command) == [command[0], "--config", config, *command[1:]]
    for said in (["--config", "esf_mlp"], ["-c=esf_mlp"], ["--model", "EFRegressor"],
                 ["--model.class_path=EFRegressor"]):  # fmt: skip
        assert with_task([*command, *said]) == [*command, *said]
    assert with_task(["fit", *command[1:]]) == ["fit", *command[1:]], "it may be of other options"
    assert with_task(["test", "--ckpt_path", "last"]) == ["test", "--ckpt_path", "last"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["test"], "no task: name an experiment with --config"),
        (["test", "--ckpt_path", "last"], "no task"),
        (["fit", "--data.root", "x"], "no task"),
        (["test", "--ckpt_path", "none.ckpt"], "none.ckpt"),
        (["test", "--ckpt_path", __file__], "test_bare.py"),
    ],
)
def test_what_names_no_task_is_told_in_one_line(command, message, tmp_path, capsys):
    assert main([*command, "--trainer.default_root_dir", str(tmp_path)]) == 1
    [line] = told(capsys.readouterr().err)
    assert message in line


def helped(*command: str) -> str:
    """Return what a command prints of itself."""
    out = StringIO()
    with redirect_stdout(out), suppress(SystemExit):
        main(list(command))
    return out.getvalue()


def test_help_shows_what_matters_with_the_parsers_own_defaults_and_the_rest_on_demand():
    short, whole = helped("fit", "--help"), helped("fit", "--help=all")
    options = re.findall(r"^  (--[\w.]+)", short, re.M)
    assert 25 <= len(options) <= 45
    assert len(short.splitlines()) < 90 < 500 < len(whole.splitlines())
    assert all(len(line) <= 98 for line in short.splitlines()[2:])
    for option in options:
        assert re.search(rf"^  (-c CONFIG, )?{re.escape(option)}\b", whole, re.M), option
    every = " ".join(whole.split())
    for option in ("data.batch_size", "data.image_size", "trainer.max_epochs",
                   "early_stopping.patience"):  # fmt: skip
        own = re.search(rf"  --{option} .*?\((\d+)\)$", short, re.M | re.S)
        default = re.search(rf" --{option} .*?default: (\d+)\)", every)
        assert own is not None
        assert default is not None
        assert own[1] == default[1], option
    assert "--help=all shows" in short


def test_a_command_with_another_checkpoint_can_be_pasted():
    typed = ["fit", "--import", "my.models", "--config", "a b.yaml", "--ckpt_path", "old one.ckpt"]
    meant = "python -m lvef fit --import my.models --config 'a b.yaml' --ckpt_path 'new one.ckpt'"
    assert command_with(typed, "new one.ckpt") == meant
    assert command_with([*typed[:-2], "--ckpt_path=old"], Path("new one.ckpt")) == meant


@pytest.mark.slow
def test_a_fit_ends_with_the_command_that_judges_it(phantom_root, tmp_path, capsys):
    more = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"]
    assert main(words("fit", "esf_mlp", phantom_root, tmp_path, *more)) == 0
    said = capsys.readouterr().out
    command = re.search(r"^Judge it on TEST: python -m lvef (.*)$", said, re.M)
    assert command is not None
    assert main([*shlex.split(command[1]), "--saliency", "false"]) == 0
    assert newest(tmp_path, "metrics.json").is_file()
