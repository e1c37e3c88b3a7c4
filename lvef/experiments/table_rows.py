"""Finished experiments as rows of the table: which kind they are, their cases, VAL's choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.columns import earlier_names
from lvef.experiments.local_cases import patient_of
from lvef.files import read_csv
from lvef.report.metadata import kind_of

Rows = dict[str, dict[str, Any]]
"""By experiment: its `metrics.json`, with `checkpoint`, `minutes`, `val` and `cases`."""


def is_classifier(row: dict[str, Any]) -> bool:
    """Return whether a row is of a classifier."""
    return kind_of(row) == "classification"


def read_cases(path: str) -> pd.DataFrame:
    """Return a cases.csv with the names of this version's columns."""
    cases = read_csv(path, converters={"video": str})  # a name may be a number, or NA
    return cases.rename(columns=earlier_names("cases.csv", cases.columns))


def clusters_of(labels: pd.DataFrame) -> NDArray[np.str_] | None:
    """Return whose clip each is, `(n,)`; None where no two are known to be of one patient.

    Args:
        labels: `video`, and `patient` where a list says so.
    """
    if "patient" not in labels:
        return None
    patients = patient_of(labels)
    return patients if len(np.unique(patients)) < len(patients) else None


def with_patients(cases: pd.DataFrame, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return cases with their `patient` where the labels say so; it is written nowhere.

    Args:
        cases: With `video`.
        parts: Labels, of folds a table each.
    """
    known = [part.set_index("video")["patient"] for part in parts if "patient" in part]
    if not known:
        return cases
    patients = pd.concat(known)
    patients = patients[~patients.index.duplicated()]
    return cases.assign(patient=patients.reindex(cases["video"]).to_numpy())


def of_each_case(value: float | Sequence[float], cases: pd.DataFrame) -> NDArray[np.float64]:
    """Return what belongs to each case, `(n,)`.

    Args:
        value: One for each fold, or one for all cases.
        cases: `fold`, from 1, where there are several.
    """
    values = np.asarray(value, dtype=np.float64)
    if not values.ndim:
        return np.full(len(cases), values)
    return np.asarray(values[cases["fold"].to_numpy(np.int64) - 1])


def best_on_val(rows: Rows) -> str:
    """Return the row that VAL would choose."""
    sign = -1 if next(iter(rows.values()))["val"]["metric"] == "val/roc_auc" else 1

    def worth(name: str) -> float:
        value = rows[name]["val"]["value"]
        return math.inf if value is None else sign * float(value)

    return min(rows, key=worth)
