"""EF in percent: several regressors asked together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from lvef.errors import CheckpointError, ConfigurationError
from lvef.models.base import Cases
from lvef.models.fitted import FittedTask
from lvef.models.gaussian_process import EFGaussianProcess
from lvef.models.loading import describe, load_task
from lvef.models.options import BackboneOptions, UncertaintyOptions, options, plain
from lvef.models.predictor import EFPredictor
from lvef.models.regressor import EFRegressor

_MEMBER_TASKS: dict[str, type[EFPredictor]] = {
    "EFRegressor": EFRegressor,
    "EFGaussianProcess": EFGaussianProcess,
}


class EFEnsemble(FittedTask):
    """Averages regressors, each on frames of its own.

    Its prediction is the mixture of the members' (Lakshminarayanan et al., NeurIPS 2017): the
    variance is the mean of their variances plus the variance of their means. `fit` trains nothing;
    it calibrates on VAL and writes one checkpoint that holds all members.

    Args:
        frames: Names of the frames of a case; taken from the data module, which must offer all
            that the members need.
        members: What is averaged: checkpoints, run folders, or names of experiments, of which the
            newest run is taken.
        weighting: average, or inverse_variance (each case's surer members count for more).
        backbone: Not used, as every member has its own; here so that overlays fit every task.
        uncertainty: Level of the stated interval, and what is flagged for review.
    """

    def __init__(
        self,
        frames: list[str] = ["EDF", "ESF", "MF"],  # noqa: B006
        members: list[Any] = [],  # noqa: B006
        weighting: Literal["average", "inverse_variance"] = "average",
        backbone: BackboneOptions | None = None,
        uncertainty: UncertaintyOptions = UncertaintyOptions(),  # noqa: B008
    ) -> None:
        loaded = [_member(member) for member in members]
        super().__init__(
            frames,
            None,
            members=[{"task": type(m).__name__, "hparams": dict(m.hparams)} for m in loaded],
            weighting=weighting,
            uncertainty=plain(options(UncertaintyOptions, uncertainty)),
        )
        if not loaded:
            raise ConfigurationError("the ensemble has no members: give them with --model.members")
        self.weighting = weighting
        self.members = nn.ModuleList(loaded)
        self.members.requires_grad_(False)
        self.slots = [_slots(member, self.frames) for member in loaded]
        self.anchor = nn.Parameter(torch.zeros(()))  # DDP refuses a module with nothing to train
        self.add_population(uncertainty)
        self.source = ", ".join(str(m) for m in members if not isinstance(m, dict))
        if any(member.trained_on for member in loaded):
            self.trained_on = "phantoms"

    def forward(self, frames: Tensor) -> Tensor:
        """Return `(B, members, 2)`, mean and standard deviation of each in percent."""
        said = []
        for member, slots in zip(self._members(), self.slots, strict=True):
            cases = member.case_outputs(member(frames[:, slots]))
            std = member.calibration.std(cases["raw_std"].float())
            said.append(torch.stack([cases["ef_predicted"].float(), std], dim=1))
        return torch.stack(said, dim=1)

    def case_outputs(self, output: Tensor) -> Cases:
        """Return mean and standard deviation of the mixture."""
        mean, variance = mixture(output[..., 0], output[..., 1].square(), self.weighting)
        return {"ef_predicted": mean, "raw_std": variance.sqrt()}

    def load_weights(self) -> None:
        """Members came with their weights."""

    def compute_features(self) -> None:
        """Members compute their own."""

    def on_train_epoch_start(self) -> None:
        """Members stay as they are."""
        self.members.eval()

    def _members(self) -> list[EFPredictor]:
        return [member for member in self.members if isinstance(member, EFPredictor)]


def mixture(
    means: Tensor, variances: Tensor, weighting: Literal["average", "inverse_variance"]
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of mixtures, `(B,)` each.

    Args:
        means: `(B, M)` means of the members.
        variances: `(B, M)` variances of the members.
        weighting: average, or inverse_variance.
    """
    weights = torch.ones_like(variances) if weighting == "average" else 1 / variances
    weights = weights / weights.sum(1, keepdim=True)
    mean = (weights * means).sum(1)
    within = (weights * variances).sum(1)
    between = (weights * (means - mean[:, None]).square()).sum(1)
    return mean, within + between


def _member(member: Any) -> EFPredictor:
    """Return a member from a checkpoint file, or unfilled from what an ensemble's says of it."""
    if isinstance(member, dict):
        return _MEMBER_TASKS[member["task"]](**member["hparams"])
    about = describe(str(member))
    if about["task"] not in _MEMBER_TASKS:
        raise CheckpointError(
            f"{member} holds a {about['task']}; an ensemble takes {' or '.join(_MEMBER_TASKS)}"
        )
    task = cast(EFPredictor, load_task(str(member)))
    if not bool(torch.isfinite(task.calibration.std_factor)):
        raise CheckpointError(f"{member} was never calibrated: its run judged no VAL")
    return task


def _slots(member: EFPredictor, frames: Sequence[str]) -> list[int]:
    missing = [name for name in member.frames if name not in frames]
    if missing:
        raise ConfigurationError(
            f"a member needs {missing[0]}, but data.frames is {', '.join(frames)}: add it there"
        )
    return [list(frames).index(name) for name in member.frames]
