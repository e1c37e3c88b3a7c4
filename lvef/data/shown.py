"""Pictures of cases as they may be shown: as a model sees them, without text beside the sector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, zeros_like

from lvef.cardiac import survey
from lvef.data.dataset import KeyFrameDataset
from lvef.data.sector import NOT_BLANKED, SHOWN_LOOKS, shown_sector
from lvef.data.slots import View
from lvef.errors import VideoError


def case_sector(dataset: KeyFrameDataset, item: int) -> NDArray[np.bool_] | None:
    """Return what may be shown of a case's frames.

    Args:
        dataset: Knows how a model sees the case. What it saw already stays as it was.
        item: Which case.

    Returns:
        `(F, S, S)` mask of the frames that a model sees, the same for those of a clip; None where
        no sector can be told from the rest, and for a clip that cannot be read.
    """
    dataset[item]  # models find the sector from the first look
    masks: dict[int, NDArray[np.bool_]] = {}
    for view, slots in dataset.slots.items():
        sector = _clip_sector(dataset, item, view)
        if sector is None:
            return None
        masks.update(dict.fromkeys(slots, sector))
    return np.stack([masks[slot] for slot in sorted(masks)])


def _clip_sector(dataset: KeyFrameDataset, item: int, view: View) -> NDArray[np.bool_] | None:
    spread = survey(dataset.count(item, view), SHOWN_LOOKS, each_once=True)
    try:
        looks = dataset.look(item, spread.tolist(), view)
    except VideoError:
        return None
    return shown_sector(looks.numpy().max(axis=1))


def shown_frames(dataset: KeyFrameDataset, item: int) -> Tensor | None:
    """Return a case's key frames as they may be shown, uint8 `(F, 3, S, S)`.

    They are black where no sector can be told from the rest; None where they cannot be read.
    """
    frames = dataset[item].get("frames")
    if frames is None:
        return None
    sector = case_sector(dataset, item)
    return zeros_like(frames) if sector is None else frames * frames.new_tensor(sector[:, None])


def picture_name(name: str, sector: NDArray[np.bool_] | None) -> str:
    """Return the name of a picture of one case; it tells where text could not be removed."""
    return name if sector is not None else f"{name}.{NOT_BLANKED}"
