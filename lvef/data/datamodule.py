"""The data module every task shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from lvef.data.clips import ClipDataset
from lvef.data.dataset import KeyFrameDataset, prepare_for_workers, refuse_failures
from lvef.data.echonet import EchoNetFolder, ExcludedError, read_echonet
from lvef.data.features import (
    FeatureCache,
    Request,
    compute,
    feature_loader,
)
from lvef.data.loaders import decoding_loader, without_unreadable
from lvef.data.names import expanded
from lvef.data.options import check_options, default_workers
from lvef.data.order import EpochOrder, class_weights, reseed
from lvef.data.transforms import Augmentation, ClipAugmentation
from lvef.errors import ConfigurationError, DatasetError
from lvef.files import write_csv
from lvef.predict.video_table import Finder, video_table

JOURNAL = "found.csv"
"""What was found of new videos, a row a beat, in the log folder as soon as it is known."""


class EchoNetDataModule(LightningDataModule):
    """Key frames of an EchoNet-Dynamic folder, or of new videos, decoded on the fly.

    A batch is a dict: `frames` uint8 `(B, F, 3, H, W)` in the order of `frames` (float in 0..1
    once augmented), `ef` float32 `(B,)` percent, `reduced` int64 `(B,)`, `row` int64 `(B,)`.

    Args:
        root: EchoNet-Dynamic folder (FileList.csv, VolumeTracings.csv, Videos/).
        frames: Frames a case consists of, in this order: any of EDF, ESF, MF.
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
            MP4 and DICOM clips. Their beats are found.
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
    """

    def __init__(
        self,
        root: str | None = None,
        frames: list[str] = ["ESF"],  # noqa: B006 (jsonargparse shows and copies it)
        batch_size: int = 32,
        num_workers: int | None = None,
        image_size: int = 112,
        remove_artifacts: bool = True,
        augmentation: Augmentation | None = None,
        balanced: bool = False,
        limit: int | None = None,
        max_excluded: float = 0.05,
        check_videos: bool = False,
        videos: str | None = None,
        keyframes: str | None = None,
        fps: float | None = None,
        segmenter: str = "shipped",
        save_overlays: bool = False,
        masks: bool = False,
        feature_batch_size: int = 256,
        feature_cache: str | None = "auto",
    ) -> None:
        super().__init__()
        check_options(
            frames, masks, image_size=image_size, batch_size=batch_size, num_workers=num_workers,
            feature_batch_size=feature_batch_size, limit=limit, max_excluded=max_excluded, fps=fps,
        )  # fmt: skip
        self.root = None if root is None else str(expanded(root))
        self.frames = list(frames)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.image_size = image_size
        self.remove_artifacts = remove_artifacts
        self.augmentation = augmentation
        self.balanced = balanced
        self.limit = limit
        self.max_excluded = max_excluded
        self.check_videos = check_videos
        self.videos = videos
        self.keyframes = keyframes
        self.fps = fps
        self.segmenter = segmenter
        self.save_overlays = save_overlays
        self.finder: Finder | None = None  # set by the command line: nothing here knows a model
        self.key: Path | None = None  # to the numbers that clips are named by; set likewise
        self.run_folder: Callable[[], Path | None] = lambda: None  # set likewise
        self.masks = masks
        self.feature_batch_size = feature_batch_size
        self.feature_cache = feature_cache
        self._features: dict[str, torch.Tensor] = {}
        self.folder: EchoNetFolder | None = None
        self.table = pd.DataFrame()
        self._seed: int | None = None
        self._resumed = (0, 0)  # the epoch of a checkpoint, and the cases of it that were had

    @property
    def is_phantom(self) -> bool:
        """Whether the folder holds phantoms, of which no figure says anything about patients."""
        return self.root is not None and (Path(self.root) / "phantom.json").is_file()

    def setup(self, stage: str) -> None:
        """Read the table, once.

        Raises:
            DatasetError: The folder or the videos cannot be used.
            ConfigurationError: There is nothing to read from.
        """
        self._features = {}
        if stage == "predict" and self.videos is not None:
            bar = partial(tqdm, desc="finding beats", unit="clip", disable=self.finder is None)
            prepare_for_workers()
            folder = self.run_folder() if self.finder is not None else None
            journal = None if folder is None else folder / JOURNAL
            self.table = video_table(
                self.videos, self.keyframes, self.finder, bar, journal, self.key
            )
            return
        if self.keyframes is not None:
            raise ConfigurationError("--data.keyframes is for new videos: give --data.videos too")
        if self.folder is not None:
            return
        if self.root is None:
            raise ConfigurationError(
                "no data: give an EchoNet folder with --data.root DIR"
                + (" or videos with --data.videos PATH" if stage == "predict" else "")
            )
        try:
            self.folder = read_echonet(self.root, self.max_excluded)
            if self.check_videos:
                self.folder = without_unreadable(
                    self.folder, self.image_size, self._workers(), self.max_excluded
                )
        except ExcludedError as error:
            path = self._write_excluded(error.folder)
            raise DatasetError(
                f"{error}" + (f"; they are listed in {path}" if path else "")
            ) from error
        rank_zero_info(self.folder.summary())
        self._write_excluded(self.folder)
        self.table = self.folder.table
        if self.limit is not None:
            self.table = self.table.groupby("split", sort=False).head(self.limit)

    def state_dict(self) -> dict[str, Any]:
        """Return what the random numbers of a fit that goes on from here depend on."""
        if self.trainer is None or self.trainer.state.fn != "fit":
            return {}
        loop: Any = self.trainer.fit_loop
        epoch = loop.epoch_progress.current
        amid = epoch.started > epoch.processed
        batches = loop.epoch_loop.batch_progress.current.ready if amid else 0
        return {
            "seed": self.seed(),
            "epoch": epoch.processed,
            "cases": batches * self._training_batch_size(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was written."""
        self._seed = state_dict.get("seed")
        self._resumed = state_dict.get("epoch", 0), state_dict.get("cases", 0)

    def teardown(self, stage: str) -> None:
        """Let the next fit begin at its beginning."""
        self._resumed = (0, 0)

    def seed(self) -> int:
        """Return the seed of this fit: that of its checkpoint, or of the first process."""
        if self._seed is None:
            own = torch.initial_seed() % 2**63
            self._seed = own if self.trainer is None else self.trainer.strategy.broadcast(own)
        return self._seed

    def split(self, name: str) -> pd.DataFrame:
        """Return the rows of one split: TRAIN, VAL or TEST.

        Raises:
            ConfigurationError: It is empty.
        """
        rows = self.table[self.table["split"] == name]
        if rows.empty:
            raise ConfigurationError(f"{self.root}: no usable video in the {name} split")
        return rows

    def compute_features(
        self,
        extract: Callable[[torch.Tensor], torch.Tensor],
        fingerprint: str,
        device: torch.device,
    ) -> None:
        """Run a frozen backbone once over TRAIN and VAL; batches of this fit carry `features`.

        Args:
            extract: Returns `(B, F * d)` features of frames `(B, F, 3, H, W)`.
            fingerprint: Changes whenever `extract` does.
            device: Where it runs.

        Raises:
            VideoError: A video cannot be read.
        """
        assert self.trainer is not None
        if self.augmentation is not None:
            rank_zero_info("The backbone is frozen: its features are computed once, unaugmented.")
        cache = FeatureCache(self._cache_folder())
        for name in ("TRAIN", "VAL"):
            request = Request(
                self.split(name), self.frames, self.image_size, self.remove_artifacts, fingerprint
            )
            self._features[name] = compute(
                request, extract, cache, self._frames_loader, self.trainer, device, name
            )

    @property
    def has_features(self) -> bool:
        """Whether `compute_features` ran in this fit."""
        return bool(self._features)

    def feature_table(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features `(n, F * d)` and EF `(n,)` of a split that `compute_features` ran on."""
        ef = torch.as_tensor(self.split(split)["ef_true"].to_numpy(np.float32))
        return self._features[split], ef

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled or class-balanced batches of TRAIN.

        Raises:
            ConfigurationError: A batch would hold a single case, from which batch norm cannot
                learn.
        """
        rows = self.split("TRAIN")
        features = self._ready("TRAIN")
        batch_size = self._training_batch_size()
        share = math.ceil(len(rows) / (self.trainer.world_size if self.trainer else 1))
        task = self.trainer.lightning_module if self.trainer else None
        if min(share, batch_size) < getattr(task, "smallest_batch", 2):
            raise ConfigurationError(
                f"training needs at least two cases a batch, but TRAIN gives {share} to a process "
                f"and the batch size is {batch_size}"
            )
        order = self._order(rows)
        drop_last = share > batch_size
        if features is not None:
            return feature_loader(rows, features, batch_size, order, drop_last)
        return self._loader(rows, sampler=order, drop_last=drop_last)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches of VAL."""
        features = self._ready("VAL")
        if features is not None:
            return feature_loader(self.split("VAL"), features, self.feature_batch_size)
        return self._loader(self.split("VAL"))

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches of TEST."""
        return self._loader(self.split("TEST"))

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of the new videos that can be used, or else of TEST."""
        if self.videos is None:
            return self._loader(self.split("TEST"))
        usable = self.table[self.table["reason"] == ""]
        # A segmenter has said all there is to say when the beats were found.
        return self._loader(usable.iloc[:0] if self.masks else usable, crop=True)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Seed what is drawn for a training batch: augmentation and dropout."""
        if self.trainer is not None and self.trainer.training:
            number = self.trainer.fit_loop.epoch_loop.batch_idx + 1
            reseed(self.seed(), self.trainer.current_epoch, number, self.trainer.global_rank)
        return batch

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> Any:
        """Augment training batches on the device.

        Raises:
            VideoError: A video cannot be read, and this is not predict.
        """
        if not (self.trainer is not None and self.trainer.predicting):
            refuse_failures(batch)
        training = self.trainer is not None and self.trainer.training
        if training and self.augmentation is not None and "frames" in batch:
            batch["frames"] = self.augmentation(batch["frames"])
        if training and isinstance(self.augmentation, ClipAugmentation) and "clip" in batch:
            return self.augmentation.clips(batch)
        return batch

    def _order(self, rows: pd.DataFrame) -> EpochOrder:
        """Return the order of training cases, from the epoch that this fit has come to."""
        epoch, done = self._resumed
        shared: dict[str, Any] = {}
        if self.trainer is not None:
            shared = self.trainer.distributed_sampler_kwargs or {}
            # Zero as long as a checkpoint's progress is not restored, which comes later.
            loop: Any = self.trainer.fit_loop
            reached = loop.epoch_progress.current.processed
            epoch, done = (epoch, done) if reached in (0, epoch) else (reached, 0)
        return EpochOrder(
            len(rows),
            self.seed(),
            class_weights(rows) if self.balanced else None,
            processes=shared.get("num_replicas", 1),
            process=shared.get("rank", 0),
            epoch=epoch,
            done=done,
            seeds=self.masks,
        )

    def _training_batch_size(self) -> int:
        return self.batch_size if self._ready("TRAIN") is None else self.feature_batch_size

    def _loader(
        self,
        rows: pd.DataFrame,
        sampler: Sampler[Any] | None = None,
        drop_last: bool = False,
        frames: Sequence[str] | None = None,
        crop: bool = False,
    ) -> DataLoader[Any]:
        dataset: Dataset[Any] = KeyFrameDataset(
            rows, frames or self.frames, self.image_size, self.remove_artifacts, crop
        )
        if self.masks and not crop:
            assert self.folder is not None
            dataset = ClipDataset(self.folder, rows, self.image_size, training=sampler is not None)
        return decoding_loader(dataset, self.batch_size, self._workers(), sampler, drop_last)

    def _frames_loader(self, rows: pd.DataFrame, frames: Sequence[str]) -> DataLoader[Any]:
        return self._loader(rows, frames=frames)

    def _ready(self, split: str) -> torch.Tensor | None:
        """Return the features of a split, in the fit that they were computed for and no other."""
        fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        return self._features.get(split) if fitting else None

    def _cache_folder(self) -> Path | None:
        if self.feature_cache != "auto":
            return None if self.feature_cache is None else Path(self.feature_cache)
        if self.trainer is None:
            return None
        logger = self.trainer.logger
        beside = logger.save_dir if logger is not None else None
        return Path(beside or self.trainer.default_root_dir) / "features"

    def _workers(self) -> int:
        """Return how many processes decode for this one."""
        if self.num_workers is not None:
            return self.num_workers
        sharing = self.trainer.num_devices if self.trainer is not None else 1
        return max(1, default_workers() // max(1, sharing))

    def _write_excluded(self, folder: EchoNetFolder) -> Path | None:
        """List what was set aside in the log folder, when there is a run to log."""
        log_dir = self.trainer.log_dir if self.trainer is not None else None
        if log_dir is None:
            return None
        path = Path(log_dir) / "excluded.csv"
        if self.trainer is not None and self.trainer.is_global_zero:
            write_csv(path, folder.excluded)
        return path
