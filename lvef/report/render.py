"""The page itself: template, style and script, with everything embedded."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image
from plotly.offline import get_plotlyjs

from lvef.evaluation.subgroup_text import subgroup_notes, subgroup_table
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.report.case import ReportCase

_DPI = 110
_COLUMNS = [
    "Case", "True EF (%)", "EF (%)", "Interval (%)", "P(EF ≤ 40 %)", "Called", "Call", "Review",
    "Why",
]  # fmt: skip


@dataclass(frozen=True)
class Page:
    """What a page says.

    Attributes:
        heading: Its heading.
        title: What it is of: split, how many cases, which model.
        phantom: Whether every case is a phantom.
        trained_on: "phantoms" where these taught the model, else empty.
        notes: What is lacking, and why.
        headline: `value`, `label` and `detail` of the tiles on top.
        summary: `name`, `value`, `interval` and `baseline` of every metric.
        baseline: What the trivial answer is.
        review: What the review flags are worth, in lines.
        figures: Name, caption and figure.
        cases: The cases.
        threshold: Decision threshold; None where there is none.
        level: Coverage of the intervals in percent.
        model_facts: Name and value of what is stated of the model.
        heat_words: How to read the heat maps.
        config: The configuration as text.
        subgroups: How the model does in groups of cases; None where that is not known.
    """

    heading: str
    title: str
    phantom: bool
    trained_on: str
    notes: list[str]
    headline: list[dict[str, str]]
    summary: list[dict[str, str]]
    baseline: str
    review: list[str]
    figures: list[tuple[str, str, Figure]]
    cases: list[ReportCase]
    threshold: float | None
    level: float
    model_facts: list[tuple[str, str]]
    heat_words: str
    config: str
    subgroups: dict[str, Any] | None = None


def render(page: Page) -> str:
    """Return the HTML of a page, which loads nothing from anywhere."""
    template = Environment(autoescape=True, trim_blocks=True).from_string(_part("report.html.j2"))
    plain = [_without_nothing(case.plain()) for case in page.cases]
    data = {
        "cases": plain,
        "threshold": page.threshold,
        "level": round(page.level),
        "note": NOT_FOR_DIAGNOSIS,
    }
    scripts = [get_plotlyjs().replace("</script", "<\\/script"), _part("report.js")]
    rows = [_row(case) for case in page.cases]
    columns, rows = _used(rows)
    return template.render(
        heading=page.heading,
        title=page.title,
        phantom=page.phantom,
        trained_on=page.trained_on,
        note=NOT_FOR_DIAGNOSIS,
        notes=list(dict.fromkeys(page.notes)),
        headline=page.headline,
        summary=page.summary,
        baseline=page.baseline,
        review=page.review,
        subgroups=_subgroups(page.subgroups),
        figures=[_figure(*each) for each in page.figures],
        columns=columns,
        rows=rows,
        model_facts=page.model_facts,
        heat_words=page.heat_words,
        config=page.config,
        version=version("lvef"),
        style=Markup(_part("report.css")),
        data=Markup(_safe_json(data)),
        scripts=[Markup(script) for script in scripts],
        allowed=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
    )


def _part(name: str) -> str:
    return (files("lvef.report") / "page" / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return what a browser knows a script by, so that it runs no other."""
    return base64.b64encode(sha256(script.encode()).digest()).decode()


def _safe_json(value: Any) -> str:
    """Return JSON that no script element can be ended by."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_nothing(case: dict[str, Any]) -> dict[str, Any]:
    """Shorten the numbers of a case."""
    return {
        name: round(value, 4) if isinstance(value, float) else value for name, value in case.items()
    }


def _subgroups(report: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return heading, rows and notes of the table of groups; None where there are none."""
    if report is None or not report["by"]:
        return None
    heading, rows = subgroup_table(report)
    return {"heading": heading, "rows": rows, "notes": subgroup_notes(report)}


def _row(case: ReportCase) -> dict[str, Any]:
    """Return the cells of a case, each with the text shown and the value to sort by."""

    def number(value: float | None, digits: int = 1) -> dict[str, Any]:
        return {
            "text": "" if value is None else f"{value:.{digits}f}",
            "value": "" if value is None else f"{value:.6g}",
        }

    low, high = case.ef_lower, case.ef_upper
    interval = {"text": "", "value": ""}
    if low is not None and high is not None:
        interval = {"text": f"{low:.0f} to {high:.0f}", "value": f"{high - low:.6g}"}
    called = {None: "", True: "reduced", False: "normal"}[case.reduced]
    right = {None: "", True: "wrong", False: "right"}[case.wrong]
    review = "review" if case.review else ""
    why = case.why or case.reason
    words = [{"text": text, "value": text} for text in (called, right, review, why)]
    return {
        "number": case.number,
        "cells": [
            number(case.ef_true),
            number(case.ef),
            interval,
            number(case.p_reduced, 3),
            *words,
        ],
    }


def _used(rows: list[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Leave out columns in which there is nothing."""
    filled = [
        place for place in range(len(_COLUMNS) - 1)
        if any(row["cells"][place]["text"] for row in rows)
    ]  # fmt: skip
    columns = [_COLUMNS[0], *(_COLUMNS[place + 1] for place in filled)]
    return columns, [{**row, "cells": [row["cells"][p] for p in filled]} for row in rows]


def _figure(name: str, caption: str, figure: Figure) -> dict[str, Any]:
    drawn = BytesIO()
    figure.savefig(drawn, dpi=_DPI)
    drawn.seek(0)
    image = Image.open(drawn).convert("RGB")
    written = BytesIO()
    image.quantize(128).save(written, "PNG", optimize=True)
    return {
        "name": name,
        "caption": caption,
        "picture": "data:image/png;base64," + base64.b64encode(written.getvalue()).decode(),
        "wide": image.width > 1.6 * image.height,
        "width": round(image.width * 96 / _DPI),
        "height": round(image.height * 96 / _DPI),
    }
