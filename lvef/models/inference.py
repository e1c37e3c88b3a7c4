"""How networks are run to predict: on which device, in which precision, and by which loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lvef.errors import ConfigurationError
from lvef.precision import cpu_multiplies_bfloat16

if TYPE_CHECKING:
    from lvef.models.task import Cases, Task


def best_device(asked: str | torch.device | None = None) -> torch.device:
    """Return the device that networks run on.

    Args:
        asked: A device that is asked for by name; None takes a CUDA GPU if there is one, else the
            CPU. Apple's GPU must be asked for: it has no double precision, which Gaussian
            processes need.

    Raises:
        ConfigurationError: There is no such device.
    """
    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise ConfigurationError(f"device {asked}: no kind of device; give cpu or cuda") from None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise ConfigurationError(f"device {asked}: there is none here; give cpu, or leave it away")
    return device


def device_of(module: nn.Module) -> torch.device:
    """Return where a module is."""
    return next((value.device for value in module.parameters()), torch.device("cpu"))


@contextmanager
def inference(device: torch.device, fast: bool = False) -> Iterator[None]:
    """Run networks without gradients.

    Args:
        device: Where they run.
        fast: In bfloat16 where that is faster. Masks of the LV segmenter then move by a pixel in
            thousands, EF by hundredths of a point; of one clip in twenty by more than a tenth. EF
            of a backbone's features would move by tenths: see `Backbone.lowered`.
    """
    lower = fast and bfloat16_is_faster(device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=lower):
        yield


def bfloat16_is_faster(device: torch.device) -> bool:
    """Return whether a device predicts faster in bfloat16: every GPU, and CPUs that multiply it."""
    return device.type == "cuda" or cpu_multiplies_bfloat16()


class FramePredictor:
    """Predicts frames with a task, on one device.

    Args:
        task: The task; it stays where it is brought to, in evaluation mode.
        device: Where it runs; see `best_device`.
        fast: Whether as much of a backbone runs in bfloat16 as moves an EF by a tenth of a point at
            most, where that is faster; heads never do. See `Backbone.lowered`.
    """

    def __init__(
        self, task: Task, device: str | torch.device | None = None, fast: bool = False
    ) -> None:
        self.task: Any = task
        self.device = best_device(device)
        self.fast = fast
        self.task.to(self.device).eval()

    def batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return what is predicted of a batch of a data module, as `predict_step` returns it."""
        if self._backbone is not None and "frames" in batch:
            others = {name: value for name, value in batch.items() if name != "frames"}
            batch = {**others, "features": self._extracted(self._backbone, batch["frames"])}
        with inference(self.device):
            answers: dict[str, Any] = self.task.predict_step(_on_device(batch, self.device), 0)
        return answers

    def frames(self, frames: Tensor) -> Cases:
        """Return the answers to frames `(B, F, 3, H, W)`, CPU tensors `(B,)` by column."""
        answers: Cases = self.task.calibrated_answer(self.raw(frames))
        return answers

    def raw(self, frames: Tensor) -> Cases:
        """Return what `EFTask.raw_answer` says of frames `(B, F, 3, H, W)`, CPU tensors `(B,)`."""
        if self._backbone is not None:
            return self._of_features(self._extracted(self._backbone, frames))
        with inference(self.device):
            return self._raw(self.task(frames.to(self.device)))

    def features(self, frames: Tensor) -> Tensor | None:
        """Return features `(n, d)` of frames `(n, 3, H, W)`, on the device, to be used repeatedly.

        None of a task whose members each have a backbone of their own.
        """
        if self._backbone is None:
            return None
        return self._extracted(self._backbone, frames[:, None])

    def from_features(self, features: Tensor) -> Cases:
        """Return the answers to features `(B, F * d)`, CPU tensors `(B,)` by column."""
        answers: Cases = self.task.calibrated_answer(self._of_features(features))
        return answers

    def _of_features(self, features: Tensor) -> Cases:
        with inference(self.device):
            return self._raw(self.task.batch_output({"features": features.to(self.device)}))

    @cached_property
    def _backbone(self) -> nn.Module | None:
        """The task's own backbone, folded; None where it has none, or looks in its own way."""
        from lvef.models.base import EFTask

        if not isinstance(self.task, EFTask) or self.task.parts()[0][0] is not self.task:
            return None
        own = ("forward", "batch_output")
        if any(getattr(type(self.task), name) is not getattr(EFTask, name) for name in own):
            return None
        backbone = self.task.backbone
        lower = self.fast and bfloat16_is_faster(self.device)
        return backbone.lowered() if lower else backbone.folded()

    def _extracted(self, backbone: nn.Module, frames: Tensor) -> Tensor:
        with inference(self.device):
            features: Tensor = backbone(frames.to(self.device))
            return features.float()

    def _raw(self, output: Tensor) -> Cases:
        answer: Cases = self.task.raw_answer(output)
        return {name: value.float().cpu() for name, value in answer.items()}


def _on_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
