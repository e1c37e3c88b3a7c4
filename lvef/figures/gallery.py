"""All figures of a test run, by name, with what each shows in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvef.evaluation.uncertainty import LEVELS, doubt
from lvef.figures import clinical
from lvef.figures import predictions as figures
from lvef.figures import residuals as residual_figures
from lvef.figures import uncertainty as uncertainty_figures

Cases = Mapping[str, NDArray[np.generic]]
CAPTIONS = {
    "roc_and_pr": "How well reduced EF is told from normal at every threshold: the ROC and the "
    "precision-recall curve with 95 % bootstrap bands, and the threshold that is used.",
    "confusion_matrix": "How many cases of each class were called what.",
    "reliability": "How often EF is reduced in truth, against the probability stated.",
    "decision_curve": "Net benefit of sending on whoever is above a risk, against sending on "
    "everyone or no one.",
    "risk_distribution": "How the stated risks are spread among cases of either class, and the "
    "threshold that is used.",
    "error_rejection": "How many misclassifications remain when the most doubtful cases go to a "
    "human.",
    "predicted_and_true": "Predicted against true EF, with the identity and the 40 % threshold.",
    "bland_altman": "Difference of predicted and true EF against their mean, with the bias and the "
    "95 % limits of agreement.",
    "residuals": "Errors against true EF, against the volume, and by band of EF.",
    "residual_distribution": "How errors are distributed: histogram and Q-Q plot beside a normal "
    "distribution.",
    "coverage": "How many cases lie inside their intervals, against what the intervals promise.",
    "ef_distribution": "How EF is distributed in each split.",
    "training_curves": "How the run that made the checkpoint was trained.",
}
"""What each figure shows, in words."""
NAMES = {
    "roc_and_pr": "ROC and precision-recall",
    "confusion_matrix": "Confusion matrix",
    "reliability": "Reliability",
    "decision_curve": "Decision curve",
    "risk_distribution": "Risks by class",
    "error_rejection": "Error and rejection",
    "predicted_and_true": "Predicted and true EF",
    "bland_altman": "Bland-Altman",
    "residuals": "Residuals",
    "residual_distribution": "Distribution of residuals",
    "coverage": "Coverage of intervals",
    "ef_distribution": "EF by split",
    "training_curves": "Training",
}
"""What each figure is called."""


def classifier_figures(cases: Cases, threshold: float, title: str) -> dict[str, Figure]:
    """Draw the figures of a classifier.

    Args:
        cases: `p_reduced` and `reduced_true`, `(n,)` each.
        threshold: Decision threshold.
        title: Which data, split and how many.
    """
    probability, reduced = cases["p_reduced"], cases["reduced_true"]
    wrong = (np.asarray(probability, float) >= threshold) != (np.asarray(reduced, int) > 0)
    doubtful = doubt(probability, threshold)
    return {
        "roc_and_pr": figures.roc_and_pr(probability, reduced, threshold, title),
        "confusion_matrix": figures.confusion_matrix(probability, reduced, threshold, title),
        **_of_risks(probability, reduced, threshold, title),
        "error_rejection": uncertainty_figures.error_rejection_curve(
            {"misclassified": (wrong, doubtful)}, title
        ),
    }


def predictor_figures(
    cases: Cases,
    shares_inside: Mapping[float, float],
    end_diastolic_volume: NDArray[np.generic] | None,
    title: str,
) -> dict[str, Figure]:
    """Draw the figures of a task that predicts EF.

    Args:
        cases: `ef`, `ef_true`, `p_reduced`, `reduced` and `reduced_true`, `(n,)` each.
        shares_inside: Share of cases inside their interval, by its level.
        end_diastolic_volume: `(n,)` in mL; None where it is not known.
        title: Which data, split and how many.
    """
    predicted, ef = cases["ef"], cases["ef_true"]
    wrong = np.asarray(cases["reduced"]) != np.asarray(cases["reduced_true"])
    drawn = {
        "predicted_and_true": figures.predicted_and_true(predicted, ef, title),
        "bland_altman": residual_figures.bland_altman(predicted, ef, title),
        "residuals": residual_figures.residuals(predicted, ef, end_diastolic_volume, title),
        "residual_distribution": residual_figures.residual_distribution(predicted, ef, title),
        "error_rejection": uncertainty_figures.error_rejection_curve(
            {"misclassified": (wrong, doubt(cases["p_reduced"]))}, title
        ),
    }
    if set(LEVELS) <= set(shares_inside):
        drawn["coverage"] = uncertainty_figures.coverage(
            {"": [shares_inside[level] for level in LEVELS]}, title
        )
    called = np.asarray(cases["reduced"], float)
    both = 0 < np.asarray(cases["reduced_true"]).sum() < len(called)
    if both:
        drawn["confusion_matrix"] = figures.confusion_matrix(
            called, cases["reduced_true"], 0.5, title
        )
        risks = cases["p_reduced"], cases["reduced_true"]
        drawn["roc_and_pr"] = figures.roc_and_pr(*risks, 0.5, title)
        if np.isfinite(np.asarray(risks[0], float)).all():
            drawn |= _of_risks(*risks, 0.5, title)
    return drawn


def _of_risks(
    probability: NDArray[np.generic], reduced: NDArray[np.generic], threshold: float, title: str
) -> dict[str, Figure]:
    return {
        "reliability": uncertainty_figures.reliability(probability, reduced, title),
        "risk_distribution": clinical.risk_distribution(probability, reduced, threshold, title),
        "decision_curve": clinical.decision_curve(probability, reduced, title),
    }
