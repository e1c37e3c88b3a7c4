"""What `predict` finds beats with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.result import ClipAnalysis
from lvef.predict.record import file_name, record_path, write_record


class BeatFinder:
    """Finds the beats of files, and draws what it found where that is wanted.

    Args:
        weights: See `ClipAnalyser`.
        overlays: Returns the folder that overlays go to; None for no overlays.
        log: Returns the log folder, where records of what was found go; None for no records.
        fps: Frames a second of the clips, in place of what the files state.

    Raises:
        WeightsError: The weights cannot be read.
    """

    def __init__(
        self,
        weights: str | Path,
        overlays: Callable[[], Path | None] = lambda: None,
        log: Callable[[], Path | None] = lambda: None,
        fps: float | None = None,
    ) -> None:
        self.analyser = ClipAnalyser(weights, "cuda" if torch.cuda.is_available() else "cpu")
        self.overlays = overlays
        self.log = log
        self.fps = fps
        self.trained_on = self.analyser.trained_on

    def __call__(self, path: Path, name: str) -> ClipAnalysis:
        """Analyse a file.

        Args:
            path: The file.
            name: Its name in the table, which may hold folders.

        Raises:
            VideoError: It cannot be read.
        """
        analysis = self.analyser(path, self.fps)
        log, overlays = self.log(), self.overlays()
        if log is not None:
            write_record(analysis, record_path(log, name))
        if overlays is not None:
            from lvef.analysis.plot import write_overlay

            write_overlay(analysis, overlays / f"{file_name(name)}.mp4")
        return analysis
