"""A sweep searches options on VAL, goes on where it was stopped, and is shared by processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers import told

from lvef.cli.commands import main
from lvef.errors import ConfigurationError
from lvef.experiments import sweep as module
from lvef.experiments.search_space import Searched, read_search_space

optuna = pytest.importorskip("optuna")

SPACE = """
model.optimizer.lr: {low: 1.0e-4, high: 1.0e-1, log: true}
model.head.hidden: {low: 8, high: 32, step: 8}
model.optimizer.schedule: {choices: [cosine, plateau]}
"""
LIGHT = (
    "--data.image_size 32 --model.backbone.weights null --model.backbone.freeze true "
    "--data.num_workers 0 --trainer.enable_progress_bar false --trainer.accelerator cpu"
)


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


def words(root: Path, space: Path, output: Path, trials: int, *more: str) -> list[str]:
    return [
        "sweep", "--config", "esf_mlp", "--search", str(space), "--root", str(root),
        "--output", str(output), "--trials", str(trials), "--max_epochs", "2", "--more", LIGHT,
        *more,
    ]  # fmt: skip


def test_what_is_tried_lies_where_the_file_says(space):
    searched = {each.option: each for each in read_search_space(space)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(30):
        trial = study.ask()
        values = {name: each.suggested(trial) for name, each in searched.items()}
        assert 1e-4 <= values["model.optimizer.lr"] <= 1e-1
        assert values["model.head.hidden"] in (8, 16, 24, 32)
        assert values["model.optimizer.schedule"] in ("cosine", "plateau")
    assert searched["model.optimizer.lr"].log
    lists = Searched("data.frames", choices=(["ESF"], ["EDF", "ESF"]))
    assert lists.suggested(study.ask()) in (["ESF"], ["EDF", "ESF"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no option"),
        ("- a", "names no option"),
        ("a: [", "not readable as YAML"),
        ("model.optimizer.lr: 0.1", "model.optimizer.lr: give low and high, or choices"),
        ("a: {low: 1}", "give low and high"),
        ("a: {low: 1, high: 2, wide: 3}", "give low and high"),
        ("a: {low: 2, high: 1}", "low must be below high"),
        ("a: {low: 0, high: 1, log: true}", "above 0 where log is true"),
        ("a: {low: 1e-3, high: 1}", "1e-3 is one as 1.0e-3 in YAML"),
        ("a: {low: 1, high: 2, step: 0}", "a step is above 0"),
        ("a: {choices: []}", "choices are a list"),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(tmp_path, text, message):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message.replace("-", "[-]")) as caught:
        read_search_space(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--search", "none.yaml"], "--search none.yaml"),
        (["--storage", "nothing://here"], "--storage nothing://here"),
        (["--trials", "0"], "trials"),
        (["--config", "no_such"], "no config no_such"),
        (["--more", "--model.optimizer.lr nan"], "lr"),
    ],
)
def test_bad_input_is_told_in_one_line(phantom_root, space, tmp_path, more, message, capsys):
    command = words(phantom_root, space, tmp_path / "out", 1)
    for option, value in zip(more[::2], more[1::2], strict=True):
        command[command.index(option) + 1 if option in command else len(command):] = (
            [value, *command[command.index(option) + 2 :]] if option in command
            else [option, value]
        )  # fmt: skip
    assert main(command) == 1
    lines = told(capsys.readouterr().err)
    assert message in lines[-1]


def test_a_sweep_is_of_one_thing_and_goes_on_to_as_many_trials(
    phantom_root, space, tmp_path, capsys
):
    output = tmp_path / "out"
    assert main(words(phantom_root, space, output, 1)) == 0
    assert main(words(phantom_root, space, output, 2)) == 0
    said = capsys.readouterr().out
    assert "Best by VAL, trial" in said
    assert "on TEST, once: python -m lvef test --ckpt_path" in said
    table = pd.read_csv(output / "trials.csv")
    assert table["state"].isin(["COMPLETE", "PRUNED"]).tolist() == [True, True]
    assert all(Path(path).is_file() for path in table["user_attrs_checkpoint"])
    assert main([*words(phantom_root, space, output, 3)[:-1], f"{LIGHT} --data.limit 4"]) == 1
    assert "the study there is of another more" in capsys.readouterr().err


class Fixed:
    """A trial that is pruned at an epoch."""

    def __init__(self, at: int) -> None:
        self.at, self.reported = at, dict[int, float]()

    def report(self, value: float, step: int) -> None:
        """Take a value."""
        self.reported[step] = value

    def should_prune(self) -> bool:
        """Tell whether it is that epoch."""
        return max(self.reported) >= self.at


def test_a_trial_that_is_pruned_ends_at_that_epoch(phantom_root, tmp_path, monkeypatch):
    trial = Fixed(1)
    monkeypatch.setattr(module, "_running", trial)
    fit = ["fit", "--config", "esf_mlp", "--data.root", str(phantom_root), *LIGHT.split(),
           "--trainer.max_epochs", "5", "--trainer.default_root_dir", str(tmp_path),
           "--trainer.callbacks+", "lvef.experiments.sweep.ReportsToStudy"]  # fmt: skip
    assert main(fit) == 0
    assert list(trial.reported) == [0, 1]
    assert all(value > 0 for value in trial.reported.values()), "an error, the less the better"


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["study.db", "study.journal"])
def test_twelve_trials_are_shared_by_two_processes_of_which_one_is_killed(
    phantom_root, space, tmp_path, storage
):
    place = str(tmp_path / storage)
    where = ["--storage", place if storage.endswith("journal") else f"sqlite:///{place}"]
    output = tmp_path / "out"
    line = [sys.executable, "-m", "lvef", *words(phantom_root, space, output, 12, *where)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    one, other = (subprocess.Popen(line, **quiet) for _ in range(2))
    while sum(1 for _ in output.rglob("best.ckpt")) < 3:
        time.sleep(0.2)
    os.kill(one.pid, signal.SIGKILL)
    one.wait()
    assert other.wait(timeout=500) == 0
    assert main(line[3:]) == 0, "and gone on with"
    table = pd.read_csv(output / "trials.csv")
    ended = table[table["state"].isin(["COMPLETE", "PRUNED"])]
    assert len(ended) == 12
    assert ended["user_attrs_process"].nunique() >= 2
    assert set(table["state"]) <= {"COMPLETE", "PRUNED", "FAIL"}
