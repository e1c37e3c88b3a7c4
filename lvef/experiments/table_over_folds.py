"""What a table of folds says of its folds: what was pooled, and how the models of each differ."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lvef.cardiac import is_reduced
from lvef.experiments.local_cases import patient_of
from lvef.experiments.table_folds import TableFolds
from lvef.experiments.table_markdown import header, line, number
from lvef.experiments.table_pooled import POOLED
from lvef.experiments.table_rows import Rows, clusters_of

_POOLED_SCORES = (
    "Scores of several models are pooled here, which are not calibrated alike: that mostly lowers "
    "ROC-AUC and PR-AUC, and the mean of the folds stands beside them (Forman & Scholz, *SIGKDD "
    "Explorations* 12:49, 2010). Calls are pooled as each model made them."
)


def describe_folds(folds: TableFolds, parts: Sequence[pd.DataFrame], data: str) -> list[str]:
    """Return what a table of folds begins with: what was pooled, and what intervals hold.

    Args:
        folds: The folds.
        parts: Of each fold, its labels.
        data: What the heading begins with.
    """
    tests = [part[part["split"] == "TEST"] for part in parts]
    everyone = pd.concat(tests)
    clusters = clusters_of(everyone)
    apart = (
        "the clips of a patient are in one fold"
        if clusters is not None
        else "each is of a patient of its own, as far as is known"
    )
    lines = [
        f"# {data}out-of-fold predictions, pooled",
        "",
        f"Every experiment was fitted {folds.number} times, and each of the {len(everyone):,} "
        f"videos was in TEST of one fold; {apart}. The next fold is VAL. Calls, flags and "
        "intervals are those of the model that did not see the case, at the threshold and by the "
        f"factors of its own VAL. They lie in `{POOLED}/`.",
        "",
        f"**What the intervals hold.** Intervals and p-values take the {folds.number} models for "
        "one: they are about the drawing of the cases, and do not hold the spread between fits, "
        "whose TRAINs overlap. No estimate of the variance of K-fold cross-validation is without "
        "bias (Bengio & Grandvalet, *JMLR* 5:1089, 2004). The folds one by one stand below.",
        "",
    ]
    lines += header(["fold", "videos", "patients", "EF ≤ 40 %", "mean EF, %"])
    for fold, test in enumerate(tests, start=1):
        reduced = is_reduced(test["ef_true"].to_numpy(float))
        patients = "-" if clusters is None else f"{len(set(patient_of(test))):,}"
        mean = number(float(test["ef_true"].mean()))
        lines.append(line([str(fold), f"{len(test):,}", patients, str(int(reduced.sum())), mean]))
    return lines


def format_folds(classifiers: Rows, regressors: Rows, data: str) -> list[str]:
    """Return the metrics of the folds one by one, beside those of the pooled cases.

    Args:
        classifiers: Rows of classifiers, see `pooled_row`.
        regressors: The others.
        data: What the headings begin with.
    """
    lines: list[str] = []
    for rows, metrics in ((regressors, ("mae", "rmse", "r2")), (classifiers, ("roc_auc",))):
        if not rows:
            continue
        for metric in metrics:
            lines += _fold_by_fold(rows, metric, data)
    note = (
        "The SD is over the folds: it holds both other cases and another fit, of TRAINs that "
        "overlap, and is no standard error of the mean."
    )
    return [*lines, note, *(["", _POOLED_SCORES] if classifiers else [])]


def _fold_by_fold(rows: Rows, metric: str, data: str) -> list[str]:
    count = len(next(iter(rows.values()))["over_folds"][metric]["values"])
    heads = [f"fold {fold}" for fold in range(1, count + 1)]
    lines = [f"## {data}{metric} fold by fold, TEST", ""]
    lines += header(["experiment", *heads, "mean", "SD over folds", "of the pooled cases"])
    for name, row in rows.items():
        found = row["over_folds"][metric]
        values = [*found["values"], found["mean"], found["sd"], row["metrics"][metric]["value"]]
        lines.append(line([f"`{name}`", *map(number, values)]))
    return [*lines, ""]
