"""A trained model in a notebook: `lvef.load(checkpoint).predict(paths)`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lvef.analysis.gate import NO_GATE, ViewGate
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.models.inference import FramePredictor, best_device
from lvef.models.loading import describe_checkpoint, load_task
from lvef.models.segmentation.weights import SHIPPED, read_weights
from lvef.predict.combine import BEAT_COLUMNS
from lvef.predict.find import Search
from lvef.predict.pending import PendingClips
from lvef.predict.stream.found import asked_clips, found_clips, rows_of
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.merge import tables_of_rows
from lvef.predict.stream.schema import ROWS
from lvef.predict.stream.second import check_pairs
from lvef.predict.stream.work import WorkOptions


class Predictor:
    """Predicts new clips with the task of a checkpoint.

    Args:
        checkpoint: Checkpoint of any task of this package.
        segmenter: What finds the beats: "shipped", a file of segmenter weights, or a checkpoint
            of an LV segmenter. A checkpoint that is an LV segmenter's finds them itself.
        device: Where the networks run, such as cpu or cuda; a GPU if there is one.
        trusted: Modules outside this package that may be imported for a task of a user's own.
        fast: Whether networks run in bfloat16 where that is faster; see `inference`.

    Raises:
        CheckpointError: The checkpoint is missing, unreadable, or of another package.
        WeightsError: The segmenter's weights cannot be read.
        ConfigurationError: There is no such device.

    Attributes:
        beats: After a prediction a row a beat, as `beats.csv`.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        segmenter: str | Path = SHIPPED,
        device: str | torch.device | None = None,
        trusted: Sequence[str] = (),
        fast: bool = False,
    ) -> None:
        self.task: Any = load_task(checkpoint, trusted)
        trained_with = describe_checkpoint(checkpoint)["data"]
        self.seen = FrameOptions.of_checkpoint(self.task.frames, trained_with)
        self.device, self.fast = best_device(device), fast
        self.segmenter = str(checkpoint if self.task.finds_beats else segmenter)
        self._remark = "" if ViewGate.read(*read_weights(self.segmenter)) else NO_GATE
        self.beats = pd.DataFrame(columns=BEAT_COLUMNS)

    def predict(
        self,
        paths: str | Path | Sequence[str | Path],
        keyframes: str | Path | None = None,
        fps: float | None = None,
        workers: int = 0,
    ) -> pd.DataFrame:
        """Predict clips.

        Args:
            paths: A file, a folder, a glob, or several of them; see `clip_inputs`. For a model that
                sees two views a CSV file with columns path and path_a2c, a study a row.
            keyframes: CSV file with the ED and ES frames where they are known: video, ed, es.
            fps: Frames a second of all of them, in place of what the files state.
            workers: Processes that analyse clips; 0 for none but this. A script that asks for some
                needs `if __name__ == "__main__":` around what it does, as others are started by
                reading it again.

        Returns:
            A row a clip, as `predictions.csv`, in the order in which they were found: EF in
            percent, its interval, the frames, the view that was seen (`view`, `p_a4c`), and
            `status` and `reason` where a clip cannot be used.

        Raises:
            DatasetError: There is no clip.
            ConfigurationError: Key frames are given for an LV segmenter, which finds the beats, or
                single clips for a model that sees two views.
        """
        if keyframes is not None and self.task.finds_beats:
            raise ConfigurationError(
                "an LV segmenter finds the beats: keyframes are for a model of EF"
            )
        where = [paths] if isinstance(paths, (str, Path)) else list(paths)
        check_pairs(where, self.seen.frames)
        ask = None if self._frame_predictor is None else self._frame_predictor.batch
        seen = None if ask is None else self.seen
        work = WorkOptions(self.segmenter, seen, fps, records=False, fast=self.fast)
        rows: dict[ClipInput, list[dict[str, Any]]] = {}
        pending = PendingClips(lambda clip, own, _: rows.update({clip: own}))
        search = Search()
        clips = list({clip.path: clip for clip in asked_clips(where, keyframes, search)}.values())
        for remark in [*search.remarks(None), *filter(None, [self._remark])]:
            warnings.warn(remark, stacklevel=2)
        with ExitStack() as stack:
            for ended in found_clips(stack, iter(clips), work, workers, self.device):
                pending.add(ended.job, rows_of(ended))
                pending.answer(ask)
            pending.answer(ask, last=True)
        every = pd.DataFrame([row for clip in clips for row in rows[clip]])
        every = every.reindex(columns=ROWS.names)
        trained_on = str(self.task.trained_on)
        frames = () if seen is None else seen.frames
        videos, beats = tables_of_rows(every, frames, trained_on)
        self.beats = beats.reset_index(drop=True)
        return videos.reset_index(drop=True)

    @cached_property
    def _frame_predictor(self) -> FramePredictor | None:
        """The model of EF; None where an LV segmenter says all there is."""
        if self.task.finds_beats:
            return None
        return FramePredictor(self.task, self.device, self.fast)


def load(
    checkpoint: str | Path,
    segmenter: str | Path = SHIPPED,
    device: str | torch.device | None = None,
    trusted: Sequence[str] = (),
    fast: bool = False,
) -> Predictor:
    """Load a checkpoint, to predict new clips with; see `Predictor`."""
    return Predictor(checkpoint, segmenter, device, trusted, fast)
