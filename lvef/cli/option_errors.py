"""What Lightning and the parser say of options that cannot work, in one line."""

from __future__ import annotations

import re
from argparse import ArgumentError
from itertools import pairwise

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lvef.errors import ConfigurationError, LvefError, one_line
from lvef.models import Task

_COMPLAINING = ("lightning", "jsonargparse", "wandb", "mlflow")
"""Packages whose errors are of what they were told: options, or no login."""
_PARTS = {
    "backbone": "my_models.MyEncoder", "head": "my_models.MyHead", "optimizer": "torch.optim.SGD",
}  # fmt: skip
"""Parts of a model that are given by class path, and what of."""


def user_error(error: Exception) -> LvefError | None:
    """Return in one line what a user can do about; None for a fault of ours."""
    if isinstance(error, (ArgumentError, MisconfigurationException)):
        return (
            _class_of_part(error)
            or _without_backbone(error)
            or _without_task(error)
            or _missing(error)
            or one_line(error)
        )
    own = _own_error(error) or _missing(error) or _unfit(error)
    return own or (one_line(error) if _complains_of_options(error) else None)


def _own_error(error: BaseException | None) -> LvefError | None:
    """Return our own error from under the wrapping that jsonargparse gives it, if there is one."""
    while error is not None and not isinstance(error, LvefError):
        error = error.__cause__ or error.__context__
    return error


def _class_of_part(error: Exception) -> LvefError | None:
    """Return where the class path of a part goes, where it is given as a task's is."""
    for part, example in _PARTS.items():
        if f"{part}.class_path" in str(error):
            return ConfigurationError(
                f"the class path of {part} is its name: --model.{part}.name {example}"
            )
    return None


def _without_backbone(error: Exception) -> LvefError | None:
    """Return that a task has no backbone where options of one are given, as an overlay does."""
    problem = r"Problem with given class_path '[\w.]*?(\w+)':\s+Option 'backbone\."
    refused = re.search(problem, str(error))
    if refused is None:
        return None
    if refused[1] == Task.__name__:
        return ConfigurationError(
            "no task: give an experiment before the overlay, as in --config esf_cls --config "
            "phantom, or name one with --model"
        )
    return ConfigurationError(
        f"{refused[1]} has no backbone, which the overlay phantom is about: leave that away, and "
        "name the folder of phantoms with --data.root"
    )


def _without_task(error: Exception) -> LvefError | None:
    """Return that a command names no task, where that is all that is missing."""
    if re.search(r"arguments are required: \w+\.model$", str(error)) is None:
        return None
    return ConfigurationError(
        "no task: name an experiment with --config (esf_cls, edf_esf_mlp, ...), a task with "
        "--model, or, but for fit, the file of a checkpoint with --ckpt_path"
    )


def _missing(error: Exception) -> LvefError | None:
    """Return which optional package an option asks for in vain, if it does.

    jsonargparse says so among the other types that an option may have.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if " not met" in line or "No module named" in line]
    if not reasons and isinstance(error, ImportError):
        reasons = lines
    if not reasons:
        return None
    return ConfigurationError(f"an option asks for a package that is not there: {reasons[0]}")


def _unfit(error: Exception) -> LvefError | None:
    """Return what the parser says of a class that an option names, without all it might be else."""
    lines = [line.strip().lstrip("- ") for line in str(error).splitlines()]
    for line, reason in pairwise(lines):
        if line.startswith("Problem with given class_path"):
            return ConfigurationError(f"{line} {reason}")
    return None


def _complains_of_options(error: Exception) -> bool:
    """Return whether one of `_COMPLAINING` raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    origin = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return str(origin).split(".")[0] in _COMPLAINING
