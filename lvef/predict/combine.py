"""From the predictions of single beats to one of a clip."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtr

from lvef.cardiac import REDUCED_EF, is_reduced, straddles_reduced

BEAT_COLUMNS = [
    "video", "beat", "ed_frame", "es_frame", "mid_frame", "ef", "ef_std", "ef_lower", "ef_upper",
    "p_reduced", "ef_geometric", "quality",
]  # fmt: skip
"""Columns of beats.csv."""


def combine_beats(beats: pd.DataFrame) -> pd.Series:
    """Return what the beats of one clip say together.

    EF is the median; its standard deviation adds the spread between beats to what each beat
    states, and the interval widens alike. The frames are those of the beat whose EF is nearest to
    the median. A clip is flagged where its own interval straddles EF 40, or most beats are. Where a
    classifier calls half of the beats reduced, the clip is called reduced, and flagged.

    Args:
        beats: A row a beat: `ef`, `ef_std`, `ef_lower`, `ef_upper`, `p_reduced`, `reduced`,
            `review`, `ef_geometric` as far as they are known (NaN elsewhere), and the frames.

    Returns:
        The row of the clip, under the same names, with `num_beats` and `ef_spread`.
    """
    table = beats.reindex(columns=[*beats.columns.union(["ef", "ef_std", "ef_lower", "ef_upper",
        "p_reduced", "reduced", "review", "ef_geometric"])])  # fmt: skip
    known = table["ef"].notna()
    leading = table["ef"] if known.any() else table["p_reduced"]
    leading = leading if leading.notna().any() else table["ef_geometric"]
    middle = leading.median()
    nearest = int((leading - middle).abs().fillna(np.inf).to_numpy().argmin())
    row: pd.Series = table.iloc[nearest].copy()
    row["num_beats"] = len(table)
    row["ef_spread"] = table["ef"].std(ddof=0) if known.any() else np.nan
    row["ef_geometric"] = table["ef_geometric"].median()
    row["p_reduced"] = table["p_reduced"].median()
    flags = table["review"].astype(float)
    row["review"] = float(flags.mean() > 0.5) if flags.notna().any() else np.nan
    if not known.any():
        calls = table["reduced"].astype(float)
        row["reduced"] = float(calls.mean() >= 0.5) if calls.notna().any() else np.nan
        if calls.mean() == 0.5:  # as many beats say so as do not: someone should look
            row["review"] = 1.0
        return row
    return _combine_ef(row, table)


def _combine_ef(row: pd.Series, table: pd.DataFrame) -> pd.Series:
    ef, stated = float(table["ef"].median()), float(table["ef_std"].median())
    std = float(np.hypot(stated, row["ef_spread"]))
    widening = std / stated if stated > 0 else 1.0
    lower = ef - widening * float((table["ef"] - table["ef_lower"]).median())
    upper = ef + widening * float((table["ef_upper"] - table["ef"]).median())
    row["ef"], row["ef_std"] = ef, std
    row["ef_lower"], row["ef_upper"] = max(lower, 0.0), min(upper, 100.0)
    row["reduced"] = float(is_reduced(ef))
    if table["p_reduced"].notna().any():
        row["p_reduced"] = float(ndtr((REDUCED_EF - ef) / std))
    straddles = straddles_reduced(row["ef_lower"], row["ef_upper"])
    row["review"] = float(straddles or row["review"] == 1)
    return row
