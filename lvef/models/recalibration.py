"""A task calibrated anew on cases of another place, its weights untouched."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from lvef.errors import ConfigurationError
from lvef.evaluation.correction import Kind
from lvef.evaluation.uncertainty import LEVEL
from lvef.models.base import EFTask
from lvef.models.task import Cases

FEWEST = 10
"""Cases, of as many patients, below which nothing is recalibrated: 9 make the first 90 % interval
that ends anywhere."""
FEW = 20
"""Cases below which whoever recalibrates is told how little the result promises."""
EACH = "one a patient where the labels tell patients"
"""Which clips of a folder are cases."""
_OF_A_FIT = ("optimizer_states", "lr_schedulers", "loops", "callbacks", "MixedPrecision")


def fewest_cases(task: EFTask) -> int:
    """Return how many cases a task's intervals need to end anywhere, `FEWEST` at least."""
    level = task.interval_level or LEVEL
    return max(FEWEST, math.ceil(level / (1 - level) - 1e-9))


def check_cases(task: EFTask, cases: Cases) -> list[str]:
    """Refuse cases that cannot teach a task anything, and return what they teach badly, in words.

    Args:
        task: The task.
        cases: See `EFTask.recalibrate`; of different patients, as far as that is known.

    Raises:
        ConfigurationError: They are too few, or a classifier's of one class.
    """
    count, reduced = len(cases["row"]), int(cases["reduced_true"].sum())
    fewest = fewest_cases(task)
    if count < fewest:
        raise ConfigurationError(
            f"{count} labelled clips can be used, {EACH}, and {fewest} are the fewest that a "
            f"{100 * (task.interval_level or LEVEL):g} % promise can be learned from: give more"
        )
    warnings = []
    if count < FEW:
        warnings.append(f"only {count} clips: give {FEW} or more, as intervals may be far off")
    if task.kind == "classification":
        smaller = min(reduced, count - reduced)
        if not smaller:
            one = "reduced (EF <= 40)" if reduced else "normal (EF > 40)"
            raise ConfigurationError(
                f"all {count} clips are {one}: a classifier is recalibrated on both classes"
            )
        if smaller < FEWEST:
            rare = "reduced" if reduced < count - reduced else "normal"
            warnings.append(
                f"only {smaller} {rare} clips: the threshold stays at the log odds that VAL chose, "
                f"and that class is taken for plausible in every case ({FEWEST} or more teach both)"
            )
    return warnings


def recalibrated(task: EFTask, cases: Cases, correction: Kind = "none") -> EFTask:
    """Return a task of the same weights that was calibrated on cases; the one given stays as it is.

    Args:
        task: The task.
        cases: See `EFTask.recalibrate`.
        correction: How the answers themselves may be moved, where they are an EF.
    """
    # Everything that has weights is shared; what calibration writes to is not.
    shared = [part for name, part in task.named_children() if name != "calibration"]
    twin = copy.deepcopy(task, {id(part): part for part in shared})
    twin.recalibrate(cases, correction)
    return twin


def recalibrated_checkpoint(
    checkpoint: Mapping[str, Any], task: EFTask, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a checkpoint of a recalibrated task.

    Args:
        checkpoint: That of the task before; see `read_checkpoint`.
        task: The task.
        facts: What it says of the cases: `told` in words, `phantom` whether phantoms taught it,
            and other plain data.
    """
    kept = {name: value for name, value in checkpoint.items() if name not in _OF_A_FIT}
    said = checkpoint["lvef"]
    patients = said.get("patients", not said["data"].get("is_phantom"))
    metadata = {
        **said,
        "recalibrated": dict(facts),
        "trained_on": "phantoms" if facts["phantom"] else task.trained_on,
        "patients": bool(patients or not facts["phantom"]),
        "figures": {},  # were those of VAL, before
    }
    return {**kept, "lvef": metadata, "state_dict": task.state_dict()}
