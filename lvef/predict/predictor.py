"""A trained model in a notebook: `lvef.load(checkpoint).predict(paths)`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lvef.data.dataset import prepare_for_workers
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.models.inference import FramePredictor, best_device
from lvef.models.loading import describe_checkpoint, load_task
from lvef.models.segmentation.weights import SHIPPED
from lvef.predict.combine import BEAT_COLUMNS
from lvef.predict.finder import BeatFinder
from lvef.predict.frames import key_frame_batches
from lvef.predict.rows import clip_rows
from lvef.predict.video_table import video_table

_BATCH = 16


class Predictor:
    """Predicts new clips with the task of a checkpoint.

    Args:
        checkpoint: Checkpoint of any task of this package.
        segmenter: What finds the beats: "shipped", a file of segmenter weights, or a checkpoint
            of an LV segmenter. A checkpoint that is an LV segmenter's finds them itself.
        device: Where the networks run, such as cpu or cuda; a GPU if there is one.
        trusted: Modules outside this package that may be imported for a task of a user's own.

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
    ) -> None:
        self.task: Any = load_task(checkpoint, trusted)
        trained_with = describe_checkpoint(checkpoint)["data"]
        self.seen = FrameOptions.of_checkpoint(self.task.frames, trained_with)
        self.device = best_device(device)
        weights = checkpoint if self.task.finds_beats else segmenter
        self.finder = BeatFinder(weights, seen=self.seen, device=self.device)
        self.beats = pd.DataFrame(columns=BEAT_COLUMNS)

    def predict(
        self,
        paths: str | Path | Sequence[str | Path],
        keyframes: str | Path | None = None,
        fps: float | None = None,
    ) -> pd.DataFrame:
        """Predict clips.

        Args:
            paths: A file, a folder, a glob, or several of them; see `find_videos`.
            keyframes: CSV file with the ED and ES frames where they are known: video, ed, es.
            fps: Frames a second of all of them, in place of what the files state.

        Returns:
            A row a clip, as `predictions.csv`: EF in percent, its interval, the frames, and
            `status` and `reason` where a clip cannot be used.

        Raises:
            DatasetError: There is no clip.
            ConfigurationError: Key frames are given for an LV segmenter, which finds the beats.
        """
        if keyframes is not None and self.task.finds_beats:
            raise ConfigurationError(
                "an LV segmenter finds the beats: keyframes are for a model of EF"
            )
        self.finder.restart(fps)
        prepare_for_workers()
        table = video_table(paths, keyframes, self.finder, frames=self.seen.frames, fps=fps)
        batches = None if self.task.finds_beats else self._predicted(table)
        videos, beats = clip_rows(table, batches, str(self.task.trained_on))
        self.beats = beats.reset_index(drop=True)
        return videos.reset_index(drop=True)

    def _predicted(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        batches = key_frame_batches(table, self.seen, _BATCH, workers=0)
        return FramePredictor(self.task, self.device).batches(batches)


def load(
    checkpoint: str | Path,
    segmenter: str | Path = SHIPPED,
    device: str | torch.device | None = None,
    trusted: Sequence[str] = (),
) -> Predictor:
    """Load a checkpoint, to predict new clips with; see `Predictor`."""
    return Predictor(checkpoint, segmenter, device, trusted)
