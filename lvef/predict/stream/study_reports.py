"""DICOM reports of studies: written with `studies.csv`, and those of rows that are gone go, too."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lvef.errors import OutputError
from lvef.files import write_json
from lvef.predict.dicom_out import (
    DicomFolders,
    Maker,
    Written,
    require_highdicom,
    study_answer_of,
)
from lvef.predict.dicom_out.folders import NO_EF
from lvef.predict.stream.manifest import SHARDS

_WRITTEN = "study_reports.json"


class StudyReports:
    """Writes the reports of studies, and of them what has changed.

    Which were written before, and of what, is known from a file beside the shards.

    Args:
        output: What tables go into.
        folders: Where reports go.
    """

    def __init__(self, output: Path, folders: DicomFolders) -> None:
        self.folders, self.written = folders, Written()
        self._place = output / SHARDS / _WRITTEN

    @classmethod
    def of(cls, output: Path, manifest: Mapping[str, Any]) -> StudyReports | None:
        """Return what writes the reports of an archive; None where none are wanted.

        Raises:
            ConfigurationError: highdicom is not there.
            OutputError: Their folder cannot be written.
        """
        folder = manifest.get("dicom_sr")
        if folder is None or manifest.get("studies") is None:
            return None
        require_highdicom("--dicom_sr")
        # Not through links: as the manifest's path was told from the output's.
        sr = Path(os.path.normpath(Path(os.path.abspath(output)) / folder))
        folders = DicomFolders(Maker.of(manifest), sr=sr)
        folders.make_room()
        return cls(output, folders)

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write the report of each study that has an EF; those of before that are none now go.

        Args:
            rows: See `StudyTable.rows`.

        Raises:
            OutputError: One cannot be written, or not be removed.
        """
        assert self.folders.sr is not None
        before, there = self._known(), dict[str, str]()
        for row in rows:
            answer = study_answer_of(row)
            if answer is None:
                self.written.add("study", NO_EF)
                continue
            study, used = str(row["study"]), row["used"]
            told = self.folders.maker.uid(
                study, answer, [(clip.key.hex(), clip.view) for clip in used]
            )
            if told in before and (self.folders.sr / before[told]).is_file():
                there[told] = before[told]
                continue
            paths = [Path(os.fsdecode(clip.path)) for clip in used]
            views = [clip.view for clip in used]
            path, reason = self.folders.study_report(paths, views, study, answer)
            self.written.add("study", reason)
            if path is not None:
                there[told] = path.relative_to(self.folders.sr).as_posix()
        self._remove({*before.values()} - {*there.values()})
        write_json(self._place, there)

    def remarks(self) -> list[str]:
        """Return what is to be told, once all are written."""
        return self.written.remarks(self.folders)

    def _known(self) -> dict[str, str]:
        """Return what was written before, by what it says: paths below the folder of reports."""
        try:
            known = json.loads(self._place.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # what is there is written anew
            return {}
        if not isinstance(known, dict):
            return {}
        return {told: str(path) for told, path in known.items() if _is_report(str(path))}

    def _remove(self, gone: set[str]) -> None:
        assert self.folders.sr is not None
        try:
            for path in gone:
                (self.folders.sr / path).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError.of(self.folders.sr, error) from error


def _is_report(path: str) -> bool:
    """Return whether a path is one of a report in its folder, and of nothing else."""
    inside = not os.path.isabs(path) and ".." not in Path(path).parts
    return inside and path.endswith(".study.dcm")
