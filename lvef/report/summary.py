"""What a page says of the whole run: title, tiles, metrics, and the model."""

from __future__ import annotations

import math
from importlib.metadata import version

from lvef.evaluation.metrics import metric_name
from lvef.report.case import ReportCase
from lvef.report.run import Run

_TILES = {"classification": ("roc_auc", "balanced_accuracy", "pr_auc", "ece")}
_NUMBERS = ("mae", "rmse", "r2", "coverage_90")


def title(run: Run, cases: list[ReportCase]) -> str:
    """Return what the page is of: which data, how many cases, which model."""
    metadata = run.metadata
    data = "PHANTOM " if metadata.phantom else ""
    model = f", {metadata.task}" if metadata.task else ""
    if model and metadata.frames:
        model += f" on {' + '.join(metadata.frames)}"
    if run.tested:
        return f"{data}TEST, {len(cases)} videos{model}"
    failed = sum(case.status != "ok" for case in cases)
    return f"{data}{len(cases)} videos{model}, {failed} of them not predicted"


def summary(run: Run) -> list[dict[str, str]]:
    """Return `name`, `value`, `interval` and `baseline` of every metric."""
    return [
        {
            "name": metric_name(name),
            "value": _number(row["value"]),
            "interval": "none"
            if row["lower"] is None
            else f"{_number(row['lower'])} to {_number(row['upper'])}",
            "baseline": _number(row["baseline"]),
        }
        for name, row in run.metadata.metrics.items()
    ]


def tiles(run: Run, cases: list[ReportCase]) -> list[dict[str, str]]:
    """Return `value`, `label` and `detail` of the tiles on top."""
    flagged = sum(case.review for case in cases)
    share = f"{100 * flagged / max(len(cases), 1):.0f} % of {len(cases)}"
    review = [{"value": str(flagged), "label": "cases flagged for review", "detail": share}]
    if not run.tested:
        reduced = sum(case.reduced is True for case in cases)
        failed = sum(case.status != "ok" for case in cases)
        return [
            {"value": str(len(cases)), "label": "videos", "detail": ""},
            {"value": str(reduced), "label": "called reduced (EF ≤ 40 %)", "detail": ""},
            *review,
            {"value": str(failed), "label": "not predicted", "detail": "see their reasons"},
        ]
    metrics = run.metadata.metrics
    shown = [
        {
            "value": _number(metrics[name]["value"]),
            "label": metric_name(name),
            "detail": f"95 % interval {_number(metrics[name]['lower'])} to "
            f"{_number(metrics[name]['upper'])}; trivial answer "
            f"{_number(metrics[name]['baseline'])}",
        }
        for name in _TILES.get(run.metadata.kind, _NUMBERS)
        if name in metrics
    ]
    return [*shown, *review]


def model_facts(run: Run) -> list[tuple[str, str]]:
    """Return name and value of what is stated of the model."""
    metadata = run.metadata
    geometry = metadata.kind == "segmentation"
    facts = [
        ("Task", metadata.task),
        ("Frames", " + ".join(metadata.frames)),
        ("Split", "TEST" if run.tested else ""),
        ("Cases", str(len(run.cases)) if run.tested else ""),
        ("Trained on", metadata.trained_on or "clips of patients, or not recorded"),
        ("EF from", "the geometry of the contours that were found" if geometry else ""),
        ("Backbone", metadata.backbone),
        ("Decision threshold", _number(metadata.threshold) if metadata.threshold else ""),
        ("Trivial answer", metadata.baseline),
        (
            "Calibrated on",
            "phantoms" if geometry
            else "the VAL split: intervals, temperature, threshold and review flags",
        ),
        ("Meant for", "research on apical four-chamber clips such as those it was trained on"),
        ("Not for", "diagnosis, treatment, or any decision about a patient"),
        ("Software", f"lvef {metadata.version or version('lvef')}"),
    ]  # fmt: skip
    return [(name, value) for name, value in facts if value]


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"
