"""The folds of a table's cross-validation: what each is fitted to and judged on, and can it be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from lvef.cardiac import REDUCED_EF, is_reduced
from lvef.columns import SPLITS
from lvef.data.folds import Folds
from lvef.data.layouts import LabelFolder
from lvef.errors import ConfigurationError, DatasetError
from lvef.experiments.local_cases import patient_of

_MOST_NAMED = 3


@dataclass(frozen=True)
class Needs:
    """What an experiment asks of each fold.

    Attributes:
        frames: Key frames of a case.
        both_classes: Whether it learns, and chooses a threshold, from reduced and normal cases.
        limit: It sees at most so many videos of each split, see `--data.limit`.
    """

    frames: Sequence[str] = ()
    both_classes: bool = False
    limit: int | None = None


@dataclass(frozen=True)
class TableFolds:
    """Into how many folds all cases are dealt, each of which is TEST once.

    Attributes:
        number: How many.
        seed: Deals the cases out.
    """

    number: int
    seed: int = 0

    def __str__(self) -> str:
        """Return what headings say."""
        return f"{self.number} folds, seed {self.seed}"

    @property
    def name(self) -> str:
        """Return the name of the folder of all their runs and of their table."""
        return f"folds_{self.number}" + (f"_seed_{self.seed}" if self.seed else "")

    def words(self, fold: int) -> list[str]:
        """Return the options of the data module for a fold, from 1."""
        options = {"folds": self.number, "fold": fold, "fold_seed": self.seed}
        return [word for name, value in options.items() for word in (f"--data.{name}", str(value))]

    def parts(self, folder: LabelFolder, needs: Needs) -> list[pd.DataFrame]:
        """Return for each fold the cases that a run of it sees, with their `split`.

        Args:
            folder: The labels.
            needs: Of an experiment.

        Raises:
            ConfigurationError: There are no such folds, or fewer patients than folds.
        """
        found = []
        for fold in range(1, self.number + 1):
            dealt = Folds(folds=self.number, fold=fold, fold_seed=self.seed).dealt(folder.table)
            table = replace(folder, table=dealt).for_frames(needs.frames).table
            found.append(first_of_each_split(table, needs.limit))
        return found

    def refuse_small(self, folder: LabelFolder, experiments: Mapping[str, Needs]) -> None:
        """Refuse, before anything is fitted, folds that an experiment cannot be fitted to.

        Args:
            folder: The labels.
            experiments: What each asks of a fold.

        Raises:
            ConfigurationError: A split of a fold is empty, or a classifier would have one class.
        """
        for name, needs in experiments.items():
            for fold, part in enumerate(self.parts(folder, needs), start=1):
                for split in SPLITS:
                    lacking = _lacking(part[part["split"] == split], needs)
                    if lacking:
                        raise ConfigurationError(
                            f"{name} cannot be fitted to fold {fold} of {self.number}: its {split} "
                            f"has no {lacking}; ask for fewer --folds"
                            + (", or for regressors alone" if needs.both_classes else "")
                        )


def first_of_each_split(table: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """Return the first so many cases of each split; all where there is no limit."""
    return table if limit is None else table.groupby("split", sort=False).head(limit)


def _lacking(rows: pd.DataFrame, needs: Needs) -> str:
    """Return what a split has none of, in words; empty where it has what is needed."""
    if rows.empty:
        return f"case with {' and '.join(needs.frames)}"
    reduced = is_reduced(rows["ef_true"].to_numpy(float))
    if needs.both_classes and not reduced.any():
        return f"case with EF {REDUCED_EF:g} % or less"
    if needs.both_classes and reduced.all():
        return f"case with EF above {REDUCED_EF:g} %"
    return ""


def pool_cases(
    name: str, cases: Sequence[pd.DataFrame], parts: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Return what the models of all folds said of TEST, each video exactly once.

    Args:
        name: Of the experiment.
        cases: Of each fold, its `cases.csv`.
        parts: Of each fold, its labels; see `TableFolds.parts`.

    Returns:
        The cases in the order of their folds, with `fold`, from 1.

    Raises:
        DatasetError: A video is there twice or in none, or a patient is in two folds.
    """
    pooled = pd.concat(
        [each.assign(fold=fold) for fold, each in enumerate(cases, start=1)], ignore_index=True
    )
    tests = pd.concat(
        [part[part["split"] == "TEST"].assign(fold=n) for n, part in enumerate(parts, start=1)],
        ignore_index=True,
    )
    again = "remove the runs of this experiment, and start the table again"
    twice = pooled.loc[pooled["video"].duplicated(), "video"]
    if len(twice):
        raise DatasetError(f"{name}: predicted in two folds {_some(twice)}: {again}")
    own = pooled.set_index("video")["fold"]
    asked = tests.set_index("video")["fold"]
    elsewhere = asked.index[asked.ne(own.reindex(asked.index))]
    if len(elsewhere):
        raise DatasetError(f"{name}: not predicted in their fold {_some(elsewhere)}: {again}")
    others = own.index.difference(asked.index)
    if len(others):
        raise DatasetError(f"{name}: predicted, but in no fold {_some(others)}: {again}")
    if "patient" in tests:
        of_patient = tests["fold"].groupby(patient_of(tests)).nunique()
        if (of_patient > 1).any():
            count = int((of_patient > 1).sum())
            raise DatasetError(f"{name}: {count} patients are in two folds: {again}")
    return pooled


def _some(videos: pd.Index | pd.Series) -> str:
    """Return how many videos, and the names of the first."""
    more = ", ..." if len(videos) > _MOST_NAMED else ""
    count = "1 video" if len(videos) == 1 else f"{len(videos)} videos"
    return f"{count} ({', '.join(map(str, videos[:_MOST_NAMED]))}{more})"
