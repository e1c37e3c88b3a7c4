"""The data module of LV segmenters: short clips of a labelled folder, with masks."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd

from lvef.cardiac import PICTURE_SIZE
from lvef.data.clips import ClipDataset
from lvef.data.labelled import LabelledDataModule
from lvef.data.layouts import MAX_EXCLUDED
from lvef.data.options import BATCH_SIZE, check_options
from lvef.data.transforms import Augmentation, ClipAugmentation


class MaskedClipDataModule(LabelledDataModule):
    """Short clips with LV masks of a labelled folder; see `ClipDataset` for a batch.

    Args:
        root: The folder.
        batch_size: Cases a batch, on each device.
        num_workers: Processes that decode for each device; by default the cores are shared out,
            8 at most.
        image_size: Height and width of a frame in pixels, a multiple of 16.
        augmentation: Changes made to training clips and their masks on the device; null for none.
        balanced: Draw reduced and normal cases equally often in training.
        limit: Use only the first so many videos of each split, for a quick look.
        max_excluded: Share of unusable videos above which a run stops.
        check_videos: Decode every video's key frames, all three, once at the start and set the
            unreadable aside.
        layout: Name of the folder's layout; by default what lies in it tells.
    """

    draws_seeds = True
    remove_artifacts: ClassVar[bool] = False

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
        layout: str | None = None,
    ) -> None:
        check_options(
            None, True, image_size=image_size, batch_size=batch_size, num_workers=num_workers,
            limit=limit, max_excluded=max_excluded,
        )  # fmt: skip
        super().__init__(
            root, batch_size, num_workers, image_size, augmentation, balanced, limit,
            max_excluded, check_videos, layout=layout,
        )  # fmt: skip

    def dataset(self, rows: pd.DataFrame, training: bool) -> ClipDataset:
        """Return windows of rows of the table; in training another one each time."""
        assert self.folder is not None
        return ClipDataset(self.folder, rows, self.image_size, training)

    def augmented(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch whose clips and masks moved alike."""
        if isinstance(self.augmentation, ClipAugmentation) and "clip" in batch:
            return self.augmentation.clips(batch)
        return batch
