"""`keyframes`: ED and ES of listed clips are found once, and kept beside the list with splits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef import stopping
from lvef.cardiac import is_reduced
from lvef.data.formats import clip_info
from lvef.data.layouts.clip_list.listed import ListedLayout, listed_layout
from lvef.data.layouts.clip_list.prepared import deal_splits
from lvef.data.layouts.clip_list.table import read_list
from lvef.data.layouts.clip_list.two_chamber import unknown
from lvef.data.names import expanded
from lvef.data.phantom_folder import MARKER, phantom_of
from lvef.data.slots import asks_for_a2c
from lvef.errors import ConfigurationError, DatasetError, VideoError
from lvef.files import make_room
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import SEED, WORKERS, check_numbers
from lvef.predict.list_two_chamber import (
    refuse_without_seconds,
    second_clips,
    told_of_seconds,
    with_found_seconds,
)
from lvef.predict.stream.archive import Archive, ArchiveOptions
from lvef.predict.stream.merge import clips_of, merge_shards
from lvef.predict.stream.store import shards_of
from lvef.streams import Use, stream

_ARCHIVE = "clips"


def keyframes(
    labels: Path,
    columns: dict[str, str] | None = None,
    segmenter: str = "shipped",
    seed: int = 0,
    workers: int | None = None,
    previews: bool = True,
    layout: str | None = None,
) -> Path:
    """Find end-diastole and end-systole in the clips of a list, and deal out its splits.

    The list is a CSV file with a path and an EF (percent) a row, or a folder of clips and lists,
    such as MIMIC-IV-ECHO. What is found is kept in a folder beside the list, LIST.keyframes, or in
    the folder of clips, keyframes: `keyframes.csv`, a row a clip, which may be looked through and
    changed; and `clips`, pictures and all beats, as `analyse` writes them. Called again it takes in
    clips that are new; splits that were dealt stay. `fit` calls it where it must.

    Args:
        labels: The list or folder. A list has columns `path` and `EF`; others may be Split,
            Patient, Study, View, ED, ES (frames from 0), EDV, ESV, path_a2c (the two-chamber clip
            of the same study, in which they are found, too), ED_A2C, ES_A2C, and your own.
        columns: What a list's columns are called, where that is not found out, such as
            '{path: Datei, EF: Auswurf}'. It is kept for later.
        segmenter: What finds the beats: shipped, or a file of weights.
        seed: Deals clips out, by patient where the list tells patients.
        workers: Processes; by default as many as cores, 0 for none but this.
        previews: Draw a picture of each clip with its ED and ES.
        layout: Name of a folder's layout; by default what lies in it tells.

    Returns:
        The file of key frames.

    Raises:
        DatasetError: The list cannot be read, no clip of it can, or its frames are labelled.
        ConfigurationError: A number is out of its range, or its clips were analysed with other
            weights.
        OutputError: What is found cannot be written.
    """
    check_numbers("--", {"seed": SEED, "workers": WORKERS}, {"seed": seed, "workers": workers})
    labels = expanded(labels)
    listing = _listing(labels, layout)
    prepared = listing.prepared(labels)
    if columns is not None:
        if not labels.is_file():
            raise ConfigurationError(
                f"--columns is for a list, and {labels} is a folder: rename its tables' columns"
            )
        read_list(labels, columns)
        make_room(prepared.keyframes)
        prepared.say_columns(columns)
    said = listing.listed(labels)
    listed = said.table
    if listed.empty:
        raise DatasetError(f"{labels} lists no clip")
    rows = listed.drop_duplicates("given").reset_index(drop=True)
    make_room(prepared.keyframes)
    if labels.is_file():  # a folder of phantoms has its own
        _mark(prepared.folder, rows["path"])
    there = rows["path"].map(lambda path: Path(path).is_file())
    asked = there & (rows["ed"].isna() | rows["es"].isna())
    options = ArchiveOptions(segmenter=segmenter, workers=workers, previews=previews)
    looked_at = [*rows.loc[asked, "path"], *second_clips(rows)]
    found = _found(prepared.folder / _ARCHIVE, looked_at, options)
    before = prepared.read().set_index("path")
    table = pd.DataFrame(
        [_row({str(k): v for k, v in row.items()}, found) for row in rows.to_dict("records")]
    )
    table["split"] = _splits(rows, before, seed)
    table = with_found_seconds(table, rows, lambda row: _row(row, found))
    prepared.write(table)
    lost = table[table["reason"] != ""]
    aside = said.left_out["reason"].str.split(":").str[0].value_counts()
    print(
        f"{labels}: key frames of {len(table) - len(lost):,} of {len(table):,} clips"
        + (f", {len(lost):,} cannot be used:" if len(lost) else "")
        + "".join(f"\n  {count:,} {why}" for why, count in lost["reason"].value_counts().items())
        + told_of_seconds(table)
        + "".join(f"\n  {note}" for note in said.notes)
        + "".join(f"\n  {count:,} are no cases: {why}" for why, count in aside.items())
        + f"\n{NOT_FOR_DIAGNOSIS}"
    )
    return prepared.keyframes


def complete(labels: Path, layout: str | None = None, frames: Sequence[str] = ()) -> None:
    """Find the key frames of a list that are not known yet, as before a fit.

    Args:
        labels: The list, or a folder; of one whose frames are labelled none is to be found.
        layout: As of `keyframes`.
        frames: What is asked for.

    Raises:
        LvefError: As `keyframes`.
    """
    try:
        listing = listed_layout(labels, layout)
    except DatasetError:  # told by every process, as each reads it
        return
    if listing is None:
        return
    listed, made = listing.listed(labels).table, listing.prepared(labels).read()
    refuse_without_seconds(labels, listed, frames)
    lacking = asks_for_a2c(frames) & unknown(listed, made)
    if lacking.any() or not listed["given"].isin(set(made["path"])).all():
        print(f"{labels}: key frames are found first (python -m lvef keyframes {labels})")
        keyframes(labels, layout=layout)


def _listing(labels: Path, layout: str | None) -> ListedLayout:
    """Return the layout of a list.

    Raises:
        DatasetError: It is of none whose key frames are found.
    """
    listing = listed_layout(labels, layout)
    if listing is None:
        raise DatasetError(f"{labels}: its ED and ES are labelled: there is nothing to find")
    return listing


def _found(
    folder: Path, paths: list[str], options: ArchiveOptions
) -> dict[bytes, list[dict[str, Any]]]:
    """Return the beats of clips by their stored path, as `analyse` finds and keeps them.

    Raises:
        Stopped: It was asked to end; what was found is kept.
    """
    if not paths:
        return {}
    archive = Archive(folder, options)
    stopping.hold(lambda: True)  # what is in hand is ended first
    archive.run(paths, stopping.asked)
    stopping.hold(None)
    stopping.end_if_asked()
    merge_shards(folder, archive.manifest["made_with"])
    return {clip.path: clip.rows for clip in clips_of(shards_of(folder))}


def _row(row: dict[str, Any], found: dict[bytes, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return what is known of a clip, its beat being that of the best quality."""
    known: dict[str, Any] = {
        "path": row["given"], "ed": np.nan, "es": np.nan, "quality": np.nan, "fps": np.nan,
        "num_frames": np.nan, "frame_height": np.nan, "frame_width": np.nan, "reason": "",
    }  # fmt: skip
    path = Path(row["path"])
    if not path.is_file():
        return {**known, "reason": "video file missing or empty"}
    try:
        info = clip_info(path)
    except VideoError as error:
        return {**known, "reason": str(error).replace(str(path), path.name)}
    known["num_frames"] = info.num_frames
    if info.times is not None and len(info.times) > 1 and info.times[-1] > 0:
        known["fps"] = round((len(info.times) - 1) / float(info.times[-1]), 4)
    if not (np.isnan(row["ed"]) or np.isnan(row["es"])):
        return {**known, "ed": row["ed"], "es": row["es"]}
    beats = found.get(os.fsencode(os.path.abspath(path)), [])
    usable = [beat for beat in beats if not beat["reason"]]
    if not usable:
        why = beats[0]["reason"] if beats else "not analysed"
        return {**known, "reason": str(why)}
    best = max(usable, key=lambda beat: beat["beat_quality"])
    return {**known, "ed": best["ed_frame"], "es": best["es_frame"],
            "quality": round(float(best["beat_quality"]), 4)}  # fmt: skip


def _splits(rows: pd.DataFrame, before: pd.DataFrame, seed: int) -> pd.Series:
    """Return the split of each clip: that of the list, that of before, or one that is dealt."""
    dealt = rows["given"].map(before["split"]).fillna("").astype(str) if len(before) else ""
    split = rows["split"].where(rows["split"] != "", dealt)
    if not (split == "").any():
        return split
    ef = rows["ef_true"].fillna(100.0).to_numpy(np.float64)
    reduced = np.asarray(is_reduced(ef)).astype(int)
    asked = rows.assign(split=split, reduced=reduced)
    return deal_splits(asked, stream(Use.SPLITS_OF_LIST, seed))


def _mark(folder: Path, paths: pd.Series) -> None:
    """Keep for what is made of phantoms that it is, and of which generator."""
    source = next(filter(None, map(phantom_of, paths)), None)
    if source is None:
        (folder / MARKER).unlink(missing_ok=True)
    else:
        shutil.copyfile(source / MARKER, folder / MARKER)
