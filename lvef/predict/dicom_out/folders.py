"""Where objects of loops go, and how each is written: whole or not at all, and never another's."""

from __future__ import annotations

import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lvef.data.formats import error_name, is_dicom, read_identity
from lvef.errors import ConfigurationError, OutputError, VideoError
from lvef.files import make_room, replacing
from lvef.predict.dicom_out.answer import Answer, StudyAnswer
from lvef.predict.dicom_out.maker import Maker
from lvef.predict.stream.pictures import picture_path

if TYPE_CHECKING:
    from lvef.analysis.result import ClipAnalysis

Kind = Literal["sr", "seg", "study"]
KINDS: dict[Kind, str] = {
    "sr": "Structured Reports", "seg": "Segmentations", "study": "Structured Reports of studies",
}  # fmt: skip
NO_DICOM, NO_EF, NO_CONTOURS = "no DICOM", "no EF", "no contours, as their frames were given"
"""Why there is no object of a clip."""
SOME_NO_DICOM, GONE = "a clip of their EF is no DICOM", "a clip of their EF is not there any more"
SEVERAL_STUDIES = "their clips state several StudyInstanceUIDs"
SEVERAL_PATIENTS = "their clips do not name one patient"
"""Why there is none of a study."""


def require_highdicom(option: str) -> None:
    """Load highdicom.

    Args:
        option: What needs it.

    Raises:
        ConfigurationError: It is not there.
    """
    try:
        import_module("highdicom")
    except ImportError as error:
        raise ConfigurationError(
            f"{option} needs highdicom: pip install 'lvef[dicom]', or pip install highdicom"
        ) from error


@dataclass(frozen=True)
class DicomFolders:
    """Writes objects of clips into folders; it goes to the processes that analyse them.

    Attributes:
        maker: What made them.
        sr: Folder of reports; None where none are wanted.
        seg: Folder of segmentations; likewise.
    """

    maker: Maker
    sr: Path | None = None
    seg: Path | None = None

    def make_room(self) -> None:
        """Refuse folders that cannot be written.

        Raises:
            OutputError: One cannot.
        """
        for folder in (self.sr, self.seg):
            if folder is not None:
                make_room(folder / "room")

    def report(self, clip: Path, name: str, answer: Answer | None) -> str:
        """Write the report of a clip; one of an earlier answer goes.

        Args:
            clip: Its file.
            name: What it is called in the tables.
            answer: What was found; None where it has no EF.

        Returns:
            Why there is none; empty where it was written.

        Raises:
            OutputError: It cannot be written.
        """

        def make(source: Any) -> Any:
            from lvef.predict.dicom_out.report import measurement_report

            assert answer is not None
            return measurement_report(source, answer, self.maker)

        return self._written("sr", self.sr, clip, name, "" if answer else NO_EF, make)

    def contours(self, clip: Path, name: str, analysis: ClipAnalysis) -> str:
        """Write the segmentation of a clip, as `report` does its report.

        Args:
            clip: Its file.
            name: What it is called in the tables.
            analysis: What was found in it.

        Raises:
            OutputError: It cannot be written.
        """

        def make(source: Any) -> Any:
            from lvef.predict.dicom_out.contours import outlines_of, segmentation

            return segmentation(source, outlines_of(analysis), self.maker)

        lacking = NO_EF if analysis.reason or not math.isfinite(analysis.ef) else ""
        return self._written("seg", self.seg, clip, name, lacking, make)

    def no_contours(self, clip: Path, name: str, given: bool) -> str:
        """Remove a segmentation of before of a clip in which no beats were found.

        Args:
            clip: Its file.
            name: What it is called in the tables.
            given: Whether its frames were given, so that nothing was looked for.
        """
        lacking = NO_CONTOURS if given else NO_EF
        return self._written("seg", self.seg, clip, name, lacking, str)

    def study_report(
        self, clips: Sequence[Path], views: Sequence[str], name: str, answer: StudyAnswer
    ) -> tuple[Path | None, str]:
        """Write the report of a study, unless its clips cannot all be referred to as of one study.

        Args:
            clips: Files that its EF is of.
            views: The view of each; empty where none is known.
            name: What the study is called in the tables.
            answer: What was found in them.

        Returns:
            The file, None where it was not written, and why.

        Raises:
            OutputError: It cannot be written.
        """
        assert self.sr is not None
        if not all(clip.exists() for clip in clips):
            return None, GONE
        if not all(map(is_dicom, clips)):
            return None, SOME_NO_DICOM
        found: list[Path] = []

        def write() -> str:
            from lvef.predict.dicom_out.study_report import study_report

            assert self.sr is not None
            # A copy of a file is the same instance, and is referred to once.
            known = {
                source.SOPInstanceUID: (source, view)
                for source, view in zip(map(read_identity, clips), views, strict=True)
            }
            sources, own = zip(*known.values(), strict=True)
            if len({source.StudyInstanceUID for source in sources}) > 1:
                return SEVERAL_STUDIES
            if len({(source.PatientID, source.get("IssuerOfPatientID")) for source in sources}) > 1:
                return SEVERAL_PATIENTS
            path = object_path(self.sr, name, "study", sources[0].StudyInstanceUID)
            _save(study_report(sources, own, answer, self.maker), path)
            found.append(path)
            return ""

        reason = _or_why("study", self.sr, clips, write)
        return found[0] if found else None, reason

    def _written(
        self,
        kind: Kind,
        folder: Path | None,
        clip: Path,
        name: str,
        lacking: str,
        make: Callable[[Any], Any],
    ) -> str:
        assert folder is not None
        if not is_dicom(clip):
            return NO_DICOM

        def write() -> str:
            source = read_identity(clip)
            path = object_path(folder, name, kind, source.SOPInstanceUID)
            if lacking:
                path.unlink(missing_ok=True)
            else:
                _save(make(source), path)
            return ""

        reason = _or_why(kind, folder, [clip], write)
        return lacking or reason


def _save(made: Any, path: Path) -> None:
    with replacing(path) as unfinished:
        made.save_as(unfinished, enforce_file_format=True)


def _or_why(kind: Kind, folder: Path, clips: Sequence[Path], write: Callable[[], str]) -> str:
    """Write an object, and return why there is none.

    Args:
        kind: Of what kind it is.
        folder: Where it goes.
        clips: What it is made from.
        write: Writes it, or returns why it does not.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        with _quiet():
            return write()
    except VideoError as error:
        told = str(error)
        for clip in clips:
            told = told.removeprefix(f"{clip.name}: ")
        return told
    except OutputError:
        raise
    except OSError as error:
        raise OutputError.of(folder, error) from error
    except Exception as error:  # its words may quote whose the file is
        logging.getLogger(__name__).debug("no %s of a clip", kind, exc_info=True)
        return f"highdicom cannot write it ({error_name(error)})"


def object_path(folder: Path, name: str, kind: Kind, instance: str) -> Path:
    """Return where the object of a clip, or of a study, goes: in folders as the clips lie.

    The name ends in what tells the instance, or the study, that it was made from: those of other
    folders that are called the same, as the next run may have, must not take each other's place.
    """
    mark = sha256(instance.encode()).hexdigest()[:8]
    return picture_path(folder, name, f".{mark}.{kind}.dcm")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom and highdicom from quoting whom a file is of, in warnings and in their log."""
    loggers = [logging.getLogger(name) for name in ("highdicom", "pydicom")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@dataclass
class Written:
    """How many objects were written, and why others were not.

    Attributes:
        counts: Clips, or studies, by kind and reason; that of one that was written is empty.
    """

    counts: dict[Kind, Counter[str]] = field(default_factory=dict)

    def add(self, kind: Kind, reason: str) -> None:
        """Count a clip, or a study."""
        self.counts.setdefault(kind, Counter())[reason] += 1

    def remarks(self, folders: DicomFolders) -> list[str]:
        """Return a line a kind."""
        lines = []
        for kind, counts in self.counts.items():
            folder = folders.seg if kind == "seg" else folders.sr
            line = f"{counts['']:,} {KINDS[kind]} went to {folder}"
            aside = [f"{count:,} ({why})" for why, count in counts.most_common() if why]
            if aside:
                of = "studies" if kind == "study" else "clips"
                line += f"; none of {of}: {', '.join(aside)}"
            lines.append(line)
        return lines
