"""Errors a user can act on: each message says what was wrong, where, and what to do."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_FILES = {
    *_NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
    errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ESTALE,
    errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.EXDEV,
}  # fmt: skip
"""What is wrong with files, disks and folders; a user can mend it, a programmer cannot."""


class LvefError(Exception):
    """Base of every error that the command line prints as one line with exit code 1."""


class ConfigurationError(LvefError):
    """An option, or a combination of options, that cannot work."""


class PartError(ConfigurationError):
    """A part of a model that cannot be had or used: a network, a head, an optimiser."""


class BackboneError(PartError):
    """A network that cannot be had or used as a backbone: no such name, no package, no features."""


class DatasetError(LvefError):
    """A data folder that is missing, incomplete or too damaged to use."""


class VideoError(LvefError):
    """A video, or a frame of it, that cannot be read. The message names the file."""


class OutputError(LvefError):
    """A file that cannot be written: no space, no permission, a folder that is read-only."""

    @classmethod
    def of(cls, path: object, error: OSError) -> OutputError:
        """Return what the system said of a path that was to be written, in one line."""
        return cls(f"{path} cannot be written: {error.strerror or error}{_advice(error)}")


class RecordError(LvefError):
    """What was kept of an analysed clip cannot be read: cut short, damaged or of another kind."""


class WeightsError(LvefError):
    """Backbone weights that cannot be had or do not fit."""


class CheckpointError(LvefError):
    """A checkpoint that is missing, unreadable or belongs to another task."""


class DamagedError(CheckpointError):
    """A constant of a checkpoint that no calibration makes. The message follows its name."""


class FitError(LvefError, ValueError):
    """Samples that nothing can be fitted to."""


class NotFittedError(LvefError, RuntimeError):
    """A model that was asked before it was fitted."""


def one_line(error: Exception) -> LvefError:
    """Return a parser's complaint, which may be many lines, as an error of one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)
    return LvefError(text if len(text) <= 400 else text[:399] + "…")


def of_files(error: BaseException | None) -> LvefError | None:
    """Return what the system said of a file, in one line; None where the error is another.

    What is raised while another error is dealt with often names no file, and the first one does.
    """
    names: list[str] = []
    found: OSError | None = None
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_FILES:
            found = found or error
            names += [] if error.filename in (None, "") else [str(error.filename)]
        elif found is None:
            return None  # a fault of the program, whatever it was doing
        error = error.__cause__ or error.__context__
    if found is None:
        return None
    where = f"{names[0]}: " if names else ""
    return LvefError(f"{where}{found.strerror or found}{_advice(found)}")


@contextmanager
def errors_of_threads() -> Iterator[None]:
    """Raise at the end what the system said of a file to a thread, as to one that writes events.

    Raises:
        LvefError: A thread could not write.
    """
    first: list[LvefError] = []
    usual = threading.excepthook

    def keep(told: threading.ExceptHookArgs) -> None:
        error = of_files(told.exc_value)
        if error is None:
            usual(told)
        else:
            first.append(error)

    threading.excepthook = keep
    try:
        yield
    finally:
        threading.excepthook = usual
    if first:
        raise first[0]


def _advice(error: OSError) -> str:
    return ": make room, or choose another disk" if error.errno in _NO_ROOM else ""
