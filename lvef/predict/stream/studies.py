"""Which study each clip is of: what a list says, or the folder it lies in, or the file itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np

from lvef.data.apical import A2C, apical_view
from lvef.data.formats import OTHER_VIEW as STATED_OTHER
from lvef.data.formats import dicom_study
from lvef.data.names import expanded
from lvef.data.tables import read_table
from lvef.errors import ConfigurationError, DatasetError
from lvef.files import printable
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.study_salt import StudySalt, hashed_name, salt_place

By = Literal["list", "folder", "dicom"]
"""What says which study a clip is of."""
_COLUMNS = {
    "study": ("study id", "studyid", "exam", "study instance uid", "accession"),
    "view": ("view name", "projection"),
    "path": ("file", "file name", "file path", "video", "clip", "dicom", "dicom filepath"),
}
OTHER_VIEW = "of another view than A4C and A2C"
TWO_CHAMBER = "an apical two-chamber view: it has no EF of its own, and counts in that of its study"


def without_own_ef(clip: ClipInput, rows: list[dict[str, Any]]) -> None:
    """Say of the beats of a clip why they have no EF, where it turned out to be of another view.

    Of the two-chamber view contours are kept, for the EF of the study, which no list says the views
    of. What the file itself states counts where nothing is known of its picture.
    """
    for row in rows if clip.study_key else []:
        view = row.get("view") or clip.view
        if view == A2C and np.isfinite(row["ef_geometric"]):
            row["reason"] = TWO_CHAMBER
        elif view == STATED_OTHER and not row["reason"]:
            row["reason"] = f"its file says that it is {OTHER_VIEW}"


def told_by(studies: str) -> By:
    """Return what `--studies` means: one of two words, or else a list."""
    return studies if studies in get_args(By)[1:] else "list"  # type: ignore[return-value]


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
        if not path.exists():
            raise DatasetError(
                f"--studies {path} is no file: give 'folder', 'dicom', or a CSV file of study, "
                "view and path"
            )
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

    def __call__(
        self, clips: Iterator[ClipInput], salt: StudySalt | None = None
    ) -> Iterator[ClipInput]:
        """Yield clips with their study and their view, as far as they have them.

        Args:
            clips: The clips.
            salt: Hashes what studies are called; None where they keep their names.
        """
        for clip in clips:
            study, view = self.of.get(os.path.abspath(clip.path), ("", ""))
            known = not study or apical_view(view)
            problem = clip.problem if known else f'"{view}": {OTHER_VIEW}'
            if study and salt is not None:
                study = hashed_name(salt.hashed(study))
            yield replace(clip, study=study, view=apical_view(view) or view, problem=problem)


class StudyNames:
    """Says of each clip of a run which study it is of.

    Of what a file says, and of folders where nothing that is written may name them, hashes alone
    are kept; see `StudySalt`.

    Args:
        studies: `--studies`: "folder", "dicom", or a list.
        output: What tables go into.
        study_salt: `--study_salt`.
        anonymize: `--anonymize`.
        known: `StudySalt.mark` of what named the studies that lie there; None where nothing did.

    Attributes:
        by: What says which study a clip is of.
        salt: What hashes; None where nothing is hashed.

    Raises:
        ConfigurationError: The salt cannot be read, or lies where it must not.
        DatasetError: The list cannot be read.
        OutputError: The salt cannot be written.
    """

    def __init__(
        self, studies: str, output: Path, study_salt: str | None = None,
        anonymize: str | None = None, known: str | None = None,
    ) -> None:  # fmt: skip
        self.by, self._hidden = told_by(studies), anonymize is not None
        self._list = Studies.read(studies) if self.by == "list" else None
        self.salt: StudySalt | None = None
        if self._list is None or self._hidden:
            self.salt = StudySalt(salt_place(study_salt, output, anonymize, known))
        elif study_salt is not None:
            raise ConfigurationError(
                f"--study_salt {study_salt}: studies of a list keep the names that stand there; "
                "leave it away, or give --anonymize, too"
            )

    @property
    def made(self) -> dict[str, Any]:
        """Return what must be the same for all rows of a folder."""
        return {"studies": self.by, "study_salt": None if self.salt is None else self.salt.mark}

    @property
    def told(self) -> dict[str, str]:
        """Return how studies came by their names, for whoever reads the tables."""
        hashed = "HMAC-SHA256, with a salt that is not here"
        plain = f"of folders their paths; StudyInstanceUIDs: {hashed}"
        if self.by == "list":
            plain = "as the list has them"
        return {"studies": self.by, "study_names": hashed if self._hidden else plain}

    def listed(self, clips: Iterator[ClipInput]) -> Iterator[ClipInput]:
        """Yield clips with what a list says of them, where there is one."""
        return clips if self._list is None else self._list(clips, self.salt)

    def stated(self, clips: Iterator[ClipInput]) -> Iterator[ClipInput]:
        """Yield clips with what their files and folders say of them, where there is no list.

        Files are opened for it: let no clip through that is done already.
        """
        return clips if self.salt is None or self._list is not None else map(self._stated, clips)

    def _stated(self, clip: ClipInput) -> ClipInput:
        assert self.salt is not None
        file = dicom_study(clip.path)
        uid = self.salt.hashed(file.uid) if file.uid else ""
        told = {"study_uid": uid, "view": file.view}
        if self.by == "dicom" and uid:
            return replace(clip, **told, study=hashed_name(uid), study_key=uid)  # type: ignore[arg-type]
        folder = Path(os.path.abspath(clip.path)).parent
        key = self.salt.hashed(str(folder))
        below = PurePosixPath(clip.name).parent.as_posix()
        plain = below if below != "." else printable(folder.name)
        name = hashed_name(key) if self._hidden else plain or hashed_name(key)
        return replace(clip, **told, study=name, study_key=key)  # type: ignore[arg-type]
