"""The data module of EF tasks: frames of a labelled folder, or features computed of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from lvef.cardiac import PICTURE_SIZE
from lvef.data.dataset import KeyFrameDataset
from lvef.data.features import FeatureCache, Request, compute, feature_loader
from lvef.data.folds import Folds
from lvef.data.frame_cache import GIGABYTES, FrameCache
from lvef.data.labelled import LabelledDataModule
from lvef.data.layouts import MAX_EXCLUDED
from lvef.data.loaders import decoding_loader
from lvef.data.names import expanded
from lvef.data.options import BATCH_SIZE, FEATURE_BATCH_SIZE, check_options
from lvef.data.subgroups import AUTO
from lvef.data.transforms import Augmentation, augmented_views


class KeyFrameDataModule(LabelledDataModule):
    """Key frames or whole clips of a labelled folder, decoded on the fly.

    A batch is a dict: `frames` uint8 `(B, F, 3, H, W)` in the order of `frames` (float in 0..1
    once augmented), `ef_true` float32 `(B,)` percent, `reduced_true` int64 `(B,)`, `row` int64
    `(B,)`. Once `compute_features` ran, TRAIN and VAL of that fit have `features` float32
    `(B, F * d)` in place of `frames`.

    Args:
        root: The folder.
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
        layout: Name of the folder's layout; by default what lies in it tells.
        random_start: Begin whole clips of TRAIN anywhere in their videos, not at ED.
        frame_cache: Folder where key frames are kept once they are decoded, for later epochs and
            runs; null decodes them each time.
        frame_cache_gigabytes: What that folder may take; frames unused for longest go first.
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
        feature_batch_size: int = FEATURE_BATCH_SIZE,
        feature_cache: str | None = "auto",
        train_fold: str | None = None,
        without_fold: str | None = None,
        fold_seed: int = 0,
        calibration_share: float = 0.0,
        subgroups: list[str] | str | None = AUTO,
        folds: int | None = None,
        fold: int | None = None,
        layout: str | None = None,
        random_start: bool = False,
        frame_cache: str | None = None,
        frame_cache_gigabytes: float = GIGABYTES,
    ) -> None:
        check_options(
            frames, False, image_size, random_start, batch_size=batch_size, num_workers=num_workers,
            feature_batch_size=feature_batch_size, limit=limit, max_excluded=max_excluded,
            fold_seed=fold_seed, calibration_share=calibration_share, folds=folds, fold=fold,
            frame_cache_gigabytes=frame_cache_gigabytes,
        )  # fmt: skip
        super().__init__(
            root, batch_size, num_workers, image_size, augmentation, balanced, limit,
            max_excluded, check_videos,
            Folds(train_fold, without_fold, fold_seed, calibration_share, folds, fold), subgroups,
            layout,
        )  # fmt: skip
        self.frames = list(frames)
        self.remove_artifacts = remove_artifacts
        self.draws_seeds = random_start
        self.feature_batch_size = feature_batch_size
        self.feature_cache = feature_cache
        self.frame_cache = None if frame_cache is None else str(expanded(frame_cache))
        self.frame_cache_gigabytes = frame_cache_gigabytes
        self._features: dict[str, Tensor] = {}

    def setup(self, stage: str) -> None:
        """Read the table, once; the features of an earlier fit are forgotten.

        Raises:
            OutputError: The folder of kept frames cannot be written.
            DatasetError: The folder of clips cannot be used.
        """
        self._features = {}
        frames_kept = self._frame_cache()
        if frames_kept is not None:
            frames_kept.open()  # before the labels are read, which may take long
        super().setup(stage)

    def dataset(self, rows: pd.DataFrame, training: bool) -> KeyFrameDataset:
        """Return the key frames of rows of the table."""
        return self._frames_of(rows, self.frames)

    def augmented(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch with augmented frames; features stay as they are."""
        if self.augmentation is not None and "frames" in batch:
            batch["frames"] = augmented_views(self.augmentation, batch["frames"], self.frames)
        return batch

    def compute_features(
        self,
        extract: Callable[[Tensor], Tensor],
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
        if self.augmentation is not None or self.draws_seeds:
            as_they_are = "unaugmented" + (", of clips that begin at ED" * self.draws_seeds)
            rank_zero_info(
                f"The backbone is frozen: its features are computed once, {as_they_are}."
            )
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

    def feature_table(self, split: str) -> tuple[Tensor, Tensor]:
        """Return features `(n, F * d)` and EF `(n,)` of a split that `compute_features` ran on."""
        ef = torch.as_tensor(self.split(split)["ef_true"].to_numpy(np.float32))
        return self._features[split], ef

    def training_batch_size(self) -> int:
        """Return how many cases a training batch holds."""
        return self.batch_size if self._ready("TRAIN") is None else self.feature_batch_size

    def loader(
        self, rows: pd.DataFrame, order: Sampler[Any] | None = None, drop_last: bool = False
    ) -> DataLoader[Any]:
        """Return batches of rows of the table: of features where this fit has them.

        Args:
            rows: A whole split.
            order: In which they are trained on; None where they are not.
            drop_last: Leave out a last batch that is not full.
        """
        features = self._ready(str(rows["split"].iloc[0]))
        if features is None:
            return super().loader(rows, order, drop_last)
        return feature_loader(rows, features, self.feature_batch_size, order, drop_last)

    def _frames_loader(self, rows: pd.DataFrame, frames: Sequence[str]) -> DataLoader[Any]:
        return decoding_loader(self._frames_of(rows, frames), self.batch_size, self._workers())

    def _frames_of(self, rows: pd.DataFrame, frames: Sequence[str]) -> KeyFrameDataset:
        return KeyFrameDataset(
            rows, frames, self.image_size, self.remove_artifacts, cache=self._frame_cache()
        )

    def _frame_cache(self) -> FrameCache | None:
        if self.frame_cache is None:
            return None
        return FrameCache(self.frame_cache, self.frame_cache_gigabytes)

    def _ready(self, split: str) -> Tensor | None:
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
