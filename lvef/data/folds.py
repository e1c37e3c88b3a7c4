"""Parts of a split that stay the same from run to run: folds of TRAIN, and a share of VAL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.errors import ConfigurationError

_FEWEST_FOLDS = 3
_BANDS = (30.0, 40.0 + 1e-9, 50.0)
"""EF between the bands that each fold of cross-validation has as many cases of."""
_FOLD = re.compile(r"(\d{1,4})/(\d{1,4})", re.ASCII)


@dataclass(frozen=True)
class Folds:
    """Which cases of TRAIN a fit learns from, and which of VAL are kept for calibration.

    A case's place is a number in 0..1 that a digest of its patient, or where the table names none
    its video, and the seed give. Fold k of K takes the places from (k - 1) / K to k / K. So a case
    never changes its fold when others are added or left out, all clips of a patient are in the
    same, and fold 1/2 holds the folds 1/4 and 2/4.

    Args:
        train_fold: The fold that a fit learns from, such as 1/2; None for all of TRAIN.
        without_fold: The fold that it does not learn from; None for all of TRAIN.
        fold_seed: Deals the cases out.
        calibration_share: Share of VAL, by patient where these are known, that has no part in
            choosing the epoch and alone calibrates; 0 lets all of VAL do both.
        folds: In how many folds all cases are dealt, in place of the splits that are there, for
            cross-validation; None for none.
        fold: Which of these is TEST, from 1; the next one is VAL, and the others are TRAIN.

    Raises:
        ConfigurationError: It is no fold, or both are given.
    """

    train_fold: str | None = None
    without_fold: str | None = None
    fold_seed: int = 0
    calibration_share: float = 0.0
    folds: int | None = None
    fold: int | None = None

    def __post_init__(self) -> None:
        """Refuse folds that there are not."""
        if self.train_fold is not None and self.without_fold is not None:
            raise ConfigurationError(
                "data.train_fold and data.without_fold are both given: the one says which fold of "
                "TRAIN to learn from, the other which not; choose one"
            )
        self.spans()
        if (self.folds is None) != (self.fold is None):
            raise ConfigurationError(
                "data.folds says how many folds and data.fold which of them is TEST: give both"
            )
        if self.folds is not None and not (
            self.folds >= _FEWEST_FOLDS and 1 <= (self.fold or 0) <= self.folds
        ):
            raise ConfigurationError(
                f"data.folds {self.folds} and data.fold {self.fold}: there are at least "
                f"{_FEWEST_FOLDS} folds (TEST, VAL and TRAIN), and they count from 1"
            )

    def dealt(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the splits of cross-validation; as it is where none is asked for.

        All clips of a patient are in one fold. Patients are shared out within bands of their
        lowest EF, so that each fold has as many of each band; in what order, `fold_seed` says.
        Every case is in TEST of exactly one fold.

        Args:
            table: `video`, `ef_true`, and `patient` where these are known.

        Raises:
            ConfigurationError: There are fewer patients than folds.
        """
        if self.folds is None or self.fold is None:
            return table
        names = _groups(table)
        groups, of_row = np.unique(names, return_inverse=True)
        if len(groups) < self.folds:
            raise ConfigurationError(
                f"data.folds (of a table, --folds) is {self.folds}, but there are {len(groups)} "
                "cases or patients"
            )
        lowest = np.full(len(groups), np.inf)
        np.minimum.at(lowest, of_row, table["ef_true"].to_numpy(np.float64))
        order = np.lexsort([_places(groups, self.fold_seed), np.digitize(lowest, _BANDS)])
        number = np.empty(len(groups), np.int64)
        number[order] = np.arange(len(groups)) % self.folds  # on from band to band
        split = np.array(["TRAIN"] * self.folds, dtype=object)
        split[self.fold % self.folds], split[self.fold - 1] = "VAL", "TEST"
        return table.assign(split=split[number[of_row]])

    def spans(self) -> list[tuple[float, float]]:
        """Return the places in 0..1, from and below, of the cases of TRAIN to learn from."""
        if self.train_fold is not None:
            return [_span("train_fold", self.train_fold)]
        if self.without_fold is not None:
            first, last = _span("without_fold", self.without_fold)
            return [span for span in ((0.0, first), (last, 1.0)) if span[0] < span[1]]
        return [(0.0, 1.0)]

    def learns_from(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows of TRAIN a fit learns from, `(n,)`."""
        places = _places(_groups(rows), self.fold_seed)
        inside = [(first <= places) & (places < last) for first, last in self.spans()]
        return np.asarray(np.any(inside, axis=0))

    def calibrates(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows of VAL alone calibrate, `(n,)`; none where all of VAL do.

        Raises:
            ConfigurationError: VAL has too few patients for two parts.
        """
        if self.calibration_share == 0:
            return np.zeros(len(rows), bool)
        groups, of_row = np.unique(_groups(rows), return_inverse=True)
        if len(groups) < 2:
            raise ConfigurationError(
                f"data.calibration_share is {self.calibration_share:g}, but VAL has a single case "
                "or patient, which cannot be shared out"
            )
        # By rank, as VAL is small: the share is kept to a case.
        count = min(max(round(self.calibration_share * len(groups)), 1), len(groups) - 1)
        chosen = np.zeros(len(groups), bool)
        chosen[np.argsort(_places(groups, self.fold_seed), kind="stable")[:count]] = True
        return np.asarray(chosen[of_row])

    def facts(self, train: pd.DataFrame, learned: int) -> dict[str, Any]:
        """Return what a checkpoint says of the cases that taught it; no case is named.

        Args:
            train: All rows of TRAIN.
            learned: How many cases the fit learns from.

        Returns:
            `split`, one digest of all patients or videos of TRAIN; `seed`, `spans` and `cases`.
        """
        names = "".join(f"{name}\0" for name in sorted(_groups(train)))
        return {
            "split": hashlib.sha256(names.encode()).hexdigest(),
            "seed": self.fold_seed,
            "spans": [list(span) for span in self.spans()],
            "cases": learned,
        }


def dealt_for(table: pd.DataFrame, seen: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with the splits that a model was trained on.

    Args:
        table: Of a `LabelFolder`.
        seen: What its checkpoint says of its data; see `describe_checkpoint`.
    """
    names = ("folds", "fold", "fold_seed")
    return Folds(**{n: seen[n] for n in names if seen.get(n) is not None}).dealt(table)


def _span(option: str, fold: str) -> tuple[float, float]:
    """Return the places of a fold.

    Raises:
        ConfigurationError: It is none.
    """
    written = _FOLD.fullmatch(str(fold))
    number, folds = (int(part) for part in written.groups()) if written else (0, 0)
    if not (folds >= 2 and 1 <= number <= folds):
        raise ConfigurationError(
            f"data.{option} is {str(fold)!r:.40}, but a fold is written k/K, from 1/K to K/K, of "
            "at least two: 1/2 is the first of two folds"
        )
    return (number - 1) / folds, number / folds


def _groups(rows: pd.DataFrame) -> NDArray[np.str_]:
    """Return what is dealt out together, `(n,)`: the patient, else the video."""
    names = rows["video"].astype(str)
    if "patient" in rows:
        known = rows["patient"].notna() & (rows["patient"].astype(str) != "")
        names = names.where(~known, "patient " + rows["patient"].astype(str))
    return names.to_numpy(dtype=str)


def _places(names: NDArray[np.str_], seed: int) -> NDArray[np.float64]:
    """Return a number in 0..1, 1 excluded, for each name: the same on every machine."""
    digests = (hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:6] for name in names)
    return np.array([int.from_bytes(digest, "big") / 2**48 for digest in digests], np.float64)
