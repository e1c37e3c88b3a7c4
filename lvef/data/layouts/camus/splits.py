"""The official splits: `subgroup_training.txt` and its two sisters, a patient a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lvef.data.names import alike
from lvef.errors import DatasetError

SPLIT_FILES = {
    "TRAIN": "subgroup_training.txt",
    "VAL": "subgroup_validation.txt",
    "TEST": "subgroup_testing.txt",
}
FOLDER = "database_split"


def split_files(places: Sequence[Path]) -> list[Path]:
    """Return the three files.

    Args:
        places: Folders in which they, or the folder that holds them, may lie.

    Raises:
        DatasetError: One is missing.
    """
    for place in (folder for each in places for folder in (each / FOLDER, each)):
        files = [place / name for name in SPLIT_FILES.values()]
        missing = [file.name for file in files if not file.is_file()]
        if not missing:
            return files
        if len(missing) < len(files):
            raise DatasetError(f"{place / missing[0]} not found, and others of its kind are there")
    raise DatasetError(
        f"{places[0]}: no {', '.join(SPLIT_FILES.values())} there or in {FOLDER}/, which say who "
        "is for what: get them with the data, or write them, a patient a line"
    )


def read_splits(files: Sequence[Path]) -> dict[str, str]:
    """Return TRAIN, VAL or TEST by patient.

    Raises:
        DatasetError: A file cannot be read, or a patient is in several.
    """
    splits: dict[str, str] = {}
    for split, path in zip(SPLIT_FILES, files, strict=True):
        try:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
        for name in {alike(line.strip()) for line in lines if line.strip()}:
            if splits.setdefault(name, split) != split:
                raise DatasetError(
                    f"{path}: {name} is in {split} and in {splits[name]}, so that TEST would "
                    "judge hearts that were learned: keep each patient in one file"
                )
    return splits
