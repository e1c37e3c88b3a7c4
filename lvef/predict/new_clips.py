"""The data module of new clips: what `predict --data.videos` reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader
from tqdm import tqdm

from lvef.cardiac import PICTURE_SIZE
from lvef.data.dataset import prepare_for_workers
from lvef.data.loaders import workers_of
from lvef.data.options import BATCH_SIZE, check_options
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.models.segmentation.weights import SHIPPED
from lvef.predict.finder import BeatFinder, RunKeeper
from lvef.predict.frames import key_frame_batches
from lvef.predict.video_table import video_table
from lvef.run_files import FOUND_BEATS


class NewClipsDataModule(LightningDataModule):
    """Key frames of new clips, which nobody has labelled; their beats are found.

    The beats are found in `prepare_data`, which Lightning calls in one process while all others
    wait, however long it takes. There is no TRAIN, VAL or TEST.

    Args:
        videos: A file, a folder or a glob of clips; see `find_videos`.
        frames: Frames a case consists of, in this order: any of EDF, ESF, MF. Null where geometry
            alone answers, and no model of EF is asked.
        batch_size: Cases a batch, on each device.
        num_workers: Processes that decode for each device; by default the cores are shared out,
            8 at most.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Blank text, rulers and logos outside the ultrasound sector.
        keyframes: CSV file with the ED and ES frames where they are known: video, ed, es.
        fps: Frames a second of the clips, in place of what the files state.
        segmenter: What finds the beats: shipped, a file of segmenter weights, or a checkpoint of
            an LV segmenter.
        save_overlays: Write an MP4 of every clip whose beats are looked for, with contour, curve
            and beats, into the log folder.

    Attributes:
        key: CSV file that tells which clip each number stands for; None leaves clips their names.
        finder: What found the beats, in the process that did.
        table: A row a beat; see `video_table`.
    """

    root = None
    is_phantom = False

    def __init__(
        self,
        videos: str,
        frames: list[str] | None = ["ESF"],  # noqa: B006 (jsonargparse shows and copies it)
        batch_size: int = BATCH_SIZE,
        num_workers: int | None = None,
        image_size: int = PICTURE_SIZE,
        remove_artifacts: bool = True,
        keyframes: str | None = None,
        fps: float | None = None,
        segmenter: str = SHIPPED,
        save_overlays: bool = False,
    ) -> None:
        super().__init__()
        check_options(
            frames, False, image_size=image_size, batch_size=batch_size, num_workers=num_workers,
            fps=fps,
        )  # fmt: skip
        self.prepare_data_per_node = False
        self.videos = videos
        self.frames = frames
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.image_size = image_size
        self.remove_artifacts = remove_artifacts
        self.keyframes = keyframes
        self.fps = fps
        self.segmenter = segmenter
        self.save_overlays = save_overlays
        self.key: Path | None = None
        self.finder: BeatFinder | None = None
        self.table = pd.DataFrame()

    def prepare_data(self) -> None:
        """Find the clips and their beats, and keep what was found in the run's folder.

        Raises:
            DatasetError: There is no clip, or the key frames or the key cannot be read.
            WeightsError: The segmenter's weights cannot be read.
            OutputError: What was found cannot be written.
        """
        run = getattr(self.trainer, "run_folder", None)  # `log_dir` would wait for the others
        keep = None if run is None else RunKeeper(run, self.save_overlays)
        self.finder = BeatFinder(self.segmenter, keep, self.fps, self._seen(), self._device())
        prepare_for_workers()
        bar = partial(tqdm, desc="finding beats", unit="clip")
        journal = None if run is None else run / FOUND_BEATS
        self.table = video_table(
            self.videos, self.keyframes, self.finder, bar, journal, self.key, self.frames or (),
            self.fps,
        )  # fmt: skip

    def setup(self, stage: str) -> None:
        """Let every process know what the first one found.

        Raises:
            ConfigurationError: Something else is asked for than to predict, or `prepare_data`
                was never called.
        """
        if stage != "predict":
            raise ConfigurationError(f"new clips have no labels: they are for predict, not {stage}")
        if self.trainer is not None and self.trainer.world_size > 1:
            self.table = self.trainer.strategy.broadcast(self.table)
        if self.table.empty:
            raise ConfigurationError(
                "beats are found by prepare_data, which a Trainer calls: call it before setup"
            )

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of the beats that can be used; none where geometry alone answers."""
        seen = self._seen()
        table = self.table if seen is not None else self.table.iloc[:0]
        workers = workers_of(self.num_workers, self.trainer)
        return key_frame_batches(table, seen or FrameOptions(()), self.batch_size, workers)

    def _seen(self) -> FrameOptions | None:
        """Return what a model of EF sees of a clip; None where there is none."""
        if self.frames is None:
            return None
        return FrameOptions(tuple(self.frames), self.image_size, self.remove_artifacts)

    def _device(self) -> torch.device | None:
        """Return where the trainer's model runs, for the segmenter to run there, too."""
        if self.trainer is None:
            return None
        device = self.trainer.strategy.root_device
        return None if device.type == "mps" else device
