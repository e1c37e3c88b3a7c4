"""Key frames of new clips, in batches, as a model of EF sees them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from torch.utils.data import DataLoader

from lvef.data.dataset import KeyFrameDataset
from lvef.data.loaders import decoding_loader
from lvef.data.views import FrameOptions


def key_frame_batches(
    table: pd.DataFrame, seen: FrameOptions, batch_size: int, workers: int
) -> DataLoader[Any]:
    """Return batches of the beats of new clips that can be used.

    Args:
        table: See `video_table`.
        seen: As what a model sees them.
        batch_size: Cases a batch.
        workers: Processes that decode what was not kept; none decodes here.
    """
    usable = table[table["reason"] == ""]
    options = (seen.frames, seen.image_size, seen.remove_artifacts)
    return decoding_loader(KeyFrameDataset(usable, *options, crop=True), batch_size, workers)
