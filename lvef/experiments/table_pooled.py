"""Rows of a table of folds: each model judged on its own TEST, and the cases of all pooled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lvef.callbacks.results import num_patients
from lvef.cardiac import is_reduced
from lvef.evaluation.sharpness import promise_report, uncertainty_report
from lvef.evaluation.summary import Summary, summarise_classification, summarise_regression
from lvef.experiments.table_folds import TableFolds, pool_cases
from lvef.experiments.table_rows import (
    clusters_of,
    is_classifier,
    of_each_case,
    read_cases,
    with_patients,
)
from lvef.files import write_csv
from lvef.models.loading import load_task

POOLED = "pooled"
"""Folder of the pooled predictions, a table an experiment."""
_SHARED = ("note", "phantom", "task", "kind", "backbone", "split", "frames", "baseline", "level",
           "trained_on", "version")  # fmt: skip
Array = NDArray[np.float64]
Row = dict[str, Any]


def pooled_row(
    name: str, rows: Sequence[Row], parts: Sequence[pd.DataFrame], output: Path, folds: TableFolds
) -> Row:
    """Return an experiment's row of the table, and write its pooled predictions.

    Every case is called, flagged and given an interval by the model of its own fold alone, at the
    threshold and by the factors that its fold's VAL chose.

    Args:
        name: Of the experiment.
        rows: Of each fold, what `fit_and_test` returns.
        parts: Of each fold, its labels; see `TableFolds.parts`.
        output: Folder of the table.
        folds: The folds.

    Returns:
        As a row of one split; besides `folds`, `fold_seed`, `over_folds` (by metric its `values`,
        `mean` and `sd`), `checkpoints`, and `threshold` as a list where each fold has its own.

    Raises:
        DatasetError: A video is not there exactly once; see `pool_cases`.
    """
    cases = pool_cases(name, [read_cases(row["cases"]) for row in rows], parts)
    path = output / POOLED / f"{name}.csv"
    write_csv(path, cases[["video", "fold", *cases.columns.drop(["video", "fold"])]])
    known = with_patients(cases, parts)
    clusters = clusters_of(known)
    first, classifies = rows[0], is_classifier(rows[0])
    metrics = (
        _classified(cases, parts, clusters)
        if classifies
        else _regressed(cases, rows, parts, clusters)
    )
    data = "PHANTOM " if first.get("phantom") else ""
    times = [row["ms_a_case"] for row in rows if row.get("ms_a_case")]
    return {
        **{fact: first[fact] for fact in _SHARED if fact in first},
        "title": f"{data}TEST of {folds}, pooled, {len(cases)} videos, {first.get('task', name)}",
        "folds": folds.number,
        "fold_seed": folds.seed,
        "num_cases": len(cases),
        "num_patients": num_patients(known),
        "threshold": [row.get("threshold") for row in rows] if classifies else 0.5,
        "minutes": float(sum(row["minutes"] for row in rows)),
        "peak_memory_mb": _most_memory(rows),
        "ms_a_case": median(times) if times else None,
        "val": _of_val(rows),
        "checkpoints": [row["checkpoint"] for row in rows],
        "cases": str(path),
        "metrics": metrics,
        "over_folds": _over_folds(rows),
        "uncertainty": None if classifies else _uncertainty(cases, rows, clusters),
        "calibration": _promise(rows),
    }


def _most_memory(rows: Sequence[Row]) -> dict[str, float]:
    """Return the most memory that any fit took, by what held it."""
    told = [row.get("peak_memory_mb") or {} for row in rows]
    held = {name for memory in told for name, value in memory.items() if value is not None}
    return {name: max(memory.get(name) or 0 for memory in told) for name in sorted(held)}


def _classified(
    cases: pd.DataFrame, parts: Sequence[pd.DataFrame], clusters: NDArray[np.str_] | None
) -> Summary:
    prevalence = _of_train(cases, parts, lambda ef: float(is_reduced(ef).mean()))
    return summarise_classification(
        _column(cases, "p_reduced"), _column(cases, "reduced_true"), math.nan,
        prevalence >= 0.5, np.full(len(cases), prevalence.mean()), clusters,
        _column(cases, "reduced"),
    )  # fmt: skip


def _regressed(
    cases: pd.DataFrame,
    rows: Sequence[Row],
    parts: Sequence[pd.DataFrame],
    clusters: NDArray[np.str_] | None,
) -> Summary:
    mean = _of_train(cases, parts, lambda ef: float(ef.mean()))
    std = _of_train(cases, parts, lambda ef: float(ef.std()))
    said = _column(cases, "ef"), _column(cases, "ef_true")
    ends = _intervals(cases, rows)
    if ends is None:
        return summarise_regression(*said, mean, clusters=clusters)
    stated = _column(cases, "p_reduced"), _column(cases, "reduced_true")
    spread = (_column(cases, "ef_std"), *ends)
    return summarise_regression(*said, mean, std, spread, stated, clusters)


def _intervals(cases: pd.DataFrame, rows: Sequence[Row]) -> tuple[Array, Array] | None:
    """Return the ends of each fold's own intervals at `LEVELS`, `(n, L)` each."""
    lower, upper = [], []
    for fold, row in enumerate(rows, start=1):
        intervals = getattr(load_task(row["checkpoint"]), "intervals", None)
        if intervals is None:  # a task of a user's own may state none
            return None
        own = cases[cases["fold"] == fold]
        said = {
            name: torch.as_tensor(own[name].to_numpy(np.float32, copy=True))
            for name in ("ef", "ef_std")
        }
        ends = intervals(said)
        lower.append(ends[0])
        upper.append(ends[1])
    return np.concatenate(lower), np.concatenate(upper)


def _of_train(
    cases: pd.DataFrame, parts: Sequence[pd.DataFrame], statistic: Callable[[Array], float]
) -> Array:
    """Return a statistic of EF in the TRAIN of each case's fold, `(n,)`."""
    of_fold = [
        statistic(part.loc[part["split"] == "TRAIN", "ef_true"].to_numpy(float)) for part in parts
    ]
    return of_each_case(of_fold, cases)


def _of_val(rows: Sequence[Row]) -> Row:
    """Return the mean of what VAL said of the folds; none where it was not of one metric."""
    metrics = {row["val"]["metric"] for row in rows}
    values = [row["val"]["value"] for row in rows]
    known = len(metrics) == 1 and None not in values
    value = float(np.mean(values)) if known else None
    return {"metric": rows[0]["val"]["metric"], "value": value}


def _over_folds(rows: Sequence[Row]) -> dict[str, Any]:
    """Return each metric of the folds one by one, with mean and standard deviation."""
    found = {}
    for name in rows[0]["metrics"]:
        values = [row["metrics"].get(name, {}).get("value") for row in rows]
        known = np.array([np.nan if value is None else value for value in values], dtype=float)
        whole = bool(np.isfinite(known).all())
        found[name] = {
            "values": values,
            "mean": float(known.mean()) if whole else None,
            "sd": float(known.std(ddof=1)) if whole else None,
        }
    return found


def _uncertainty(
    cases: pd.DataFrame, rows: Sequence[Row], clusters: NDArray[np.str_] | None
) -> Row | None:
    reports = [row.get("uncertainty") for row in rows]
    if not all(reports):
        return None
    ef, truth, std, low, high = (
        _column(cases, name) for name in ("ef", "ef_true", "ef_std", "ef_lower", "ef_upper")
    )

    def of_case(name: str) -> Array:
        of_fold = [math.nan if each[name] is None else each[name] for each in reports if each]
        return of_each_case(of_fold, cases)

    noise = float(of_case("noise_std").mean())
    report = uncertainty_report(
        ef, truth, std, (low <= truth) & (truth <= high), of_case("std_factor"),
        of_case("val_rmse"), noise if math.isfinite(noise) else None, clusters, cases["fold"],
    )  # fmt: skip
    taught = {each["backbone_learned_from"] for each in reports if each and
              "backbone_learned_from" in each}  # fmt: skip
    return {**report, "backbone_learned_from": ", ".join(sorted(taught))} if taught else report


def _promise(rows: Sequence[Row]) -> Row | None:
    """Return what the fold with the fewest cases of VAL promises."""
    promises = [row["calibration"] for row in rows if row.get("calibration")]
    if len(promises) < len(rows):
        return None
    fewest = {who: min(each["cases"][who] for each in promises) for who in promises[0]["cases"]}
    apart = all(each["apart"] for each in promises)
    return promise_report(fewest, promises[0]["level"], apart)


def _column(cases: pd.DataFrame, name: str) -> Array:
    return cases[name].to_numpy(np.float64, copy=True)
