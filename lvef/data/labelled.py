"""What data modules of a labelled folder share: its splits, their order, where a fit goes on."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from lvef.cardiac import PICTURE_SIZE
from lvef.data.dataset import refuse_failures
from lvef.data.folds import Folds
from lvef.data.layouts import MAX_EXCLUDED, ExcludedError, LabelFolder, read_labels
from lvef.data.loaders import decoding_loader, without_unreadable, workers_of
from lvef.data.names import expanded
from lvef.data.options import BATCH_SIZE
from lvef.data.order import EpochOrder, class_weights, reseed
from lvef.data.phantom_folder import is_phantom
from lvef.data.subgroups import Asked, Groups, check_groups, groups_of
from lvef.data.transforms import Augmentation
from lvef.errors import ConfigurationError, DatasetError
from lvef.files import write_csv
from lvef.run_files import EXCLUDED


class LabelledDataModule(LightningDataModule):
    """The TRAIN, VAL and TEST splits of a labelled folder; a subclass says what a case is.

    Args:
        root: The folder.
        batch_size: Cases a batch, on each device.
        num_workers: Processes that decode for each device; by default the cores are shared out,
            8 at most.
        image_size: Height and width of a frame in pixels.
        augmentation: Changes made to training batches on the device; None for none.
        balanced: Draw reduced and normal cases equally often in training.
        limit: Use only the first so many videos of each split, for a quick look.
        max_excluded: Share of unusable videos above which a run stops.
        check_videos: Decode every video's key frames, all three, once at the start and set the
            unreadable aside.
        folds: Which cases of TRAIN a fit learns from, and which of VAL are kept for calibration.
        subgroups: Columns of the folder's list whose groups `test` looks at: auto for those that
            are usual, None for none; see `lvef.data.subgroups`.
        layout: Name of the folder's layout; by default what lies in it tells.

    Attributes:
        folder: The folder, once it was read, without cases that lack one of `frames`.
        frames: Key frames that a case consists of; none where it consists of none.
        table: Its usable videos, a row each; of TRAIN, those that a fit learns from.
        train_part: What a checkpoint says of these, see `Folds.facts`.
        calibration_rows: Rows of VAL that alone calibrate; none where all of VAL do.
        videos: New clips in place of the folder: none.
    """

    videos: ClassVar[None] = None
    frames: Sequence[str] = ()
    draws_seeds: bool = False
    """Whether a training case comes with the seed of what its data set draws for it."""

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = BATCH_SIZE,
        num_workers: int | None = None,
        image_size: int = PICTURE_SIZE,
        augmentation: Augmentation | None = None,
        balanced: bool = False,
        limit: int | None = None,
        max_excluded: float = MAX_EXCLUDED,
        check_videos: bool = False,
        folds: Folds = Folds(),  # noqa: B008
        subgroups: Asked = None,
        layout: str | None = None,
    ) -> None:
        super().__init__()
        self.root = None if root is None else str(expanded(root))
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.image_size = image_size
        self.augmentation = augmentation
        self.balanced = balanced
        self.limit = limit
        self.max_excluded = max_excluded
        self.check_videos = check_videos
        self.folds = folds
        self.subgroups = subgroups
        self.layout = layout
        self.train_part: dict[str, Any] = {}
        self.calibration_rows = np.empty(0, np.int64)
        self.folder: LabelFolder | None = None
        self.table = pd.DataFrame()
        self._seed: int | None = None
        self._resumed = (0, 0)  # the epoch of a checkpoint, and the cases of it that were had

    @abstractmethod
    def dataset(self, rows: pd.DataFrame, training: bool) -> Dataset[Any]:
        """Return the cases of rows of the table."""

    @property
    def is_phantom(self) -> bool:
        """Whether the folder holds phantoms, of which no figure says anything about patients."""
        if self.folder is not None:
            return self.folder.is_phantom
        return self.root is not None and is_phantom(self.root)

    def setup(self, stage: str) -> None:
        """Read the table, once.

        Raises:
            DatasetError: The folder cannot be used.
            ConfigurationError: There is no folder.
        """
        if self.folder is not None:
            return
        if self.root is None:
            raise ConfigurationError(
                "no data: give an EchoNet folder with --data.root DIR"
                + (" or videos with --data.videos PATH" if stage == "predict" else "")
            )
        try:
            self.folder = read_labels(self.root, self.max_excluded, self.layout)
            self.folder.check_views(self.frames)
            if self.check_videos:
                self.folder = without_unreadable(
                    self.folder, self.image_size, self._workers(), self.max_excluded, self.frames
                )
        except ExcludedError as error:
            path = self._write_excluded(error.folder)
            raise DatasetError(
                f"{error}" + (f"; they are listed in {path}" if path else "")
            ) from error
        dealt = self.folds.dealt(self.folder.table)  # whatever frames are asked for
        self.folder = replace(self.folder, table=dealt).for_frames(self.frames)
        rank_zero_info(self.folder.summary())
        self._write_excluded(self.folder)
        self.table = self._parted(self.folder.table)
        check_groups(self.table[self.table["split"] == "TEST"], self.subgroups)

    def _parted(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that take part, and keep what is said of them."""
        train = table[table["split"] == "TRAIN"]
        table = table.drop(index=train.index[~self.folds.learns_from(train)])
        if self.limit is not None:
            table = table.groupby("split", sort=False).head(self.limit)
        learned, val = int((table["split"] == "TRAIN").sum()), table[table["split"] == "VAL"]
        self.train_part = self.folds.facts(train, learned)
        if len(val):
            # A copy, as what pandas lends may not be written to, of which PyTorch warns.
            rows = val.index[self.folds.calibrates(val)]
            self.calibration_rows = rows.to_numpy(np.int64, copy=True)
        if learned < len(train):
            rank_zero_info(f"  {learned:,} cases of TRAIN take part")
        if len(self.calibration_rows):
            rank_zero_info(
                f"  {len(self.calibration_rows):,} of {len(val):,} cases of VAL calibrate, and the "
                "others choose the epoch"
            )
        return table

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
            "cases": batches * self.training_batch_size(),
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

    def groups(self, rows: NDArray[np.int64]) -> list[Groups]:
        """Return the groups that cases fall into, given their rows of the table."""
        return groups_of(self.table.loc[rows], self.subgroups)

    def training_batch_size(self) -> int:
        """Return how many cases a training batch holds."""
        return self.batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled or class-balanced batches of TRAIN.

        Raises:
            ConfigurationError: A batch would hold a single case, from which batch norm cannot
                learn.
        """
        rows = self.split("TRAIN")
        batch_size = self.training_batch_size()
        share = math.ceil(len(rows) / (self.trainer.world_size if self.trainer else 1))
        task = self.trainer.lightning_module if self.trainer else None
        if min(share, batch_size) < getattr(task, "smallest_batch", 2):
            raise ConfigurationError(
                f"training needs at least two cases a batch, but TRAIN gives {share} to a process "
                f"and the batch size is {batch_size}"
            )
        return self.loader(rows, self._order(rows), drop_last=share > batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches of VAL."""
        return self.loader(self.split("VAL"))

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches of TEST."""
        return self.loader(self.split("TEST"))

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of TEST."""
        return self.loader(self.split("TEST"))

    def loader(
        self, rows: pd.DataFrame, order: Sampler[Any] | None = None, drop_last: bool = False
    ) -> DataLoader[Any]:
        """Return batches of rows of the table.

        Args:
            rows: The rows.
            order: In which they are trained on; None where they are not.
            drop_last: Leave out a last batch that is not full.
        """
        dataset = self.dataset(rows, training=order is not None)
        return decoding_loader(dataset, self.batch_size, self._workers(), order, drop_last)

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
        if self.trainer is not None and self.trainer.training and self.augmentation is not None:
            return self.augmented(batch)
        return batch

    @abstractmethod
    def augmented(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a training batch after `augmentation`."""

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
            seeds=self.draws_seeds,
        )

    def _workers(self) -> int:
        return workers_of(self.num_workers, self.trainer)

    def _write_excluded(self, folder: LabelFolder) -> Path | None:
        """List what was set aside in the log folder, when there is a run to log."""
        log_dir = self.trainer.log_dir if self.trainer is not None else None
        if log_dir is None:
            return None
        path = Path(log_dir) / EXCLUDED
        if self.trainer is not None and self.trainer.is_global_zero:
            write_csv(path, folder.set_aside)
        return path
