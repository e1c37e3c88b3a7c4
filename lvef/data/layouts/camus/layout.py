"""A CAMUS folder: what tells it, and how it is read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from lvef.data.layouts.base import Layout, register
from lvef.data.layouts.camus.folder import CamusFolder
from lvef.data.layouts.camus.patient import FOUR, LOOP, TWO
from lvef.data.layouts.camus.splits import SPLIT_FILES, read_splits, split_files
from lvef.data.layouts.camus.table import read_patients
from lvef.data.layouts.folder import LabelFolder, check_excluded
from lvef.data.layouts.lacking import with_mid_frames
from lvef.data.names import require_nibabel
from lvef.errors import DatasetError, VideoError

HOME_PAGE = "https://www.creatis.insa-lyon.fr/Challenge/camus/"
DATABASE = "database_nifti"
_UNPACKED = ("", DATABASE, f"CAMUS_public/{DATABASE}")
_PATIENT = re.compile(r"patient\d{4,}")
_LOOKED_AT = 3
"""Folders in which a file of a view is looked for: another data set has patients, too."""


class Camus(Layout):
    """The layout of CAMUS: the apical four-chamber view of each patient is a case.

    EF is that of both planes (biplane method of disks), and no volume of one plane has to agree
    with it. The loop of the two-chamber view is the column `path_a2c`.
    """

    name = "camus"

    def recognises(self, root: Path) -> bool:
        """Tell a folder by patients with files of the two views."""
        return _place(root) is not None

    def label_files(self, root: Path) -> list[Path]:
        """Return the splits, and what is stated of both views of every patient."""
        place = _found(root)
        infos = [folder / f"Info_{view}.cfg" for folder in _patients(place) for view in (TWO, FOUR)]
        return [*split_files(_around(root, place)), *(path for path in infos if path.is_file())]

    def video_folders(self, root: Path) -> list[Path]:
        """Return the patients' folders."""
        return _patients(_found(root))

    def advice(self, root: Path) -> str:
        """Return what such a folder holds."""
        return (
            f"A CAMUS folder holds patient0001/ and others, each with its {FOUR}_{LOOP}.nii.gz and "
            f"Info_{FOUR}.cfg, and {', '.join(SPLIT_FILES.values())}; get the data from {HOME_PAGE}"
        )

    def read(self, root: Path, max_excluded: float) -> LabelFolder:
        """Read and check a folder; see `Layout.read`."""
        try:
            require_nibabel()
        except VideoError as error:
            raise DatasetError(f"{root}: {error}") from error
        place = _found(root)
        splits = read_splits(split_files(_around(root, place)))
        patients = read_patients(_patients(place), splits, place)
        table, unusable = patients.table, patients.reasons != ""
        excluded = table.loc[unusable, ["video", "split"]].assign(reason=patients.reasons[unusable])
        usable = table[~unusable].reset_index(drop=True)
        whole = dict.fromkeys(["num_frames", "ed_frame", "es_frame"], np.int64)
        folder = CamusFolder(
            place,
            with_mid_frames(usable.astype(whole)),
            excluded.reset_index(drop=True),
            tuple(patients.notes),
        )
        return check_excluded(folder, max_excluded)


register(Camus())


def _patients(place: Path) -> list[Path]:
    """Return the folders of patients, in order."""
    try:
        return sorted(path for path in place.iterdir() if _PATIENT.fullmatch(path.name))
    except OSError:
        return []


def _place(root: Path) -> Path | None:
    """Return where the patients are, at a root or where its archive was unpacked."""
    for below in _UNPACKED:
        some = _patients(root / below)[:_LOOKED_AT]
        if any(next(folder.glob("*_[24]CH*"), None) for folder in some):
            return root / below
    return None


def _found(root: Path) -> Path:
    """Return where the patients are.

    Raises:
        DatasetError: Nowhere.
    """
    place = _place(root)
    if place is None:
        raise DatasetError(f"{root} holds no patients. {Camus().advice(root)}")
    return place


def _around(root: Path, place: Path) -> list[Path]:
    """Return where the split files may lie."""
    return list(dict.fromkeys([root, place, place.absolute().parent]))
