"""What the EF by geometry is worth, by phantoms whose EF is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvef.analysis.calibration import GeometryCalibration
from lvef.errors import ConfigurationError
from lvef.evaluation.uncertainty import LEVEL, conformal_quantile
from lvef.pretraining.phantom_cases import PhantomCase
from lvef.pretraining.phantom_figures import BANDS

_FEWEST = 10
_FOLDS = 5
_LEAST_STD = 1e-6
_BIAS = 3.0
"""How much the squared mean error of a band of EF counts against the squared errors in it: least
squares alone brings every answer nearer to the middle, low EF too high and high EF too low."""
_FEWEST_IN_BAND = 4


def calibrate(groups: Sequence[Sequence[PhantomCase]], trust: float) -> GeometryCalibration:
    """Fit what EF by motion and by contours are worth, and the error that is left.

    By least squares of single errors and, `_BIAS` times as much, of their mean in each band of EF.

    How far the stated interval reaches is the largest conformal quantile of any population
    (Vovk et al., *Algorithmic Learning in a Random World*, 2005), so that it covers each. Errors
    for it are out of fold: each phantom is judged by constants that were fitted to others.

    Args:
        groups: Phantoms that no figure is reported on, those of each population apart: each
            counts as much as the others, and the error is that on the worst of them.
        trust: Share of the EF by motion; see `GeometryCalibration`.

    Raises:
        ConfigurationError: A population has fewer than 10 phantoms that were not refused.
    """
    tables = [_known(cases) for cases in groups]
    fitted = _fitted(tables, trust)
    std = max(float(np.sqrt(np.mean(np.square(_errors(fitted, table))))) for table in tables)
    quantiles = [
        conformal_quantile(np.abs(errors), LEVEL) for errors in _out_of_fold(tables, trust)
    ]
    return replace(fitted, std=std, reach=max(quantiles) / max(std, _LEAST_STD))


def _out_of_fold(tables: Sequence[NDArray[np.float64]], trust: float) -> list[NDArray[np.float64]]:
    """Return the errors of each table in points of EF, by constants fitted to the other folds."""
    errors = [np.empty(len(table)) for table in tables]
    for fold in range(_FOLDS):
        inside = [np.arange(len(table)) % _FOLDS == fold for table in tables]
        rest = [table[~held] for table, held in zip(tables, inside, strict=True)]
        fitted = _fitted(rest, trust)
        for error, table, held in zip(errors, tables, inside, strict=True):
            error[held] = _errors(fitted, table[held])
    return errors


def _fitted(tables: Sequence[NDArray[np.float64]], trust: float) -> GeometryCalibration:
    motion = _least_squares(tables, lambda m, _c, s: np.stack([m, m**2 / 100, m * s], axis=1))
    contours = _least_squares(tables, lambda _m, c, _s: np.stack([c, c**2 / 100], axis=1))
    return GeometryCalibration((motion[0], motion[1], motion[2]), (contours[0], contours[1]), trust)


def _errors(fitted: GeometryCalibration, table: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([fitted.combined(*measured) - ef for ef, *measured in table.tolist()])


def _known(cases: Sequence[PhantomCase]) -> NDArray[np.float64]:
    """Return EF, EF by motion, by contours and contrast of each case that tells them, `(n, 4)`."""
    table = np.array(
        [(c.ef, c.by_motion, c.by_contours, c.contrast) for c in cases if not c.reason]
    )
    table = table.reshape(-1, 4)
    table = np.asarray(table[np.isfinite(table).all(1)], np.float64)
    if len(table) < _FEWEST:
        raise ConfigurationError(
            f"only {len(table)} phantoms to calibrate on: give at least {_FEWEST}"
        )
    return table


def _least_squares(tables: Sequence[NDArray[np.float64]], terms: Any) -> list[float]:
    """Return the weights of terms that fit the true EF; each table counts as much as the others."""
    left, right = [], []
    for table in tables:
        ef, seen = table[:, 0], terms(*table[:, 1:].T)
        left.append(seen * len(table) ** -0.5)
        right.append(ef * len(table) ** -0.5)
        for low, high in BANDS:
            inside = (ef > low) & (ef <= high)
            if inside.sum() >= _FEWEST_IN_BAND:
                share = float(np.sqrt(_BIAS * inside.mean()))
                left.append(share * seen[inside].mean(0, keepdims=True))
                right.append(share * ef[inside].mean(keepdims=True))
    weights = np.linalg.lstsq(np.concatenate(left), np.concatenate(right), rcond=None)[0]
    return [float(weight) for weight in weights]
