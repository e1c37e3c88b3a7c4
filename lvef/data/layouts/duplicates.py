"""The same content under two names: a leak between splits, a case counted twice within one."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import pandas as pd

from lvef.columns import SPLITS
from lvef.data.digest import file_digest
from lvef.data.layouts.folder import LabelFolder
from lvef.data.slots import A2C
from lvef.errors import DatasetError

SAME, CONTRADICTED = "same content as another clip", "same content as a clip with other labels"
_LABELS = ("ef_true", "ed_frame", "es_frame", "patient")
"""What of two rows must agree for them to say the same of one clip."""
_LOOK = 4096
"""Bytes at the beginning and in the middle of files that are compared before the whole."""
_MOST_NAMED = 3
_File = TypeVar("_File", bound=Hashable)


def same_content(paths: Sequence[str]) -> list[list[int]]:
    """Return which files hold the same bytes, as places in `paths`.

    Links to one file are told by the file system, and others by their sizes; of those of one size
    a few kilobytes are compared, and the whole only where these are the same.

    Args:
        paths: The files; those that cannot be read are like no other.

    Returns:
        The places of each set of two or more, in order.
    """
    of_file: dict[tuple[int, int], list[int]] = defaultdict(list)
    sizes: dict[tuple[int, int], int] = {}
    for place, path in enumerate(paths):
        with suppress(OSError):
            about = os.stat(path)
            # Where there are no inodes, every name is a file.
            file = (about.st_dev, about.st_ino) if about.st_ino else (-1, place)
            of_file[file].append(place)
            sizes[file] = about.st_size
    first = {file: paths[places[0]] for file, places in of_file.items()}
    alike = _alike([list(of_file)], sizes.__getitem__)
    alike = _alike(alike, lambda file: _quietly(_looked_at, first[file]))
    alike = _alike(alike, lambda file: _quietly(file_digest, first[file]))
    taken = {file for group in alike for file in group}
    links = [[file] for file, places in of_file.items() if len(places) > 1 and file not in taken]
    return sorted(sorted(place for file in group for place in of_file[file])
                  for group in (*alike, *links))  # fmt: skip


def without_copies(folder: LabelFolder) -> LabelFolder:
    """Return a folder in which no clip stands twice.

    Of rows of one split that say the same of one content the first is kept, and where they
    contradict each other none is; the others count as excluded.

    Raises:
        DatasetError: The same content is in several splits.
    """
    table = folder.table[folder.table["split"].isin(SPLITS)]
    sets = [table.iloc[places] for places in same_content(table["path"].tolist())]
    _refuse_leaks(folder, [rows for rows in sets if rows["split"].nunique() > 1])
    if not sets:
        return folder
    known = [name for name in _LABELS if name in table]
    reasons: dict[int, str] = {}
    for rows in sets:
        agree = len(rows[known].drop_duplicates()) == 1
        repeats = rows.index[1:] if agree else rows.index
        reasons.update(dict.fromkeys(repeats.tolist(), SAME if agree else CONTRADICTED))
    aside = table.loc[list(reasons), ["video", "split"]].assign(reason=list(reasons.values()))
    return replace(
        folder,
        table=folder.table.drop(index=list(reasons)).reset_index(drop=True),
        excluded=pd.concat([folder.excluded, aside], ignore_index=True),
        notes=(*folder.notes, _told(sets)),
    )


def without_shared_a2cs(folder: LabelFolder) -> LabelFolder:
    """Return a folder in which no two-chamber clip stands for two hearts, or for the other view.

    Cases with such a clip count as without one: nobody can say whose it is. Several clips of one
    patient in one split may share theirs.
    """
    path, reason = A2C.column("path"), A2C.column("reason")
    if path not in folder.table:
        return folder
    table = folder.table
    there = table[table[reason] == ""]
    reasons = table[reason].copy()
    for places in same_content([*table["path"], *there[path]]):
        own = there.index[[place - len(table) for place in places if place >= len(table)]]
        if places[0] < len(table):
            reasons[own] = "same content as a four-chamber clip"
        elif not _of_one_patient(table.loc[own]):
            reasons[own] = "same content as that of another case"
    return replace(folder, table=table.assign(**{reason: reasons}))


def _of_one_patient(rows: pd.DataFrame) -> bool:
    known = "patient" in rows and bool((rows["patient"] != "").all())
    return known and len(rows[["patient", "split"]].drop_duplicates()) == 1


def _refuse_leaks(folder: LabelFolder, sets: list[pd.DataFrame]) -> None:
    """Refuse splits that share clips: TEST would be of clips that were learned.

    Raises:
        DatasetError: They do.
    """
    if sets:
        some = "; ".join(
            " and ".join(f"{row['video']} in {row['split']}" for _, row in rows.iterrows())
            for rows in sets[:_MOST_NAMED]
        )
        raise DatasetError(
            f"{folder.root}: {len(sets)} clips have the same content under several names in "
            f"several splits ({some}{'; ...' if len(sets) > _MOST_NAMED else ''}), so that TEST "
            "would judge clips that were learned: keep each in one split"
        )


def _told(sets: list[pd.DataFrame]) -> str:
    some = "; ".join(" and ".join(rows["video"]) for rows in sets[:_MOST_NAMED])
    more = "; ..." if len(sets) > _MOST_NAMED else ""
    return f"{len(sets):,} clips are there under several names ({some}{more}): each counts once"


def _alike(
    groups: Iterable[Sequence[_File]], told: Callable[[_File], Hashable]
) -> list[list[_File]]:
    """Part groups of files by what is told of each, and leave out what is then alone.

    Nothing (None) is told of a file that cannot be read.
    """
    parts: list[list[_File]] = []
    for group in groups:
        by_word: dict[Hashable, list[_File]] = defaultdict(list)
        for file in group:
            by_word[told(file)].append(file)
        parts += [part for word, part in by_word.items() if len(part) > 1 and word is not None]
    return parts


def _looked_at(path: str) -> str:
    """Return the digest of a part of a file."""
    with open(path, "rb") as opened:
        start = opened.read(_LOOK)
        opened.seek(os.fstat(opened.fileno()).st_size // 2)
        return hashlib.sha256(start + opened.read(_LOOK)).hexdigest()


def _quietly(look: Callable[[str], str], path: str) -> str | None:
    try:
        return look(path)
    except OSError:
        return None
