"""Errors a user can act on: each message says what was wrong, where, and what to do."""

from __future__ import annotations


class LvefError(Exception):
    """Base of every error that the command line prints as one line with exit code 1."""


class ConfigurationError(LvefError):
    """An option, or a combination of options, that cannot work."""


class DatasetError(LvefError):
    """A data folder that is missing, incomplete or too damaged to use."""


class VideoError(LvefError):
    """A video, or a frame of it, that cannot be read. The message names the file."""


class OutputError(LvefError):
    """A file that cannot be written: no space, no permission, a folder that is read-only."""

    @classmethod
    def of(cls, path: object, error: OSError) -> OutputError:
        """Return what the system said of a path that was to be written, in one line."""
        return cls(f"{path} cannot be written: {error.strerror or error}")


class RecordError(LvefError):
    """What was kept of an analysed clip cannot be read: cut short, damaged or of another kind."""


class WeightsError(LvefError):
    """Backbone weights that cannot be had or do not fit."""


class CheckpointError(LvefError):
    """A checkpoint that is missing, unreadable or belongs to another task."""


class FitError(LvefError, ValueError):
    """Samples that nothing can be fitted to."""


class NotFittedError(LvefError, RuntimeError):
    """A model that was asked before it was fitted."""


def one_line(error: Exception) -> LvefError:
    """Return a parser's complaint, which may be many lines, as an error of one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)
    return LvefError(text if len(text) <= 400 else text[:399] + "…")
