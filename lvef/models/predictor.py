"""Tasks that say EF in percent with a standard deviation: intervals, coverage, review flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.evaluation.correction import Kind
from lvef.evaluation.metrics import regression_metrics
from lvef.evaluation.resampling import Metrics
from lvef.evaluation.sharpness import format_uncertainty, uncertainty_report
from lvef.evaluation.summary import Summary, summarise_regression
from lvef.evaluation.uncertainty import LEVEL, LEVELS, interval_metrics
from lvef.models.base import Batch, Cases, EFTask
from lvef.models.buffers import LEAST, check_constant
from lvef.models.options import UncertaintyOptions, options
from lvef.models.uncertainty import EFCalibration, possible, reduced_calls

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lvef.models.answers import Answer


class EFPredictor(EFTask):
    """Base of the tasks that predict EF.

    Its raw answer is `ef` and `raw_std`, both in percent; VAL scales the latter and makes
    split-conformal intervals of it.
    """

    monitor = "val/mae"
    monitor_mode = "min"
    baseline = "always the mean"
    kind = "regression"
    raw_columns = ("ef", "raw_std")
    sides = ("EF above the mean", "EF below the mean")
    calibration: EFCalibration
    ef_mean: Tensor
    ef_scale: Tensor

    def add_population(self, uncertainty: UncertaintyOptions) -> None:
        """Add the buffers: what TRAIN's EF is like, and what VAL teaches."""
        self.register_buffer("ef_mean", torch.tensor(50.0))
        self.register_buffer("ef_scale", torch.tensor(1.0))
        chosen = options(UncertaintyOptions, uncertainty)
        self.calibration = EFCalibration(chosen.review_share, chosen.level or LEVEL)

    @property
    def interval_level(self) -> float:
        """The coverage that stated intervals promise, in 0..1."""
        return float(self.calibration.level)

    @property
    def calibration_cases(self) -> dict[str, int]:
        """How many cases of VAL the intervals rest on."""
        return {"all": len(self.calibration.scores)}

    @property
    def noise_std(self) -> float | None:
        """The noise of an answer in EF points where the model has learned one, else None."""
        return None

    def uncertainty(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return what the standard deviations of `cases` are worth, as data and in lines."""
        if not self.is_calibrated:
            return None, []
        cases = {name: column.double().numpy() for name, column in self.cases.items()}
        inside = (cases["ef_lower"] <= cases["ef_true"]) & (cases["ef_true"] <= cases["ef_upper"])
        report = uncertainty_report(
            cases["ef"], cases["ef_true"], cases["ef_std"], inside,
            float(self.calibration.std_factor), float(self.calibration.rmse), self.noise_std,
            self.clusters,
        )  # fmt: skip
        return report, format_uncertainty(report)

    @property
    def is_calibrated(self) -> bool:
        """Whether VAL scaled the standard deviations."""
        return bool(torch.isfinite(self.calibration.std_factor))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        check_constant("mean EF of TRAIN", self.ef_mean, 0, 100)
        check_constant("scale of EF", self.ef_scale, LEAST)

    def take_training_statistics(
        self, ef_true: NDArray[np.float64], balanced_sampling: bool = False
    ) -> None:
        """Take mean and spread of EF from TRAIN."""
        self.ef_mean.fill_(float(ef_true.mean()))
        self.ef_scale.fill_(float(ef_true.std()) if ef_true.std() > 0 else 1.0)

    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the squared error in variances of TRAIN."""
        predicted = self.raw_answer(output)["ef"]
        return ((batch["ef_true"] - predicted) / self.ef_scale).square()

    def calibrate(self, cases: Cases) -> None:
        """Fit standard deviations and intervals to the residuals on VAL."""
        self.calibration.fit(cases["ef"], cases["raw_std"], cases["ef_true"])

    def recalibrate(self, cases: Cases, correction: Kind = "none") -> None:
        """Fit standard deviations and intervals anew, and as far as asked for the EF itself."""
        beat = (cases["beat_ef"], cases["beat_raw_std"]) if "beat_ef" in cases else None
        self.calibration.fit(
            cases["ef"],
            cases["raw_std"],
            cases["ef_true"],
            correction,
            cases.get("ef_spread"),
            beat,
        )

    def calibrated_answer(self, raw: Cases) -> Cases:
        """Add `ef_std`, the interval, `p_reduced`, `reduced` and `review`; all `(n,)`."""
        ef = possible(self.calibration.corrected(raw["ef"].float()))
        std = self.calibration.std(raw["raw_std"].float())
        lower, upper = self.calibration.interval(ef, std)
        others = {name: value for name, value in raw.items() if name != "raw_std"}
        return {
            **others,
            "ef": ef,
            "ef_std": std,
            "ef_lower": lower,
            "ef_upper": upper,
            "p_reduced": self.calibration.risk(ef, std),
            "reduced": reduced_calls(ef),
            "review": self.calibration.review(lower, upper, std),
        }

    def explained(self, raw: Cases) -> Tensor:
        """Return EF in percent."""
        return raw["ef"].float()

    def side_of(self, explained: Tensor) -> Tensor:
        """Return 1 where EF is above TRAIN's mean, -1 elsewhere."""
        said = self.calibration.corrected(explained)
        return 2 * (said > self.ef_mean.to(said)).float() - 1

    def exportable(self) -> Answer:
        """Return EF with its interval, as a function of frames."""
        from lvef.models.answers import EFAnswer

        return EFAnswer(self)

    def epoch_metrics(self, cases: Cases) -> Metrics:
        """Return the regression metrics, and those of the intervals once calibrated."""
        metrics = regression_metrics(cases["ef"].numpy(), cases["ef_true"].numpy())
        if self.is_calibrated:
            lower, upper = self.intervals(cases)
            metrics.update(
                interval_metrics(cases["ef"], cases["ef_std"], lower, upper, cases["ef_true"])
            )
        return metrics

    def intervals(self, cases: Cases) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends of the intervals at every reported level, `(n, L)` each."""
        ends = [self.calibration.interval(cases["ef"], cases["ef_std"], level) for level in LEVELS]
        lower, upper = (
            torch.stack(side, dim=1).double().numpy() for side in zip(*ends, strict=True)
        )
        return lower, upper

    def summary(self, cases: Cases) -> Summary:
        """Return the metrics with intervals, beside always answering with the mean of TRAIN."""
        lower, upper = self.intervals(cases)
        return summarise_regression(
            cases["ef"].numpy(),
            cases["ef_true"].numpy(),
            float(self.ef_mean),
            float(self.ef_scale),
            (cases["ef_std"].numpy(), lower, upper),
            (cases["p_reduced"].numpy(), cases["reduced_true"].numpy()),
            self.clusters,
        )

    def case_figures(
        self, split: Literal["VAL", "TEST"], table: pd.DataFrame, title: str
    ) -> dict[str, Figure]:
        """Return predicted against true EF; for TEST the errors and the intervals too."""
        from lvef.figures import gallery
        from lvef.figures.predictions import predicted_and_true

        cases = {name: column.numpy() for name, column in self.cases.items()}
        if split == "VAL":
            figure = predicted_and_true(cases["ef"], cases["ef_true"], title)
            return {"predicted_and_true": figure}
        lower, upper = self.intervals(self.cases)
        inside = (lower <= cases["ef_true"][:, None]) & (cases["ef_true"][:, None] <= upper)
        return gallery.predictor_figures(
            cases,
            dict(zip(LEVELS, inside.mean(axis=0), strict=True)),
            table.loc[cases["row"], "edv"].to_numpy(float),
            title,
        )
