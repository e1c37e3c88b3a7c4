"""Clips of one study: what a list says of them, and a row a study of what was found."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef.analysis.biplane import BeatDisks, ViewDisks, biplane_of_views, view_disks
from lvef.cardiac import LENGTHS_APART, REDUCED_EF, straddles_reduced
from lvef.data.apical import A2C, A4C, apical_view
from lvef.data.names import expanded
from lvef.data.tables import read_table
from lvef.errors import DatasetError
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.schema import StoredClip

_COLUMNS = {
    "study": ("study id", "studyid", "exam", "study instance uid", "accession"),
    "view": ("view name", "projection"),
    "path": ("file", "file name", "file path", "video", "clip", "dicom", "dicom filepath"),
}
COLUMNS = [
    "study", "status", "reason", "ef", "ef_std", "ef_lower", "ef_upper", "reduced", "review",
    "planes", "edv", "esv", "lengths_apart", "ef_geometric", "a4c", "a2c", "num_clips", "remark",
]  # fmt: skip
"""Columns of studies.csv."""
_ANSWER = ("ef", "ef_std", "ef_lower", "ef_upper", "reduced", "review")
OTHER_VIEW = "of another view than A4C and A2C"


@dataclass(frozen=True)
class Studies:
    """Which study and which view each clip is of.

    Attributes:
        of: Study and view, as they stand in the list, by a clip's absolute path.
    """

    of: dict[str, tuple[str, str]]

    @classmethod
    def read(cls, path: str | Path) -> Studies:
        """Read a list of the clips of studies: `study`, `view` and `path`, a row a clip.

        Args:
            path: A CSV file, as people and spreadsheets write it. A clip's path is relative to its
                folder, or absolute.

        Raises:
            DatasetError: It cannot be read, a column is missing, a row has no study or no view, or
                a clip is of two of them.
        """
        path = expanded(path)
        cells = read_table(path, _COLUMNS, list(_COLUMNS), list(_COLUMNS))
        if cells.empty:
            raise DatasetError(f"--studies {path} names no clip")
        found: dict[str, tuple[str, str]] = {}
        for number, row in enumerate(cells[list(_COLUMNS)].astype(str).itertuples(index=False), 1):
            study, view, clip = (cell.strip().strip('"') for cell in row)
            if not (study and view and clip):
                raise DatasetError(
                    f"--studies {path}, row {number}: a clip has a study, a view and a path"
                )
            place = os.path.abspath(path.parent / expanded(clip))
            if os.path.isdir(place):
                raise DatasetError(f"--studies {path}: {clip} is a folder; give a row a clip")
            if found.setdefault(place, (study, view)) != (study, view):
                raise DatasetError(f"--studies {path}: {clip} is of two studies or views")
        return cls(found)

    @property
    def paths(self) -> list[str]:
        """Return the clips."""
        return list(self.of)

    def __call__(self, clips: Iterator[ClipInput]) -> Iterator[ClipInput]:
        """Yield clips with their study and their view, as far as they have them."""
        for clip in clips:
            study, view = self.of.get(os.path.abspath(clip.path), ("", ""))
            known = not study or apical_view(view)
            problem = clip.problem if known else f'"{view}": {OTHER_VIEW}'
            yield replace(clip, study=study, view=apical_view(view) or view, problem=problem)


@dataclass
class _Clip:
    """A clip of a study, as its rows have it."""

    video: str
    view: str
    reason: str
    quality: float
    told: dict[str, Any] = field(default_factory=dict)
    disks: ViewDisks | None = None
    reach: float = float("nan")


class StudyTable:
    """Makes a row a study of clips that go by.

    Args:
        by_model: Whether a model of EF answers, which sees the four-chamber view.
    """

    def __init__(self, by_model: bool) -> None:
        self._by_model = by_model
        self._clips: dict[str, dict[str, _Clip]] = defaultdict(dict)

    def watched(self, clips: Iterator[StoredClip]) -> Iterator[StoredClip]:
        """Yield clips, and keep what is needed of those of a study."""
        for clip in clips:
            if clip.rows[0].get("study"):
                self._keep(clip)
            yield clip

    def told(self, videos: pd.DataFrame) -> None:
        """Take what is said of clips that went by, rows of `predictions.csv`."""
        for row in videos[videos["study"].fillna("") != ""].to_dict("records"):
            self._clips[row["study"]][row["video"]].told = {str(k): v for k, v in row.items()}

    def table(self, trained_on: str = "") -> pd.DataFrame:
        """Return a row a study, by name.

        Args:
            trained_on: What taught whatever answered, where that must be told.
        """
        rows = [
            _row(study, list(clips.values()), self._by_model)
            for study, clips in sorted(self._clips.items())
        ]
        table = pd.DataFrame(rows, columns=COLUMNS)
        for flag in ("reduced", "review"):
            table[flag] = table[flag].astype(float).astype("Int64")
        return table.assign(trained_on=trained_on) if trained_on else table

    def _keep(self, clip: StoredClip) -> None:
        first = clip.rows[0]
        beats = [row for row in clip.rows if row.get("disks")]
        efs = np.array([row["ef_geometric"] for row in beats], float)
        disks = None
        if len(beats):
            std = float(np.hypot(first["ef_geometric_std"], efs.std()))
            unpacked = [BeatDisks.unpacked(row["disks"]) for row in beats]
            disks = view_disks(unpacked, float(np.median(efs)), std)
        self._clips[first["study"]][first["video"]] = _Clip(
            first["video"], first["apical_view"], first["reason"] or "",
            np.nan if first["quality"] is None else float(first["quality"]), disks=disks,
            reach=float(first.get("ef_geometric_reach") or np.nan),
        )  # fmt: skip


def _row(study: str, clips: list[_Clip], by_model: bool) -> dict[str, Any]:
    """Return what is said of a study."""
    best = {view: _best([clip for clip in clips if clip.view == view]) for view in (A4C, A2C)}
    four, two = best[A4C], best[A2C]
    row: dict[str, Any] = {"study": study, "status": "failed", "num_clips": len(clips)}
    row |= {"a4c": "" if four is None else four.video, "a2c": "" if two is None else two.video}
    remarks = [_remark(view, [clip for clip in clips if clip.view == view]) for view in (A4C, A2C)]
    row |= _geometry(four, two, remarks)
    if by_model:
        told = {} if four is None else four.told
        row |= {name: told.get(name) for name in _ANSWER}
        if told.get("status") == "failed":
            remarks.append(f"A4C: {told['reason']}")
    if pd.notna(row.get("ef")):
        return {**row, "status": "ok", "reason": "", "remark": "; ".join(filter(None, remarks))}
    return {**row, "reason": "; ".join(filter(None, remarks)) or "no clip of A4C or A2C"}


def _best(clips: list[_Clip]) -> _Clip | None:
    """Return the clip of best quality of those that have an EF."""
    usable = [clip for clip in clips if clip.disks is not None]
    return max(usable, key=lambda clip: clip.quality, default=None)


def _remark(view: str, clips: list[_Clip]) -> str:
    """Return what a reader should know of the clips of a view."""
    if not clips:
        return f"no {view}"
    usable = [clip for clip in clips if clip.disks is not None]
    if not usable:
        return f"{view}: {clips[0].reason or 'no contour'}"
    return f"{len(usable)} clips of {view}: the best by quality" if len(usable) > 1 else ""


def _geometry(four: _Clip | None, two: _Clip | None, remarks: list[str]) -> dict[str, Any]:
    """Return what the contours of a study tell."""
    if four is not None and two is not None and four.disks and two.disks:
        both = biplane_of_views(four.disks, two.disks)
        if both.lengths_apart > LENGTHS_APART:
            remarks.append(
                f"long axes differ by {both.lengths_apart:.0%}: one view may miss the apex"
            )
        reach = max(four.reach, two.reach)
        told = {"planes": "biplane", "edv": both.edv, "esv": both.esv}
        return {**told, "lengths_apart": both.lengths_apart, **_ef(both.ef, both.ef_std, reach)}
    for view, clip in ((A4C, four), (A2C, two)):
        if clip is not None and clip.disks is not None:
            own = clip.disks
            edv = own.disks.ed.volume / 1000 if own.disks.millimetres else float("nan")
            told = {"planes": view, "edv": edv, "esv": edv * (1 - own.ef / 100)}
            return {**told, **_ef(own.ef, own.ef_std, clip.reach)}
    return {}


def _ef(ef: float, std: float, reach: float) -> dict[str, Any]:
    lower, upper = (float(np.clip(ef + side * reach * std, 0, 100)) for side in (-1, 1))
    return {
        "ef": ef, "ef_geometric": ef, "ef_std": std, "ef_lower": lower, "ef_upper": upper,
        "reduced": float(ef <= REDUCED_EF), "review": float(straddles_reduced(lower, upper)),
    }  # fmt: skip
