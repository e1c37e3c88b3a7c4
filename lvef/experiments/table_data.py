"""Pictures of what a table's experiments learn from and are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.cardiac import NO_FRAME
from lvef.columns import SPLITS
from lvef.data.dataset import KeyFrameDataset
from lvef.data.shown import shown_frames
from lvef.data.slots import A4C_FRAMES
from lvef.figures.data import ef_distribution, sample_sheet
from lvef.files import write_figure

_SAMPLES = 8


def draw_data(parts: Sequence[pd.DataFrame], output: Path, data: str) -> None:
    """Draw a sheet of samples, and how EF is distributed in each split, or in all folds.

    Args:
        parts: The labels; of cross-validation a table of each fold.
        output: Folder.
        data: What the titles begin with.
    """
    rows = parts[0]
    test = rows[(rows["split"] == "TEST") & (rows["mid_frame"] != NO_FRAME)].head(_SAMPLES)
    dataset = KeyFrameDataset(test, A4C_FRAMES)
    pictures = {item: shown_frames(dataset, item) for item in range(len(dataset))}
    shown = {item: frames.numpy() for item, frames in pictures.items() if frames is not None}
    of_fold = " of the first fold" if len(parts) > 1 else ""
    if shown:
        sheet = sample_sheet(
            np.stack(list(shown.values())), list(A4C_FRAMES), dataset.ef[list(shown)],
            f"{data}TEST{of_fold}: the first {len(shown)} videos",
        )  # fmt: skip
        write_figure(output / "samples.png", sheet, dpi=120)
    splits = rows.groupby("split")["ef_true"]
    by_split = {name: splits.get_group(name) for name in SPLITS if name in splits.groups}
    title = f"{data}EF by split"
    if len(parts) > 1:
        tests = [part.loc[part["split"] == "TEST", "ef_true"] for part in parts]
        by_split, title = {"all folds": pd.concat(tests)}, f"{data}EF"
    write_figure(output / "ef_distribution.png", ef_distribution(by_split, title), dpi=120)
