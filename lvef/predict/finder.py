"""What `predict` finds beats with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.result import AnalysedBeat, ClipAnalysis
from lvef.data.dataset import FRAME_COLUMNS
from lvef.data.decode import decode_clip
from lvef.data.formats import ClipFile
from lvef.data.prepare import prepare_decoded
from lvef.data.views import ClipView, FrameOptions
from lvef.models.inference import best_device

_KEPT = 2**30
"""Bytes of key frames that are kept for the model of EF; those of later clips are read again."""


@dataclass(frozen=True)
class FoundBeats:
    """The beats of a clip.

    Attributes:
        beats: The beats; none where the clip is refused.
        quality: Of the clip, 0 to 1.
        reason: Why the clip cannot be used, empty where it can.
        view: What the key frames are made from, so that nothing is looked for twice.
    """

    beats: Sequence[AnalysedBeat]
    quality: float
    reason: str
    view: ClipView | None = None


class BeatFinder:
    """Finds the beats of files.

    Args:
        weights: See `ClipAnalyser`.
        keep: Is given each analysis, and the clip's name, to be kept as is wanted.
        fps: Frames a second of the clips, in place of what the files state.
        seen: What a model of EF will ask for of each beat; None where there is no such model.
        device: Where the network runs; see `best_device`.

    Raises:
        WeightsError: The weights cannot be read.
    """

    def __init__(
        self,
        weights: str | Path,
        keep: Callable[[ClipAnalysis, str], None] | None = None,
        fps: float | None = None,
        seen: FrameOptions | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.analyser = ClipAnalyser(weights, best_device(device))
        self.keep = keep
        self.fps = fps
        self.seen = seen
        self.trained_on = self.analyser.trained_on
        self.recalibrated = self.analyser.recalibrated
        self._kept = 0

    def restart(self, fps: float | None) -> None:
        """Begin with other clips, of which those before have gone.

        Args:
            fps: Frames a second of them, in place of what the files state.
        """
        self.fps, self._kept = fps, 0

    def __call__(self, file: ClipFile, name: str) -> FoundBeats:
        """Analyse a clip.

        Args:
            file: The file, open.
            name: Its name in the table, which may hold folders.

        Raises:
            VideoError: It cannot be read.
        """
        clip = decode_clip(file, self.fps)
        analysis = self.analyser(prepare_decoded(clip))
        if self.keep is not None:
            self.keep(analysis, name)
        view = ClipView.of(clip, self._key_frames(analysis), self.seen)
        self._kept += sum(frame.nbytes for frame in view.frames.values())
        return FoundBeats(analysis.beats, analysis.quality, analysis.reason, view)

    def _key_frames(self, analysis: ClipAnalysis) -> list[int]:
        """Return the numbers of the frames that a model of EF will ask for."""
        if self.seen is None or self._kept > _KEPT:
            return []
        columns = [FRAME_COLUMNS[name] for name in self.seen.frames]
        return sorted({getattr(beat, column) for beat in analysis.beats for column in columns})
