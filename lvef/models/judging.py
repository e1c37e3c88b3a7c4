"""How a task that says EF is judged on TEST: metrics with intervals, and what is beside them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.clinical_report import clinical_report, format_clinical
from lvef.evaluation.review import format_review, review_report
from lvef.evaluation.sharpness import format_promise, promise_report
from lvef.evaluation.subgroup_text import format_subgroups
from lvef.evaluation.subgroups import subgroup_report
from lvef.evaluation.summary import Summary, format_summary
from lvef.evaluation.uncertainty import LEVEL, doubt
from lvef.models.task import Cases, Task, TestReport
from lvef.models.uncertainty import TaskCalibration


class JudgedTask(Task):
    """Base of tasks whose answers are called, calibrated and flagged for review.

    Attributes:
        baseline: What the trivial answer of `summary` is, in words.
        calibration: What VAL teaches about its mistakes.
        calibrated_apart: Whether cases taught it that had no part in choosing the epoch.
        recalibrated: What a checkpoint says of the cases of another place that calibrated it in
            place of VAL; empty where none did.
    """

    baseline: ClassVar[str]
    calibration: TaskCalibration
    calibrated_apart: bool = False
    recalibrated: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def summary(self, cases: Cases) -> Summary:
        """Return the metrics with intervals and baseline."""

    @property
    def calibration_cases(self) -> dict[str, int]:
        """How many cases of VAL each conformal promise rests on, by whom it is made to."""
        return {}

    @property
    def made_of(self) -> list[dict[str, Any]]:
        """What is said of the models that answer together; none where one answers alone."""
        return []

    def promise(self) -> dict[str, Any]:
        """Return what the stated level of coverage rests on; see `promise_report`."""
        return promise_report(
            self.calibration_cases, self.interval_level or LEVEL, self.calibrated_apart,
            self.recalibrated.get("told", "VAL"),
        )  # fmt: skip

    def uncertainty(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return what the standard deviations are worth, as data and in lines."""
        return None, []

    @property
    def clusters(self) -> NDArray[Any] | None:
        """The patients of `cases`, `(n,)`, where several clips are of one; None elsewhere."""
        patients = self._patients(self.cases["row"])
        return patients if len(np.unique(patients)) < len(patients) else None

    def one_clip_each(self, cases: Cases) -> Cases:
        """Return the first clip of each patient: what is promised rests on patients, not on clips.

        Args:
            cases: Columns `(n,)` with `row`.
        """
        _, first = np.unique(self._patients(cases["row"]), return_index=True)
        if len(first) == len(cases["row"]):
            return cases
        kept = torch.as_tensor(np.sort(first))
        return {name: column[kept] for name, column in cases.items()}

    def _patients(self, rows: Tensor) -> NDArray[Any]:
        """Return whose clips rows of the data module's table are; an unknown patient's is alone."""
        table = None if self._trainer is None else getattr(self._datamodule(), "table", None)
        if table is None or "patient" not in table:
            return np.asarray(rows.cpu())
        known = table.loc[rows.cpu().numpy()]
        patients = known["patient"].where(known["patient"] != "", "video " + known["video"])
        return np.asarray(patients, dtype=str)

    @property
    def groups(self) -> list[Any]:
        """Groups that `cases` fall into, see `lvef.evaluation.subgroups.Grouped`."""
        groups = getattr(getattr(self._trainer, "datamodule", None), "groups", None)
        return [] if groups is None else groups(self.cases["row"].numpy())

    def test_report(self, title: str) -> TestReport:
        """Return the table of TEST, with what metrics.json says beside it."""
        # Even odds where no threshold was chosen.
        threshold = 0.5 if self.decision_threshold is None else self.decision_threshold
        cases = {name: column.numpy() for name, column in self.cases.items()}
        probability, truth = self.calibration.held_out()
        of_val = probability.numpy(), truth.numpy()
        summary, review = self.summary(self.cases), _review(cases, threshold)
        clinical = clinical_report(cases, threshold, of_val, self.clusters)
        promise, (uncertainty, lines) = self.promise(), self.uncertainty()
        groups = subgroup_report(cases, self.groups, self.clusters, promise["level"])
        told = [*format_clinical(clinical), *format_review(review), *lines, format_promise(promise)]
        told += format_subgroups(groups)
        facts = {
            "frames": self.frames,
            "baseline": self.baseline,
            "threshold": threshold,
            "trained_on": self.trained_on,
            "review": review,
            "clinical": clinical,
            "calibration": promise,
            "recalibrated": dict(self.recalibrated),
            "uncertainty": uncertainty,
            "subgroups": groups,
        }
        if self.made_of:
            facts["members"] = self.made_of
        text = format_summary(summary, title, self.baseline, "\n".join(told))
        return TestReport(summary, text, facts)


def _review(cases: dict[str, NDArray[Any]], threshold: float) -> dict[str, Any]:
    """Return what is flagged for a human, and what of it is wrong."""
    wrong = cases["reduced"] != cases["reduced_true"]
    doubts = doubt(cases["p_reduced"], threshold)
    if "ef" not in cases:
        return review_report(wrong, cases["review"], doubts, cases["ef_true"])
    error, nearness = np.abs(cases["ef"] - cases["ef_true"]), -np.abs(cases["ef"] - REDUCED_EF)
    return review_report(wrong, cases["review"], doubts, cases["ef_true"], error, nearness)
