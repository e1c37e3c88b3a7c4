"""Tasks that say EF in percent with a standard deviation: intervals, coverage, review flags."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.metrics import Metrics, regression_metrics
from lvef.evaluation.summary import Summary, summarise_regression
from lvef.evaluation.uncertainty import LEVEL, LEVELS, interval_metrics
from lvef.models.base import Batch, Cases, EFTask
from lvef.models.options import UncertaintyOptions, options
from lvef.models.uncertainty import EFCalibration, reduced_calls


class EFPredictor(EFTask):
    """Base of the tasks that predict EF.

    `case_outputs` says `ef_predicted` and `raw_std`, both in percent; VAL scales the latter and
    makes split-conformal intervals of it.
    """

    monitor = "val/mae"
    monitor_mode = "min"
    baseline = "always the mean"
    outputs = ("ef_predicted", "raw_std")
    calibration: EFCalibration
    ef_mean: Tensor
    ef_scale: Tensor

    def add_population(self, uncertainty: UncertaintyOptions) -> None:
        """Add the buffers: what TRAIN's EF is like, and what VAL teaches."""
        self.register_buffer("ef_mean", torch.tensor(50.0))
        self.register_buffer("ef_scale", torch.tensor(1.0))
        chosen = options(UncertaintyOptions, uncertainty)
        self.calibration = EFCalibration(chosen.review_share, chosen.level or LEVEL)

    def learn_population(self, ef: NDArray[np.float64], balanced_sampling: bool = False) -> None:
        """Take mean and spread of EF from TRAIN."""
        self.ef_mean.fill_(float(ef.mean()))
        self.ef_scale.fill_(float(ef.std()) if ef.std() > 0 else 1.0)

    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the squared error in variances of TRAIN."""
        predicted = self.case_outputs(output)["ef_predicted"]
        return ((batch["ef"] - predicted) / self.ef_scale).square()

    def calibrate(self, cases: Cases) -> None:
        """Fit standard deviations and intervals to the residuals on VAL."""
        self.calibration.fit(cases["ef_predicted"], cases["raw_std"], cases["ef"])

    def conclude(self, cases: Cases) -> Cases:
        """Add `ef_std`, the interval, `p_reduced`, `called` and `review`; all `(n,)`."""
        ef = cases["ef_predicted"].float()
        std = self.calibration.std(cases["raw_std"].float())
        lower, upper = self.calibration.interval(ef, std)
        said = {name: value for name, value in cases.items() if name != "raw_std"}
        return {
            **said,
            "ef_std": std,
            "ef_lower": lower,
            "ef_upper": upper,
            "p_reduced": torch.special.ndtr((REDUCED_EF - ef) / std),
            "called": reduced_calls(ef),
            "review": self.calibration.review(lower, upper, std),
        }

    def prediction(self, cases: Cases) -> Cases:
        """Return what `predictions.csv` shows: EF in percent, not standardised."""
        names = {"ef_predicted": "ef", "called": "reduced"}
        return {names.get(name, name): value for name, value in cases.items()}

    def epoch_metrics(self, cases: Cases) -> Metrics:
        """Return the regression metrics, and those of the intervals once calibrated."""
        metrics = regression_metrics(cases["ef_predicted"].numpy(), cases["ef"].numpy())
        if bool(torch.isfinite(self.calibration.std_factor)):
            lower, upper = self.intervals(cases)
            metrics.update(
                interval_metrics(cases["ef_predicted"], cases["ef_std"], lower, upper, cases["ef"])
            )
        return metrics

    def intervals(self, cases: Cases) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends of the intervals at every reported level, `(n, L)` each."""
        ends = [
            self.calibration.interval(cases["ef_predicted"], cases["ef_std"], level)
            for level in LEVELS
        ]
        lower, upper = (
            torch.stack(side, dim=1).double().numpy() for side in zip(*ends, strict=True)
        )
        return lower, upper

    def summary(self, cases: Cases) -> Summary:
        """Return the metrics with intervals, beside always answering with the mean of TRAIN."""
        lower, upper = self.intervals(cases)
        return summarise_regression(
            cases["ef_predicted"].numpy(),
            cases["ef"].numpy(),
            float(self.ef_mean),
            float(self.ef_scale),
            (cases["ef_std"].numpy(), lower, upper),
        )
