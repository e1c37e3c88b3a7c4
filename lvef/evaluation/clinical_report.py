"""All that a clinician or a reviewer asks of a test run, in one report and a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.agreement import bland_altman
from lvef.evaluation.clinical import (
    EF_CLASSES,
    PRESERVED_EF,
    classes_report,
    diagnostic_report,
    net_benefit,
)
from lvef.evaluation.operating import Stated, operating_points, threshold_choice


def clinical_report(
    cases: Mapping[str, NDArray[Any]],
    threshold: float,
    val: Stated,
    clusters: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return calls, classes, agreement and net benefit of a set of cases.

    Args:
        cases: `reduced`, `reduced_true`, `p_reduced`, and of a regressor `ef` and `ef_true`.
        threshold: Probability from which a case is called reduced.
        val: Cases of VAL, which choose operating points; empty where they are not known.
        clusters: `(n,)` patients, where several cases may be of one.

    Returns:
        `at_40`, and of a regressor `at_50` (see `diagnostic_report`; positive is EF below the
        cut), `classes`, `agreement`; `net_benefit`, `operating_points` and, of a classifier,
        `threshold_choice`.
    """
    test = cases["p_reduced"], cases["reduced_true"]
    report: dict[str, Any] = {
        "at_40": diagnostic_report(cases["reduced"], cases["reduced_true"], clusters)
    }
    if "ef" in cases:
        ef, ef_true = cases["ef"], cases["ef_true"]
        below = ef < PRESERVED_EF, ef_true < PRESERVED_EF
        report["at_50"] = diagnostic_report(*below, clusters)
        report["classes"] = classes_report(ef, ef_true)
        report["agreement"] = bland_altman(ef, ef_true)
    report["net_benefit"] = net_benefit(*test)
    report["operating_points"] = operating_points(val, test, clusters)
    if "ef" not in cases:
        report["threshold_choice"] = threshold_choice(val, test)
        report["threshold"] = threshold
    return report


def format_clinical(report: Mapping[str, Any]) -> list[str]:
    """Return the report in a few lines."""
    lines = [
        f"EF {sign} {cut:g} %: {_calls(report[key])}"
        for key, sign, cut in (("at_40", "<=", REDUCED_EF), ("at_50", "<", PRESERVED_EF))
        if key in report
    ]
    lines += [
        f"at {100 * point['sensitivity_on_val']:.0f} % sensitivity on VAL: {_calls(point)}"
        for point in report["operating_points"]
    ]
    chosen = report.get("threshold_choice")
    if chosen and {"recall", "specificity"} <= set(chosen):  # TEST may hold one class
        low, high = chosen["threshold"]
        ends = (*chosen["recall"], *chosen["specificity"])
        lines.append(
            f"with the choice of the threshold ({report['threshold']:.3f} [{low:.3f}, {high:.3f}])"
            " included: sensitivity [{:.3f}, {:.3f}], specificity [{:.3f}, {:.3f}]".format(*ends)
        )
    if "classes" in report:
        classes = report["classes"]
        lines.append(
            f"EF classes {', '.join(EF_CLASSES)}: {_cell(classes['accuracy'])} right, "
            f"quadratic-weighted kappa {classes['kappa']:.3f}"
        )
    if "slope" in report.get("agreement", {}):
        slope, limits = report["agreement"]["slope"], report["agreement"]["limits_at"]
        told = "; ".join(
            f"{low:.1f} to {high:.1f} at {place} %" for place, (low, high) in limits.items()
        )
        lines.append(
            f"Bland-Altman: slope {_cell(slope)} points a point"
            + (f"; limits that change with EF: {told}" if told else "")
        )
    return lines


def _calls(values: Mapping[str, Any]) -> str:
    names = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV",
             "lr_positive": "LR+", "lr_negative": "LR-"}  # fmt: skip
    return ", ".join(f"{name} {_cell(values[key])}" for key, name in names.items())


def _cell(value: Mapping[str, Any]) -> str:
    numbers = [value["value"], value["lower"], value["upper"]]
    if not np.isfinite(numbers[0]):
        return "-"
    middle, lower, upper = (f"{n:.3f}" if abs(n) < 2 else f"{n:.1f}" for n in numbers)
    return f"{middle} [{lower}, {upper}]"
