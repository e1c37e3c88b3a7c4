"""Short clips with LV masks, to learn where the ventricle is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from lvef.cardiac import polygon_mask, survey, window
from lvef.data.dataset import to_square
from lvef.data.echonet import EchoNetFolder
from lvef.data.formats import read_frames
from lvef.errors import VideoError

WINDOW = 12
"""Looks a training clip: half a second, more than a systole."""


class ClipDataset(Dataset[dict[str, Any]]):
    """Windows of looks at videos of a folder, with the LV masks that are known of them.

    EchoNet-Dynamic has ED and ES traced in each video, so that a window holds one or two masks;
    a phantom's `Truth` knows every frame. Training takes another window each time, evaluation
    always the one around ED. An item holds `clip` uint8 `(T, H, W)`, `survey` uint8 `(S, H, W)`,
    `mask` uint8 `(T, H, W)` 0 or 1, `traced` bool `(T,)`, `row` int64; or `row` and `failure`.

    Args:
        folder: The folder.
        rows: Which of its rows.
        size: Height and width of a picture in pixels.
        training: Whether windows vary.
    """

    def __init__(self, folder: EchoNetFolder, rows: Any, size: int, training: bool) -> None:
        self.folder = folder
        self.rows = rows
        self.size = size
        self.training = training

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.rows)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """Decode one window; a video that cannot be read becomes a failure with its reason."""
        case = self.rows.iloc[item]
        row = torch.tensor(int(self.rows.index[item]))
        masks = self._known(case)
        around = int(case["ed_frame"])
        if self.training:  # torch's generator: workers and epochs have their own
            known = sorted(masks)
            around = known[int(torch.randint(len(known), ()))]
        wanted = window(around, WINDOW, int(case["num_frames"]), _fps(case))
        spread = survey(int(case["num_frames"]))
        try:
            frames = read_frames(case["path"], [*wanted.tolist(), *spread.tolist()])
        except VideoError as error:
            return {"row": row, "failure": str(error)}
        height, width = frames.shape[1:3]
        grey = to_square(frames, self.size)[:, 0]
        drawn = np.zeros((WINDOW, height, width, 1), np.uint8)
        for slot, frame in enumerate(wanted.tolist()):
            if frame in masks:
                drawn[slot, ..., 0] = 255 * polygon_mask(masks[frame], height, width)
        return {
            "clip": grey[:WINDOW],
            "survey": grey[WINDOW:],
            "mask": (to_square(drawn, self.size)[:, 0] > 127).to(torch.uint8),
            "traced": torch.tensor([frame in masks for frame in wanted.tolist()]),
            "row": row,
        }

    def _known(self, case: Any) -> dict[int, NDArray[np.float64]]:
        """Return the LV contours that are known of a video, by frame."""
        truth = Path(self.folder.root) / "Truth" / f"{case['video']}.npz"
        if truth.is_file():
            with np.load(truth) as known:
                return dict(enumerate(known["contour"].astype(np.float64)))
        frames = {int(case["ed_frame"]), int(case["es_frame"])}
        return {frame: self.folder.contour(case["video"], frame) for frame in frames}


def _fps(case: Any) -> float:
    """Return the frame rate; where the table has none, that of most clips."""
    fps = float(case["fps"])
    return fps if np.isfinite(fps) and fps > 0 else 50.0
