"""The data module of the command line: one list of options, and the data module of each job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from lvef.cardiac import PICTURE_SIZE
from lvef.data.frame_cache import GIGABYTES
from lvef.data.keyframes import KeyFrameDataModule
from lvef.data.layouts import MAX_EXCLUDED
from lvef.data.masked_clips import MaskedClipDataModule
from lvef.data.names import expanded
from lvef.data.options import BATCH_SIZE, FEATURE_BATCH_SIZE, check_options
from lvef.data.subgroups import AUTO
from lvef.data.transforms import Augmentation
from lvef.errors import ConfigurationError, DatasetError
from lvef.predict.list_keyframes import complete
from lvef.predict.new_clips import NewClipsDataModule


class EchoNetDataModule(LightningDataModule):
    """Key frames of a labelled folder, or of new videos, decoded on the fly.

    Stands for one of three data modules, which does the work and answers whatever is asked of this
    one: `KeyFrameDataModule`, with `masks` a `MaskedClipDataModule`, and in predict with `videos` a
    `NewClipsDataModule`.

    Args:
        root: Folder of labelled clips, such as EchoNet-Dynamic's or a phantom's, or a list of them.
        labels: The list in place of a folder: a CSV file with the path and the EF of each clip; see
            `python -m lvef keyframes --help`.
        frames: Frames a case consists of, in this order: any of EDF, ESF, MF, and of
            the two-chamber view EDF_A2C, ESF_A2C, MF_A2C; or in place of them a whole clip from ED
            on: CLIP, 16 frames at 25 a second, or CLIP_LENGTH_RATE, such as CLIP_32_50.
        batch_size: Cases a batch, on each device.
        num_workers: Processes that decode for each device; by default the cores are shared out,
            8 at most.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Blank text, rulers and logos outside the ultrasound sector.
        augmentation: Changes made to training frames on the device; null for none.
        balanced: Draw reduced and normal cases equally often in training.
        limit: Use only the first so many videos of each split, for a quick look.
        max_excluded: Share of unusable videos above which a run stops.
        check_videos: Decode every video's key frames, all three, once at the start and set the
            unreadable aside.
        videos: What predict reads instead of the TEST split: a file, a folder or a glob of AVI,
            MP4 and DICOM clips, or a CSV file with a column path (and path_a2c, the two-chamber
            clip of the same study). Their beats are found.
        keyframes: CSV file with the ED and ES frames of such videos where they are known: video,
            ed, es.
        fps: Frames a second of such videos, in place of what the files state.
        segmenter: What finds the beats of new videos: shipped, a file of segmenter weights, or a
            checkpoint of an LV segmenter.
        save_overlays: Write an MP4 of every new video whose beats are looked for, with contour,
            curve and beats, into the log folder.
        masks: Batches carry short clips with LV masks, for an LV segmenter, in place of key
            frames.
        feature_batch_size: Cases a training batch when a frozen backbone's features were computed
            beforehand.
        feature_cache: Folder where such features are kept for later runs; auto is the folder
            `features` beside the runs, null keeps none.
        train_fold: Which fold of TRAIN a fit learns from, such as 1/2; by default all.
        without_fold: Which fold of TRAIN a fit does not learn from.
        fold_seed: Deals cases (patients, where they are known) out to folds and to the share of
            VAL for calibration.
        folds: In how many folds all cases are dealt in place of the splits that are there, for
            cross-validation, by patient where these are known and by band of EF; null for none.
        fold: Which of these is TEST, from 1; the next one is VAL, and the others are TRAIN.
        calibration_share: Share of VAL that alone calibrates and does not choose the epoch; 0 lets
            all of VAL do both.
        subgroups: Columns of the folder's list whose groups `test` looks at, such as
            '[Site, Sex, Age 50 65]' (numbers are cut at thirds, or where it is said); auto for
            the usual ones that are there, null for none.
        layout: How the folder is laid out: echonet-dynamic, echonet-pediatric, camus, mimic-echo or
            bids; by default what lies in it tells.
        random_start: Begin whole clips of TRAIN anywhere in their videos, not at ED.
        frame_cache: Folder where key frames are kept once they are decoded, for later epochs and
            runs; null decodes them each time.
        frame_cache_gigabytes: What that folder may take; frames unused for longest go first.

    Attributes:
        labelled: What fit, validate and test read, and predict without `videos`.
        new: What predict reads with `videos`.
    """

    def __init__(
        self,
        root: str | None = None,
        frames: list[str] = ["ESF"],  # noqa: B006 (jsonargparse shows and copies it)
        batch_size: int = BATCH_SIZE,
        num_workers: int | None = None,
        image_size: int = PICTURE_SIZE,
        remove_artifacts: bool = True,
        augmentation: Augmentation | None = None,
        balanced: bool = False,
        limit: int | None = None,
        max_excluded: float = MAX_EXCLUDED,
        check_videos: bool = False,
        videos: str | None = None,
        keyframes: str | None = None,
        fps: float | None = None,
        segmenter: str = "shipped",
        save_overlays: bool = False,
        masks: bool = False,
        feature_batch_size: int = FEATURE_BATCH_SIZE,
        feature_cache: str | None = "auto",
        train_fold: str | None = None,
        without_fold: str | None = None,
        fold_seed: int = 0,
        calibration_share: float = 0.0,
        subgroups: list[str] | str | None = AUTO,
        folds: int | None = None,
        fold: int | None = None,
        labels: str | None = None,
        layout: str | None = None,
        random_start: bool = False,
        frame_cache: str | None = None,
        frame_cache_gigabytes: float = GIGABYTES,
    ) -> None:
        self._jobs: list[LightningDataModule] = []
        super().__init__()
        check_options(
            frames, masks, image_size, random_start, batch_size=batch_size, num_workers=num_workers,
            feature_batch_size=feature_batch_size, limit=limit, max_excluded=max_excluded, fps=fps,
            fold_seed=fold_seed, calibration_share=calibration_share, folds=folds, fold=fold,
            frame_cache_gigabytes=frame_cache_gigabytes,
        )  # fmt: skip
        if labels is not None and root is not None:
            raise ConfigurationError(
                f"data.labels {labels} and data.root {root} are both given: choose one"
            )
        root = root if labels is None else labels
        if labels is not None and not expanded(labels).is_file():
            raise DatasetError(f"data.labels: {labels} is no file")
        self.frames = list(frames)
        self.remove_artifacts = remove_artifacts
        self.masks = masks
        self.keyframes = keyframes
        self.videos = videos
        self.labelled: KeyFrameDataModule | MaskedClipDataModule
        if masks:
            if train_fold or without_fold or calibration_share or folds or fold:
                raise ConfigurationError(
                    "data.train_fold, without_fold, folds and calibration_share are for models of "
                    "EF: an LV segmenter learns from all of TRAIN and calibrates nothing"
                )
            if frame_cache is not None:
                raise ConfigurationError(
                    "data.frame_cache is for models of EF: an LV segmenter sees other frames each "
                    "time"
                )
            if subgroups not in (None, AUTO):
                raise ConfigurationError(
                    "data.subgroups is for models of EF: an LV segmenter states none"
                )
            self.labelled = MaskedClipDataModule(
                root, batch_size, num_workers, image_size, augmentation, balanced, limit,
                max_excluded, check_videos, layout,
            )  # fmt: skip
        else:
            self.labelled = KeyFrameDataModule(
                root, frames, batch_size, num_workers, image_size, remove_artifacts, augmentation,
                balanced, limit, max_excluded, check_videos, feature_batch_size, feature_cache,
                train_fold, without_fold, fold_seed, calibration_share, subgroups, folds, fold,
                layout, random_start, frame_cache, frame_cache_gigabytes,
            )  # fmt: skip
        self.new = None if videos is None else NewClipsDataModule(
            videos, None if masks else frames, batch_size, num_workers, image_size,
            remove_artifacts, keyframes, fps, segmenter, save_overlays,
        )  # fmt: skip
        self._jobs = [self.labelled] if self.new is None else [self.labelled, self.new]
        self.prepare_data_per_node = False
        self._job: LightningDataModule = self.labelled

    def __getattr__(self, name: str) -> Any:
        """Ask the data module of the job for what this one does not have itself."""
        if name.startswith("__") or "_job" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._job, name)

    @property
    def trainer(self) -> Any:
        """The trainer, which the data modules of the jobs know, too."""
        return self.__dict__.get("_trainer")

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        self.__dict__["_trainer"] = trainer
        for job in self._jobs:
            job.trainer = trainer

    @property
    def feature_cache(self) -> str | None:
        """Folder where features are kept, of whatever computes any."""
        return getattr(self.labelled, "feature_cache", None)

    @feature_cache.setter
    def feature_cache(self, folder: str | None) -> None:
        if isinstance(self.labelled, KeyFrameDataModule):
            self.labelled.feature_cache = folder

    @property
    def key(self) -> Path | None:
        """See `NewClipsDataModule`."""
        return None if self.new is None else self.new.key

    @key.setter
    def key(self, key: Path | None) -> None:
        if self.new is not None:
            self.new.key = key

    def prepare_data(self) -> None:
        """See that there are new videos; find key frames of listed clips that are not known yet.

        The first process does so, while the others wait.
        """
        fits = self.trainer is not None and self.trainer.state.fn == "fit"
        if fits and self.labelled.root is not None:
            complete(Path(self.labelled.root), self.labelled.layout, self.labelled.frames)
        if self.new is not None and (self.trainer is None or self.trainer.predicting):
            self.new.prepare_data()

    def setup(self, stage: str) -> None:
        """Read the table of the job, once.

        Raises:
            DatasetError: The folder or the videos cannot be used.
            ConfigurationError: There is nothing to read from.
        """
        new = self.new if stage == "predict" else None
        if new is None and self.keyframes is not None:
            raise ConfigurationError("--data.keyframes is for new videos: give --data.videos too")
        self._job = new or self.labelled
        self._job.setup(stage)

    def teardown(self, stage: str) -> None:
        """Let the next fit begin at its beginning."""
        self._job.teardown(stage)

    def state_dict(self) -> dict[str, Any]:
        """Return what the random numbers of a fit that goes on from here depend on."""
        return self._job.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was written."""
        self._job.load_state_dict(state_dict)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return batches of TRAIN."""
        return self.labelled.train_dataloader()

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches of VAL."""
        return self.labelled.val_dataloader()

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches of TEST."""
        return self.labelled.test_dataloader()

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of the new videos that can be used, or else of TEST."""
        loader: DataLoader[Any] = self._job.predict_dataloader()
        return loader

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Bring a batch to the device."""
        return self._job.transfer_batch_to_device(batch, device, dataloader_idx)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Seed what is drawn for a training batch."""
        return self._job.on_before_batch_transfer(batch, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on the device."""
        return self._job.on_after_batch_transfer(batch, dataloader_idx)
