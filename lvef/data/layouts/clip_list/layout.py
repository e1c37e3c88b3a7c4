"""A list of clips as a layout: its rows, with the key frames and splits that were made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lvef.columns import SPLITS
from lvef.data.layouts.base import Layout, register
from lvef.data.layouts.checks import ef_checks, first_reason
from lvef.data.layouts.clip_list.prepared import Prepared
from lvef.data.layouts.clip_list.table import read_list
from lvef.data.layouts.clip_list.two_chamber import with_second_clips
from lvef.data.layouts.folder import LabelFolder, check_excluded
from lvef.data.layouts.lacking import with_mid_frames
from lvef.data.slots import A2C
from lvef.errors import DatasetError


class ClipList(Layout):
    """A CSV file with a path and an EF a row; see `read_list`.

    Its clips' key frames, and splits where the list has none, are made by
    `python -m lvef keyframes LIST`, which `fit` runs where they are not known yet.
    """

    name = "list"

    def recognises(self, root: Path) -> bool:
        """A list is a file, and no folder is one."""
        return False

    def label_files(self, root: Path) -> list[Path]:
        """Return the list and its key frames."""
        prepared = Prepared(root)
        return [root, *([prepared.keyframes] if prepared.keyframes.exists() else [])]

    def video_folders(self, root: Path) -> list[Path]:
        """Return the folders of the listed clips."""
        return sorted({path.parent for path in self.clip_files(root)})

    def clip_files(self, root: Path) -> list[Path]:
        """Return the listed clips that are there."""
        table, _ = read_list(root, Prepared(root).columns())
        paths = {*table["path"], *table.get(A2C.column("path"), ())}
        return [Path(path) for path in sorted(paths) if Path(path).is_file()]

    def advice(self, root: Path) -> str:
        """Return what such a list holds."""
        return "Or give a CSV file with columns path and EF, a clip a row"

    def read(self, root: Path, max_excluded: float) -> LabelFolder:
        """Read and check a list; see `Layout.read`.

        Raises:
            DatasetError: Also where key frames of its clips are not known yet.
        """
        prepared = Prepared(root)
        listed, fraction = read_list(root, prepared.columns())
        made = prepared.read().set_index("path")
        unknown = int((~listed["given"].isin(made.index)).sum())
        if unknown:
            raise DatasetError(
                f"{root}: key frames of {unknown:,} of its {len(listed):,} clips are not known "
                f"yet: find them with python -m lvef keyframes {root}"
            )
        made = made.reindex(listed["given"]).reset_index(drop=True)
        table = _joined(listed, made)
        reasons = _reasons(table, made["reason"].fillna("").astype(str))
        unusable = reasons != ""
        notes = ["EF is written as a fraction of 1: taken times 100"] if fraction else []
        found = (listed["ed"].isna() | listed["es"].isna()) & ~unusable
        if found.any():
            notes.append(
                f"ED and ES of {int(found.sum()):,} were found (median quality "
                f"{made.loc[found, 'quality'].median():.2f}), not labelled"
            )
        if (listed["split"] == "").any():
            notes.append(f"splits of {int((listed['split'] == '').sum()):,} were dealt by patient")
        excluded = table.loc[unusable, ["video", "split"]].assign(reason=reasons[unusable])
        kept = table[~unusable].reset_index(drop=True)
        kept = with_second_clips(kept, made[~unusable])
        whole = ["num_frames", "ed_frame", "es_frame"]
        folder = LabelFolder(
            root,
            with_mid_frames(kept.astype(dict.fromkeys(whole, np.int64))),
            excluded.reset_index(drop=True),
            tuple(notes),
        )
        return check_excluded(folder, max_excluded)


register(ClipList())


def _joined(listed: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a list with what was made of them, as `LabelFolder.table` has them."""
    table = listed.drop(columns=["given", "ed", "es"])
    table["split"] = listed["split"].where(listed["split"] != "", made["split"].fillna(""))
    table["ed_frame"] = listed["ed"].where(listed["ed"].notna(), made["ed"])
    table["es_frame"] = listed["es"].where(listed["es"].notna(), made["es"])
    for name in ("fps", "num_frames", "frame_height", "frame_width"):
        table[name] = made[name]
    if not (table["patient"] != "").any():
        table = table.drop(columns="patient")
    return table


def _reasons(table: pd.DataFrame, made: pd.Series) -> pd.Series:
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
