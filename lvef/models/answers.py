"""What a task answers, as one function of pictures in clinical units, for exports."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lvef.cardiac import SURVEY_FRAMES, num_pictures
from lvef.columns import described
from lvef.errors import NotFittedError
from lvef.evaluation.uncertainty import EF_RANGE, conformal_quantile
from lvef.models.gp.head import ExactGPHead
from lvef.models.gp.posterior import GPPosterior
from lvef.models.segmentation.network import full_size
from lvef.models.uncertainty import possible

_DIMENSIONS: dict[Any, int] = {nn.BatchNorm1d: 0, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}
"""Batch norms that are exported, and how many dimensions their pictures have."""


class Answer(nn.Module):
    """A task's pictures in, and its answers out, in nothing but tensor operations.

    A subclass names its answers, and says in `forward` what `predictions.csv` would say. As it
    stands this base takes the frames of an `EFTask`.

    Args:
        task: The task, which stays as it is and shares its weights.

    Attributes:
        outputs: By name of an answer, its unit and meaning, in the order of `forward`.
        varies: By name of an input, its axes of any length, and what they count.
        scale: Size of an answer that errors are relative to, even where the answers are smaller.
    """

    outputs: ClassVar[dict[str, str]]
    scale: ClassVar[float] = 1.0
    varies: ClassVar[dict[str, dict[int, str]]] = {"frames": {0: "batch"}}
    task: Any

    def __init__(self, task: Any) -> None:
        super().__init__()
        if not task.is_calibrated:
            raise NotFittedError(
                f"the {type(task).__name__} was never calibrated, as its run judged no VAL: "
                f"{', '.join(self.outputs)} would mean nothing"
            )
        self.task = for_export(task)

    @abstractmethod
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the answers, `(B, ...)` float32 each; the first axis is that of cases."""

    def random_inputs(self, count: int, size: int, seed: int = 0) -> dict[str, Tensor]:
        """Return inputs of `forward` by name, in its order.

        Args:
            count: Cases in the batch.
            size: Height and width of a picture in pixels.
            seed: Seed.

        Returns:
            `frames` uint8 `(count, F, 3, size, size)`.
        """
        shape = (count, num_pictures(self.task.frames), 3, size, size)
        generator = torch.Generator().manual_seed(seed)
        return {"frames": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)}

    def facts(self) -> dict[str, str]:
        """Return what else a user of the answers must know, as text by name."""
        return {}

    @staticmethod
    @torch.no_grad()
    def of_task(task: Any, *inputs: Tensor) -> dict[str, Tensor]:
        """Return what the task itself says to the same inputs, the way predictions are made."""
        raw = {name: value.float() for name, value in task.raw_answer(task(*inputs)).items()}
        answer: dict[str, Tensor] = task.calibrated_answer(raw)
        return answer


class ClassAnswer(Answer):
    """The answer of a classifier."""

    outputs: ClassVar[dict[str, str]] = {"p_reduced": described("p_reduced")}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return `p_reduced`."""
        log_odds = self.task.raw_answer(self.task(*inputs))["log_odds"]
        return (self.task.calibration.probability(log_odds.float()),)

    def facts(self) -> dict[str, str]:
        """Return the threshold from which a case is called reduced, and the prevalence."""
        return {
            "threshold": f"{float(self.task.threshold):.6g}",
            "prevalence": f"{float(self.task.prevalence):.6g}",
        }


class EFAnswer(Answer):
    """The answer of a task that predicts EF."""

    outputs: ClassVar[dict[str, str]] = {
        name: described(name) for name in ("ef", "ef_std", "ef_lower", "ef_upper")
    }
    scale: ClassVar[float] = 10.0  # an EF near 0 is a sum of terms that are not
    reach: Tensor

    def __init__(self, task: Any) -> None:
        super().__init__(task)
        calibration = task.calibration
        reach = conformal_quantile(calibration.scores.cpu().numpy(), calibration.level)
        self.register_buffer("reach", torch.tensor(reach, dtype=torch.float32))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return `ef`, `ef_std`, `ef_lower` and `ef_upper`."""
        raw = self.task.raw_answer(self.task(*inputs))
        ef = possible(self.task.calibration.corrected(raw["ef"].float()))
        std = self.task.calibration.std(raw["raw_std"].float())
        lower, upper = ef - self.reach * std, ef + self.reach * std
        return ef, std, lower.clamp(*EF_RANGE), upper.clamp(*EF_RANGE)

    def facts(self) -> dict[str, str]:
        """Return the coverage of the interval."""
        return {"interval_level": f"{self.task.calibration.level:g}"}


class LVAnswer(Answer):
    """The answer of a segmenter: short clips in, the ventricle in each of their looks out."""

    outputs: ClassVar[dict[str, str]] = {"lv_probability": described("lv_probability")}
    varies: ClassVar[dict[str, dict[int, str]]] = {
        "clip": {0: "batch", 1: "looks"}, "survey": {0: "batch"},
    }  # fmt: skip

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return `lv_probability`."""
        return (full_size(self.task(*inputs).float().sigmoid()),)

    def random_inputs(self, count: int, size: int, seed: int = 0) -> dict[str, Tensor]:
        """Return `clip` uint8 `(count, 12, size, size)` and `survey` `(count, S, size, size)`."""
        generator = torch.Generator().manual_seed(seed)
        looks = {"clip": 12, "survey": SURVEY_FRAMES}
        return {
            name: torch.randint(
                0, 256, (count, number, size, size), dtype=torch.uint8, generator=generator
            )
            for name, number in looks.items()
        }

    def facts(self) -> dict[str, str]:
        """Return what the two inputs are."""
        return {
            "frames": "clip: looks, 40 ms apart; survey: frames spread evenly over the whole clip",
            "preparation": "grey in 0..255, cropped square around the ultrasound sector",
        }

    @staticmethod
    @torch.no_grad()
    def of_task(task: Any, *inputs: Tensor) -> dict[str, Tensor]:
        """Return what the segmenter itself paints."""
        return {"lv_probability": full_size(task(*inputs).float().sigmoid())}


class ChannelAffine(nn.Module):
    """A batch norm in evaluation mode: a scale and a shift of each channel.

    Runtimes merge it into the convolution before it. PyTorch 2.6 cannot export the batch norm.

    Args:
        norm: The batch norm, of one to three dimensions.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> None:
        super().__init__()
        state = {name: value.detach().double() for name, value in norm.state_dict().items()}
        scale = (state["running_var"] + norm.eps).rsqrt() * state.get("weight", 1)
        shift = state.get("bias", 0) - state["running_mean"] * scale
        shape = (-1, *(1,) * _DIMENSIONS[type(norm)])
        self.register_buffer("scale", scale.float().view(shape))
        self.register_buffer("shift", shift.float().view(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Return `(N, C)`, `(N, C, H, W)` or `(N, C, T, H, W)` scaled and shifted."""
        return x * self.scale + self.shift


def for_export(module: Any) -> Any:
    """Return a module that says the same in operations that every exporter knows.

    Gaussian processes, at any depth, become `GPPosterior`s, and batch norms `ChannelAffine`s.
    Everything else is shared with the module given, which stays as it is.

    Args:
        module: In evaluation mode.

    Raises:
        NotFittedError: A Gaussian process was not fitted.
        FitError: A Gaussian process was fitted by approximation.
    """
    if isinstance(module, ExactGPHead):
        return GPPosterior(module)
    # Not of a class derived from it, which may do more, as those of timm do.
    if type(module) in _DIMENSIONS and module.running_var is not None:
        return ChannelAffine(module)
    # None too, and what has several names, which `named_children` leaves out.
    parts = {
        name: None if part is None else for_export(part) for name, part in module._modules.items()
    }
    if not parts:
        return module
    twin = copy.copy(module)
    twin._modules = parts
    return twin
