"""Values of options arrive as they were typed: null is None, and a name that looks like a number
is a name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers import SMALL
from jsonargparse import ArgumentParser

from lvef.cli.commands import OTHER_COMMANDS, main, run_lightning
from lvef.cli.nested_options import as_typed
from lvef.cli.yaml_text import without_key, yaml_text
from lvef.experiments.table import table


def config_of(capsys: pytest.CaptureFixture[str], command: str, *words: str) -> dict:
    """Return the whole configuration of a command."""
    with pytest.raises(SystemExit):
        main([command, *words, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("command", "null"),
    [("fit", ["{}", "null"]), ("fit", ["{}=null"]), ("validate", ["{}", "~"]),
     ("test", ["{}=~"]), ("predict", ["{}", "null"])],
)  # fmt: skip
def test_null_is_none_in_options_within_options(capsys, command, null):
    def asked(option: str) -> list[str]:
        return [part.format(option) for part in null]

    before = ["--model.backbone.lr_factor", "0.5", *asked("--data.feature_cache")]
    nested = ("backbone.weights", "gp.reduction", "gp.max_cholesky", "uncertainty.level")
    words = [part for name in nested for part in asked(f"--model.{name}")]
    config = config_of(
        capsys, command, "--config", "esf_gpr", "--model.gp.reduction", "pca", *before, *words,
        "--model.init_args.backbone.freeze", "true",
    )  # fmt: skip
    model = config["model"]["init_args"]
    for name in nested:
        group, option = name.split(".")
        assert model[group][option] is None, name
    assert model["backbone"]["lr_factor"] == 0.5, "what stands beside it stays"
    assert model["backbone"]["freeze"] is True
    assert config["data"]["feature_cache"] is None


def test_null_is_none_in_optional_groups_of_options(capsys):
    words = ["--config", "ensemble", "--model.backbone.weights", "null"]
    assert config_of(capsys, "fit", *words)["model"]["init_args"]["backbone"]["weights"] is None


def test_a_fit_from_noise_needs_no_weights(phantom_root, tmp_path):
    words = ["--config", "esf_mlp", "--data.root", str(phantom_root), *SMALL]
    run = ["--trainer.default_root_dir", str(tmp_path), "--trainer.fast_dev_run", "true"]
    cli = run_lightning(["fit", *words, *run, "--model.backbone.weights", "null"])
    assert cli.model.hparams["backbone"]["weights"] is None


@pytest.mark.parametrize("name", ["1e3", "true", "[a]"])
def test_a_name_stays_a_name_also_in_what_a_run_writes_down(capsys, tmp_path, name):
    words = ["--data.root", name, "--experiment", name, "--model.backbone.checkpoint", name]
    with pytest.raises(SystemExit):
        main(["fit", "--config", "esf_mlp", *words, "--print_config"])
    written = tmp_path / "config.yaml"
    written.write_text(capsys.readouterr().out)
    config = config_of(capsys, "fit", "--config", str(written))
    assert config["data"]["root"] == config["experiment"] == name
    assert config["model"]["init_args"]["backbone"]["checkpoint"] == name


def test_a_config_that_builds_on_another_keeps_names_and_numbers(capsys, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        'base: esf_mlp\nexperiment: "1e3"\ndata: {root: "123"}\n'
        "model:\n  init_args:\n    optimizer: {lr: 1e-4}\n    backbone: {weights: null}\n"
    )
    config = config_of(capsys, "fit", "--config", str(own))
    assert (config["experiment"], config["data"]["root"]) == ("1e3", "123")
    assert config["model"]["init_args"]["optimizer"]["lr"] == 1e-4
    assert config["model"]["init_args"]["backbone"]["weights"] is None
    own.write_text("base: esf_mlp\n")
    assert config_of(capsys, "fit", "--config", str(own))["experiment"] == "esf_mlp"


def test_only_options_within_options_are_spelt_out():
    words = [
        "--data.root", "null", "--data.init_args.root=null", "--model", "null", "--trainer.logger",
        "null", "--model.backbone.freeze", "true", "--model.backbone.weights",
    ]  # fmt: skip
    assert as_typed(words) == words
    assert as_typed(["--model.a.b", "--model.c.d=[1, 2]"]) == [
        "--model.a.b", "--model.c", '{"d": "[1, 2]"}',
    ]  # fmt: skip
    assert as_typed(["--model.a.b=", "--model.a.b=a: b: c"]) == [
        "--model.a.b=",
        "--model.a.b=a: b: c",
    ]


def test_texts_are_told_from_numbers_in_what_is_written():
    options = {"lr": 1e-05, "many": 1e30, "text": "1e3", "sha": "12e45", "none": None, "on": True}
    written = yaml_text(options)
    assert yaml.safe_load(written) == options
    assert "'1e3'" in written
    assert "'12e45'" in written
    assert yaml.safe_load(without_key("a: '1'\nb: [x, {c: 2}]\n", "a")) == {"b": ["x", {"c": 2}]}
    assert without_key("a: 1\n", "a") == "{}\n"


def test_our_own_commands_take_null_and_names_as_they_are():
    assert "table" in OTHER_COMMANDS
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(table)
    words = ["--root", "123", "--output", "1e3", "--weights", "null", "--configs", "null"]
    asked = parser.parse_args(words)
    assert (asked.root, Path(asked.output)) == ("123", Path("1e3"))
    assert asked.weights is None
    assert asked.configs is None
