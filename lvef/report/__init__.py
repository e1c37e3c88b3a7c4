"""A run, or predictions, as one HTML page that a clinician can read."""

from lvef.report.command import report

__all__ = ["report"]
