"""The conformance suite: every task of the package passes it, broken ones fail the right check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lvef.models import EFClassifier, EFEnsemble, EFGaussianProcess, EFRegressor, LVSegmenter
from lvef.models.options import BackboneOptions, GPOptions
from lvef.models.task import registered_tasks
from lvef.testing import CHECKS, check_task
from lvef.testing.check_task import _Suite

NOTHING = BackboneOptions(weights=None)
FROZEN = BackboneOptions(weights=None, freeze=True)


def members(folder: Path) -> list[str]:
    files = []
    for name, task in (
        ("mlp", EFRegressor(["EDF"], NOTHING)),
        ("gpr", EFGaussianProcess(["ESF"], FROZEN, GPOptions(restarts=1))),
    ):
        suite = _Suite(task, folder / name)
        suite.fit(folder / name)
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
