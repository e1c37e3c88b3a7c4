"""The figures of a set of phantoms that were analysed as new clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lvef.evaluation.uncertainty import EF_RANGE
from lvef.pretraining.phantom_cases import KINDS, PhantomCase

BANDS = ((0, 30), (30, 40), (40, 55), (55, 100))
"""Bands of EF in percent, above the first number and up to the second."""
CLOSE = (5, 10)
"""EF points within which an answer counts as close."""


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
    table = np.array([(c.ef, c.found_ef, c.found_std * c.found_reach) for c in cases])
    table = table.reshape(-1, 3)
    answered = np.isfinite(table).all(1)
    ef, geometric_ef, reach = table[answered].T
    error = geometric_ef - ef
    figures = {"ef_mae": _mean(np.abs(error)), "ef_bias": _mean(error)}
    within = np.abs(error) <= reach
    figures["ef_within"] = _mean(within)
    # Of all clips whose EF is known, one that was refused told nothing: it counts as failed.
    known = table[np.isfinite(table[:, 0]), 0]
    everyone = max(len(known), 1)
    figures["ef_within_all"] = int(within.sum()) / everyone
    for points in CLOSE:
        close = np.abs(error) <= points
        figures[f"ef_within_{points}"] = _mean(close)
        figures[f"ef_within_{points}_all"] = int(close.sum()) / everyone
    # Whoever is left without an answer says the same of every heart; the median is then best.
    without = table[np.isfinite(table[:, 0]) & ~answered, 0]
    constant = np.abs(without - np.median(known)) if len(known) else without
    figures["ef_mae_all"] = _mean(np.concatenate([np.abs(error), constant]))
    ends = np.clip([geometric_ef - reach, geometric_ef + reach], *EF_RANGE)
    figures["ef_width"] = _mean(ends[1] - ends[0])
    for low, high in BANDS:
        band = (ef > low) & (ef <= high)
        figures[f"clips_{low}_{high}"] = int(band.sum())
        figures[f"ef_mae_{low}_{high}"] = _mean(np.abs(error[band]))
        figures[f"ef_bias_{low}_{high}"] = _mean(error[band])
    return figures


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
