"""Where objects of loops go, and how each is written: whole or not at all, and never another's."""

from __future__ import annotations

import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lvef.data.formats import error_name, is_dicom, read_identity
from lvef.errors import ConfigurationError, OutputError, VideoError
from lvef.files import make_room, replacing
from lvef.predict.dicom_out.answer import Answer
from lvef.predict.dicom_out.maker import Maker
from lvef.predict.stream.pictures import picture_path

if TYPE_CHECKING:
    from lvef.analysis.result import ClipAnalysis

Kind = Literal["sr", "seg"]
KINDS: dict[Kind, str] = {"sr": "Structured Reports", "seg": "Segmentations"}
NO_DICOM, NO_EF, NO_CONTOURS = "no DICOM", "no EF", "no contours, as their frames were given"
"""Why there is no object of a clip."""


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
        try:
            with _quiet():
                source = read_identity(clip)
                path = object_path(folder, name, kind, source.SOPInstanceUID)
                if lacking:
                    path.unlink(missing_ok=True)
                    return lacking
                made = make(source)
                with replacing(path) as unfinished:
                    made.save_as(unfinished, enforce_file_format=True)
                return ""
        except VideoError as error:
            return lacking or str(error).removeprefix(f"{clip.name}: ")
        except OutputError:
            raise
        except OSError as error:
            raise OutputError.of(folder, error) from error
        except Exception as error:  # its words may quote whose the file is
            logging.getLogger(__name__).debug("no %s of a clip", kind, exc_info=True)
            return f"highdicom cannot write it ({error_name(error)})"


def object_path(folder: Path, name: str, kind: Kind, instance: str) -> Path:
    """Return where the object of a clip goes: in folders as the clips lie.

    The name ends in what tells the instance that it was made from: clips of other folders that are
    called the same, as the next run may have, must not take each other's place.
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
        counts: Clips by kind and reason; the reason of one that was written is empty.
    """

    counts: dict[Kind, Counter[str]] = field(default_factory=dict)

    def add(self, kind: Kind, reason: str) -> None:
        """Count a clip."""
        self.counts.setdefault(kind, Counter())[reason] += 1

    def remarks(self, folders: DicomFolders) -> list[str]:
        """Return a line a kind."""
        lines = []
        for kind, counts in self.counts.items():
            folder = folders.sr if kind == "sr" else folders.seg
            line = f"{counts['']:,} {KINDS[kind]} went to {folder}"
            aside = [f"{count:,} ({why})" for why, count in counts.most_common() if why]
            if aside:
                line += f"; none of clips: {', '.join(aside)}"
            lines.append(line)
        return lines
