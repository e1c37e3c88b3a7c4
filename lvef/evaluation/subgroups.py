"""How a model does in groups of cases, and whether the groups differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvef.evaluation.clinical import stated_share
from lvef.evaluation.comparison import bootstrap_auc, holm
from lvef.evaluation.intervals import UNKNOWN, Interval
from lvef.evaluation.resampling import BCA, Metrics, bootstrap_interval
from lvef.evaluation.summary import BCA_OF_PATIENTS, area_interval
from lvef.evaluation.uncertainty import LEVEL

MIN_CASES = 20
"""Cases below which a group is told to be too small rather than given figures."""
MIN_OF_CLASS = 5
"""Cases of each class below which an area under the ROC curve says nothing."""
PERMUTATIONS = 1999
"""How often groups are dealt out anew to see what chance does."""
SIGNIFICANT = 0.05
TRUE_EF = "true EF"
"""What cases are grouped by that are grouped by the outcome itself."""
NAMES = {
    "mae": "MAE", "bias": "bias", "coverage": "coverage", "sensitivity": "sensitivity",
    "specificity": "specificity", "roc_auc": "ROC-AUC", "flagged": "flagged",
}  # fmt: skip
"""Measures of a group as a reader knows them."""
OF_PROPORTION = ("coverage", "sensitivity", "specificity", "flagged")
_COMPARED = ("mae", "bias", "coverage", "sensitivity", "specificity")
_Cases = Mapping[str, NDArray[Any]]


class Grouped(Protocol):
    """What cases are grouped by: its name, names of the groups, and `(n,)` which one each is in."""

    @property
    def by(self) -> str: ...  # noqa: D102
    @property
    def names(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def codes(self) -> NDArray[np.int64]: ...  # noqa: D102


@dataclass(frozen=True)
class _Measure:
    """A mean over cases.

    Attributes:
        values: `(n,)` float64 of every case.
        of: `(n,)` bool, which cases it is the mean of.
    """

    values: NDArray[np.float64]
    of: NDArray[np.bool_]


def subgroup_report(
    cases: _Cases,
    groupings: Sequence[Grouped],
    clusters: ArrayLike | None = None,
    level: float = LEVEL,
) -> dict[str, Any]:
    """Return how a model does in groups of cases.

    Args:
        cases: `reduced`, `reduced_true`, `review`, `p_reduced`, and of a regressor `ef`,
            `ef_true`, `ef_lower` and `ef_upper`.
        groupings: What they are grouped by.
        clusters: `(n,)` patients, where several cases may be of one.
        level: Coverage that the intervals of a regressor promise.

    Returns:
        `by`: for each grouping its `column` and `groups`, of each `group` (its name), `cases`,
        `reduced` (how many truly are), and `measures`, None where it is too small, by name with
        `value`, `lower`, `upper` (95 %) and `method`; and `differences` between its groups that
        are large enough, by measure `p` (see `difference_p`) and `p_holm`, corrected for all
        `comparisons` of the report; `min_cases`, `level`.
    """
    measures = _measures(cases)
    patients = None if clusters is None else np.asarray(clusters)
    by = [_grouping(cases, measures, each, patients) for each in groupings]
    found = [difference for each in by for difference in each["differences"].values()]
    for difference, corrected in zip(found, holm([f["p"] for f in found]), strict=True):
        difference["p_holm"] = float(corrected)
    return {"by": by, "comparisons": len(found), "min_cases": MIN_CASES, "level": level}


def difference_p(
    values: ArrayLike, codes: ArrayLike, clusters: ArrayLike | None = None, seed: int = 0
) -> float:
    """Return how likely means of groups are so far apart where groups mean nothing.

    A permutation test of the sum of squares between groups (Pitman, *Biometrika* 29:322-335, 1938).
    What is dealt out are the cases of a patient in one group, all together. Parts of a patient in
    several groups count as independent, which overstates p, never understates it, as clips of a
    patient are alike.

    Args:
        values: `(n,)` of cases.
        codes: `(n,)` int, their groups.
        clusters: `(n,)` patients, where several cases may be of one.
        seed: Seed of the permutations.

    Returns:
        p, at least 1 / (PERMUTATIONS + 1); NaN for fewer than two groups.
    """
    each, groups = np.asarray(values, np.float64), np.asarray(codes)
    names, groups = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return math.nan
    if clusters is None:
        unit = np.arange(len(each))
    else:
        _, patient = np.unique(np.asarray(clusters), return_inverse=True)
        _, unit = np.unique(patient * len(names) + groups, return_inverse=True)
    sizes = np.bincount(unit).astype(np.float64)
    sums = np.bincount(unit, each - each.mean())
    label = np.zeros(len(sizes), np.int64)
    label[unit] = groups

    def between(labels: NDArray[np.int64]) -> float:
        totals = np.bincount(labels, sums, minlength=len(names))
        return float((totals**2 / np.bincount(labels, sizes, minlength=len(names))).sum())

    rng, seen = np.random.default_rng(seed), between(label)
    drawn = [between(rng.permutation(label)) for _ in range(PERMUTATIONS)]
    as_far = sum(apart >= seen * (1 - 1e-9) for apart in drawn)
    return (as_far + 1) / (PERMUTATIONS + 1)


def _measures(cases: _Cases) -> dict[str, _Measure]:
    everyone = np.ones(len(cases["reduced"]), dtype=bool)
    flagged = _Measure(cases["review"].astype(np.float64), everyone)
    if "ef" not in cases:
        truth, called = cases["reduced_true"] == 1, cases["reduced"] == 1
        return {
            "sensitivity": _Measure(called.astype(np.float64), truth),
            "specificity": _Measure((~called).astype(np.float64), ~truth),
            "flagged": flagged,
        }
    ef, truth = cases["ef"].astype(np.float64), cases["ef_true"].astype(np.float64)
    inside = (cases["ef_lower"] <= cases["ef_true"]) & (cases["ef_true"] <= cases["ef_upper"])
    return {
        "mae": _Measure(np.abs(ef - truth), everyone),
        "bias": _Measure(ef - truth, everyone),
        "coverage": _Measure(inside.astype(np.float64), everyone),
        "flagged": flagged,
    }


def _grouping(
    cases: _Cases,
    measures: Mapping[str, _Measure],
    grouping: Grouped,
    patients: NDArray[Any] | None,
) -> dict[str, Any]:
    codes = grouping.codes
    sizes = np.bincount(codes, minlength=len(grouping.names))
    groups = []
    for code, name in enumerate(grouping.names):
        inside = codes == code
        enough = sizes[code] >= MIN_CASES
        groups.append(
            {
                "group": name,
                "cases": int(sizes[code]),
                "reduced": int((cases["reduced_true"][inside] == 1).sum()),
                "measures": _figures(cases, measures, inside, patients) if enough else None,
            }
        )
    large = sizes[codes] >= MIN_CASES
    differences = {}
    for name in _COMPARED:
        if name in measures:
            p = _difference(measures[name], codes, large, patients)
            differences.update({name: {"p": p}} if math.isfinite(p) else {})
    return {"column": grouping.by, "groups": groups, "differences": differences}


def _difference(
    measure: _Measure,
    codes: NDArray[np.int64],
    large: NDArray[np.bool_],
    patients: NDArray[Any] | None,
) -> float:
    """Return p of a difference between the groups that have enough cases of a measure."""
    of = measure.of & large
    counts = np.bincount(codes[of], minlength=int(codes.max(initial=0)) + 1)
    of &= counts[codes] >= MIN_OF_CLASS
    if not of.any():
        return math.nan
    return difference_p(measure.values[of], codes[of], None if patients is None else patients[of])


def _figures(
    cases: _Cases,
    measures: Mapping[str, _Measure],
    inside: NDArray[np.bool_],
    patients: NDArray[Any] | None,
) -> dict[str, dict[str, Any]]:
    """Return the measures of one group."""
    figures = {}
    for name, measure in measures.items():
        chosen = measure.of & inside
        values = measure.values[chosen]
        of = None if patients is None else patients[chosen]
        figures[name] = (
            stated_share(values == 1, of) if name in OF_PROPORTION else _mean(values, of)
        )
    if "ef" not in cases:
        of = None if patients is None else patients[inside]
        truth = cases["reduced_true"][inside] == 1
        figures["roc_auc"] = _area(cases["p_reduced"][inside], truth, of)
    return figures


def _mean(values: NDArray[np.float64], patients: NDArray[Any] | None) -> dict[str, Any]:
    ends = bootstrap_interval(lambda v: {"mean": float(v.mean())}, values, clusters=patients)
    return _stated(float(values.mean()), ends["mean"], patients)


def _area(
    score: NDArray[Any], truth: NDArray[np.bool_], patients: NDArray[Any] | None
) -> dict[str, Any]:
    """Return the area under the ROC curve; NaN where a class has too few cases."""
    if min(int(truth.sum()), int((~truth).sum())) < MIN_OF_CLASS:
        return _stated(math.nan, UNKNOWN, patients)

    def of(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Metrics:
        as_they_are = np.ones((1, len(scores)), np.uint16)
        return {"area": float(bootstrap_auc(scores, positive.astype(float), as_they_are)[0])}

    scores = score.astype(np.float64)
    value = of(scores, truth)["area"]
    if patients is None:
        return _stated(value, *area_interval(value, scores, truth))
    return _stated(
        value, bootstrap_interval(of, scores, truth, clusters=patients)["area"], patients
    )


def _stated(value: float, ends: Interval, method: NDArray[Any] | str | None) -> dict[str, Any]:
    """Return a figure with its interval; without a name of its method it is a bootstrap."""
    if not isinstance(method, str):
        method = BCA if method is None else BCA_OF_PATIENTS
    return {"value": value, "lower": ends[0], "upper": ends[1], "method": method}
