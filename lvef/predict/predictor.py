"""A trained model in a notebook: `lvef.load(checkpoint).predict(paths)`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.data import DataLoader

from lvef.callbacks.predictions import geometric_table, prediction_table
from lvef.data.dataset import KeyFrameDataset, collate, prepare_for_workers
from lvef.errors import ConfigurationError
from lvef.evaluation.beats import BEAT_COLUMNS
from lvef.models.loading import describe_checkpoint, load_task
from lvef.models.segmentation.weights import SHIPPED
from lvef.predict.finder import BeatFinder
from lvef.predict.video_table import video_table


class Predictor:
    """Predicts new clips with the task of a checkpoint.

    Args:
        checkpoint: Checkpoint of any task of this package.
        segmenter: What finds the beats: "shipped", a file of segmenter weights, or a checkpoint
            of an LV segmenter. A checkpoint that is an LV segmenter's finds them itself.
        trusted: Modules outside this package that may be imported for a task of a user's own.

    Raises:
        CheckpointError: The checkpoint is missing, unreadable, or of another package.
        WeightsError: The segmenter's weights cannot be read.

    Attributes:
        beats: After a prediction a row a beat, as `beats.csv`.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        segmenter: str | Path = SHIPPED,
        trusted: Sequence[str] = (),
    ) -> None:
        self.task: Any = load_task(checkpoint, trusted)
        self.about: dict[str, Any] = describe_checkpoint(checkpoint)["data"]
        self.finder = BeatFinder(checkpoint if self.task.finds_beats else segmenter)
        self.beats = pd.DataFrame(columns=BEAT_COLUMNS)

    @torch.inference_mode()
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
        self.finder.fps = fps
        prepare_for_workers()
        table = video_table(paths, keyframes, self.finder)
        if not self.task.finds_beats:
            videos, beats = prediction_table(table, self._predicted(table))
        else:
            videos, beats = geometric_table(table)
        if self.task.trained_on:
            videos["trained_on"] = str(self.task.trained_on)
        self.beats = beats.reset_index(drop=True)
        return videos.reset_index(drop=True)

    def _predicted(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        dataset = KeyFrameDataset(
            table[table["reason"] == ""],
            self.task.frames,
            self.about.get("image_size", 112),
            self.about.get("remove_artifacts", True),
            crop=True,
        )
        loader: DataLoader[Any] = DataLoader(dataset, batch_size=16, collate_fn=collate)
        return [self.task.predict_step(batch, number) for number, batch in enumerate(loader)]


def load(
    checkpoint: str | Path, segmenter: str | Path = SHIPPED, trusted: Sequence[str] = ()
) -> Predictor:
    """Load a checkpoint, to predict new clips with; see `Predictor`."""
    return Predictor(checkpoint, segmenter, trusted)
