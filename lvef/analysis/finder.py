"""What `predict` finds beats with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.result import ClipAnalysis


class BeatFinder:
    """Finds the beats of files, and draws what it found where that is wanted.

    Args:
        weights: See `ClipAnalyser`.
        folder: Returns the folder that overlays go to; None for no overlays.

    Raises:
        WeightsError: The weights cannot be read.
    """

    def __init__(self, weights: str | Path, folder: Callable[[], Path | None]) -> None:
        self.analyser = ClipAnalyser(weights, "cuda" if torch.cuda.is_available() else "cpu")
        self.folder = folder
        self.trained_on = self.analyser.trained_on

    def __call__(self, path: Path, name: str) -> ClipAnalysis:
        """Analyse a file.

        Args:
            path: The file.
            name: Its name in the table, which may hold folders.

        Raises:
            VideoError: It cannot be read.
        """
        analysis = self.analyser(path)
        folder = self.folder()
        if folder is not None:
            from lvef.analysis.plot import write_overlay

            write_overlay(analysis, folder / f"{name.replace('/', '_')}.mp4")
        return analysis
