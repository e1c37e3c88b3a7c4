"""Layouts that state EFs and no frames: their clips' key frames are found once, beforehand."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.columns import SPLITS
from lvef.data.layouts.base import Layout, find_layout
from lvef.data.layouts.checks import ef_checks, first_reason
from lvef.data.layouts.clip_list.prepared import Prepared
from lvef.data.layouts.clip_list.two_chamber import with_second_clips
from lvef.data.layouts.folder import LabelFolder, check_excluded
from lvef.data.layouts.lacking import with_mid_frames
from lvef.data.slots import A2C
from lvef.errors import DatasetError


@dataclass(frozen=True)
class Listed:
    """What is listed of clips.

    Attributes:
        table: A row a case: `given` (its path as it is written), `path` (the file), `video` (a name
            that no other file has), `ef_true` (percent), `edv`, `esv` (mL) and `ed`, `es` (frames
            from 0), NaN where nothing is said, `patient` and `split`, empty where nothing is
            said. `trouble` says why a row cannot be used, where a layout knows. `study`,
            `view_true` and the user's own columns may be there, too.
        left_out: What is no case; see `LabelFolder.left_out`.
        notes: What a human should know.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    notes: tuple[str, ...] = ()


class ListedLayout(Layout):
    """Clips with EFs, of which key frames, and splits where none are stated, are made.

    That is done by `python -m lvef keyframes ROOT`, which `fit` runs where they are not known yet.
    """

    @abstractmethod
    def listed(self, root: Path) -> Listed:
        """Read what is listed.

        Raises:
            DatasetError: It cannot be read, or a patient has clips in several splits.
        """

    @abstractmethod
    def list_files(self, root: Path) -> list[Path]:
        """Return the files that list clips and labels."""

    def place(self, root: Path) -> Path:
        """Return what key frames are kept at: the list, or the folder of the data set."""
        return root

    def prepared(self, root: Path) -> Prepared:
        """Return what was made of it."""
        return Prepared(self.place(root))

    def label_files(self, root: Path) -> list[Path]:
        """Return the lists and the key frames."""
        made = self.prepared(root).keyframes
        return [*self.list_files(root), *([made] if made.exists() else [])]

    def video_folders(self, root: Path) -> list[Path]:
        """Return the folders of the listed clips."""
        return sorted({path.parent for path in self.clip_files(root)})

    def clip_files(self, root: Path) -> list[Path]:
        """Return the listed clips that are there."""
        table = self.listed(root).table
        paths = sorted({*table["path"], *table.get(A2C.column("path"), ())} - {""})
        return [Path(path) for path in paths if Path(path).is_file()]

    def read(self, root: Path, max_excluded: float) -> LabelFolder:
        """Read and check it; see `Layout.read`.

        Raises:
            DatasetError: Also where key frames of its clips are not known yet.
        """
        listed, made = self.listed(root), self.prepared(root).read().set_index("path")
        given = listed.table["given"]
        unknown = int((~given.isin(made.index)).sum())
        if unknown:
            raise DatasetError(
                f"{root}: key frames of {unknown:,} of its {len(given):,} clips are not known "
                f"yet: find them with python -m lvef keyframes {root}"
            )
        made = made.reindex(given).reset_index(drop=True)
        table = _joined(listed.table, made)
        reasons = _reasons(table, _trouble(listed.table), made["reason"].fillna("").astype(str))
        unusable = reasons != ""
        notes = [*listed.notes, *_found(listed.table, made, ~unusable)]
        if (listed.table["split"] == "").any():
            dealt = int((listed.table["split"] == "").sum())
            notes.append(f"splits of {dealt:,} were dealt by patient")
        excluded = table.loc[unusable, ["video", "split"]].assign(reason=reasons[unusable])
        kept = table[~unusable].reset_index(drop=True)
        kept = with_second_clips(kept, made[~unusable])
        whole = ["num_frames", "ed_frame", "es_frame"]
        folder = LabelFolder(
            self.place(root),
            with_mid_frames(kept.astype(dict.fromkeys(whole, np.int64))),
            excluded.reset_index(drop=True),
            (*notes, *several_of_a_study(kept)),
            left_out=listed.left_out,
        )
        return check_excluded(folder, max_excluded)


def listed_layout(root: Path | str, name: str | None = None) -> ListedLayout | None:
    """Return the layout of a list or folder whose key frames are found, None where they are known.

    Args:
        root: The list or folder.
        name: Which layout it is; by default what lies in it tells.

    Raises:
        DatasetError: It is of no known layout.
    """
    layout = find_layout(root, name)
    return layout if isinstance(layout, ListedLayout) else None


def several_of_a_study(table: pd.DataFrame) -> list[str]:
    """Say where several cases are of one study, which share its EF."""
    if not {"study", "patient"} <= set(table):
        return []
    known = table.loc[table["study"] != "", ["patient", "study"]]
    sizes = known.value_counts()
    if not (sizes > 1).any():
        return []
    return [
        f"{int((sizes > 1).sum()):,} studies have several clips ({int(sizes[sizes > 1].sum()):,}): "
        "each is a case, and splits, folds and intervals keep a patient's together"
    ]


def _joined(listed: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a list with what was made of them, as `LabelFolder.table` has them."""
    table = listed.drop(columns=["given", "ed", "es", "trouble"], errors="ignore")
    table["split"] = listed["split"].where(listed["split"] != "", made["split"].fillna(""))
    table["ed_frame"] = listed["ed"].where(listed["ed"].notna(), made["ed"])
    table["es_frame"] = listed["es"].where(listed["es"].notna(), made["es"])
    for name in ("fps", "num_frames", "frame_height", "frame_width"):
        table[name] = made[name]
    if not (table["patient"] != "").any():
        table = table.drop(columns="patient")
    return table


def _trouble(listed: pd.DataFrame) -> pd.Series:
    return listed["trouble"] if "trouble" in listed else pd.Series("", index=listed.index)


def _found(listed: pd.DataFrame, made: pd.DataFrame, usable: pd.Series) -> list[str]:
    found = (listed["ed"].isna() | listed["es"].isna()) & usable
    if not found.any():
        return []
    return [
        f"ED and ES of {int(found.sum()):,} were found (median quality "
        f"{made.loc[found, 'quality'].median():.2f}), not labelled"
    ]


def _reasons(table: pd.DataFrame, trouble: pd.Series, made: pd.Series) -> pd.Series:
    """Return why each row cannot be used, empty where it can."""
    edv, esv = table["edv"], table["esv"]
    ed, es, count = table["ed_frame"], table["es_frame"], table["num_frames"]
    plain = table.drop(columns=["split"])
    twice = plain.duplicated()
    apart = plain[~twice].duplicated("path", keep=False).reindex(table.index, fill_value=False)
    there = table["path"].map(lambda path: Path(path).is_file() and Path(path).stat().st_size > 0)
    unframed = ed.isna() | es.isna()
    outside = (ed < 0) | (es < 0) | (ed >= count) | (es >= count) | (ed % 1 != 0) | (es % 1 != 0)
    told = first_reason(
        [
            (twice, "listed twice"),
            (apart, "listed twice with different labels"),
            *((trouble == each, each) for each in trouble[trouble != ""].unique()),
            (~there, "video file missing or empty"),
            (~table["split"].isin(SPLITS), "split is none of TRAIN, VAL, TEST"),
            *ef_checks(table["ef_true"]),
            ((edv <= 0) | (esv < 0) | (esv >= edv),
             "volumes impossible: ESV is not below EDV, or one of them is negative"),
        ],
        table.index,
    )  # fmt: skip
    told = told.where(told != "", made)
    late = first_reason(
        [
            (unframed, "no ED and ES"),
            (outside, "ED or ES is no frame of the clip"),
            (ed == es, "ED and ES are the same frame"),
        ],
        table.index,
    )
    return told.where(told != "", late)
