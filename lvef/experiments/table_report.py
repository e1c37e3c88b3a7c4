"""What `lvef table` writes: table.md, table.json and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvef.experiments.references import CAVEAT, NOT_BESIDE_PHANTOMS, REFERENCES, VIDEO_MODELS
from lvef.experiments.table_bounds import MAJORITY, MEAN, Bounds
from lvef.experiments.table_calls import calls_of, format_calls, format_flags
from lvef.experiments.table_differences import MAE, ROC_AUC, differences_of, format_differences
from lvef.experiments.table_figures import COVERAGES, draw_table
from lvef.experiments.table_folds import TableFolds
from lvef.experiments.table_markdown import cell, header, line, number
from lvef.experiments.table_over_folds import describe_folds, format_folds
from lvef.experiments.table_rows import (
    Rows,
    best_on_val,
    clusters_of,
    is_classifier,
    of_each_case,
    read_cases,
    with_patients,
)
from lvef.experiments.table_seeds import format_seeds, seeds_of
from lvef.experiments.table_sharpness import format_sharpness
from lvef.files import write_json, write_text
from lvef.notice import NOT_FOR_DIAGNOSIS

CLASSIFICATION = [
    "accuracy", "balanced_accuracy", "recall", "specificity", "f1", "f1_weighted", "roc_auc",
    "pr_auc", "ece",
]  # fmt: skip
REGRESSION = ["mae", "rmse", "r2", "bias"]
INTERVALS = [*COVERAGES, "width_90", "nlpd", "crps"]
_COST = ["minutes to fit", "GB", "ms a case"]
_RESAMPLED = "percentile bootstrap, 1,000 resamples of cases"


def write_report(
    output: Path,
    seeds: Mapping[int, Rows],
    parts: Sequence[pd.DataFrame],
    bounds: Bounds,
    margins: dict[str, float],
    phantom: bool,
    note: str = "",
    folds: TableFolds | None = None,
) -> Path:
    """Write the table of finished experiments.

    Args:
        output: Folder.
        seeds: By seed and experiment: its `metrics.json`, with `checkpoint`, `minutes`, `val` and
            `cases`. All tables but that over seeds show the first seed.
        parts: The labels; of cross-validation a table of each fold.
        bounds: What the rows stand beside on the same TEST split.
        margins: By metric, the difference below which two rows are equivalent.
        phantom: Whether they were measured on phantoms; every heading then says so.
        note: What table.md begins with.
        folds: Of cross-validation; rows are then those of `pooled_row`.

    Returns:
        The path of table.md.
    """
    data = ("PHANTOM: " if phantom else "") + (f"{folds}: " if folds else "")
    rows = next(iter(seeds.values()))
    classifiers = {k: row for k, row in rows.items() if is_classifier(row)}
    regressors = {k: row for k, row in rows.items() if not is_classifier(row)}
    kinds = ((ROC_AUC, classifiers), (MAE, regressors))
    cases = {
        seed: {
            name: with_patients(read_cases(row["cases"]), parts) for name, row in of_seed.items()
        }
        for seed, of_seed in seeds.items()
    }
    first = next(iter(cases.values()))
    majority = bounds[MAJORITY]["majority"]
    calls = {
        name: calls_of(
            first[name], of_each_case(_threshold(row), first[name]),
            of_each_case(majority, first[name]), clusters_of(first[name]),
        )
        for name, row in rows.items()
    }  # fmt: skip
    differences = {
        metric.name: differences_of(metric, _of(first, names), margins[metric.name])
        for metric, names in kinds
    }
    over_seeds = {
        metric.name: seeds_of(metric, [_of(each, names) for each in cases.values()])
        for metric, names in kinds
    }
    results = {
        "phantom": phantom,
        "quick": note,
        "folds": None if folds is None else {"number": folds.number, "seed": folds.seed},
        "note": NOT_FOR_DIAGNOSIS,
        "bounds": bounds,
        "references": {"experiments": REFERENCES, "video_models": VIDEO_MODELS, "caveat": CAVEAT},
        "calls": calls,
        "margins": margins,
        "differences": differences,
        "seeds": {**over_seeds, "numbers": list(seeds)},
        "rows": rows,
        "other_seeds": dict(list(seeds.items())[1:]),
    }
    write_json(output / "table.json", results)
    plots = draw_table(output, classifiers, regressors, first, bounds, data)
    sections = [
        [note] if note else [],
        describe_folds(folds, parts, data) if folds else [],
        _classification(classifiers, bounds, data),
        _regression(regressors, bounds, data),
        _uncertainty(regressors, bounds, data),
        format_sharpness(regressors, data),
        format_calls(calls, data),
        format_flags(calls, data),
        format_differences(differences, margins, data),
        format_seeds(over_seeds, list(seeds), data),
        format_folds(classifiers, regressors, data) if folds else [],
        [f"![{data}{path.stem}]({path.name})" for path in plots],
        *_studies(output),
        _published(phantom),
        [f"Intervals are of 95 % where nothing else is said. {NOT_FOR_DIAGNOSIS}"],
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"
    write_text(output / "table.md", text)
    print(text)
    return output / "table.md"


def _threshold(row: Mapping[str, Any]) -> float | list[float]:
    """Return the probability from which a row calls a case reduced; of folds one each."""
    threshold = row.get("threshold")
    return 0.5 if threshold is None else threshold


def _of(cases: Mapping[str, pd.DataFrame], names: Rows) -> dict[str, pd.DataFrame]:
    return {name: cases[name] for name in names}


def _studies(output: Path) -> list[list[str]]:
    """Return what `saliency` and `robustness` wrote into the table's folder."""
    names = ("saliency", "robustness")
    paths = [path for name in names for path in sorted(output.glob(f"{name}/*/{name}.md"))]
    return [path.read_text().splitlines() for path in paths]


def _classification(rows: Rows, bounds: Bounds, data: str) -> list[str]:
    lines = _results(
        rows, CLASSIFICATION, bounds, f"## {data}Reduced EF (EF ≤ 40 %), TEST", "classification"
    )
    note = (
        "Classifiers and what is given a volume call at the threshold with the best balanced "
        "accuracy on VAL."
    )
    return [*lines, "", note] if lines else []


def _regression(rows: Rows, bounds: Bounds, data: str) -> list[str]:
    lines = _results(rows, REGRESSION, bounds, f"## {data}EF in percent, TEST", "regression")
    note = (
        "Who knows one volume and nothing else has no smaller MAE than the conditional median of "
        "EF, and no smaller RMSE than its conditional mean (both estimated on TRAIN, by a falling "
        "spline). A frame shows more than its volume: at end-systole the wall's thickness tells of "
        "EF, too. Minutes leave out what a row is built on: a Gaussian process's MLP, an "
        "ensemble's members. Memory is the most that the fitting process held (on a GPU, of the "
        "card), its workers left out; milliseconds are what a case of TEST takes the model, "
        "without decoding."
    )
    return [*lines, "", note] if lines else []


def _results(rows: Rows, columns: list[str], bounds: Bounds, heading: str, kind: str) -> list[str]:
    """Return rows with their intervals, above the constant answers and those given a volume."""
    if not rows:
        return []
    lines = [heading, "", *header(["experiment", *columns, *_COST])]
    for name, row in rows.items():
        lines.append(line([f"`{name}`", *_cells(row, columns), *_cost(row)]))
    for name, bound in bounds.items():
        if bound["kind"] == kind:
            lines.append(line([f"*{name}*", *_cells(bound, columns), *[""] * len(_COST)]))
    return [*lines, "", _chosen(rows), "", _methods([*rows.values()], columns)]


def _cost(row: Mapping[str, Any]) -> list[str]:
    """Return what a fit took, and what a case takes the fitted model."""
    memory = row.get("peak_memory_mb") or {}
    most = memory.get("gpu") or memory.get("main")
    return [
        f"{row['minutes']:.1f}",
        "-" if most is None else f"{most / 1000:.1f}",
        number(row.get("ms_a_case")),
    ]


def _uncertainty(rows: Rows, bounds: Bounds, data: str) -> list[str]:
    if not rows:
        return []
    lines = [f"## {data}How true the intervals are, TEST", "", *header(["experiment", *INTERVALS])]
    lines += [line([f"`{name}`", *_cells(row, INTERVALS)]) for name, row in rows.items()]
    lines.append(line([f"*{MEAN}*", *_cells(bounds[MEAN], INTERVALS)]))
    return [*lines, "", _methods([*rows.values()], INTERVALS)]


def _cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return [cell(row["metrics"].get(column)) for column in columns]


def _methods(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return how the intervals of a table were found; rows of earlier versions do not say."""
    by_method: dict[str, list[str]] = {}
    for column in columns:
        found = [row["metrics"][column] for row in rows if column in row["metrics"]]
        for method in sorted({each.get("method") or _RESAMPLED for each in found}):
            by_method.setdefault(method, []).append(column)
    parts = [f"{method} ({', '.join(names)})" for method, names in by_method.items()]
    return f"Intervals of 95 %: {'; '.join(parts)}; none where no resample differs."


def _published(phantom: bool) -> list[str]:
    """Return the published figures in a table of their own."""
    lines = ["## Published, EchoNet-Dynamic TEST: not measured here", ""]
    columns = ["accuracy", "f1_weighted", "roc_auc", "mae", "rmse", "r2"]
    lines += header(["model", *columns])
    for name, row in (*REFERENCES.items(), *VIDEO_MODELS.items()):
        shown = f"reference study, {name}" if name in REFERENCES else name
        lines.append(line([shown, *(number(row.get(column)) for column in columns)]))
    return [*lines, "", f"{CAVEAT} {NOT_BESIDE_PHANTOMS}" if phantom else CAVEAT]


def _chosen(rows: Rows) -> str:
    best = best_on_val(rows)
    val = rows[best]["val"]
    return f"VAL would choose `{best}` ({val['metric']} {number(val['value'])})."
