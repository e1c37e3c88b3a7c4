"""What a model said of a case, without any picture and without the name of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lvef.cardiac import REDUCED_EF, straddles_reduced
from lvef.report.case import CaseBeat, ReportCase
from lvef.report.privacy import without_names
from lvef.report.run import Run


def answered_case(number: int, row: Any, run: Run) -> ReportCase:
    """Return what was said of a case, without any picture."""

    def value(name: str) -> float | None:
        cell = row.get(name)
        return None if cell is None or not np.isfinite(float(cell)) else float(cell)

    video = str(row["video"])
    reason = str(row["reason"])
    if reason:
        reason = without_names(reason, video)
    ef_true, reduced = value("ef_true"), value("reduced")
    case = ReportCase(
        number=number,
        status=str(row["status"]),
        reason=reason,
        ef_true=ef_true,
        ef=value("ef"),
        ef_std=value("ef_std"),
        ef_lower=value("ef_lower"),
        ef_upper=value("ef_upper"),
        p_reduced=value("p_reduced"),
        reduced=None if reduced is None else reduced > 0,
        wrong=None
        if reduced is None or ef_true is None
        else (reduced > 0) != (ef_true <= REDUCED_EF),
        review=bool(value("review")),
        beats=_beats(run.beats, video),
    )
    return replace(case, why=_why(case, run))


def _why(case: ReportCase, run: Run) -> str:
    """Return why a case is flagged, in words."""
    if not case.review:
        return ""
    level = 100 * run.metadata.level
    if case.ef is None:
        return f"At {level:.0f} %, both or neither of the two classes are plausible."
    reasons = []
    low, high = case.ef_lower, case.ef_upper
    if low is not None and high is not None and straddles_reduced(low, high):
        reasons.append(
            f"The {level:.0f} % interval, {low:.1f} to {high:.1f} %, reaches over EF 40 %."
        )
    if not reasons:
        std = "" if case.ef_std is None else f" ({case.ef_std:.1f} points)"
        beats = ", or the beats disagree" if len(case.beats) > 1 else ""
        reasons.append(f"The model is unusually unsure{std}{beats}.")
    return " ".join(reasons)


def _beats(beats: pd.DataFrame, video: str) -> list[CaseBeat]:
    if beats.empty:
        return []

    def value(row: Any, name: str) -> float | None:
        cell = row.get(name)
        return None if cell is None or pd.isna(cell) else float(cell)

    return [
        CaseBeat(
            int(row["ed_frame"]), int(row["es_frame"]),
            None if pd.isna(row["mid_frame"]) else int(row["mid_frame"]), value(row, "ef"),
            value(row, "ef_geometric"), value(row, "p_reduced"),
        )
        for row in beats[beats["video"] == video].to_dict("records")
    ]  # fmt: skip
