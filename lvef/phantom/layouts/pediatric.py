"""Tables of phantoms as EchoNet-Pediatric has them: outlines, folds, and a child's measures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lvef.cardiac import chords_to_polygon

_CHORDS = ["X1", "Y1", "X2", "Y2"]
_FOLD_OF = {"VAL": 8, "TEST": 9}
_TRAIN_FOLDS = 8


def as_pediatric(
    files: pd.DataFrame, tracings: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of EchoNet-Dynamic's layout as EchoNet-Pediatric has them.

    Args:
        files: The list of EchoNet-Dynamic's layout.
        tracings: Its tracings, long axes and chords.
        seed: Seed of what is made up: sex, age (years), weight (kg) and height (cm), which have
            nothing to do with the heart that is shown.

    Returns:
        `FileName, EF, Sex, Age, Weight, Height, Split` with folds for splits, and
        `FileName, X, Y, Frame`, a row a point.
    """
    random = np.random.default_rng(seed)
    count = len(files)
    age = random.integers(0, 19, count)
    height = 50 + 6.5 * age + random.normal(0, 4, count)
    weight = 3.5 + 2.2 * age + 0.07 * age**2 + random.normal(0, 0.4, count)
    folds = [
        _FOLD_OF.get(split, number % _TRAIN_FOLDS) for number, split in enumerate(files["Split"])
    ]
    children = pd.DataFrame(
        {
            "FileName": tracings["FileName"].unique(),  # with their extensions
            "EF": files["EF"],
            "Sex": random.choice(["F", "M"], count),
            "Age": age,
            "Weight": weight.round(1),
            "Height": height.round(1),
            "Split": folds,
        }
    )
    traced = tracings.groupby(["FileName", "Frame"], sort=False)
    return children, pd.concat([_outline(rows) for _, rows in traced])


def _outline(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one tracing as the points around its chords."""
    x, y = chords_to_polygon(rows[_CHORDS].to_numpy()[1:]).T
    name, frame = rows[["FileName", "Frame"]].iloc[0]
    return pd.DataFrame({"FileName": name, "X": x, "Y": y, "Frame": frame})
