"""What the rows' calls at EF 40 and flags are worth, beside what costs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lvef.cardiac import REDUCED_EF
from lvef.evaluation.intervals import CLOPPER_PEARSON
from lvef.evaluation.review import BORDERLINE
from lvef.evaluation.uncertainty import doubt
from lvef.experiments.shares import share_of
from lvef.experiments.table_markdown import header, line, share_cell

Calls = dict[str, dict[str, Any]]
"""By row: what `calls_of` returns."""
Flags = NDArray[np.bool_]
FEWER, NO_FEWER, MORE = "fewer", "**not fewer**", "more"


def calls_of(
    cases: pd.DataFrame,
    threshold: ArrayLike,
    majority: ArrayLike,
    clusters: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Return what a row's calls and flags are worth.

    Args:
        cases: Its `cases.csv`.
        threshold: Probability from which it calls a case reduced, `(n,)` where each fold has its
            own.
        majority: The class that the constant call says, likewise.
        clusters: `(n,)` patients, where several cases may be of one.

    Returns:
        `error_rate`, `always_the_majority` (the constant call's), `errors` (whether they are fewer:
        not so where the interval holds the constant call's rate), `sensitivity`, `specificity`;
        `flagged` and `others` (how many of each are misclassified), and the same of `by_nearness`:
        as many cases flagged for being nearest the threshold; `borderline` (shares of mistakes and
        of cases with EF 35-45). Every share has its interval.
    """
    called, truth = (cases[name].to_numpy(float) == 1 for name in ("reduced", "reduced_true"))
    wrong, flagged = called != truth, cases["review"].to_numpy(float) > 0
    everyone = np.ones(len(cases), dtype=bool)

    def share(hits: Flags, of: Flags = everyone) -> dict[str, Any]:
        return share_of(hits[of], clusters=None if clusters is None else clusters[of])

    def groups(flags: Flags) -> dict[str, Any]:
        parts = {"flagged": share(wrong, flags), "others": share(wrong, ~flags)}
        return {"share_flagged": share(flags), **parts}

    trivial = share(truth != (np.asarray(majority) == 1))
    error_rate = share(wrong)
    errors = NO_FEWER
    if error_rate["upper"] < trivial["value"]:
        errors = FEWER
    elif error_rate["lower"] > trivial["value"]:
        errors = MORE
    ef = cases["ef_true"].to_numpy(float)
    borderline = (ef > BORDERLINE[0]) & (ef <= BORDERLINE[1])
    nearest = np.zeros(len(cases), dtype=bool)
    nearest[np.argsort(-_nearness(cases, threshold), kind="stable")[: flagged.sum()]] = True
    return {
        "error_rate": error_rate,
        "always_the_majority": trivial,
        "errors": errors.strip("*"),
        "sensitivity": share(called, truth),
        "specificity": share(~called, ~truth),
        **groups(flagged),
        "by_nearness": groups(nearest),
        "borderline": {"of_mistakes": share(borderline, wrong), "of_cases": share(borderline)},
    }


def format_calls(calls: Calls, data: str) -> list[str]:
    """Return the table of calls at EF 40."""
    if not calls:
        return []
    trivial = next(iter(calls.values()))["always_the_majority"]
    lines = [f"## {data}Calls at EF 40 %, TEST", ""]
    lines += header(
        [
            "experiment",
            "sensitivity",
            "specificity",
            "misclassified",
            "errors beside the constant call's",
        ]
    )
    for name, row in calls.items():
        shares = [share_cell(row[key]) for key in ("sensitivity", "specificity", "error_rate")]
        lines.append(line([f"`{name}`", *shares, _worth(row)]))
    lines.append(line(["*always the majority of TRAIN*", "-", "-", share_cell(trivial), ""]))
    worthless = [f"`{name}`" for name, row in calls.items() if _worth(row) == NO_FEWER]
    note = (
        "A classifier calls at the threshold with the best balanced accuracy on VAL, which pays "
        "for sensitivity with errors; a regressor where its EF is 40 or less."
    )
    if worthless:
        note += (
            f" The interval of the errors of {', '.join(worthless)} holds the constant call's "
            "rate: by the number of errors such a call is worth no more than saying the same of "
            "every case."
        )
    return [*lines, "", note]


def format_flags(calls: Calls, data: str) -> list[str]:
    """Return the table of what is flagged for review, beside flagging by nearness."""
    if not calls:
        return []
    heads = [
        "experiment", "flagged", "misclassified, flagged", "others", "by nearness: flagged",
        "others", "of the mistakes, EF 35-45", "of the cases, EF 35-45",
    ]  # fmt: skip
    lines = [f"## {data}Flagged for human review, TEST", "", *header(heads)]
    for name, row in calls.items():
        near, zone = row["by_nearness"], row["borderline"]
        shares = [
            row["share_flagged"], row["flagged"], row["others"], near["flagged"], near["others"],
            zone["of_mistakes"], zone["of_cases"],
        ]  # fmt: skip
        lines.append(line([f"`{name}`", *map(share_cell, shares)]))
    note = (
        "By nearness: as many cases flagged, those nearest the decision (a regressor's EF nearest "
        "40, a classifier's log odds nearest its threshold), which needs no uncertainty at all. A "
        "flag is worth its uncertainty where it parts the misclassified better than that. "
        f"Intervals of shares here and above: {CLOPPER_PEARSON}."
    )
    return [*lines, "", note]


def _worth(row: dict[str, Any]) -> str:
    return NO_FEWER if row["errors"] == NO_FEWER.strip("*") else str(row["errors"])


def _nearness(cases: pd.DataFrame, threshold: ArrayLike) -> NDArray[np.float64]:
    """Return how near the decision each case is: the more, the nearer."""
    if "ef" in cases:
        return -np.abs(cases["ef"].to_numpy(float) - REDUCED_EF)
    return doubt(cases["p_reduced"].to_numpy(float), threshold)
