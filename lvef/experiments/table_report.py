"""What `lvef table` writes: table.md, table.json and plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef.columns import earlier_names
from lvef.evaluation.comparison import bootstrap_auc, bootstrap_mae, paired_p_values, resampled
from lvef.evaluation.metrics import METRIC_NAMES
from lvef.evaluation.summary import NOT_FOR_DIAGNOSIS
from lvef.evaluation.uncertainty import LEVELS, doubt
from lvef.experiments.references import CAVEAT, REFERENCES, VIDEO_MODELS
from lvef.figures import uncertainty as figures
from lvef.figures.comparison import forest, learning_curves
from lvef.files import read_csv, write_figure, write_json, write_text
from lvef.report.history import read_history
from lvef.report.metadata import kind_of

Rows = dict[str, dict[str, Any]]
CLASSIFICATION = [
    "accuracy", "balanced_accuracy", "recall", "specificity", "f1", "f1_weighted", "roc_auc",
    "pr_auc",
]  # fmt: skip
REGRESSION = ["mae", "rmse", "r2", "coverage_90"]
_GIVEN = ["EDV only", "ESV only"]
_COVERAGES = [f"coverage_{100 * level:.0f}" for level in LEVELS]


def write_report(
    output: Path,
    rows: Rows,
    ceilings: dict[str, dict[str, float]],
    phantom: bool,
    note: str = "",
) -> Path:
    """Write the table of finished experiments.

    Args:
        output: Folder.
        rows: By experiment: its `metrics.json`, with `checkpoint`, `minutes`, `val` and `cases`.
        ceilings: Regression metrics of the trivial answers on the same TEST split.
        phantom: Whether they were measured on phantoms; every heading then says so.
        note: What table.md begins with.

    Returns:
        The path of table.md.
    """
    data = "PHANTOM: " if phantom else ""
    classifiers = {k: row for k, row in rows.items() if _is_classifier(row)}
    regressors = {k: row for k, row in rows.items() if not _is_classifier(row)}
    cases = {name: _read_cases(row["cases"]) for name, row in rows.items()}
    p_values = {
        "roc_auc": _p_values({name: cases[name] for name in classifiers}, "roc_auc"),
        "mae": _p_values({name: cases[name] for name in regressors}, "mae"),
    }
    results = {
        "phantom": phantom,
        "quick": note,
        "note": NOT_FOR_DIAGNOSIS,
        "ceilings": ceilings,
        "references": {"experiments": REFERENCES, "video_models": VIDEO_MODELS, "caveat": CAVEAT},
        "p_values": p_values,
        "rows": rows,
    }
    write_json(output / "table.json", results)
    plots = _plot(output, classifiers, regressors, cases, ceilings, data)
    sections = [
        [note] if note else [],
        _classification(classifiers, ceilings, data),
        _regression(regressors, ceilings, data),
        _uncertainty(regressors, data),
        _review(rows, data),
        _differences(p_values, data),
        [f"![{data}{path.stem}]({path.name})" for path in plots],
        *_studies(output),
        _published(data),
        [f"Values with 95 % bootstrap intervals over the cases of TEST. {NOT_FOR_DIAGNOSIS}"],
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"
    write_text(output / "table.md", text)
    print(text)
    return output / "table.md"


def _is_classifier(row: dict[str, Any]) -> bool:
    return kind_of(row) == "classification"


def _read_cases(path: str) -> pd.DataFrame:
    cases = read_csv(path)
    return cases.rename(columns=earlier_names("cases.csv", cases.columns))


def _studies(output: Path) -> list[list[str]]:
    """Return what `saliency` and `robustness` wrote into the table's folder."""
    names = ("saliency", "robustness")
    paths = [path for name in names for path in sorted(output.glob(f"{name}/*/{name}.md"))]
    return [path.read_text().splitlines() for path in paths]


def _classification(rows: Rows, ceilings: dict[str, dict[str, float]], data: str) -> list[str]:
    return _results(rows, CLASSIFICATION, ceilings, f"## {data}Reduced EF (EF ≤ 40 %), TEST")


def _regression(rows: Rows, ceilings: dict[str, dict[str, float]], data: str) -> list[str]:
    lines = _results(rows, REGRESSION, ceilings, f"## {data}EF in percent, TEST")
    note = (
        "Minutes leave out what a row is built on: a Gaussian process's MLP, an ensemble's members."
    )
    return [*lines, "", note] if lines else []


def _results(
    rows: Rows, columns: list[str], given: dict[str, dict[str, float]], heading: str
) -> list[str]:
    """Return rows with their intervals, above the trivial answer and those given a volume."""
    if not rows:
        return []
    lines = [heading, "", *_header(["experiment", *columns, "minutes to fit", "published"])]
    lines += [_row(name, row, columns) for name, row in rows.items()]
    first = next(iter(rows.values()))
    trivial = [_number(first["metrics"][column]["baseline"]) for column in columns]
    lines.append(_line([f"*{first['baseline']}*", *trivial, "", ""]))
    for name in filter(given.__contains__, _GIVEN):  # a folder may state no volumes
        cells = [_number(given[name].get(column)) for column in columns]
        lines.append(_line([f"*given the true {name}*", *cells, "", ""]))
    return [*lines, "", _chosen(rows)]


def _uncertainty(rows: Rows, data: str) -> list[str]:
    if not rows:
        return []
    columns = [*_COVERAGES, "width_90", "nlpd", "crps"]
    lines = [f"## {data}How true the intervals are, TEST", "", *_header(["experiment", *columns])]
    for name, row in rows.items():
        lines.append(_line([name, *(_number(row["metrics"][c]["value"]) for c in columns)]))
    first = next(iter(rows.values()))
    trivial = [_number(first["metrics"][column]["baseline"]) for column in columns]
    return [*lines, _line([f"*{first['baseline']}*", *trivial])]


def _review(rows: Rows, data: str) -> list[str]:
    heads = [
        "experiment", "flagged", "misclassified, flagged", "misclassified, others", "ratio",
        "of the mistakes, EF 35-45", "of the cases, EF 35-45", "ECE",
    ]  # fmt: skip
    lines = [f"## {data}Flagged for human review, TEST", "", *_header(heads)]
    for name, row in rows.items():
        review = row["review"]
        cells = [
            _percent(review["share_flagged"]),
            _percent(review["flagged"]["error_rate"]),
            _percent(review["unflagged"]["error_rate"]),
            _ratio(review),
            _percent(review["borderline"]["share_of_mistakes"]),
            _percent(review["borderline"]["share_of_cases"]),
            _number(row["metrics"].get("ece", {}).get("value")),
        ]
        lines.append(_line([name, *cells]))
    return lines


def _differences(p_values: dict[str, dict[str, dict[str, float]]], data: str) -> list[str]:
    lines: list[str] = []
    for metric, matrix in p_values.items():
        if not matrix:
            continue
        lines += [f"## {data}Paired bootstrap p-values of {metric}, TEST", ""]
        names = list(matrix)
        lines += _header(["", *names])
        for one in names:
            cells = [_p(matrix[one][other]) if other != one else "" for other in names]
            lines.append(_line([one, *cells]))
        lines.append("")
    return [*lines, "Not corrected for the number of comparisons."] if lines else []


def _published(data: str) -> list[str]:
    above = "PHANTOM above; " if data else ""
    lines = [f"## {above}published video models, EchoNet-Dynamic TEST", ""]
    lines += _header(["model", "mae", "rmse", "r2"])
    for name, row in VIDEO_MODELS.items():
        lines.append(_line([name, *(_number(row.get(c)) for c in ("mae", "rmse", "r2"))]))
    aside = " Phantoms are not patients: nothing above compares with them." if data else ""
    return [*lines, "", CAVEAT + aside]


def _plot(
    output: Path,
    classifiers: Rows,
    regressors: Rows,
    cases: dict[str, pd.DataFrame],
    ceilings: dict[str, dict[str, float]],
    data: str,
) -> list[Path]:
    drawn = {}
    for key, rows, label in (
        ("mae", regressors, "mean absolute error (EF points)"),
        ("roc_auc", classifiers, "ROC-AUC"),
    ):
        if not rows:
            continue
        count = next(iter(rows.values()))["num_cases"]
        title = f"{data}TEST, {count} videos, 95 % bootstrap intervals"
        lines = {f"given the true {k}": v["mae"] for k, v in ceilings.items() if "only" in k}
        lines["always the mean"] = ceilings["mean of TRAIN"]["mae"]
        points = [_point(name, row["metrics"][key]) for name, row in rows.items()]
        drawn[key] = forest(points, lines if key == "mae" else {}, label, title)
    if regressors:
        best = _best(regressors)
        shown = {
            name: [row["metrics"][column]["value"] for column in _COVERAGES]
            for name, row in regressors.items()
            if name in (best, "esf_mlp", "esf_gpr", "edf_esf_mlp", "edf_esf_gpr")
        }
        title = f"{data}TEST, {regressors[best]['num_cases']} videos"
        drawn["coverage"] = figures.coverage(shown, title)
        drawn["error_rejection"] = figures.error_rejection_curve(
            {name: _mistakes(cases[name]) for name in shown}, title
        )
    for metric, rows in (("mae", regressors), ("roc_auc", classifiers)):
        curves = _learning(rows, metric)
        if curves:
            drawn[f"learning_{metric}"] = learning_curves(
                curves,
                f"{METRIC_NAMES[metric]}, on VAL",
                f"{data}VAL over the epochs of each experiment",
            )
    for name, figure in drawn.items():
        write_figure(output / f"{name}.png", figure, dpi=120)
    return [output / f"{name}.png" for name in drawn]


def _learning(rows: Rows, metric: str) -> dict[str, Any]:
    """Return the curves of the experiments that were trained for more than one epoch."""
    curves = {}
    for name, row in rows.items():
        history = read_history(Path(row["checkpoint"]).parent.parent)
        curve = history.get(f"val/{metric}", ([], []))
        if len(curve[0]) > 1:
            curves[name] = curve
    return curves


def _mistakes(cases: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    wrong = (cases["reduced"] != cases["reduced_true"]).to_numpy()
    return wrong, doubt(cases["p_reduced"])


def _p_values(cases: Mapping[str, pd.DataFrame], metric: str) -> dict[str, dict[str, float]]:
    """Return p-values between rows over the cases that all of them have."""
    if len(cases) < 2:
        return {}
    indexed = {name: frame.set_index("video") for name, frame in cases.items()}
    common = sorted(set.intersection(*(set(frame.index) for frame in indexed.values())))
    drawn = resampled(len(common))
    scores = {}
    for name, frame in indexed.items():
        row = frame.loc[common]
        answer, truth = ("ef", "ef_true") if metric == "mae" else ("p_reduced", "reduced_true")
        bootstrap = bootstrap_mae if metric == "mae" else bootstrap_auc
        scores[name] = bootstrap(row[answer].to_numpy(float), row[truth].to_numpy(float), drawn)
    return paired_p_values(scores)


def _best(rows: Rows) -> str:
    """Return the row that VAL would choose."""
    sign = -1 if next(iter(rows.values()))["val"]["metric"] == "val/roc_auc" else 1

    def worth(name: str) -> float:
        value = rows[name]["val"]["value"]
        return math.inf if value is None else sign * float(value)

    return min(rows, key=worth)


def _chosen(rows: Rows) -> str:
    best = _best(rows)
    val = rows[best]["val"]
    return f"VAL would choose `{best}` ({val['metric']} {_number(val['value'])})."


def _row(name: str, row: dict[str, Any], columns: list[str]) -> str:
    cells = [_cell(row["metrics"][column]) for column in columns]
    published = REFERENCES.get(name, {})
    words = ", ".join(f"{metric} {value:g}" for metric, value in published.items())
    return _line([f"`{name}`", *cells, f"{row['minutes']:.1f}", words])


def _header(cells: list[str]) -> list[str]:
    return [_line(cells), _line(["---"] * len(cells))]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: dict[str, float | None]) -> str:
    return f"{_number(row['value'])} [{_number(row['lower'])}, {_number(row['upper'])}]"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _ratio(review: dict[str, Any]) -> str:
    ratio = review["error_rate_ratio"]
    if ratio is None and review["unflagged"]["error_rate"] == 0 and review["flagged"]["mistakes"]:
        return "∞"
    return _number(ratio)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _point(name: str, row: dict[str, float | None]) -> tuple[str, float, float, float]:
    value, lower, upper = (
        float("nan") if row[part] is None else float(row[part])  # type: ignore[arg-type]
        for part in ("value", "lower", "upper")
    )
    return name, value, lower, upper
