"""What the rows of the table stand beside: constant answers, and those given a true volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from lvef.cardiac import is_reduced
from lvef.evaluation.ceilings import ef_from_volume
from lvef.evaluation.summary import Summary, summarise_classification, summarise_regression
from lvef.evaluation.thresholds import best_threshold
from lvef.evaluation.uncertainty import LEVELS, normal_reach

Bounds = dict[str, dict[str, Any]]
"""By name: `kind` of the rows that it stands beside, its `metrics` as those of a row, and what it
is made with."""
MEAN, MEDIAN = "always the mean of TRAIN", "always the median of TRAIN"
MAJORITY = "always the majority of TRAIN"
STATISTICS = {"median": "least MAE", "mean": "least RMSE, best R²"}
"""The conditional statistic that is best by which metrics."""
_VOLUMES = ("EDV", "ESV")


def given(volume: str, statistic: str) -> str:
    """Return the name of the bound that is given a true volume."""
    return f"given the true {volume}: {statistic} of EF ({STATISTICS[statistic]})"


def table_bounds(labels: pd.DataFrame) -> Bounds:
    """Return what constant answers, and those given a true volume, are worth on TEST.

    Everything is learned on TRAIN but the threshold of a volume, which VAL chooses in the same way
    as a classifier's.

    Args:
        labels: Labels of all splits. Where a case lacks a volume, nothing is given that volume: the
            figures would be of other cases.
    """
    return {**_of_regression(labels), **_of_classification(labels)}


def _of_regression(labels: pd.DataFrame) -> Bounds:
    train, test = (labels[labels["split"] == split] for split in ("TRAIN", "TEST"))
    ef, ef_true = train["ef_true"], test["ef_true"].to_numpy(float)
    mean, std, count = float(ef.mean()), float(ef.std()), len(test)
    low, high = (np.tile(mean + side * std * normal_reach(LEVELS), (count, 1)) for side in (-1, 1))
    spread = (np.full(count, std), low, high)
    constant = {MEAN: mean, MEDIAN: float(ef.median())}
    answers: dict[str, NDArray[np.float64]] = {k: np.full(count, v) for k, v in constant.items()}
    for name in _known(labels):
        volumes = train[name.lower()], ef, test[name.lower()]
        answers |= {
            given(name, "median"): ef_from_volume(*volumes, "median"),
            given(name, "mean"): ef_from_volume(*volumes, "mean"),
        }
    bounds: Bounds = {}
    for name, answer in answers.items():
        more = {"train_std": std, "spread": spread} if name == MEAN else {}
        metrics = summarise_regression(answer, ef_true, mean, **more)  # type: ignore[arg-type]
        bounds[name] = {"kind": "regression", "metrics": _plain(metrics)}
    return bounds


def _of_classification(labels: pd.DataFrame) -> Bounds:
    train, val, test = (labels[labels["split"] == split] for split in ("TRAIN", "VAL", "TEST"))
    reduced = is_reduced(test["ef_true"].to_numpy(float)).astype(int)
    prevalence = float(is_reduced(train["ef_true"].to_numpy(float)).mean())
    majority = int(prevalence >= 0.5)
    constant = np.full(len(test), prevalence)  # what it states; it calls the majority
    metrics = summarise_classification(constant, reduced, 0.5, majority)
    bounds: Bounds = {
        MAJORITY: {"kind": "classification", "metrics": _plain(metrics), "majority": majority}
    }
    for name in _known(labels):
        # Any rising function of the volume ranks cases as it does, and calls them alike.
        centre = np.log(train[name.lower()].to_numpy(float)).mean()
        of_val, of_test = (
            expit(np.log(split[name.lower()].to_numpy(float)) - centre) for split in (val, test)
        )
        threshold = best_threshold(of_val, is_reduced(val["ef_true"].to_numpy(float)))
        metrics = summarise_classification(of_test, reduced, threshold, majority)
        for stated in ("ece", "brier", "log_loss"):  # it ranks, and states no probability
            metrics.pop(stated, None)
        bounds[f"given the true {name}, threshold of VAL"] = {
            "kind": "classification",
            "metrics": _plain(metrics),
            "threshold_ml": float(np.exp(centre + np.log(threshold / (1 - threshold)))),
        }
    return bounds


def _known(labels: pd.DataFrame) -> list[str]:
    """Return the volumes that every case has."""
    return [name for name in _VOLUMES if labels[name.lower()].notna().all()]


def _plain(metrics: Summary) -> Summary:
    """Return metrics without the trivial answer beside them: that is a bound of its own."""
    return {
        name: {part: value for part, value in row.items() if part != "baseline"}
        for name, row in metrics.items()
    }
