"""A MIMIC-IV-ECHO folder: what tells it, and how its list, EFs and views are put together.

As its publisher lays it out (<https://physionet.org/content/mimic-iv-echo/>): DICOM files
`files/p10/p10002221/s94106955/94106955_0001.dcm`, `echo-record-list.csv` (subject_id, study_id,
acquisition_datetime, dicom_filepath) and `echo-study-list.csv`. A study has some 70 clips of all
views, which are not stated, and no EF stands in these files.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lvef.data.layouts.base import register
from lvef.data.layouts.clip_list.layout import FRACTION
from lvef.data.layouts.clip_list.listed import Listed, ListedLayout
from lvef.data.layouts.clip_list.table import names_of
from lvef.data.layouts.clip_list.views import left_out, of_four_chamber
from lvef.data.layouts.echonet.filelist import refuse_leaks
from lvef.data.layouts.folder import nothing_aside
from lvef.data.layouts.mimic_echo.tables import (
    LABELS,
    RECORDS,
    STUDIES,
    VIEWS,
    read_own_labels,
    read_records,
    read_views,
)
from lvef.errors import DatasetError

HOME_PAGE = "https://physionet.org/content/mimic-iv-echo/"
_BELOW = (
    "mimic-iv-echo*",
    "mimic-iv-echo*/*",
    "physionet.org/files/mimic-iv-echo/*",
    "[0-9].[0-9]*",
)
"""Folders that a download makes, below which the lists are."""
_VIEWS_NEEDED = f"{VIEWS} with dicom_filepath and view (A4C, ...) a row"


class MimicEcho(ListedLayout):
    """The layout of MIMIC-IV-ECHO, joined with a user's EFs of studies or clips (`labels.csv`).

    A study's EF is that of all its clips of the apical four-chamber view, each of which is a case;
    which these are `views.csv` says, or a column `view`. Without it such a folder is refused.
    """

    name = "mimic-echo"

    def recognises(self, root: Path) -> bool:
        """Tell a folder by one of its published lists."""
        return bool(_places(root))

    def place(self, root: Path) -> Path:
        """Return the folder of the lists, at a root or where a download has put it.

        Raises:
            DatasetError: There are several.
        """
        places = _places(root)
        if len(places) > 1:
            some = " and ".join(str(place) for place in places)
            raise DatasetError(f"{root} holds {some}: give one of them")
        return places[0] if places else root

    def list_files(self, root: Path) -> list[Path]:
        """Return the lists that there are."""
        place = self.place(root)
        return [path for name in (RECORDS, LABELS, VIEWS) if (path := place / name).is_file()]

    def advice(self, root: Path) -> str:
        """Return what such a folder holds."""
        return (
            f"A MIMIC-IV-ECHO folder holds {RECORDS} and files/p10/..., and your {LABELS}; get the "
            f"data from {HOME_PAGE}"
        )

    def listed(self, root: Path) -> Listed:
        """Put the published list, EFs and views together; see `ListedLayout.listed`."""
        place = self.place(root)
        for name, told in {
            RECORDS: self.advice(root),
            LABELS: "It states the EFs, which are yours to give: write study_id and EF (percent) a "
            f"row, and {_VIEWS_NEEDED}",
        }.items():
            if not (place / name).is_file():
                raise DatasetError(f"{place / name} not found. {told}")
        records = read_records(place / RECORDS)
        labels, fraction = read_own_labels(place / LABELS)
        notes = [FRACTION] if fraction else []
        if "clip" in labels:
            table = _of_clips(labels, records)
            unlabelled = nothing_aside()
        else:
            table, unlabelled, more = _of_studies(labels, records, place)
            notes += more
        table["video"] = _plain_names(table["clip"])
        table, others = _with_views(table, place, a_study="study" in labels)
        table = table.rename(columns={"clip": "given"}).reset_index(drop=True)
        table["video"] = names_of(table["given"])
        table["path"] = [str(place / each) for each in table["given"]]
        table, away = _downloaded(table)
        refuse_leaks(table, place / LABELS)
        aside = pd.concat([unlabelled, others, away], ignore_index=True)
        return Listed(table, aside, tuple(notes))


register(MimicEcho())


def _places(root: Path) -> list[Path]:
    """Return the folders that hold a published list: the root, or else those below it."""
    found = [root, *(below for pattern in _BELOW for below in sorted(root.glob(pattern)))]
    holding = [place for place in found
               if any((place / name).is_file() for name in (RECORDS, STUDIES))]  # fmt: skip
    return holding[:1] if holding[:1] == [root] else list(dict.fromkeys(holding))


def _of_clips(labels: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Return the clips that have an EF of their own, with whose they are."""
    whose = records.drop_duplicates("clip").set_index("clip").reindex(labels["clip"])
    unknown = whose["study"].isna().to_numpy()
    table = labels.drop(columns=["view", "study"], errors="ignore")
    for name in ("study", "patient"):
        table[name] = whose[name].fillna("").to_numpy()
    own = labels["view"]
    table["view"] = own.where(own != "", whose["view"].fillna("").to_numpy())
    table["trouble"] = pd.Series("", index=table.index).mask(unknown, f"not in {RECORDS}")
    return table


def _of_studies(
    labels: pd.DataFrame, records: pd.DataFrame, place: Path
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Return the clips of studies that have an EF, those of others, and what is to be said.

    Raises:
        DatasetError: No study has one.
    """
    known = labels["study"].isin(set(records["study"]))
    if not known.any():
        raise DatasetError(
            f"{place / LABELS}: none of its studies is in {RECORDS} (it says "
            f"{', '.join(labels['study'].head(1)) or 'nothing'}, the list "
            f"{', '.join(records['study'].head(1)) or 'nothing'})"
        )
    notes = []
    if not known.all():
        first = labels.loc[~known, "study"].iloc[0] or "(empty)"
        notes.append(
            f"{int((~known).sum()):,} rows of {LABELS} are of studies that {RECORDS} does not have "
            f"({first}, ...)"
        )
    labels = labels.drop(columns="view")
    plain = labels[known].drop_duplicates()
    if repeated := int(known.sum()) - len(plain):
        notes.append(f"{repeated:,} rows of {LABELS} say again what another says: they count once")
    apart = plain["study"].duplicated(keep=False)
    trouble = pd.Series("", index=plain.index).mask(apart, "its study has different labels")
    one = plain.assign(trouble=trouble).drop_duplicates("study")
    joined = records.drop_duplicates("clip").merge(one, on="study", how="left", indicator=True)
    labelled = joined["_merge"] == "both"
    joined = joined.drop(columns="_merge")
    without = joined.loc[~labelled, "clip"]
    return (
        joined[labelled],
        left_out(_plain_names(without), "its study has no label"),
        notes,
    )


def _plain_names(clips: pd.Series) -> pd.Series:
    """Return names of clips that are no cases: others may have the same, and there are many."""
    return clips.str.replace("^.*/", "", regex=True).str.removesuffix(".dcm")


def _with_views(
    table: pd.DataFrame, place: Path, a_study: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clips of the four-chamber view, and the others.

    Args:
        table: The clips; `view` as other tables than `views.csv` state it.
        place: The folder.
        a_study: Whether EFs are a study's, whose clips are of all views.

    Raises:
        DatasetError: They are, and nothing says which views its clips show.
    """
    path = place / VIEWS
    own = table["view"]
    if path.is_file():
        said = read_views(path)
        own = pd.Series(
            [said.get(clip, before) for clip, before in zip(table["clip"], own, strict=True)],
            index=table.index, dtype=object,
        )  # fmt: skip
    table = table.drop(columns="view").assign(view_true=own)
    if (own != "").any():
        return of_four_chamber(table, str(path if path.is_file() else place / RECORDS))
    if path.is_file():
        raise DatasetError(f"{path}: it states the view of no clip that has an EF")
    if a_study:
        raise DatasetError(
            f"{place / LABELS} states the EF of studies, and nothing says which of their clips "
            f"show the apical four-chamber view: write {_VIEWS_NEEDED}, or into {LABELS} "
            "dicom_filepath and EF of those clips"
        )
    return table.drop(columns="view_true"), nothing_aside()


def _downloaded(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the clips of studies whose folder is there: few have all of it."""
    folders = table["path"].map(lambda path: str(Path(path).parent))
    there = folders.map({folder: Path(folder).is_dir() for folder in folders.unique()}).astype(bool)
    there |= table["trouble"] != ""
    if not there.any():
        return table, nothing_aside()  # each is told as a missing file
    away = left_out(table.loc[~there, "video"], "its study is not downloaded")
    return table[there].reset_index(drop=True), away
