"""Does a standard deviation of its own for each case carry anything, and how far can it be trusted.

A mean calibration can be had from one standard deviation for all cases. What one for each case is
worth shows in whether it ranks the errors and beats that constant (Gneiting, Balabdaoui & Raftery,
JRSS B 69:243-268, 2007: sharpness subject to calibration).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, norm, spearmanr

from lvef.evaluation.intervals import effective_count, proportion_interval
from lvef.evaluation.resampling import Metrics, bootstrap_interval
from lvef.evaluation.uncertainty import LEVEL, normal_reach

STRETCHED = 1.5
"""VAL factor above which a model's own standard deviations are called too small."""
_TAIL = 0.05
_CLOSE = 1e-5  # standard deviations that differ by rounding are one


def worst_coverage(count: int, level: float = LEVEL, tail: float = _TAIL) -> float:
    """Return how little a split-conformal interval may hold that rests on few cases.

    Given the calibration cases, its coverage of new ones follows Beta(k, n + 1 - k) with
    k = ceil((n + 1) level), exactly so for continuous scores that are exchangeable (Angelopoulos &
    Bates, *Foundations and Trends in Machine Learning* 16(4), 2023, section 3.2).

    Args:
        count: Calibration cases n.
        level: Nominal coverage, in 0..1.
        tail: Quantile of that distribution.

    Returns:
        In 0..1; 1 where so few cases make every interval infinite.
    """
    rank = math.ceil((count + 1) * level - 1e-9)
    return 1.0 if rank > count else float(beta.ppf(tail, max(rank, 1), count + 1 - max(rank, 1)))


def uncertainty_report(
    ef: ArrayLike,
    ef_true: ArrayLike,
    ef_std: ArrayLike,
    inside: ArrayLike,
    std_factor: ArrayLike,
    val_rmse: ArrayLike,
    noise_std: float | None = None,
    clusters: ArrayLike | None = None,
    models: ArrayLike | None = None,
) -> dict[str, Any]:
    """Say what the standard deviations of a regressor are worth.

    Args:
        ef: `(n,)` in percent.
        ef_true: `(n,)` truth in percent.
        ef_std: `(n,)` calibrated standard deviations in EF points.
        inside: `(n,)` whether the stated interval holds the truth.
        std_factor: What VAL multiplied the model's own standard deviations by; `(n,)` where the
            cases are of several models.
        val_rmse: Root mean squared error on the cases that calibrated, likewise, in EF points; NaN
            where it is not known.
        noise_std: Noise of a Gaussian process in EF points.
        clusters: `(n,)` patients, where several cases may be of one.
        models: `(n,)` which model said each case, where there are several.

    Returns:
        `std_factor`, `noise_std`, `val_rmse` (of several models their means over the cases),
        `one_std` (whether a model has the same for all cases), and, where it has not, `spearman`
        of standard deviation and absolute error, `nlpd_gain` over `val_rmse` for every case
        (positive is better), `raw_coverage_90` of the uncalibrated normal interval, each with
        `value`, `lower` and `upper` (95 %), and `tertiles` of the standard deviation with their
        coverage. None stands for what is not known.
    """
    mean, truth, std = (np.asarray(column, dtype=np.float64) for column in (ef, ef_true, ef_std))
    held = np.asarray(inside, dtype=bool)
    model = np.zeros(len(std)) if models is None else np.asarray(models)
    one_std = all(_is_one(std[model == each]) for each in np.unique(model))
    factor, rmse = (np.full(len(std), value, np.float64) for value in (std_factor, val_rmse))
    report: dict[str, Any] = {
        "std_factor": float(np.asarray(std_factor).mean()),
        "noise_std": noise_std,
        "val_rmse": _known(float(np.asarray(val_rmse).mean())),
        "one_std": one_std,
    }
    if one_std or len(mean) < 3:
        return {**report, "spearman": None, "nlpd_gain": None, "raw_coverage_90": None,
                "tertiles": []}  # fmt: skip

    def metric(
        error: NDArray[np.float64], own: NDArray[np.float64], one: NDArray[np.float64]
    ) -> Metrics:
        gain = norm.logpdf(error, scale=own) - norm.logpdf(error, scale=one)
        varied = np.ptp(own) > 0 and np.ptp(error) > 0
        rank = float(spearmanr(own, np.abs(error)).statistic) if varied else math.nan
        return {"spearman": rank, "nlpd_gain": float(gain.mean())}

    columns = (truth - mean, std, rmse)
    intervals = bootstrap_interval(metric, *columns, clusters=clusters)
    for name, value in metric(*columns).items():
        ends = dict(zip(("lower", "upper"), map(_known, intervals[name]), strict=True))
        report[name] = {"value": _known(value), **ends}
    own = np.abs(truth - mean) <= float(normal_reach(LEVEL)) * std / factor
    groups = None if clusters is None else np.asarray(clusters)
    report["raw_coverage_90"] = _proportion(own, groups)
    order = np.array_split(np.argsort(std, kind="stable"), 3)
    report["tertiles"] = [
        {"std": [float(std[rows].min()), float(std[rows].max())], "cases": len(rows),
         **_proportion(held[rows], None if groups is None else groups[rows])}
        for rows in order
    ]  # fmt: skip
    return report


def promise_report(
    counts: Mapping[str, int], level: float, apart: bool, taught_by: str = "VAL"
) -> dict[str, Any]:
    """Say what the promise of conformal intervals, or sets, rests on.

    Args:
        counts: Calibration cases of each promise, by whom it is made to.
        level: Coverage that is promised, in 0..1.
        apart: Whether these cases had no part in choosing the epoch.
        taught_by: What they are cases of.

    Returns:
        `level`, `apart`, `taught_by`, `cases` and `coverage_worst` (see `worst_coverage`; None
        where there are too few cases for any interval but everything), the latter two by `counts`'
        names.
    """
    least = {name: worst_coverage(count, level) for name, count in counts.items()}
    return {
        "level": level,
        "apart": apart,
        "taught_by": taught_by,
        "cases": dict(counts),
        "coverage_worst": {n: None if worst == 1 else worst for n, worst in least.items()},
    }


def format_promise(promise: Mapping[str, Any]) -> str:
    """Return what `promise_report` found in a line."""
    level, said, source = 100 * promise["level"], [], promise.get("taught_by", "VAL")
    for name, count in promise["cases"].items():
        worst, who = promise["coverage_worst"][name], "" if name == "all" else f"{name} "
        said.append(
            f"with {count} {who}cases of {source} too few to say anything at {level:.0f} %"
            if worst is None
            else f"with {count} {who}cases of {source} it may hold as little as {100 * worst:.0f} %"
        )
    rest = "" if promise["apart"] else (
        "; less where they chose the epoch too (--data.calibration_share keeps a part for this)"
    )  # fmt: skip
    return f"{level:.0f} % promised: {', '.join(said)} (5 % quantile){rest}"


def format_uncertainty(report: Mapping[str, Any]) -> list[str]:
    """Return what `uncertainty_report` found, in a few lines."""
    noise, rmse = report["noise_std"], report["val_rmse"]
    first = f"VAL factor of the standard deviations: {report['std_factor']:.2f}"
    first += "" if noise is None else f", own noise {noise:.2f} EF points"
    first += "" if rmse is None else f", RMSE on VAL {rmse:.2f}"
    taught = report.get("backbone_learned_from")  # of a Gaussian process
    last = [f"the backbone was taught by {taught}"] if taught else []
    if report["one_std"]:
        return [f"{first}; one SD for all cases", *last]
    lines = [first]
    if report["std_factor"] > STRETCHED:
        lines.append(f"  above {STRETCHED}: its own standard deviations are too small")
    if report["spearman"] is not None:
        rank, gain, raw = (
            _interval(report[name]) for name in ("spearman", "nlpd_gain", "raw_coverage_90")
        )
        lines.append(f"SD and |error|: Spearman {rank}; NLPD gain over one SD {gain}")
        thirds = " / ".join(f"{100 * third['value']:.0f}" for third in report["tertiles"])
        lines.append(f"coverage by tertile of SD: {thirds} %; uncalibrated 90 % interval {raw}")
    return [*lines, *last]


def _is_one(std: NDArray[np.float64]) -> bool:
    return bool(np.ptp(std) <= _CLOSE * np.abs(std).max())


def _proportion(held: NDArray[np.bool_], clusters: NDArray[Any] | None) -> dict[str, float]:
    """Return a proportion with its Clopper-Pearson interval."""
    share, count = float(held.mean()), effective_count(held, clusters)
    lower, upper = proportion_interval(share * count, count)
    return {"value": share, "lower": lower, "upper": upper}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _interval(row: Mapping[str, float | None]) -> str:
    value, low, high = (
        "-" if row[name] is None else f"{row[name]:.2f}" for name in ("value", "lower", "upper")
    )
    return f"{value} [{low}, {high}]"
