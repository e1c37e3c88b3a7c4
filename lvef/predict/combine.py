"""From the predictions of single beats to one of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from lvef.cardiac import REDUCED_EF, is_reduced, straddles_reduced

BEAT_COLUMNS = [
    "video", "beat", "ed_frame", "es_frame", "mid_frame", "ef", "ef_std", "ef_lower", "ef_upper",
    "p_reduced", "ef_geometric", "quality",
]  # fmt: skip
"""Columns of beats.csv."""


_SAID = ("ef", "ef_std", "ef_lower", "ef_upper", "p_reduced", "reduced", "review", "ef_geometric")


def combine_beats(beats: Mapping[str, ArrayLike]) -> dict[str, Any]:
    """Return what the beats of one clip say together.

    EF is the median; its standard deviation adds the spread between beats to what each beat
    states, and the interval widens alike. The frames are those of the beat whose EF is nearest to
    the median. A clip is flagged where its own interval straddles EF 40, or most beats are. Where a
    classifier calls half of the beats reduced, the clip is called reduced, and flagged.

    Args:
        beats: Columns `(n,)`, a row a beat: `ef`, `ef_std`, `ef_lower`, `ef_upper`, `p_reduced`,
            `reduced`, `review`, `ef_geometric` as far as they are known (NaN elsewhere), and the
            frames.

    Returns:
        The row of the clip, under the same names, with `num_beats` and `ef_spread`.
    """
    # Plain arrays: an archive has a million clips, and a table of pandas' for each takes hours.
    columns = {name: np.asarray(values) for name, values in beats.items()}
    count = len(next(iter(columns.values())))
    said = {
        name: np.asarray(columns.get(name, np.full(count, np.nan)), np.float64) for name in _SAID
    }
    leading = next(
        (said[name] for name in ("ef", "p_reduced") if _known(said[name])), said["ef_geometric"]
    )
    distance = np.abs(leading - _median(leading))
    nearest = int(np.where(np.isnan(distance), np.inf, distance).argmin())
    row: dict[str, Any] = {name: values[nearest] for name, values in (columns | said).items()}
    row["num_beats"] = count
    row["ef_spread"] = float(np.nanstd(said["ef"])) if _known(said["ef"]) else np.nan
    for name in ("ef_geometric", "p_reduced"):
        row[name] = _median(said[name])
    row["review"] = float(_mean(said["review"]) > 0.5) if _known(said["review"]) else np.nan
    if not _known(said["ef"]):
        share = _mean(said["reduced"])
        row["reduced"] = np.nan if np.isnan(share) else float(share >= 0.5)
        if share == 0.5:  # as many beats say so as do not: someone should look
            row["review"] = 1.0
        return row
    return row | _combined_ef(row, said)


def _combined_ef(row: dict[str, Any], said: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    ef, stated = _median(said["ef"]), _median(said["ef_std"])
    std = float(np.hypot(stated, row["ef_spread"]))
    widening = std / stated if stated > 0 else 1.0
    lower = max(ef - widening * _median(said["ef"] - said["ef_lower"]), 0.0)
    upper = min(ef + widening * _median(said["ef_upper"] - said["ef"]), 100.0)
    combined = {"ef": ef, "ef_std": std, "ef_lower": lower, "ef_upper": upper}
    if _known(said["p_reduced"]):
        combined["p_reduced"] = float(ndtr((REDUCED_EF - ef) / std))
    flagged = bool(straddles_reduced(lower, upper)) or row["review"] == 1
    return {**combined, "reduced": float(is_reduced(ef)), "review": float(flagged)}


def _known(values: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).any())


def _median(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(np.median(there)) if len(there) else float("nan")


def _mean(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
