"""What the rows of the table stand beside: constant answers, and those given a true volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from lvef.cardiac import is_reduced
from lvef.columns import SPLITS
from lvef.evaluation.ceilings import ef_from_volume
from lvef.evaluation.summary import (
    Summary,
    constant_intervals,
    summarise_classification,
    summarise_regression,
)
from lvef.evaluation.thresholds import best_threshold
from lvef.experiments.table_rows import clusters_of

Array = NDArray[np.float64]
Bounds = dict[str, dict[str, Any]]
"""By name: `kind` of the rows that it stands beside, its `metrics` as those of a row, and what it
is made with."""
MEAN, MEDIAN = "always the mean of TRAIN", "always the median of TRAIN"
MAJORITY = "always the majority of TRAIN"
STATISTICS = {"median": "least MAE", "mean": "least RMSE, best R²"}
"""The conditional statistic that is best by which metrics."""
_VOLUMES = ("EDV", "ESV")
_STD = "standard deviation of TRAIN"
_OF_RISK = ("ece", "brier", "log_loss")


def given(volume: str, statistic: str) -> str:
    """Return the name of the bound that is given a true volume."""
    return f"given the true {volume}: {statistic} of EF ({STATISTICS[statistic]})"


def table_bounds(parts: Sequence[pd.DataFrame]) -> Bounds:
    """Return what constant answers, and those given a true volume, are worth on TEST.

    Everything is learned on TRAIN but the threshold of a volume, which VAL chooses in the same way
    as a classifier's.

    Args:
        parts: Labels of all splits; of cross-validation a table of each fold, of which the TESTs
            are judged together. Where a case lacks a volume, nothing is given that volume: the
            figures would be of other cases.
    """
    learned = [_learned(labels) for labels in parts]
    truth = np.concatenate([of_part.truth for of_part in learned])
    clusters = clusters_of(pd.concat([labels[labels["split"] == "TEST"] for labels in parts]))

    def joined(name: str) -> Array:
        return np.concatenate([of_part.answers[name] for of_part in learned])

    bounds: Bounds = {}
    mean, std = joined(MEAN), joined(_STD)
    spread = (std, *constant_intervals(mean, std))
    for name in (MEAN, MEDIAN, *(given(v, s) for v in _known(parts) for s in STATISTICS)):
        more = {"train_std": std, "spread": spread} if name == MEAN else {}
        metrics = summarise_regression(joined(name), truth, mean, clusters=clusters, **more)  # type: ignore[arg-type]
        bounds[name] = {"kind": "regression", "metrics": _plain(metrics)}
    reduced, majority = is_reduced(truth).astype(int), joined(MAJORITY)
    for name in (MAJORITY, *map(_called, _known(parts))):
        calls, stated = joined(name), joined(f"{name}, stated")
        if name == MAJORITY:  # constants that differ by fold would rank cases
            stated = np.full_like(stated, stated.mean())
        metrics = summarise_classification(
            stated, reduced, 0.5, majority, clusters=clusters, reduced=calls
        )
        if name != MAJORITY:
            for of_risk in _OF_RISK:  # a volume ranks, and states no probability
                metrics.pop(of_risk, None)
        facts = [of_part.facts[name] for of_part in learned]
        key = "majority" if name == MAJORITY else "threshold_ml"
        bounds[name] = {
            "kind": "classification",
            "metrics": _plain(metrics),
            key: facts[0] if len(facts) == 1 else facts,
        }
    return bounds


@dataclass
class _Learned:
    """What TRAIN and VAL of one table say of its TEST.

    Attributes:
        truth: EF of TEST in percent, `(n,)`.
        answers: By name, `(n,)`: an EF, a standard deviation, a call, or what is stated beside it.
        facts: By name of a call, what it rests on.
    """

    truth: Array
    answers: dict[str, Array] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)


def _learned(labels: pd.DataFrame) -> _Learned:
    train, val, test = (labels[labels["split"] == split] for split in SPLITS)
    ef, count = train["ef_true"], len(test)
    learned = _Learned(test["ef_true"].to_numpy(float))
    prevalence = float(is_reduced(ef.to_numpy(float)).mean())
    learned.facts[MAJORITY] = int(prevalence >= 0.5)
    constants = {
        MEAN: float(ef.mean()), _STD: float(ef.std()), MEDIAN: float(ef.median()),
        # It states the prevalence, and calls the majority.
        MAJORITY: learned.facts[MAJORITY], f"{MAJORITY}, stated": prevalence,
    }  # fmt: skip
    learned.answers = {name: np.full(count, value, float) for name, value in constants.items()}
    for volume in _known([labels]):
        of_train, of_val, of_test = (
            split[volume.lower()].to_numpy(float) for split in (train, val, test)
        )
        for statistic in STATISTICS:
            answer = ef_from_volume(of_train, ef, of_test, statistic)  # type: ignore[arg-type]
            learned.answers[given(volume, statistic)] = answer
        # Any rising function of the volume ranks cases as it does, and calls them alike.
        centre, name = np.log(of_train).mean(), _called(volume)
        stated = expit(np.log(of_test) - centre)
        odds = expit(np.log(of_val) - centre)
        threshold = best_threshold(odds, is_reduced(val["ef_true"].to_numpy(float)))
        learned.answers |= {name: (stated >= threshold).astype(float), f"{name}, stated": stated}
        learned.facts[name] = float(np.exp(centre + np.log(threshold / (1 - threshold))))
    return learned


def _called(volume: str) -> str:
    """Return the name of the call that is made by a true volume."""
    return f"given the true {volume}, threshold of VAL"


def _known(parts: Sequence[pd.DataFrame]) -> list[str]:
    """Return the volumes that every case has."""
    return [
        name for name in _VOLUMES if all(labels[name.lower()].notna().all() for labels in parts)
    ]


def _plain(metrics: Summary) -> Summary:
    """Return metrics without the trivial answer beside them: that is a bound of its own."""
    return {
        name: {part: value for part, value in row.items() if part != "baseline"}
        for name, row in metrics.items()
    }
