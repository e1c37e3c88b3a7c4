"""How TEST is judged: metrics with intervals, and what stands beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.clinical_report import clinical_report, format_clinical
from lvef.evaluation.review import format_review, review_report
from lvef.evaluation.sharpness import format_promise
from lvef.evaluation.summary import format_summary
from lvef.evaluation.uncertainty import doubt
from lvef.models.task import TestReport

if TYPE_CHECKING:
    from lvef.models.base import EFTask


def judged(task: EFTask, title: str) -> TestReport:
    """Return the table of a task's cases, with what metrics.json says beside it.

    Args:
        task: It holds the cases of TEST, and what VAL taught it.
        title: What the cases are.
    """
    threshold = 0.5 if task.decision_threshold is None else task.decision_threshold  # even odds
    cases = {name: column.numpy() for name, column in task.cases.items()}
    summary, review = task.summary(task.cases), _review(cases, threshold)
    probability, truth = task.calibration.held_out()
    clinical = clinical_report(
        cases, threshold, (probability.numpy(), truth.numpy()), task.clusters
    )
    promise, (uncertainty, lines) = task.promise(), task.uncertainty()
    told = [*format_clinical(clinical), *format_review(review), *lines, format_promise(promise)]
    facts = {
        "frames": task.frames,
        "baseline": task.baseline,
        "threshold": threshold,
        "trained_on": task.trained_on,
        "review": review,
        "clinical": clinical,
        "calibration": promise,
        "recalibrated": dict(task.recalibrated),
        "uncertainty": uncertainty,
    }
    text = format_summary(summary, title, task.baseline, "\n".join(told))
    return TestReport(summary, text, facts)


def patients_of(table: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[Any] | None:
    """Return the patient of each case, `(n,)`; None where no two clips are known to be of one.

    Args:
        table: The folder's table, see `LabelFolder`.
        rows: Rows of the cases.
    """
    if "patient" not in table:
        return None
    of_cases = table.loc[rows]
    known = of_cases["patient"].where(of_cases["patient"] != "", "video " + of_cases["video"])
    return known.to_numpy() if known.duplicated().any() else None


def _review(cases: dict[str, NDArray[Any]], threshold: float) -> dict[str, Any]:
    """Return what is flagged for a human, and what of it is wrong."""
    wrong = cases["reduced"] != cases["reduced_true"]
    doubts = doubt(cases["p_reduced"], threshold)
    if "ef" not in cases:
        return review_report(wrong, cases["review"], doubts, cases["ef_true"])
    error, nearness = abs(cases["ef"] - cases["ef_true"]), -abs(cases["ef"] - REDUCED_EF)
    return review_report(wrong, cases["review"], doubts, cases["ef_true"], error, nearness)
