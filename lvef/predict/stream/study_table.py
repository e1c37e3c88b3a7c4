"""A row a study, of the rows of its clips."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lvef.analysis.biplane import BeatDisks, ViewDisks, biplane_of_views, view_disks
from lvef.cardiac import LENGTHS_APART, REDUCED_EF, straddles_reduced
from lvef.data.apical import A2C, A4C
from lvef.predict.combine import combine_beats
from lvef.predict.stream.schema import StoredClip
from lvef.predict.stream.studies import TWO_CHAMBER, By

COLUMNS = [
    "study", "status", "reason", "ef", "ef_std", "ef_lower", "ef_upper", "p_reduced", "reduced",
    "review", "planes", "edv", "esv", "lengths_apart", "ef_geometric", "num_beats", "num_clips",
    "num_a4c", "num_a2c", "num_other", "num_failed", "a4c", "best_a4c", "a2c", "best_a2c", "remark",
]  # fmt: skip
"""Columns of studies.csv."""
BIPLANE = "biplane"
_ANSWER = ("ef", "ef_std", "ef_lower", "ef_upper", "p_reduced", "reduced", "review")
_BETWEEN = "; "
_COUNT = ("", TWO_CHAMBER)
"""Reasons with which the contours of a beat count."""
_APART = 10.0
"""Points of EF by which clips of a view may lie apart before it is told."""


def seen_view(row: dict[str, Any], by: By) -> str:
    """Return the view that a clip of a study is of; empty where none is known.

    A list is believed before what the picture shows, and that before what a file says of itself.

    Args:
        row: A row of the clip.
        by: What says which study a clip is of.
    """
    stated, seen = row.get("apical_view") or "", row.get("view") or ""
    return str((stated or seen) if by == "list" else (seen or stated))


@dataclass(frozen=True)
class UsedClip:
    """A clip that the EF of a study is of.

    Attributes:
        path: See `ClipInput.stored_path`.
        key: See `ClipInput`.
        view: "A4C" or "A2C"; empty where nothing tells, and it was taken as A4C.
    """

    path: bytes
    key: bytes
    view: str


@dataclass
class _Clip:
    """A clip of a study, as its rows have it; `view` is A4C where none is known."""

    path: bytes
    key: bytes
    video: str
    view: str
    known: bool
    reason: str
    quality: float
    uid: str
    beats: int
    disks: ViewDisks | None
    reach: float
    told: dict[str, Any] = field(default_factory=dict)


class StudyTable:
    """Makes a row a study of clips that go by.

    EF is the median of the EFs of all clips of the four-chamber view that have one, each of which
    is the median of its good beats: no clip counts for more by being longer, and one that is
    foreshortened, or in which something else was taken for the ventricle, moves it little. What
    geometry does not see of a heart it misses in every clip. So the standard deviation is that of
    one clip, with the spread between clips added, and never smaller for there being several.

    Args:
        by_model: Whether a model of EF answers, which sees the four-chamber view.
        by: What says which study a clip is of.
    """

    def __init__(self, by_model: bool, by: By = "list") -> None:
        self._by_model, self._by = by_model, by
        self._clips: dict[str, list[_Clip]] = defaultdict(list)
        self._names: dict[str, str] = {}
        self._untold: deque[_Clip | None] = deque()

    def watched(self, clips: Iterator[StoredClip]) -> Iterator[StoredClip]:
        """Yield clips, and keep what is needed of those of a study."""
        for clip in clips:
            self._untold.append(self._kept(clip) if clip.rows[0].get("study") else None)
            yield clip

    def told(self, videos: pd.DataFrame) -> None:
        """Take what is said of the next clips that went by, a row each of `predictions.csv`."""
        for row in videos.to_dict("records"):
            clip = self._untold.popleft()
            if clip is not None and self._by_model:  # geometry is known already
                clip.told = {name: row.get(name) for name in ("status", "reason", *_ANSWER)}

    def table(self, trained_on: str = "") -> pd.DataFrame:
        """Return a row a study, by name.

        Args:
            trained_on: What taught whatever answered, where that must be told.
        """
        table = pd.DataFrame(self.rows, columns=COLUMNS)
        for flag in ("reduced", "review"):
            table[flag] = table[flag].astype(float).astype("Int64")
        for count in (name for name in COLUMNS if name.startswith("num_")):
            table[count] = table[count].astype("Int64")
        return table.assign(trained_on=trained_on) if trained_on else table

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """What is known of each study, by name, once all clips went by.

        Beside what `studies.csv` says there are `used`, the clips that its EF is of.
        """
        known = sorted(self._clips.items(), key=lambda item: (self._names[item[0]], item[0]))
        return [{"study": self._names[key], **self._row(clips)} for key, clips in known]

    def _kept(self, clip: StoredClip) -> _Clip:
        first = clip.rows[0]
        view = seen_view(first, self._by)
        beats = [row for row in clip.rows if row.get("disks") and row["reason"] in _COUNT]
        efs = np.array([row["ef_geometric"] for row in beats], float)
        disks = None
        if len(beats):
            std = float(np.hypot(beats[0]["ef_geometric_std"], efs.std()))
            unpacked = [BeatDisks.unpacked(row["disks"]) for row in beats]
            disks = view_disks(unpacked, float(np.median(efs)), std)
        kept = _Clip(
            clip.path, clip.key, first["video"], view or A4C, bool(view), first["reason"] or "",
            np.nan if first["quality"] is None else float(first["quality"]),
            first.get("study_uid") or "", len(beats), disks,
            float(beats[0].get("ef_geometric_reach") or np.nan) if beats else np.nan,
        )  # fmt: skip
        key = first.get("study_key") or first["study"]
        self._names[key] = first["study"]
        self._clips[key].append(kept)
        return kept

    def _row(self, clips: list[_Clip]) -> dict[str, Any]:
        """Return what is said of a study."""
        row: dict[str, Any] = {"status": "failed", "reason": "", "num_clips": len(clips)}
        uids = {clip.uid for clip in clips if clip.uid}
        if len(uids) > 1:  # of two hearts, perhaps: no EF is of both
            told = (
                f"its files are of {len(uids)} studies by their StudyInstanceUID: --studies dicom"
            )
            return {**row, "reason": told}
        of = {view: [clip for clip in clips if clip.view == view] for view in (A4C, A2C)}
        shown = {view: [clip for clip in own if clip.disks] for view, own in of.items()}
        remarks = [_remark(view, of[view], shown[view]) for view in (A4C, A2C)]
        row |= _geometry(shown[A4C], shown[A2C], remarks)
        if self._by_model:
            failed = [clip for clip in of[A4C] if clip.told.get("status") == "failed"]
            shown[A4C] = [clip for clip in of[A4C] if clip.told.get("status") == "ok"]
            row |= dict.fromkeys(_ANSWER) | _answered(shown[A4C])
            if failed and not shown[A4C]:
                remarks.append(f"A4C: {failed[0].told['reason']}")
        row |= _counts(clips, shown)
        row["used"] = [
            UsedClip(clip.path, clip.key, clip.view if clip.known else "")
            for clip in (*shown[A4C], *shown[A2C])
        ]
        remarks += [self._of_files(clips), _unknown(shown[A4C])]
        told = _BETWEEN.join(dict.fromkeys(filter(None, remarks)))
        if pd.notna(row.get("ef")) or pd.notna(row.get("p_reduced")):
            return {**row, "status": "ok", "remark": told}
        return {**row, "reason": told or "no clip of A4C or A2C"}

    def _of_files(self, clips: list[_Clip]) -> str:
        """Return what is to be said of files that do not say which study they are of."""
        silent = sum(not clip.uid for clip in clips) if self._by == "dicom" else 0
        of = f"{silent} of {len(clips)} files"
        return f"{of} state no StudyInstanceUID: by their folder" if silent else ""


def _remark(view: str, clips: list[_Clip], shown: list[_Clip]) -> str:
    """Return what a reader should know of the clips of a view."""
    if not clips:
        return f"no {view}"
    if not shown:
        return f"{view}: {clips[0].reason or 'no contour'}"
    efs = [clip.disks.ef for clip in shown if clip.disks]
    apart = max(efs) - min(efs) > _APART
    return f"EFs of {view} clips lie from {min(efs):.0f} to {max(efs):.0f}" if apart else ""


def _unknown(used: list[_Clip]) -> str:
    """Return of how many of the clips that EF is of nothing tells the view."""
    unknown = sum(not clip.known for clip in used)
    of = f"{unknown} of {len(used)} clips"
    return f"nothing tells the view of {of}: taken as A4C" if unknown else ""


def _counts(clips: list[_Clip], shown: dict[str, list[_Clip]]) -> dict[str, Any]:
    """Return which clips a study has, and which of them its EF is of."""
    four, two = shown[A4C], shown[A2C]
    other = sum(clip.view not in (A4C, A2C) for clip in clips)
    return {
        "num_a4c": len(four), "num_a2c": len(two), "num_other": other,
        "num_failed": len(clips) - len(four) - len(two) - other,
        "num_beats": sum(clip.beats for clip in four or two),
        "a4c": _names(four), "best_a4c": _best(four), "a2c": _names(two), "best_a2c": _best(two),
    }  # fmt: skip


def _names(clips: list[_Clip]) -> str:
    return _BETWEEN.join(clip.video for clip in clips)


def _best(clips: list[_Clip]) -> str:
    """Return the clip of best quality."""
    known = [(clip.quality if np.isfinite(clip.quality) else 0.0, clip.video) for clip in clips]
    return max(known, key=lambda each: each[0], default=(0.0, ""))[1]


def _geometry(four: list[_Clip], two: list[_Clip], remarks: list[str]) -> dict[str, Any]:
    """Return what the contours of a study tell."""
    if not (four and two):
        view, shown = (A4C, four) if four else (A2C, two)
        return {"planes": view, **_one_plane(shown, view)} if shown else {}
    pairs = [
        biplane_of_views(first.disks, second.disks)
        for first in four for second in two if first.disks and second.disks
    ]  # fmt: skip
    # Of all pairs the median: so no clip counts for more than others of its view.
    ef, edv, apart = (
        _median([getattr(pair, name) for pair in pairs]) for name in ("ef", "edv", "lengths_apart")
    )
    if apart > LENGTHS_APART:
        remarks.append(f"long axes differ by {apart:.0%}: one view may miss the apex")
    stds = [_pooled(clips)["ef_std"] for clips in (four, two)]
    reach = max(clip.reach for clip in (*four, *two))
    # The errors of the two views are not independent: the mean, which a mean of two never exceeds.
    told = {"planes": BIPLANE, "lengths_apart": apart, **_ef(ef, float(np.mean(stds)), reach)}
    return {**told, "edv": edv, "esv": edv * (1 - ef / 100)}


def _one_plane(clips: list[_Clip], view: str) -> dict[str, Any]:
    """Return what the contours of one view tell."""
    pooled = _pooled(clips)
    known = [
        own.ed.volume / 1000
        for clip in clips
        if clip.disks and (own := clip.disks.disks).millimetres
    ]
    edv = _median(known)
    told = _ef(pooled["ef"], pooled["ef_std"], max(clip.reach for clip in clips))
    if view == A2C:  # no calibration, and no guideline, is of this plane alone
        told["review"] = 1.0
    return {**told, "edv": edv, "esv": edv * (1 - pooled["ef"] / 100)}


def _pooled(clips: Sequence[_Clip]) -> dict[str, Any]:
    """Return EF and standard deviation of the clips of a view by their contours."""
    known = [(clip.disks.ef, clip.disks.ef_std) for clip in clips if clip.disks]
    efs, stds = np.array(known).T
    return combine_beats(
        {"ef": efs, "ef_std": stds, "ef_lower": efs - stds, "ef_upper": efs + stds}
    )


def _answered(clips: Sequence[_Clip]) -> dict[str, Any]:
    """Return what a model of EF said of clips."""
    if not clips:
        return {}
    said = {
        name: np.array([clip.told.get(name) for clip in clips], object) for name in _ANSWER
    }  # fmt: skip
    numbers = {name: pd.to_numeric(values, errors="coerce") for name, values in said.items()}
    both = combine_beats({name: np.asarray(values, np.float64) for name, values in numbers.items()})
    return {name: both[name] for name in _ANSWER}


def _ef(ef: float, std: float, reach: float) -> dict[str, Any]:
    lower, upper = (float(np.clip(ef + side * reach * std, 0, 100)) for side in (-1, 1))
    return {
        "ef": ef, "ef_geometric": ef, "ef_std": std, "ef_lower": lower, "ef_upper": upper,
        "reduced": float(ef <= REDUCED_EF), "review": float(straddles_reduced(lower, upper)),
    }  # fmt: skip


def _median(values: Sequence[float]) -> float:
    """Return the median of the values that are known; NaN where none is."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
