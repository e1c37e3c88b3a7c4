"""Metrics of one set of predictions, and the trivial answers they have to beat."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torchmetrics.functional import mean_absolute_error, mean_squared_error, r2_score
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_stat_scores,
)

from lvef.cardiac import is_reduced
from lvef.evaluation.agreement import WITHIN, concordance, icc
from lvef.evaluation.resampling import Metrics
from lvef.evaluation.uncertainty import normal_reach

LIMITS_OF_AGREEMENT = float(normal_reach(0.95))
"""Standard deviations on either side of the bias that hold 95 % of the differences."""

METRIC_NAMES = {
    "mae": "MAE (EF points)",
    "rmse": "RMSE (EF points)",
    "r2": "R²",
    "bias": "bias (EF points)",
    "loa_lower": "lower limit of agreement",
    "loa_upper": "upper limit of agreement",
    "roc_auc": "ROC-AUC, EF ≤ 40 %",
    "pr_auc": "PR-AUC, EF ≤ 40 %",
    "f1": "F1",
    "f1_weighted": "F1, weighted",
    "recall": "sensitivity (recall)",
    "precision": "positive predictive value (precision)",
    "npv": "negative predictive value",
    "icc": "ICC(2,1), absolute agreement",
    "ccc": "Lin's concordance",
    "within_5": "within 5 EF points",
    "within_10": "within 10 EF points",
    "ece": "expected calibration error",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration in the large",
    "observed_expected": "observed : expected",
    "nlpd": "negative log predictive density",
    "crps": "CRPS (EF points)",
    "width_90": "width of the 90 % interval (EF points)",
    **{f"coverage_{level}": f"coverage of the {level} % interval" for level in (50, 80, 90, 95)},
}
"""Metrics as a reader knows them, where that is not their name."""


def metric_name(name: str) -> str:
    """Return a metric as a reader knows it."""
    return METRIC_NAMES.get(name, name.replace("_", " "))


def classification_metrics(
    p_reduced: ArrayLike,
    reduced_true: ArrayLike,
    threshold: float = 0.5,
    reduced: ArrayLike | None = None,
) -> Metrics:
    """Measure a classifier of reduced EF, the positive class.

    Args:
        p_reduced: `(n,)` probability of EF <= 40.
        reduced_true: `(n,)` 1 where EF <= 40, 0 elsewhere.
        threshold: Probability from which a case is called reduced.
        reduced: `(n,)` 1 where a case is called reduced, where not one threshold called them all.

    Returns:
        accuracy, balanced_accuracy, f1, f1_weighted, precision, npv, recall (sensitivity),
        specificity, roc_auc, pr_auc; NaN where the cases allow no answer, such as an AUC when
        only one class is there.
    """
    probability = torch.as_tensor(np.array(p_reduced, dtype=np.float64))
    truth = torch.as_tensor(np.array(reduced_true, dtype=np.int64))
    called = (probability >= threshold).long()
    if reduced is not None:
        called = torch.as_tensor(np.array(reduced, dtype=np.int64))
    scores = binary_stat_scores(called, truth, validate_args=False).tolist()
    metrics = _from_counts(*(float(score) for score in scores[:4]))
    if 0 < int(truth.sum()) < len(truth):
        metrics["roc_auc"] = float(binary_auroc(probability, truth, validate_args=False))
        metrics["pr_auc"] = float(binary_average_precision(probability, truth, validate_args=False))
    else:
        metrics["roc_auc"] = metrics["pr_auc"] = float("nan")
    return metrics


def regression_metrics(ef: ArrayLike, ef_true: ArrayLike) -> Metrics:
    """Measure predictions of EF.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.

    Returns:
        mae, rmse, bias (mean of predicted minus true), loa_lower and loa_upper (95 % limits of
        agreement, Bland & Altman, *Lancet* 1986), all in EF points, r2, icc and ccc (see
        `lvef.evaluation.agreement`), within_5 and within_10 (shares of cases), and roc_auc of
        finding EF <= 40 by a low prediction.
    """
    predicted = torch.as_tensor(np.array(ef, dtype=np.float64))
    truth = torch.as_tensor(np.array(ef_true, dtype=np.float64))
    difference = predicted - truth
    spread = LIMITS_OF_AGREEMENT * float(difference.std()) if len(truth) > 1 else float("nan")
    varied = len(truth) > 1 and float(truth.std()) > 0
    reduced_true = torch.as_tensor(is_reduced(truth.numpy())).long()
    both = 0 < int(reduced_true.sum()) < len(reduced_true)
    # A score in 0..1, or torchmetrics would take it for a logit and squash it.
    score = 1 - predicted.clamp(-100, 200).add(100).div(300)
    return {
        "mae": float(mean_absolute_error(predicted, truth)),
        "rmse": float(mean_squared_error(predicted, truth, squared=False)),
        "r2": float(r2_score(predicted, truth)) if varied else float("nan"),
        "bias": float(difference.mean()),
        "loa_lower": float(difference.mean()) - spread,
        "loa_upper": float(difference.mean()) + spread,
        "icc": icc(predicted, truth),
        "ccc": concordance(predicted, truth),
        **{
            f"within_{points}": float((difference.abs() <= points).double().mean())
            for points in WITHIN
        },
        "roc_auc": float(binary_auroc(score, reduced_true, validate_args=False))
        if both
        else float("nan"),
    }


def _from_counts(tp: float, fp: float, tn: float, fn: float) -> Metrics:
    def share(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    recall, specificity = share(tp, tp + fn), share(tn, tn + fp)
    f1 = share(2 * tp, 2 * tp + fp + fn)
    f1_normal = share(2 * tn, 2 * tn + fp + fn)
    total = tp + fp + tn + fn
    weighted = np.nansum([f1 * (tp + fn), f1_normal * (tn + fp)]) / total
    return {
        "accuracy": share(tp + tn, total),
        "balanced_accuracy": (recall + specificity) / 2,
        "f1": f1,
        "f1_weighted": float(weighted),
        "precision": share(tp, tp + fp),
        "npv": share(tn, tn + fn),
        "recall": recall,
        "specificity": specificity,
    }
