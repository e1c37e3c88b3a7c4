"""Finished experiments as rows of the table: which kind they are, their cases, VAL's choice."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from lvef.columns import earlier_names
from lvef.files import read_csv
from lvef.report.metadata import kind_of

Rows = dict[str, dict[str, Any]]
"""By experiment: its `metrics.json`, with `checkpoint`, `minutes`, `val` and `cases`."""


def is_classifier(row: dict[str, Any]) -> bool:
    """Return whether a row is of a classifier."""
    return kind_of(row) == "classification"


def read_cases(path: str) -> pd.DataFrame:
    """Return a cases.csv with the names of this version's columns."""
    cases = read_csv(path)
    return cases.rename(columns=earlier_names("cases.csv", cases.columns))


def best_on_val(rows: Rows) -> str:
    """Return the row that VAL would choose."""
    sign = -1 if next(iter(rows.values()))["val"]["metric"] == "val/roc_auc" else 1

    def worth(name: str) -> float:
        value = rows[name]["val"]["value"]
        return math.inf if value is None else sign * float(value)

    return min(rows, key=worth)
