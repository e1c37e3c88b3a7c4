"""What several trainings of the same rows say: how much of a difference is due to chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2, norm
from scipy.stats import t as student

from lvef.experiments.table_differences import Compared, scored
from lvef.experiments.table_markdown import header, line, number

Array = NDArray[np.float64]
Seeds = dict[str, dict[str, Any]]
"""By metric: what `seeds_of` returns."""
_LEVEL = 0.95
_UPPER = (1 + _LEVEL) / 2


def seeds_of(metric: Compared, cases: Sequence[Mapping[str, pd.DataFrame]]) -> dict[str, Any]:
    """Return how a metric varies over trainings, and over TEST's cases.

    Args:
        metric: The metric.
        cases: For each seed, the cases of each row.

    Returns:
        `rows`: by row its `values` by seed, their `mean`, `lowest`, `highest` and `sd` with its
        95 % interval, and `sd_test`, what another TEST of this size would move the mean by.
        `pairs`: by row and row the `difference` of the means, `sd_seeds` (of the difference over
        seeds), `sd_test`, its 95 % interval from both, and whether that is `beyond_chance`. Empty
        where there are fewer than two seeds or no row.
    """
    if len(cases) < 2 or not cases[0]:
        return {}
    found = [scored(metric, of_seed) for of_seed in cases]
    values = {name: np.array([value[name] for value, _ in found]) for name in cases[0]}
    # The same resamples for every seed and row, so that differences are paired.
    drawn = {name: np.mean([score[name] for _, score in found], axis=0) for name in cases[0]}
    pairs: dict[str, dict[str, Any]] = {}
    for one, other in combinations(values, 2):
        between = values[one] - values[other]
        pairs.setdefault(other, {})[one] = _pair(-between, _sd(drawn[one] - drawn[other]))
    return {
        "rows": {name: _row(each, _sd(drawn[name])) for name, each in values.items()},
        "pairs": pairs,
    }


def format_seeds(seeds: Seeds, numbers: Sequence[int], data: str) -> list[str]:
    """Return what several seeds say of each metric.

    Args:
        seeds: By metric, see `seeds_of`.
        numbers: The seeds.
        data: What the headings begin with.
    """
    lines: list[str] = []
    for metric, found in seeds.items():
        if not found:
            continue
        count = len(numbers)
        lines += [f"## {data}{metric} over {count} trainings (seeds), TEST", ""]
        heads = ["experiment", *(f"seed {n}" for n in numbers), "mean", "range", "SD over seeds"]
        lines += header([*heads, "SD by the cases of TEST"])
        for name, row in found["rows"].items():
            each = [number(value) for value in row["values"]]
            span = f"{number(row['lowest'])} to {number(row['highest'])}"
            sd = f"{number(row['sd'])} [{number(row['sd_lower'])}, {number(row['sd_upper'])}]"
            lines.append(
                line([f"`{name}`", *each, number(row["mean"]), span, sd, number(row["sd_test"])])
            )
        lines += ["", _due_to_chance(found, count), ""]
        if found["pairs"]:
            lines += _pairs(found["pairs"], list(found["rows"]))
            lines.append("")
    return lines[:-1]


def _row(values: Array, sd_test: float) -> dict[str, Any]:
    sd, free = float(values.std(ddof=1)), len(values) - 1
    return {
        "values": values.tolist(), "mean": float(values.mean()), "lowest": float(values.min()),
        "highest": float(values.max()), "sd": sd,
        "sd_lower": sd * math.sqrt(free / float(chi2.ppf(_UPPER, free))),
        "sd_upper": sd * math.sqrt(free / float(chi2.ppf(1 - _UPPER, free))),
        "sd_test": sd_test,
    }  # fmt: skip


def _pair(between: Array, sd_test: float) -> dict[str, Any]:
    """Return a difference of means, and its interval over both seeds and cases."""
    difference, sd = float(between.mean()), float(between.std(ddof=1))
    of_seeds = float(student.ppf(_UPPER, len(between) - 1)) * sd / math.sqrt(len(between))
    reach = math.hypot(of_seeds, float(norm.ppf(_UPPER)) * sd_test)
    return {
        "difference": difference, "sd_seeds": sd, "sd_test": sd_test,
        "lower": difference - reach, "upper": difference + reach,
        "beyond_chance": bool(abs(difference) > reach),
    }  # fmt: skip


def _pairs(pairs: dict[str, dict[str, Any]], names: list[str]) -> list[str]:
    lines = header(["mean difference, row minus column", *(f"`{name}`" for name in names[:-1])])
    for place, one in enumerate(names[1:], start=1):
        cells = [_difference(pairs[one][other]) for other in names[:place]]
        lines.append(line([f"`{one}`", *cells, *[""] * (len(names) - 1 - place)]))
    return lines


def _difference(pair: dict[str, Any]) -> str:
    ends = f"[{number(pair['lower'])}, {number(pair['upper'])}]"
    return f"{number(pair['difference'])} {ends}" + ("" if pair["beyond_chance"] else " chance")


def _due_to_chance(found: dict[str, Any], count: int) -> str:
    rows, pairs = found["rows"], found["pairs"]
    every = [pair for row in pairs.values() for pair in row.values()]
    by_chance = sum(not pair["beyond_chance"] for pair in every)
    noisy = [f"`{name}`" for name, row in rows.items() if row["sd"] > row["sd_test"]]
    text = (
        "All other tables show the first seed alone. The SD over seeds is what "
        f"training the same again changes (in brackets its 95 % interval, chi-squared, wide as "
        f"{count} trainings tell little); the SD by the cases is what another TEST of this size "
        "would change. "
    )
    text += (
        f"Training's chance is the larger for {', '.join(noisy)}."
        if noisy
        else "For no row is training's chance the larger."
    )
    if every:
        text += (
            f" Differences within chance: {by_chance} of {len(every)}, of which the 95 % interval, "
            "over seeds (Student's t) and cases (bootstrap) together, holds 0. Not corrected for "
            "how many there are."
        )
    return text


def _sd(drawn: Array) -> float:
    usable = drawn[np.isfinite(drawn)]
    return float(usable.std(ddof=1)) if len(usable) > 1 else math.nan
