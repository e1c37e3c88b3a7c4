"""What was made of a list once: key frames and splits, in a folder beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.columns import SPLITS
from lvef.data.layouts.clip_list.two_chamber import FOUND_COLUMNS
from lvef.data.phantom_folder import prepared_folder
from lvef.data.slots import A2C
from lvef.data.tables import numbers, read_table
from lvef.errors import ConfigurationError, DatasetError
from lvef.files import write_csv, write_json

KEYFRAMES, COLUMNS_FILE = "keyframes.csv", "columns.json"
_NUMBERS = ("ed", "es", "quality", "fps", "num_frames", "frame_height", "frame_width")
_COLUMNS = dict.fromkeys(("path", *_NUMBERS, "split", "reason"), ())
SHARES = {"TRAIN": 0.7, "VAL": 0.15, "TEST": 0.15}
"""How patients are shared out where a list has no splits."""
_FEWEST = 3


@dataclass(frozen=True)
class Prepared:
    """Where a list's key frames are.

    Attributes:
        labels: The list.
    """

    labels: Path

    @property
    def folder(self) -> Path:
        """The folder beside the list."""
        return prepared_folder(self.labels)

    @property
    def keyframes(self) -> Path:
        """The CSV file of key frames and splits: a row a clip."""
        return self.folder / KEYFRAMES

    def columns(self) -> dict[str, str]:
        """Return what the list's columns are called, where that was said.

        Raises:
            DatasetError: The file that says it is damaged.
        """
        path = self.folder / COLUMNS_FILE
        if not path.exists():
            return {}
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return {str(name): str(called) for name, called in said.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise DatasetError(f"{path} is damaged: say the columns again") from error

    def say_columns(self, columns: dict[str, str]) -> None:
        """Keep what the list's columns are called."""
        write_json(self.folder / COLUMNS_FILE, columns)

    def read(self) -> pd.DataFrame:
        """Return the rows that were made, none where there is no file.

        Returns:
            `path` as the list has it, `ed`, `es` (from 0), `quality` (0 to 1), `fps`, `num_frames`,
            `frame_height`, `frame_width`, NaN where not known, `split`, `reason` (why the clip
            cannot be used; empty where it can). The same of two-chamber clips in
            `two_chamber.FOUND_COLUMNS`, where any were looked at.

        Raises:
            DatasetError: It cannot be read.
        """
        if not self.keyframes.exists():
            return pd.DataFrame({name: [] for name in _COLUMNS}, dtype=object)
        texts = ("path", "split", "reason", *map(A2C.column, ("path", "reason")))
        known = {**_COLUMNS, **dict.fromkeys(FOUND_COLUMNS, ())}
        table = read_table(self.keyframes, known, tuple(_COLUMNS), texts)
        for name in (*_NUMBERS, *(name for name in FOUND_COLUMNS if name not in texts)):
            if name in table:
                table[name] = numbers(table[name])
        if table["path"].duplicated().any():
            raise DatasetError(f"{self.keyframes}: a clip stands there twice: make it anew")
        return table

    def write(self, table: pd.DataFrame) -> None:
        """Write the rows, whole or not at all."""
        known = [*_COLUMNS, *(name for name in FOUND_COLUMNS if name in table)]
        write_csv(self.keyframes, table[known])


def deal_splits(table: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Share clips out to TRAIN, VAL and TEST by patient, as many with a reduced EF in each.

    Args:
        table: `patient` (empty where not known: then the clip stands for itself), `path`, `reduced`
            (0 or 1) and `split`, empty where it is to be dealt; others stay as they are, and so
            does a patient who has one.
        rng: Deals.

    Returns:
        The split of each row.

    Raises:
        ConfigurationError: There are fewer than three patients.
    """
    own = "clip:" + table["path"].astype(str)
    group = ("patient:" + table["patient"].astype(str)).where(table["patient"] != "", own)
    groups = table.assign(group=group).groupby("group", sort=True)
    known = groups["split"].agg(lambda splits: max(splits, key=len)).astype(object)
    ill = groups["reduced"].max()
    if len(known) < _FEWEST:
        raise ConfigurationError(
            f"{len(known)} patients are too few for TRAIN, VAL and TEST: give {_FEWEST} or more"
        )
    for kind in (1, 0):
        names = known.index[(ill == kind) & (known == "")].to_numpy()
        for name in rng.permutation(names):
            held = known[ill == kind].value_counts()
            total = max(int((ill == kind).sum()), 1)
            # Whoever lacks most of its share; of a few, VAL and TEST come before TRAIN is full.
            lacking = {s: share - held.get(s, 0) / total for s, share in SHARES.items()}
            empty = [s for s in SPLITS if (known == s).sum() == 0]
            left = int((known == "").sum())
            known[name] = empty[0] if 0 < len(empty) >= left else max(lacking, key=lacking.get)  # type: ignore[arg-type]
    return group.map(known).astype(str)
