"""What the EF by geometry is worth, by phantoms whose EF is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvef.analysis.calibration import GeometryCalibration
from lvef.errors import ConfigurationError
from lvef.pretraining.phantom_cases import PhantomCase

_FEWEST = 10


def calibrate(groups: Sequence[Sequence[PhantomCase]], trust: float) -> GeometryCalibration:
    """Fit what EF by motion and by contours are worth, least squares, and the error that is left.

    Args:
        groups: Phantoms that no figure is reported on, those of each generator apart: each
            generator counts as much as the others, and the error is that on the worst of them.
        trust: Share of the EF by motion; see `GeometryCalibration`.

    Raises:
        ConfigurationError: A generator has fewer than 10 phantoms that were not refused.
    """
    tables = [_known(cases) for cases in groups]
    motion = _least_squares(tables, lambda m, _c, s: np.stack([m, m**2 / 100, m * s], axis=1))
    contours = _least_squares(tables, lambda _m, c, _s: np.stack([c, c**2 / 100], axis=1))
    fitted = GeometryCalibration(
        (motion[0], motion[1], motion[2]), (contours[0], contours[1]), trust
    )
    errors = [
        [fitted.combined(*measured) - ef for ef, *measured in table.tolist()] for table in tables
    ]
    worst = max(float(np.sqrt(np.mean(np.square(each)))) for each in errors)
    return replace(fitted, std=worst)


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
    shares = [len(table) ** -0.5 for table in tables]
    left = [share * terms(*table[:, 1:].T) for share, table in zip(shares, tables, strict=True)]
    right = [share * table[:, 0] for share, table in zip(shares, tables, strict=True)]
    weights = np.linalg.lstsq(np.concatenate(left), np.concatenate(right), rcond=None)[0]
    return [float(weight) for weight in weights]
