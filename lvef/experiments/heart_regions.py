"""Where the parts of the heart lie in a frame, as a phantom or a reader's tracing knows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lvef.cardiac import polygon_mask, survey
from lvef.data.formats import read_frames
from lvef.data.layouts import LabelFolder
from lvef.data.sector import find_sector
from lvef.data.slots import A2C, FRAME_COLUMNS, view_of
from lvef.experiments.saliency_report import OUTSIDE
from lvef.phantom import open_phantom
from lvef.phantom.regions import phantom_regions

Mask = NDArray[np.bool_]
_BORDER = 3


def heart_regions(
    folder: LabelFolder, row: Any, frames: list[str], size: int
) -> list[dict[str, Mask]]:
    """Return what is known of the heart's parts, for each frame of a case."""
    clip = open_phantom(folder.root, row["video"])
    regions: list[dict[str, Mask]] = []
    for name in frames:
        number = int(row[FRAME_COLUMNS[name]])
        if view_of(name) == A2C:
            regions.append({})  # its heart is not told by the truth of the four-chamber clip
            continue
        if clip is not None:
            masks = phantom_regions(clip, number)
        elif name == "MF":
            masks = {}  # nobody traces it
        else:
            masks = _traced(folder, row, number)
        if clip is not None:
            parts = [m for n, m in masks.items() if n not in ("rest_of_sector", OUTSIDE)]
            masks["heart"] = np.logical_or.reduce(parts)
        regions.append({n: _resized(mask, size) for n, mask in masks.items()})
    return regions


def _traced(folder: LabelFolder, row: Any, frame: int) -> dict[str, Mask]:
    spread = survey(int(row["num_frames"]), each_once=True)
    sector = find_sector(read_frames(row["path"], spread.tolist()))
    height, width = sector.shape
    side = max(height, width)  # as `to_square` pads it
    margin = np.array([(side - width) // 2, (side - height) // 2])
    cavity = polygon_mask(folder.contour(row["video"], frame, (height, width)) + margin, side, side)
    distance = np.where(cavity, distance_transform_edt(cavity), distance_transform_edt(~cavity))
    outside = np.ones((side, side), dtype=bool)
    outside[margin[1] : margin[1] + height, margin[0] : margin[0] + width] = ~sector
    heart = cavity | (distance <= _BORDER)
    return {
        "lv_cavity": cavity,
        "endocardium": distance <= _BORDER,
        "rest_of_sector": ~heart & ~outside,
        OUTSIDE: outside,
    }


def _resized(mask: Mask, size: int) -> Mask:
    if mask.shape == (size, size):
        return mask
    index = (np.arange(size) * mask.shape[0] / size).astype(int)
    return mask[np.ix_(index, index)]
