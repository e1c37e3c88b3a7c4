"""EF in percent: several regressors asked together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lvef.cardiac import asked_clip, num_pictures
from lvef.errors import CheckpointError, ConfigurationError
from lvef.models.base import Batch, Cases, EFTask
from lvef.models.checkpoint_format import brought_up
from lvef.models.fitted import FittedTask
from lvef.models.loading import load_task, task_class
from lvef.models.options import BackboneOptions, UncertaintyOptions, options, plain
from lvef.models.predictor import EFPredictor


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

    stands_alone = False

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
            members=[{"class_path": m.class_path(), "hparams": dict(m.hparams)} for m in loaded],
            weighting=weighting,
            uncertainty=plain(options(UncertaintyOptions, uncertainty)),
        )
        if not loaded:
            raise ConfigurationError("the ensemble has no members: give them with --model.members")
        self.weighting = weighting
        self.members = nn.ModuleList(loaded)
        self.members.requires_grad_(False)
        self.slots = [_slots(member, self.frames) for member in loaded]
        self.member_facts = [_facts(member) for member in loaded]
        self.anchor = nn.Parameter(torch.zeros(()))  # DDP refuses a module with nothing to train
        self.add_population(uncertainty)
        if any(member.trained_on for member in loaded):
            self.trained_on = "phantoms"
        self.patients = any(member.patients for member in loaded)

    @classmethod
    def complete_arguments(
        cls, arguments: Mapping[str, Any], locate: Callable[[str], str]
    ) -> dict[str, Any]:
        """Return the arguments with every member's checkpoint."""
        members = [locate(str(member)) for member in arguments.get("members") or []]
        return {**arguments, "members": members}

    def forward(self, frames: Tensor) -> Tensor:
        """Return `(B, members, 2)`, mean and standard deviation of each in percent."""
        parts = self.parts()
        return self.joined([member(frames[:, slots]) for member, slots in parts])

    def batch_output(self, batch: Batch) -> Tensor:
        """Return what `forward` says of a batch's frames: features are each member's own."""
        return self(batch["frames"])  # type: ignore[no-any-return]

    def parts(self) -> list[tuple[EFTask, list[int]]]:
        """Return the members, each with the slots of a case it looks at."""
        members = [member for member in self.members if isinstance(member, EFPredictor)]
        return list(zip(members, self.slots, strict=True))

    @property
    def network_title(self) -> str:
        """The members' backbone, or their backbones."""
        members = [member for member, _ in self.parts()]
        titles = dict.fromkeys(member.backbone.known_as for member in members)
        seen = members[0].network_title if len(titles) == 1 else ", ".join(titles)
        return f"{seen}; each member has its own"

    def joined(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return `(B, members, 2)` from the raw outputs of all members."""
        answers = []
        for (member, _), output in zip(self.parts(), outputs, strict=True):
            assert isinstance(member, EFPredictor)
            raw = member.raw_answer(output)
            std = member.calibration.std(raw["raw_std"].float())
            ef = member.calibration.corrected(raw["ef"].float())
            answers.append(torch.stack([ef, std], dim=1))
        return torch.stack(answers, dim=1)

    def raw_answer(self, output: Tensor) -> Cases:
        """Return mean and standard deviation of the mixture."""
        mean, variance = mixture(output[..., 0], output[..., 1].square(), self.weighting)
        return {"ef": mean, "raw_std": variance.sqrt()}

    @property
    def made_of(self) -> list[dict[str, Any]]:
        """What the members' checkpoints say of themselves; see `_facts`."""
        return self.member_facts

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say too who taught the members."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["lvef"]["made_of"] = self.member_facts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Know who taught the members; checkpoints of earlier versions do not say."""
        super().on_load_checkpoint(checkpoint)
        self.member_facts = checkpoint["lvef"].get("made_of", [])
        for (member, _), facts in zip(self.parts(), self.member_facts, strict=False):
            member.backbone.provenance = facts.get("backbone", {}).get("weights", {})

    def load_weights(self) -> None:
        """Members came with their weights."""

    def compute_features(self) -> None:
        """Members compute their own."""

    def on_train_epoch_start(self) -> None:
        """Members stay as they are."""
        self.members.eval()


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
        metadata = brought_up(member)
        kind = task_class(metadata["class_path"])
        if not issubclass(kind, EFPredictor):
            raise _no_member(f"the checkpoint names a {kind.__name__}")
        return kind(**metadata["hparams"])
    task = load_task(str(member))
    if not isinstance(task, EFPredictor):
        raise _no_member(f"{member} holds a {type(task).__name__}")
    if not task.is_calibrated:
        raise CheckpointError(f"{member} was never calibrated: its run judged no VAL")
    return task


def _facts(member: EFPredictor) -> dict[str, Any]:
    """Return what a member is, and whose labels taught it and its backbone; no case is named."""
    return {
        "task": member.class_path(),
        "frames": member.frames,
        "trained_on": member.trained_on,
        "train_part": member.train_part,
        "backbone_taught_by": member.backbone_taught_by,
        "backbone": member.backbone.facts,
    }


def _no_member(what: str) -> CheckpointError:
    return CheckpointError(f"{what}; an ensemble takes tasks that predict EF, such as EFRegressor")


def _slots(member: EFPredictor, frames: Sequence[str]) -> list[int]:
    missing = [name for name in member.frames if name not in frames]
    if missing:
        raise ConfigurationError(
            f"a member needs {missing[0]}, but data.frames is {', '.join(frames)}: add it there"
        )
    if asked_clip(frames) is not None:
        return list(range(num_pictures(frames)))
    return [list(frames).index(name) for name in member.frames]
