"""The conformance suite: every task of the package passes it, broken ones fail the right check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from broken_tasks import BROKEN, GaussianProcess, Regressor

from lvef.models import EFClassifier, EFEnsemble, EFGaussianProcess, EFRegressor, LVSegmenter
from lvef.models.options import BackboneOptions, GPOptions
from lvef.models.registry import registered_tasks
from lvef.testing import CHECKS, TaskCheckError, check_task
from lvef.testing.suite import Suite

NOTHING = BackboneOptions(weights=None)
FROZEN = BackboneOptions(weights=None, freeze=True)


def members(folder: Path) -> list[str]:
    """Fit two tasks to what their own backbones see: an ensemble is given frames."""
    torch.manual_seed(0)
    files = []
    for name, task in (
        ("mlp", EFRegressor(["EDF"], FROZEN)),
        ("gpr", EFGaussianProcess(["ESF"], FROZEN, GPOptions(restarts=1))),
    ):
        suite = Suite(task, folder / name)
        suite.fit(folder / name, backbone=task.backbone.folded())
        files.append(str(folder / name / "best.ckpt"))
    return files


def made(name: str, folder: Path) -> Any:
    """A task of the package, as small as its class allows."""
    tasks: dict[str, Any] = {
        "EFClassifier": lambda: EFClassifier(["EDF", "ESF"], NOTHING, class_weights="balanced"),
        "EFRegressor": lambda: EFRegressor(["ESF"], NOTHING),
        "EFGaussianProcess": lambda: EFGaussianProcess(["ESF"], FROZEN, GPOptions(restarts=1)),
        "EFEnsemble": lambda: EFEnsemble(["EDF", "ESF"], members(folder)),
        "LVSegmenter": lambda: LVSegmenter(),
    }
    return tasks[name]()


@pytest.mark.parametrize("name", [task.__name__ for task in registered_tasks().values()
                                  if task.__module__.startswith("lvef.")])  # fmt: skip
def test_every_task_of_the_package_keeps_the_contract(name, tmp_path):
    checks = check_task(made(name, tmp_path), tmp_path / "checks")
    left_out = set(CHECKS) - set(checks)
    assert left_out <= {"loss_falls", "predicts_what_it_judged"}, "and only what it declares"


@pytest.mark.parametrize("task", [Regressor, GaussianProcess])
def test_a_task_of_ones_own_keeps_the_contract_too(task, tmp_path):
    assert "reloads" in check_task(task(), tmp_path)


@pytest.mark.parametrize(("check", "task"), BROKEN, ids=[check for check, _ in BROKEN])
def test_a_broken_task_fails_the_check_that_is_meant_for_it(check, task, tmp_path):
    with pytest.raises(TaskCheckError) as failure:
        check_task(task(), tmp_path)
    assert failure.value.check == check, str(failure.value)


def test_every_check_can_fail():
    assert {check for check, _ in BROKEN} == set(CHECKS) - {"declares"}, "which is told below"


def test_what_a_task_declares_wrongly_is_told(tmp_path):
    task = Regressor()
    task.monitor = "train/loss"
    with pytest.raises(TaskCheckError, match="declares: monitor train/loss is no metric of VAL"):
        check_task(task, tmp_path)
