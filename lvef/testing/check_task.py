"""`check_task`: does a task, this package's or a user's own, keep the contract of `Task`?

As scikit-learn's `check_estimator` does for estimators: one suite, the same for all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from lvef.columns import COLUMNS
from lvef.errors import LvefError, NotFittedError
from lvef.models.loading import describe_checkpoint, load_task
from lvef.models.task import Task
from lvef.testing.planted import SIZE, first_cases
from lvef.testing.suite import EPOCHS, Suite, quiet

_CLOSE, _EXPORTED = 1e-4, 1e-3
_KINDS = {
    "classification": {"p_reduced", "reduced", "review"},
    "regression": {"ef", "ef_std", "ef_lower", "ef_upper", "p_reduced", "reduced", "review"},
    "segmentation": {"dice"},
}
"""What the cases of a task of each kind say, beside the truth."""
_ONE = {"TRAIN": 1, "VAL": 1, "TEST": 1}


class TaskCheckError(AssertionError):
    """A task that does not keep the contract.

    Attributes:
        check: Name of the check that it fails.
    """

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


def check_task(task: Task, folder: Path | str | None = None) -> list[str]:
    """Run the conformance suite over a task.

    It is fitted for two epochs on planted data, on the CPU, within seconds. A check is left out
    only where the task declares that it does not apply: `learns` is false of a task that no
    gradient descent trains, `exports` of one that has no exportable form, `finds_beats` of one
    that is not given key frames.

    Args:
        task: A new instance, as its class makes it; it stays as it is.
        folder: Where checkpoints go; a temporary folder by default.

    Returns:
        The names of the checks that were run.

    Raises:
        TaskCheckError: It fails a check; the message says what was expected and what came.

    Example:
        >>> from lvef.models import EFRegressor
        >>> from lvef.models.options import BackboneOptions
        >>> len(check_task(EFRegressor(backbone=BackboneOptions(weights=None)))) > 10
        True
    """
    with TemporaryDirectory() as temporary, quiet():
        suite = Suite(task, Path(folder or temporary))
        names = []
        for name, (check, applies) in CHECKS.items():
            if applies(task):
                with _failing(name):
                    check(suite)
                names.append(name)
    return names


@contextmanager
def _failing(check: str) -> Iterator[None]:
    """Name the check in whatever goes wrong within it."""
    try:
        yield
    except TaskCheckError:
        raise
    except Exception as error:
        text = str(error).strip() or "no message"
        raise TaskCheckError(check, f"{type(error).__name__}: {text}") from error


def _demand(check: str, holds: bool, message: str) -> None:
    if not holds:
        raise TaskCheckError(check, message)


def _declares(suite: Suite) -> None:
    task, name = suite.task, "declares"
    _demand(name, getattr(task, "kind", None) in _KINDS, f"kind is none of {', '.join(_KINDS)}")
    _demand(name, task.monitor.startswith("val/"), f"monitor {task.monitor} is no metric of VAL")
    _demand(name, task.monitor_mode in ("min", "max"), "monitor_mode is neither min nor max")


def _rebuilds(suite: Suite) -> None:
    task, name = suite.task, "rebuilds"
    hparams = dict(task.hparams)
    try:
        json.dumps(hparams)
    except TypeError as error:
        raise TaskCheckError(name, f"hyperparameters are no plain data ({error})") from error
    try:
        again = type(task)(**hparams)
    except TypeError as error:
        raise TaskCheckError(
            name,
            f"what save_hyperparameters saved does not make it again ({error}): save every "
            "argument of __init__ that has no default",
        ) from error
    same = {k: v.shape for k, v in again.state_dict().items()}
    own = {k: v.shape for k, v in task.state_dict().items()}
    _demand(name, same.keys() == own.keys(), "made again from its hyperparameters it has other "
            f"weights ({', '.join(sorted(same.keys() ^ own.keys())[:3])})")  # fmt: skip
    _demand(name, dict(again.hparams) == hparams, "made again it has other hyperparameters: "
            "one of them is not saved")  # fmt: skip


def _fits(suite: Suite) -> None:
    assert suite.fitted
    epochs = 1 if "max_epochs" in suite.task.trainer_arguments else EPOCHS
    found = len(suite.history.monitored)
    _demand("fits", found == epochs, f"{suite.task.monitor} was logged in {found} of {epochs} "
            "validations")  # fmt: skip
    _demand("fits", all(map(math.isfinite, suite.history.monitored)), "the monitored metric is no "
            "number")  # fmt: skip


def _loss_falls(suite: Suite) -> None:
    assert suite.fitted
    means = [float(np.mean(losses)) for _, losses in sorted(suite.history.losses.items())]
    _demand("loss_falls", means[-1] < means[0], f"the mean loss of TRAIN went from {means[0]:.4g} "
            f"to {means[-1]:.4g} on data that tell the answer plainly")  # fmt: skip


def _keeps_the_best(suite: Suite) -> None:
    assert suite.fitted
    metadata = describe_checkpoint(suite.folder / "fit" / "best.ckpt")
    kept = metadata["figures"].get(suite.task.monitor, math.nan)
    pick = max if suite.task.monitor_mode == "max" else min
    best = pick(suite.history.monitored)
    _demand("keeps_the_best", abs(kept - best) < 1e-6, f"best.ckpt says {suite.task.monitor} "
            f"{kept:.6g}, but the best of the fit was {best:.6g}")  # fmt: skip


def _monitors_what_is_better(suite: Suite) -> None:
    task = suite.fitted
    right, wrong = suite.metric(task), suite.metric(task, shuffled=True)
    better = right > wrong if task.monitor_mode == "max" else right < wrong
    words = f"{task.monitor} is {right:.4g} beside the truth and {wrong:.4g} beside a wrong one"
    _demand("monitors_what_is_better", better, f"{words}, but {task.monitor_mode} is called best")


def _speaks_the_vocabulary(suite: Suite) -> None:
    name = "speaks_the_vocabulary"
    cases = suite.judge(suite.fitted)
    lacking = sorted(_KINDS[suite.task.kind] - set(cases))
    _demand(name, not lacking, f"its cases do not say {', '.join(lacking)}: see lvef.columns")
    flat = [column for column, values in cases.items() if values.ndim != 1]
    _demand(name, not flat, f"{', '.join(flat)} is not one number a case")
    shares = [c for c in cases if c in COLUMNS and COLUMNS[c].kind in ("share", "flag")]
    beyond = [c for c in shares if bool(((cases[c] < 0) | (cases[c] > 1)).any())]
    _demand(name, not beyond, f"{', '.join(beyond)} lies outside 0..1")


def _reports(suite: Suite) -> None:
    task = suite.fitted
    suite.judge(task)
    report = task.test_report("TEST")
    json.dumps([dict(report.metrics), report.facts])
    _demand("reports", "TEST" in report.text, "the text of its report lacks the title")
    table = suite.data().table
    for split in ("VAL", "TEST"):
        task.figures(split, table, "PHANTOM ", lambda clip: np.ones(clip.shape[1:], bool))


def _predicts_what_it_judged(suite: Suite) -> None:
    cases, predicted = suite.judge(suite.fitted), suite.predict(suite.fitted)
    _same("predicts_what_it_judged", cases, predicted, "test and predict")


def _reloads(suite: Suite) -> None:
    cases = dict(suite.judge(suite.fitted))
    path = suite.folder / "fit" / "last.ckpt"
    again = load_task(path, trusted=[type(suite.task).__module__])
    _demand("reloads", type(again) is type(suite.task), f"a {type(again).__name__} came back")
    _same("reloads", cases, suite.judge(again), "the task and its checkpoint")


def _refuses_unfitted(suite: Suite) -> None:
    task = suite.fresh()
    for what, run in (("tested", suite.judge), ("predicted", suite.predict)):
        if what == "predicted" and task.finds_beats:
            continue
        try:
            run(task)
        except LvefError:
            continue
        raise TaskCheckError("refuses_unfitted", f"it was {what} though nobody had taught it")


def _refuses_uncalibrated(suite: Suite) -> None:
    task = suite.fresh()
    if task.is_calibrated:  # there is nothing to calibrate
        return
    try:
        task.exportable()
    except LvefError as error:
        _demand("refuses_uncalibrated", isinstance(error, NotFittedError), f"{error} is said")
        return
    raise TaskCheckError("refuses_uncalibrated", "it is exported though VAL taught it nothing")


def _counts_each_case_once(suite: Suite) -> None:
    once, twice = dict(suite.judge(suite.fitted)), suite.judge(suite.fitted, repeats=True)
    count, name = len(once["row"]), "counts_each_case_once"
    _demand(name, len(twice["row"]) == count, f"{len(twice['row'])} of {count} cases are judged "
            "when a distributed sampler repeats some")  # fmt: skip
    _same(name, once, twice, "cases once and cases repeated")


def _exports(suite: Suite) -> None:
    task = suite.fitted.eval()
    answer = task.exportable().eval()
    if task.frames:  # key frames, as they are predicted
        frames = first_cases(suite.data(), 3)["frames"]
        inputs: tuple[Tensor, ...] = (frames,)
    else:
        inputs = tuple(answer.random_inputs(2, SIZE).values())
    with torch.no_grad():
        outputs, expected = answer(*inputs), answer.of_task(task, *inputs)
    for name, output in zip(answer.outputs, outputs, strict=True):
        allowed = _EXPORTED * max(answer.scale, float(expected[name].abs().max()))
        difference = float((output - expected[name]).abs().max())
        _demand("exports", difference <= allowed, f"{name} of the exportable form is "
                f"{difference:.3g} off what the task predicts")  # fmt: skip


def _judges_one_case(suite: Suite) -> None:
    cases = suite.judge(suite.fitted, counts=_ONE)
    _demand("judges_one_case", len(cases["row"]) == 1, f"{len(cases['row'])} cases came of one")
    flat = [name for name, values in cases.items() if values.shape != (1,)]
    _demand("judges_one_case", not flat, f"{', '.join(flat)} of one case is no column of one")
    suite.fitted.test_report("TEST of one case")


def _fits_beside_one_class(suite: Suite) -> None:
    folder = suite.folder / "one_class"
    task, _ = suite.fit(folder, one_class=True)
    there = (folder / "best.ckpt").is_file()
    _demand("fits_beside_one_class", there, "no best checkpoint is kept where VAL holds one class")
    suite.judge(task, one_class=True)


def _same(check: str, one: dict[str, Tensor], other: dict[str, Tensor], which: str) -> None:
    """Demand the same values of all columns that both have."""
    for name in [name for name in one if name in other]:
        same = torch.allclose(one[name].double(), other[name].double(), _CLOSE, _CLOSE, True)
        _demand(check, same, f"{name} differs between {which}")


def _always(task: Task) -> bool:  # noqa: ARG001
    return True


CHECKS: dict[str, tuple[Callable[[Suite], None], Callable[[Task], bool]]] = {
    "declares": (_declares, _always),
    "rebuilds": (_rebuilds, _always),
    "refuses_unfitted": (_refuses_unfitted, _always),
    "refuses_uncalibrated": (_refuses_uncalibrated, lambda task: task.exports),
    "fits": (_fits, _always),
    "loss_falls": (_loss_falls, lambda task: task.learns),
    "keeps_the_best": (_keeps_the_best, _always),
    "monitors_what_is_better": (_monitors_what_is_better, _always),
    "speaks_the_vocabulary": (_speaks_the_vocabulary, _always),
    "predicts_what_it_judged": (_predicts_what_it_judged, lambda task: not task.finds_beats),
    "reloads": (_reloads, _always),
    "counts_each_case_once": (_counts_each_case_once, _always),
    "exports": (_exports, lambda task: task.exports),
    "fits_beside_one_class": (_fits_beside_one_class, _always),
    "judges_one_case": (_judges_one_case, _always),
    "reports": (_reports, _always),
}
"""By name a check, and whether it applies to a task."""
