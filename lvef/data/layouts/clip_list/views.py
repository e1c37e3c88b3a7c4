"""Which clips show the apical four-chamber view, as people and view classifiers write views."""

from __future__ import annotations

import pandas as pd

from lvef.data.apical import A4C, apical_view
from lvef.errors import DatasetError

FOUR_CHAMBER = A4C
"""The view that everything which is shipped was made for."""
_MOST_NAMED = 8


def is_four_chamber(views: pd.Series) -> pd.Series:
    """Tell the apical four-chamber view: A4C, AP4, 4CH, `apical 4-chamber view`, ..."""
    return views.isin([view for view in views.unique() if apical_view(view) == A4C])


def of_four_chamber(table: pd.DataFrame, stated: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the clips of the apical four-chamber view from all others.

    Args:
        table: `video` and `view_true` as it is written, empty where it is not known.
        stated: Where the views are stated.

    Returns:
        Its rows of that view, and of the others `video`, `split` (empty) and `reason`.

    Raises:
        DatasetError: None is of that view.
    """
    wanted = is_four_chamber(table["view_true"])
    if len(table) and not wanted.any():
        views = sorted(set(table["view_true"]) - {""})
        some = ", ".join(views[:_MOST_NAMED]) + (", ..." if len(views) > _MOST_NAMED else "")
        raise DatasetError(
            f"{stated}: no clip is of the apical four-chamber view ({some or 'none is stated'}): "
            f"write {FOUR_CHAMBER} for those that are"
        )
    others = table[~wanted]
    view = others["view_true"]
    reasons = ("another view: " + view).where(view != "", "view not stated")
    return table[wanted].assign(view_true=FOUR_CHAMBER), left_out(others["video"], reasons)


def left_out(videos: pd.Series, reasons: pd.Series | str) -> pd.DataFrame:
    """Return clips that are no cases, as `LabelFolder.left_out` has them."""
    return pd.DataFrame({"video": videos, "split": "", "reason": reasons}, dtype=object)
