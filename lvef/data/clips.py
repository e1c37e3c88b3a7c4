"""Short clips with LV masks, to learn where the ventricle is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from lvef.cardiac import polygon_mask, survey, window
from lvef.data.formats import read_frames
from lvef.data.layouts import LabelFolder
from lvef.data.names import frame_rate
from lvef.data.order import SeededCase
from lvef.data.pixels import into_picture, stated_size
from lvef.data.views import to_square
from lvef.errors import DatasetError, VideoError

WINDOW = 12
"""Looks a training clip: half a second, more than a systole."""


class ClipDataset(Dataset[dict[str, Any]]):
    """Windows of looks at videos of a folder, with the LV masks that are known of them.

    EchoNet-Dynamic has ED and ES traced in each video, so that a window holds one or two masks;
    of a phantom every frame is known. Training takes another window each time, by the seed
    that comes with the case, evaluation always the one around ED. An item holds `clip` uint8
    `(T, H, W)`, `survey` uint8 `(S, H, W)`, `mask` uint8 `(T, H, W)` 0 or 1, `traced` bool
    `(T,)`, `row` int64; or `row` and `failure`.

    Args:
        folder: The folder.
        rows: Which of its rows.
        size: Height and width of a picture in pixels.
        training: Whether windows vary; a case then comes with its seed, see `EpochOrder`.
    """

    def __init__(self, folder: LabelFolder, rows: Any, size: int, training: bool) -> None:
        self.folder = folder
        self.rows = rows
        self.size = size
        self.training = training

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.rows)

    def __getitem__(self, asked: int | SeededCase) -> dict[str, Any]:
        """Decode one window; a video without a picture or a mask becomes a failure."""
        item, seed = asked if isinstance(asked, tuple) else (asked, 0)
        case = self.rows.iloc[item]
        row = torch.tensor(int(self.rows.index[item]))
        try:
            return {**self._window(case, seed), "row": row}
        except (VideoError, DatasetError) as error:
            return {"row": row, "failure": str(error)}

    def _window(self, case: Any, seed: int) -> dict[str, Any]:
        """Return one window of a video; in training `seed` chooses around which frame.

        Raises:
            VideoError: It cannot be read.
            DatasetError: No mask of it can be told.
        """
        traced_frames = {int(case["ed_frame"]), int(case["es_frame"])}
        contours = self.folder.contours(case["video"], traced_frames)
        around = int(case["ed_frame"])
        if self.training:
            known = sorted(contours)
            around = known[seed % len(known)]
        wanted = window(around, WINDOW, int(case["num_frames"]), _fps(case))
        spread = survey(int(case["num_frames"]))
        frames = read_frames(case["path"], [*wanted.tolist(), *spread.tolist()])
        size, stated = frames.shape[1:3], stated_size(case)
        drawn = np.zeros((WINDOW, *size, 1), np.uint8)
        for slot, frame in enumerate(wanted.tolist()):
            if frame in contours:
                what = f"{case['video']}: the tracing of frame {frame}"
                contour = into_picture(contours[frame], stated, size, what)
                drawn[slot, ..., 0] = 255 * polygon_mask(contour, *size)
        grey = to_square(frames, self.size)[:, 0]
        mask = (to_square(drawn, self.size)[:, 0] > 127).to(torch.uint8)
        traced = torch.tensor([frame in contours for frame in wanted.tolist()])
        if not bool(mask[traced].any(dim=2).any(dim=1).all()):
            # An empty mask would say that there is no ventricle.
            raise DatasetError(
                f"{case['path']}: nothing is left of a tracing at {self.size} x {self.size} "
                "pixels: raise --data.image_size"
            )
        return {
            "clip": grey[:WINDOW], "survey": grey[WINDOW:], "mask": mask, "traced": traced
        }  # fmt: skip


def _fps(case: Any) -> float:
    """Return the frame rate that the list states, or else the file.

    Raises:
        VideoError: Neither does.
    """
    fps = float(case["fps"])
    return fps if np.isfinite(fps) and fps > 0 else frame_rate(case["path"])
