"""The figures of a set of phantoms, and what the geometry is worth by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvef.analysis.calibration import Calibration
from lvef.errors import ConfigurationError
from lvef.evaluation.metrics import normal_reach
from lvef.evaluation.uncertainty import LEVEL
from lvef.pretraining.segmenter import KINDS, PhantomCase

BANDS = ((0, 30), (30, 40), (40, 55), (55, 100))
"""Bands of EF in percent, above the first number and up to the second."""
_FEWEST = 10


def summary(cases: Sequence[PhantomCase]) -> dict[str, float]:
    """Return the figures of a set of phantoms; EF errors over those that were not refused."""
    ed = np.abs([error for case in cases for error in case.ed_errors])
    es = np.abs([error for case in cases for error in case.es_errors])
    kept = [case for case in cases if not case.reason]
    kinds = [kind for case in cases for kind in case.kinds]
    missed = [kind for case in cases for kind in case.missed]
    by_kind = {
        f"beats_found_{kind}": 1 - missed.count(kind) / kinds.count(kind)
        for kind in KINDS
        if kind in kinds
    }
    return {
        "clips": len(cases),
        "mean_dice": _mean([case.dice for case in cases]),
        "true_beats": sum(case.true_beats for case in cases),
        "beats_found": len(ed) / max(sum(case.true_beats for case in cases), 1),
        "beats_found_where_not_refused": sum(len(c.ed_errors) for c in kept)
        / max(sum(c.true_beats for c in kept), 1),
        **by_kind,
        "wrong_beats": sum(case.wrong_beats for case in cases),
        "median_ed_error": float(np.median(ed)) if len(ed) else float("nan"),
        "median_es_error": float(np.median(es)) if len(es) else float("nan"),
        "mean_ed_error": _mean(ed),
        "mean_es_error": _mean(es),
        **_ef_figures(cases),
        "refused": len(cases) - len(kept),
    }


def _ef_figures(cases: Sequence[PhantomCase]) -> dict[str, float]:
    """Return how far the geometric EF is from the true one, in all and by band of the true EF."""
    table = np.array([(c.ef, c.found_ef, c.found_std) for c in cases]).reshape(-1, 3)
    ef, found, std = table[np.isfinite(table).all(1)].T
    error = found - ef
    figures = {"ef_mae": _mean(np.abs(error)), "ef_bias": _mean(error)}
    figures["ef_within"] = _mean(np.abs(error) <= float(normal_reach(LEVEL)) * std)
    for low, high in BANDS:
        band = (ef > low) & (ef <= high)
        figures[f"clips_{low}_{high}"] = int(band.sum())
        figures[f"ef_mae_{low}_{high}"] = _mean(np.abs(error[band]))
        figures[f"ef_bias_{low}_{high}"] = _mean(error[band])
    return figures


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def calibrate(groups: Sequence[Sequence[PhantomCase]], trust: float) -> Calibration:
    """Fit what EF by motion and by contours are worth, least squares, and the error that is left.

    Args:
        groups: Phantoms that no figure is reported on, those of each generator apart: each
            generator counts as much as the others, and the error is that on the worst of them.
        trust: Share of the EF by motion; see `Calibration`.

    Raises:
        ConfigurationError: A generator has fewer than 10 phantoms that were not refused.
    """
    tables = [_known(cases) for cases in groups]
    motion = _least_squares(tables, lambda m, _c, s: np.stack([m, m**2 / 100, m * s], axis=1))
    contours = _least_squares(tables, lambda _m, c, _s: np.stack([c, c**2 / 100], axis=1))
    fitted = Calibration((motion[0], motion[1], motion[2]), (contours[0], contours[1]), trust)
    errors = [[fitted.combined(*found) - ef for ef, *found in table.tolist()] for table in tables]
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
