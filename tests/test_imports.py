"""`--import`: classes of a user's own, from a module in the current folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import another_place, newest, told, words

from lvef.cli.commands import main
from lvef.cli.imports import take_imports
from lvef.errors import CheckpointError
from lvef.models.loading import describe_checkpoint, load_task

MY_MODELS = '''
from lvef.models import EFRegressor


class MyRegressor(EFRegressor):
    """A regressor of a user's own."""
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, in which commands are run; what they import is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(modules):
        if name.startswith(("my_", "broken_")):
            del sys.modules[name]


def test_the_modules_are_parted_from_the_options():
    typed = [
        "fit",
        "--import",
        "mine",
        "--config",
        "esf_cls",
        "--import=my.own",
        "--data.limit",
        "3",
    ]
    options, modules = take_imports(typed)
    assert options == ["fit", "--config", "esf_cls", "--data.limit", "3"]
    assert modules == ["mine", "my.own"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--import", "my_absent"], "--import my_absent: no module my_absent in "),
        (["--import", "my_absent.part"], "no module my_absent in "),
        (["--import", "broken_inside"], "importing it ends in ZeroDivisionError: division by zero"),
        (["--import", "broken_needs"], "importing it ends in ModuleNotFoundError: No module named"),
        (["--import", "broken_text"], "importing it ends in SyntaxError"),
        (["--import", "my_models.py/x"], "not the name of a module"),
        (["--import"], "not the name of a module"),
    ],
)
@pytest.mark.parametrize("command", [["fit"], ["export", "--ckpt_path", "x", "--output", "y.onnx"]])
def test_what_cannot_be_imported_is_one_line(folder, capsys, command, more, message):
    (folder / "broken_inside.py").write_text("1 / 0\n")
    (folder / "broken_needs.py").write_text("import my_absent\n")
    (folder / "broken_text.py").write_text("class\n")
    assert main([*command, *more]) == 1
    (line,) = told(capsys.readouterr().err)
    assert message in line


LOADING = [
    "export", "saliency", "robustness", "report", "verify", "table", "weights", "external",
    "recalibrate",
]  # fmt: skip


@pytest.mark.parametrize("command", ["predict", *LOADING])
def test_every_command_that_loads_a_checkpoint_says_so_in_its_help(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--import MODULE" in capsys.readouterr().out


def test_a_command_that_loads_none_does_not_take_it(capsys):
    assert main(["phantom", "--import", "os"]) == 1
    assert "--import" in capsys.readouterr().err


@pytest.mark.slow
def test_a_task_of_ones_own_is_fitted_tested_and_exported(phantom_root, folder):
    (folder / "my_models.py").write_text(MY_MODELS)
    logs, imported = folder / "logs", ["--import", "my_models"]
    own = [*imported, "--model", "my_models.MyRegressor", "--trainer.accelerator", "cpu"]
    frozen = ["--model.backbone.freeze", "true"]
    run(folder, *words("fit", "esf_mlp", phantom_root, logs, *own, *frozen))
    run(folder, *words("test", "esf_mlp", phantom_root, logs, *own))
    checkpoint = logs / "esf_mlp/version_0/checkpoints/best.ckpt"
    assert describe_checkpoint(checkpoint)["class_path"] == "my_models.MyRegressor"
    export = ["export", "--ckpt_path", str(checkpoint), "--output", "own.onnx"]
    assert "add --import my_models" in run(folder, *export, code=1)
    run(folder, *export, *imported)
    assert (folder / "own.onnx").is_file()
    clips = ["--data.videos", str(next((phantom_root / "Videos").iterdir()))]
    run(folder, *words("predict", "esf_mlp", phantom_root, logs, *own, *clips))
    place = another_place(phantom_root, folder / "place")
    there = ["--ckpt_path", str(checkpoint), "--root", str(place)]
    local = ["recalibrate", *there, "--frames_from", "labels", "--output", "local.ckpt"]
    assert "add --import my_models" in run(folder, *local, code=1)
    assert not (folder / "local.ckpt").exists()
    run(folder, *local, *imported, "--correction", "shift")
    said = describe_checkpoint(folder / "local.ckpt")
    assert (said["class_path"], said["recalibrated"]["cases"]) == ("my_models.MyRegressor", 32)
    external = ["external", *there, "--k", "[0]", "--output", "external"]
    assert "add --import my_models" in run(folder, *external, code=1)
    run(folder, *external, *imported)
    assert "MyRegressor" in (folder / "external" / "external.md").read_text()
    (predicted,) = pd.read_csv(newest(logs / "esf_mlp", "predictions.csv")).to_dict("records")
    lines = [
        "import lvef",
        f"row = lvef.load({str(checkpoint)!r}, trusted=['my_models']).predict({clips[1]!r})",
        f"assert abs(row['ef'][0] - {predicted['ef']!r}) < 1e-3, row",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=folder)
    assert done.returncode == 0


def test_a_trusted_module_that_is_not_there_is_one_line(tmp_path):
    torch.save({"lvef": {"task": "T", "hparams": {}, "data": {}}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="trusted module my_absent cannot be imported"):
        load_task(tmp_path / "a.ckpt", trusted=["my_absent"])


def run(folder: Path, *command: str, code: int = 0) -> str:
    """Run a command in a folder, and return what it says of errors."""
    process = [sys.executable, "-m", "lvef", *command]
    done = subprocess.run(process, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr
