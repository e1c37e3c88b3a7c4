"""Tasks that each break the contract in one way, on a backbone that is small enough for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from lvef.models import Backbone, EFClassifier, EFGaussianProcess, EFRegressor
from lvef.models.answers import Answer, EFAnswer
from lvef.models.base import Batch, Cases
from lvef.models.cases import CaseStore
from lvef.models.options import BackboneOptions, GPOptions
from lvef.models.task import TestReport


class TinyBackbone(Backbone):
    """One convolution: 24 features a frame."""

    name: ClassVar[str] = "tiny"
    title: ClassVar[str] = "one convolution"
    num_features = 24
    stage_channels = (24,)
    pixel_mean = (0.5, 0.5, 0.5)
    pixel_std = (0.5, 0.5, 0.5)

    def __init__(self, weights: str | None = None, freeze: bool | int = False) -> None:
        convolution = nn.Conv2d(3, 24, 5, stride=4)
        network = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(network, weights, freeze)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        return [self.network[:2](self.normalise(images))]  # type: ignore[index]

    def stage(self, which: str) -> nn.Module:
        return self.network[1]  # type: ignore[index]

    def folded(self) -> Self:
        copy = type(self)(None, True)
        copy.load_state_dict(self.state_dict())
        return copy.eval()

    def load(self, weights: str) -> None:
        raise NotImplementedError


TINY = BackboneOptions(name="tiny", weights=None)
FROZEN = BackboneOptions(name="tiny", weights=None, freeze=True)


class Regressor(EFRegressor):
    """A sound one."""

    def __init__(self, frames: list[str] = ["ESF"], backbone: Any = TINY, **own: Any) -> None:  # noqa: B006
        super().__init__(frames, backbone, **own)


class GaussianProcess(EFGaussianProcess):
    """A sound one."""

    def __init__(
        self,
        frames: list[str] = ["ESF"],  # noqa: B006
        backbone: Any = FROZEN,
        gp: Any = GPOptions(restarts=1),  # noqa: B008
        **own: Any,
    ) -> None:
        super().__init__(frames, backbone, gp, **own)


class MonitorReversed(Regressor):
    """Keeps the checkpoint with the largest error."""

    monitor_mode = "max"


class CalibrationLost(Regressor):
    """Knows what VAL taught as long as its process lives."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        for name in [name for name in checkpoint["state_dict"] if "calibration" in name]:
            del checkpoint["state_dict"][name]

    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        return super().load_state_dict(state, strict=False, assign=assign)


class PriorPredicted(GaussianProcess):
    """Answers before it was fitted: the mean and spread it was made with."""

    def _refuse_untaught(self) -> None:
        pass

    def batch_output(self, batch: Batch) -> Tensor:
        if bool(self.head.fitted):
            return super().batch_output(batch)
        return torch.tensor([50.0, 12.0]).expand(len(batch["row"]), 2)


class _KeepsRepeats(CaseStore):
    def compute(self) -> dict[str, Tensor]:
        return {name: self._column(name) for name in ("row", *self.columns)}


class RepeatsKept(Regressor):
    """Counts a case as often as a distributed sampler gives it."""

    def __init__(self, *args: Any, **own: Any) -> None:
        super().__init__(*args, **own)
        self.store = _KeepsRepeats(*self.store.columns)


class ArgumentUnsaved(Regressor):
    """Takes an argument that no checkpoint holds."""

    def __init__(self, depth: int, **own: Any) -> None:
        super().__init__(**own)
        self.depth = depth


class LossClimbed(Regressor):
    """Climbs where it should descend."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.head.parameters(), lr=0.05, maximize=True)


class _FivePointsOff(EFAnswer):
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        ef, *others = super().forward(*inputs)
        return ef + 5, *others


class ExportDisagrees(Regressor):
    """Exports another EF than it predicts."""

    def exportable(self) -> Answer:
        return _FivePointsOff(self)


class OneCaseLost(Regressor):
    """Loses the axis of cases where there is one."""

    def calibrated_answer(self, raw: Cases) -> Cases:
        answer = super().calibrated_answer(raw)
        return {**answer, "ef": answer["ef"].squeeze()}


class OneClassRefused(EFClassifier):
    """Waits for a ROC-AUC that VAL of one class does not have."""

    def __init__(self, frames: list[str] = ["ESF"], backbone: Any = TINY, **own: Any) -> None:  # noqa: B006
        super().__init__(frames, backbone, **own)

    def watch(self, monitor: str, mode: Any) -> None:
        pass

    def epoch_metrics(self, cases: Cases) -> Any:
        metrics = super().epoch_metrics(cases)
        assert metrics["roc_auc"] == metrics["roc_auc"], "no ROC-AUC"
        return metrics


class MonitorUnlogged(Regressor):
    """Is to be chosen by a metric that it does not log."""

    monitor = "val/kappa"

    def _log_metrics(self, stage: str) -> None:
        self.log(f"{stage}/loss", float(self.cases["loss"].mean()))


class OwnWords(Regressor):
    """Calls its flag by another name."""

    def calibrated_answer(self, raw: Cases) -> Cases:
        answer = super().calibrated_answer(raw)
        return {("flag" if name == "review" else name): value for name, value in answer.items()}


class WorstKept(Regressor):
    """Says of each checkpoint what the epoch before was worth."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        figures = checkpoint["lvef"]["figures"]
        figures[self.monitor] = figures.get(self.monitor, 0.0) + 1.0


class PredictsOtherwise(Regressor):
    """Predicts in fractions what it judged in percent."""

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        answer = super().predict_step(batch, batch_idx)
        return {**answer, "ef": answer["ef"] / 100}


class Uncalibrated(Regressor):
    """Exports an interval that nothing was learned for."""

    @property
    def is_calibrated(self) -> bool:
        return bool(self._asked_before())

    def _asked_before(self) -> bool:
        self._asked = getattr(self, "_asked", 0) + 1
        return self._asked > 1


class Wordless(Regressor):
    """Reports what no file can hold."""

    def test_report(self, title: str) -> TestReport:
        return TestReport({"mae": object()}, title)


BROKEN: Sequence[tuple[str, Any]] = (
    ("monitors_what_is_better", MonitorReversed),
    ("reloads", CalibrationLost),
    ("refuses_unfitted", PriorPredicted),
    ("counts_each_case_once", RepeatsKept),
    ("rebuilds", lambda: ArgumentUnsaved(depth=3)),
    ("loss_falls", LossClimbed),
    ("exports", ExportDisagrees),
    ("judges_one_case", OneCaseLost),
    ("fits_beside_one_class", OneClassRefused),
    ("fits", MonitorUnlogged),
    ("speaks_the_vocabulary", OwnWords),
    ("keeps_the_best", WorstKept),
    ("predicts_what_it_judged", PredictsOtherwise),
    ("refuses_uncalibrated", Uncalibrated),
    ("reports", Wordless),
)
"""A check, and a task that fails it and no check before it."""
