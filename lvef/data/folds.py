"""Parts of a split that stay the same from run to run: folds of TRAIN, and a share of VAL."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.errors import ConfigurationError

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

    Raises:
        ConfigurationError: It is no fold, or both are given.
    """

    train_fold: str | None = None
    without_fold: str | None = None
    fold_seed: int = 0
    calibration_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse folds that there are not."""
        if self.train_fold is not None and self.without_fold is not None:
            raise ConfigurationError(
                "data.train_fold and data.without_fold are both given: the one says which fold of "
                "TRAIN to learn from, the other which not; choose one"
            )
        self.spans()

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
