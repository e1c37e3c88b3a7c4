"""Frames of the clips of one view, as a model sees them: decoded, blanked, of one size."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.cardiac import survey
from lvef.data.formats import read_frames
from lvef.data.prepare import sector_square
from lvef.data.sector import find_sector
from lvef.data.slots import View
from lvef.data.views import ClipView, blanked_and_cropped, to_square
from lvef.errors import VideoError

PICTURES = 1
"""Version of how a frame is made of a video: raise it when decoding, blanking or scaling change."""
VIEW = "clip_view"
"""Column of the table of new clips that holds a `ClipView`, where a clip was decoded already."""
_FEWEST_PROBED = 50


class ClipLooks:
    """What a model sees of the clips of one view.

    Args:
        table: Rows with `path` and `num_frames` of that view.
        view: Which.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Blank what lies outside the ultrasound sector.
        crop: Crop frames that are not 112 x 112 square around the sector, as a clip that was
            never prepared needs; what the column `VIEW` knows is not looked for again.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        view: View,
        image_size: int,
        remove_artifacts: bool,
        crop: bool,
    ) -> None:
        self.paths = table[view.column("path")].tolist()
        self.counts = table[view.column("num_frames")].to_numpy(np.int64)
        self.image_size = image_size
        self.remove_artifacts = remove_artifacts
        self.crop = crop
        column = view.column(VIEW)
        known = list(table[column]) if crop and column in table else []
        self._views: dict[int, ClipView] = {
            item: found for item, found in enumerate(known) if isinstance(found, ClipView)
        }

    def __call__(self, item: int, wanted: list[int]) -> Tensor:
        """Return any frames of a case's clip, uint8 `(n, 3, H, W)`, as a model would see them.

        Raises:
            VideoError: They cannot be read.
        """
        if item in self._views:
            kept = self._views[item].look(wanted, self.image_size, self.remove_artifacts)
            if kept is not None:
                return kept
        return to_square(torch.from_numpy(self._read(item, wanted)), self.image_size)

    def to_view(self, item: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points of a case's own frames lie in the frames that a model sees.

        Args:
            item: A case that was looked at already, artifacts removed.
            points: `(n, 2)` x, y in pixels.
        """
        view = self._views[item]
        height, width = view.shape
        side = max(height, width)
        corner = np.array([-((side - width) // 2), -((side - height) // 2)])
        if self.crop:
            square = sector_square(view.shape, view.sector())
            side, corner = square.side, np.array([square.left, square.top])
        return np.asarray((points + 0.5 - corner) * (self.image_size / side) - 0.5)

    def _read(self, item: int, wanted: list[int]) -> NDArray[np.uint8]:
        path = self.paths[item]
        if not self.remove_artifacts and not self.crop:
            return read_frames(path, wanted)
        if item in self._views:  # found when the clip, or this worker, first met the video
            frames = read_frames(path, wanted)
            return self._within(frames, self._views[item].sector())
        # New clips are cropped as their beats were found, whichever beat of them this is.
        reach = int(self.counts[item]) - 1
        last = max(*wanted, reach if self.crop else min(reach, _FEWEST_PROBED))
        probe = survey(last + 1, each_once=True).tolist()
        try:
            both = read_frames(path, wanted + probe)
        except VideoError:  # perhaps the clip is shorter than the table says
            both = read_frames(path, wanted + survey(max(wanted) + 1, each_once=True).tolist())
        sector = find_sector(both[len(wanted) :])
        shape = (int(both.shape[1]), int(both.shape[2]))
        self._views[item] = ClipView(shape, np.packbits(sector))
        return self._within(both[: len(wanted)], sector)

    def _within(self, frames: NDArray[np.uint8], sector: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return blanked_and_cropped(frames, sector, self.remove_artifacts, self.crop)
