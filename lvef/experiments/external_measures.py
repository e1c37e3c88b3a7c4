"""What a model's answers at another place are worth: one set of measures, before and after."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lvef.cardiac import is_reduced
from lvef.evaluation.intervals import (
    CLOPPER_PEARSON,
    effective_count,
    mean_of_proportions,
    proportion_interval,
)
from lvef.evaluation.metrics import METRIC_NAMES, classification_metrics, regression_metrics
from lvef.evaluation.resampling import Metrics, bootstrap_interval
from lvef.evaluation.summary import area_interval
from lvef.evaluation.uncertainty import probability_metrics

WITHIN = 10.0
"""EF points within which an answer counts as right."""
RESAMPLES = 200
_OF_RISK = ("calibration_slope", "calibration_intercept", "observed_expected", "ece")
_REGRESSION = ("mae", "bias", "rmse")
_CLASSIFICATION = ("balanced_accuracy", "recall", "specificity", "roc_auc")
NAMES = {
    **METRIC_NAMES,
    "balanced_accuracy": "balanced accuracy",
    "specificity": "specificity",
    "coverage": "coverage of the stated interval",
    "width": "its mean width (EF points)",
    "flagged": "flagged for review",
    "wrong_flagged": "misclassified, of the flagged",
    "wrong_others": "misclassified, of the others",
    "mae_flagged": "MAE of the flagged (EF points)",
    "mae_others": "MAE of the others (EF points)",
    "right_all": "right, of all clips: those refused count as failed",
}
"""Measures as a reader knows them."""
Hits = dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""By measure that is a share: which clips it is of, and which of all clips are hits."""


def measures(clips: pd.DataFrame, threshold: float | None, refused: float = 0.0) -> Metrics:
    """Return what answers are worth.

    Args:
        clips: A row a clip: `ef_true`, `p_reduced`, `reduced`, `review`, and of a regressor `ef`,
            `ef_lower` and `ef_upper`.
        threshold: Probability from which a classifier calls a case reduced; None of a regressor.
        refused: How many clips without an answer go with each that has one.

    Returns:
        By names of `NAMES`; NaN where the clips allow no answer.
    """
    truth = clips["ef_true"].to_numpy(float)
    reduced = _reduced(clips)
    risk = clips["p_reduced"].to_numpy(float, copy=True)
    if threshold is None:
        every = regression_metrics(clips["ef"].to_numpy(float), truth)
        found = {name: every[name] for name in _REGRESSION}
        width = (clips["ef_upper"] - clips["ef_lower"]).mean()
    else:
        every = classification_metrics(risk, reduced, threshold)
        found = {name: every[name] for name in _CLASSIFICATION}
    of_risk = probability_metrics(risk, reduced)
    shares = {
        name: float(hit[of].mean()) if of.any() else math.nan
        for name, (of, hit) in hits(clips, threshold).items()
        if name not in found
    }
    found |= {name: of_risk[name] for name in _OF_RISK} | shares
    found["right_all"] = found.pop("right") / (1 + refused)
    if threshold is None:
        flagged = clips["review"].to_numpy(float) > 0
        error = abs(clips["ef"].to_numpy(float) - truth)
        found |= {
            "width": float(width), "mae_flagged": _mean(error[flagged]),
            "mae_others": _mean(error[~flagged]),
        }  # fmt: skip
    return {name: found[name] for name in NAMES if name in found}


def hits(clips: pd.DataFrame, threshold: float | None) -> Hits:
    """Return what each share is a share of; see `Hits`."""
    reduced, called = _reduced(clips), clips["reduced"].to_numpy(float) > 0
    flagged, everyone = clips["review"].to_numpy(float) > 0, np.ones(len(clips), bool)
    wrong = called != reduced
    shares: Hits = {
        "flagged": (everyone, flagged), "wrong_flagged": (flagged, wrong),
        "wrong_others": (~flagged, wrong),
    }  # fmt: skip
    if threshold is not None:
        return {**shares, "right": (everyone, ~wrong), "recall": (reduced, called),
                "specificity": (~reduced, ~called)}  # fmt: skip
    truth = clips["ef_true"]
    inside = ((clips["ef_lower"] <= truth) & (truth <= clips["ef_upper"])).to_numpy(bool)
    near = (abs(clips["ef"] - truth) <= WITHIN).to_numpy(bool)
    return {**shares, "right": (everyone, near), "coverage": (everyone, inside)}


def with_intervals(
    clips: pd.DataFrame, threshold: float | None, refused: int, clusters: ArrayLike | None
) -> dict[str, dict[str, Any]]:
    """Return `measures` of all clips, each with its 95 % interval and how that was made.

    Args:
        clips: See `measures`.
        threshold: See `measures`.
        refused: How many more clips have no answer.
        clusters: Patients, where several clips may be of one.
    """
    extra = refused / len(clips)

    def metric(rows: ArrayLike) -> Metrics:
        return measures(clips.iloc[np.asarray(rows)], threshold, extra)

    rows = np.arange(len(clips))
    ends = bootstrap_interval(metric, rows, clusters=clusters, resamples=RESAMPLES)
    bootstrap = "BCa bootstrap" + ("" if clusters is None else " of patients")
    found: dict[str, dict[str, Any]] = {
        name: {"value": value, "lower": ends[name][0], "upper": ends[name][1], "method": bootstrap}
        for name, value in metric(rows).items()
    }
    groups = None if clusters is None else np.asarray(clusters)
    for name, (of, hit) in hits(clips, threshold).items():
        key, size, failed = ("right_all", 1 + extra, refused) if name == "right" else (name, 1.0, 0)
        count = effective_count(hit[of], None if groups is None else groups[of]) * size
        share = float(hit[of].sum()) / max(int(of.sum()) + failed, 1)
        lower, upper = proportion_interval(share * count, count)
        found[key].update(lower=lower, upper=upper, method=CLOPPER_PEARSON)
    if threshold is not None:
        recall, specificity = (found[name] for name in ("recall", "specificity"))
        lower, upper = mean_of_proportions(
            (recall["value"], (recall["lower"], recall["upper"])),
            (specificity["value"], (specificity["lower"], specificity["upper"])),
        )
        found["balanced_accuracy"].update(lower=lower, upper=upper, method="MOVER")
        if clusters is None:
            score = clips["p_reduced"].to_numpy(float, copy=True)
            (lower, upper), method = area_interval(
                found["roc_auc"]["value"], score, _reduced(clips)
            )
            found["roc_auc"].update(lower=lower, upper=upper, method=method)
    return found


def _reduced(clips: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(is_reduced(clips["ef_true"].to_numpy(float)), dtype=bool)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
