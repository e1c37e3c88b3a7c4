"""What is asked of the rows of every list, whoever wrote it."""

from __future__ import annotations

import pandas as pd

from lvef.data.tables import numbers

Check = tuple[pd.Series, str]
"""Which rows fail, and why they cannot be used then."""


def first_reason(checks: list[Check], index: pd.Index) -> pd.Series:
    """Return for each row the first reason that holds, empty where none does."""
    reasons = pd.Series("", index=index, dtype=object)
    for failed, reason in checks:
        reasons[failed & (reasons == "")] = reason
    return reasons


def ef_checks(ef: pd.Series) -> list[Check]:
    """Return which EFs, in percent, cannot be used."""
    return [
        (ef.isna(), "EF missing or no number"),
        (~ef.between(0, 100), "EF outside 0-100"),
        (ef <= 1, "EF of 1 % or less: a fraction, a class, or not measured"),
    ]


def percent(cells: pd.Series) -> tuple[pd.Series, bool]:
    """Return EF in percent, and whether it was written as a fraction.

    A column with nothing above 1 is no column of percentages; one of 0 and 1 is none of EF.
    """
    ef = numbers(cells)
    known = ef.dropna()
    is_fraction = (
        known.between(0, 1).all()
        and bool((known % 1 != 0).any())
        and not cells.astype(str).str.contains("%", regex=False).any()
    )
    return (ef * 100 if is_fraction else ef), bool(is_fraction)
