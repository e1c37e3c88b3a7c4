"""What a standard deviation of its own for each case is worth, and what intervals rest on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvef.evaluation.sharpness import STRETCHED
from lvef.experiments.table_markdown import cell, header, line, number, percent
from lvef.experiments.table_rows import Rows

_COLUMNS = (
    "experiment", "VAL factor", "own noise", "RMSE on VAL", "Spearman of SD and error",
    "NLPD gain over one SD", "uncalibrated 90 % interval holds, %", "by tertile of SD, %",
    "backbone taught by", "VAL cases", "may hold as little as",
)  # fmt: skip


def format_sharpness(rows: Rows, data: str) -> list[str]:
    """Return a table of what the standard deviations of regressors are worth.

    Args:
        rows: Regressors. Those that were tested by an earlier version do not say, and are left out.
        data: What the heading begins with, such as "PHANTOM: ".
    """
    known = {name: row for name, row in rows.items() if row.get("uncertainty")}
    if not known:
        return []
    lines = [f"## {data}What the standard deviations are worth, TEST", "", *header(_COLUMNS)]
    lines += [line(_cells(name, row)) for name, row in known.items()]
    lines += [
        "",
        "VAL multiplies a model's own standard deviations by the factor. NLPD gain is over the "
        "RMSE on VAL for every case; a dash stands where all cases have one SD. Tertiles show how "
        "many of the least, middle and most uncertain third the stated interval holds. The last "
        "two columns: on how many cases of VAL the intervals rest, and the 5 % quantile of what "
        "an interval that rests on so few holds of new cases.",
    ]
    large = [n for n, row in known.items() if row["uncertainty"]["std_factor"] > STRETCHED]
    if large:
        names = ", ".join(f"`{name}`" for name in large)
        lines += ["", f"**Standard deviations too small (factor above {STRETCHED})**: {names}."]
    return lines


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    report, promise = row["uncertainty"], row.get("calibration") or {}
    cases = promise.get("cases", {})
    worst = [share for share in promise.get("coverage_worst", {}).values() if share is not None]
    held = report["raw_coverage_90"]
    return [
        f"`{name}`",
        number(report["std_factor"]),
        number(report["noise_std"]),
        number(report["val_rmse"]),
        cell(report["spearman"]),
        cell(report["nlpd_gain"]),
        "-" if held is None else cell({key: 100 * share for key, share in held.items()}),
        " / ".join(f"{100 * third['value']:.0f}" for third in report["tertiles"]) or "-",
        report.get("backbone_learned_from", "-"),
        " / ".join(map(str, cases.values())) or "-",
        percent(min(worst)) if worst else "-",
    ]
