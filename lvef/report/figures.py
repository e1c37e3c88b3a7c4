"""The figures of a test on its page, as `test` itself draws them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvef.cardiac import REDUCED_EF
from lvef.columns import SPLITS
from lvef.data.layouts import read_labels
from lvef.errors import LvefError
from lvef.evaluation.uncertainty import LEVELS
from lvef.figures import gallery
from lvef.figures.data import ef_distribution
from lvef.figures.training import training_curves
from lvef.report.history import read_history
from lvef.report.run import Run


def test_figures(run: Run, root: str | None, title: str) -> dict[str, Figure]:
    """Draw the figures of a test, by name; what cannot be drawn is added to the notes.

    Args:
        run: The run.
        root: EchoNet folder, in place of what the config says.
        title: Title of the figures.
    """
    data = "PHANTOM " if run.metadata.phantom else ""
    table = _table(run, root)
    drawn = _of_cases(run, table, title)
    if table is not None:
        splits = table.groupby("split")["ef_true"]
        drawn["ef_distribution"] = ef_distribution(
            {name: splits.get_group(name) for name in SPLITS if name in splits.groups},
            f"{data}EF by split",
        )
    history = _history(run)
    if any(len(epochs) > 1 for epochs, _ in history.values()):
        drawn["training_curves"] = training_curves(history, f"{data}training of this model")
    return drawn


def _of_cases(run: Run, table: pd.DataFrame | None, title: str) -> dict[str, Figure]:
    cases, metadata = run.cases, run.metadata
    truth = cases["ef_true"].le(REDUCED_EF).where(cases["ef_true"].notna())
    cases = cases.assign(reduced_true=cases["reduced_true"].fillna(truth.astype(float)))
    regression = cases["ef"].notna().any()
    needed = ["p_reduced", "reduced_true", *(["ef", "ef_true", "reduced"] if regression else [])]
    whole = cases[cases[needed].notna().all(axis=1)]
    if len(whole) < len(cases):
        run.notes.append(
            f"Figures are of {len(whole)} of {len(cases)} cases: of the others, answer or truth is "
            "not known."
        )
    if whole.empty:
        return {}
    columns: Mapping[str, NDArray[np.generic]] = {name: whole[name].to_numpy() for name in needed}
    if not regression:
        threshold = 0.5 if metadata.threshold is None else metadata.threshold
        return gallery.classifier_figures(columns, threshold, title)
    inside = {level: metadata.metrics.get(f"coverage_{100 * level:.0f}", {}).get("value")
              for level in LEVELS}  # fmt: skip
    known = {level: value for level, value in inside.items() if value is not None}
    return gallery.predictor_figures(columns, known, _volumes(whole, table), title)


def _volumes(cases: pd.DataFrame, table: pd.DataFrame | None) -> NDArray[np.float64] | None:
    """Return the end-diastolic volume of each case in mL, where the folder knows it."""
    if table is None:
        return None
    known = table.drop_duplicates("video").set_index("video")["edv"]
    return known.reindex(cases["video"]).to_numpy(float)


def _history(run: Run) -> dict[str, tuple[list[float], list[float]]]:
    """Return the curves of the run that made the checkpoint; empty where they cannot be read."""
    if not run.metadata.checkpoint:
        return {}
    try:
        return read_history(Path(run.metadata.checkpoint).parent.parent)
    except Exception:  # TensorBoard raises whatever its parsers do on a damaged file
        run.notes.append("The event files of the training cannot be read: no training curves.")
        return {}


def _table(run: Run, root: str | None) -> pd.DataFrame | None:
    where = root or run.data.get("root")
    if not isinstance(where, str):
        return None
    try:
        return read_labels(where, 1.0).table
    except LvefError:
        return None
