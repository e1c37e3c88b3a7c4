"""Decode the key frames of a table of videos, on the fly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from lvef.cardiac import NO_FRAME, PICTURE_SIZE, is_reduced, survey
from lvef.data.formats import read_frames
from lvef.data.prepare import sector_square
from lvef.data.sector import find_sector
from lvef.data.views import ClipView, blanked_and_cropped, to_square
from lvef.errors import VideoError

FRAME_COLUMNS = {"EDF": "ed_frame", "ESF": "es_frame", "MF": "mid_frame"}
"""The frames a model can ask for, and the column of the table that tells which they are."""
VIEW = "view"
"""Column of the table of new clips that holds a `ClipView`, where a clip was decoded already."""
_FEWEST_PROBED = 50


class Sample(TypedDict, total=False):
    """One case; a batch holds the same keys with a leading dimension `B`.

    `frames` is uint8 `(F, 3, H, W)`, `ef_true` float32 in percent (NaN where unknown),
    `reduced_true` int64 (1 for EF <= 40, 0 above, -1 where unknown), `row` int64 of the data
    module's table. A case that could not be read carries `row` and `failure` instead.
    """

    frames: Tensor
    ef_true: Tensor
    reduced_true: Tensor
    row: Tensor
    failure: str


class KeyFrameDataset(Dataset[Sample]):
    """The key frames of every video of a table.

    Args:
        table: Rows with `path`, `num_frames`, `ef` and the frame columns; the index is the row.
        frames: Which frames, in slot order: any of `EDF`, `ESF`, `MF`.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Blank what lies outside the ultrasound sector.
        crop: Crop frames that are not 112 x 112 square around the sector, as a clip that was
            never prepared needs; what the column `VIEW` knows is not looked for again.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        frames: Sequence[str],
        image_size: int = PICTURE_SIZE,
        remove_artifacts: bool = True,
        crop: bool = False,
    ) -> None:
        self.rows = table.index.to_numpy(np.int64)
        self.paths = table["path"].tolist()
        self.counts = table["num_frames"].to_numpy(np.int64)
        self.ef = table["ef_true"].to_numpy(np.float32)
        self.indices = table[[FRAME_COLUMNS[name] for name in frames]].to_numpy(np.int64)
        self.image_size = image_size
        self.remove_artifacts = remove_artifacts
        self.crop = crop
        views = list(table[VIEW]) if crop and VIEW in table else []
        self._views: dict[int, ClipView] = {
            item: view for item, view in enumerate(views) if isinstance(view, ClipView)
        }

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.rows)

    def __getitem__(self, item: int) -> Sample:
        """Decode one case; a video that cannot be read becomes a failure with its reason."""
        row = torch.tensor(self.rows[item])
        try:
            if NO_FRAME in self.indices[item]:
                raise VideoError(f"{self.paths[item]} has no mid frame: ES is of another beat")
            frames = self.look(item, self.indices[item].tolist())
        except VideoError as error:
            return {"row": row, "failure": str(error)}
        ef = self.ef[item]
        return {
            "frames": frames,
            "ef_true": torch.tensor(ef),
            "reduced_true": torch.tensor(-1 if np.isnan(ef) else int(is_reduced(ef))),
            "row": row,
        }

    def look(self, item: int, wanted: list[int]) -> Tensor:
        """Return any frames of a case, uint8 `(n, 3, H, W)`, as a model would see them.

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


def decodable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that names no frame that there is not: ES stands in for such a mid frame."""
    return table.assign(
        mid_frame=table["mid_frame"].where(table["mid_frame"] != NO_FRAME, table["es_frame"])
    )


def collate(samples: list[Sample]) -> dict[str, Any]:
    """Stack samples into a batch; failures go to `failures`, a list of `(row, reason)`.

    A batch of nothing but failures has no `frames`.
    """
    readable = [sample for sample in samples if "failure" not in sample]
    failures = [(int(s["row"]), s["failure"]) for s in samples if "failure" in s]
    batch: dict[str, Any] = default_collate(readable) if readable else {}
    if failures:
        batch["failures"] = failures
    return batch


def refuse_failures(batch: dict[str, Any]) -> None:
    """Raise what kept a video of a batch from being read.

    Raises:
        VideoError: There is such a video.
    """
    if "failures" in batch:
        _, reason = batch["failures"][0]
        raise VideoError(
            f"{reason}. Mend or remove it, or let --data.check_videos true set such videos "
            "aside at the start"
        )


def one_thread(_: int) -> None:
    """Keep a data loader's worker to one thread; the workers are the parallelism."""
    torch.set_num_threads(1)


def prepare_for_workers() -> None:
    """Put OpenCV into one thread, in the parent: a forked worker cannot, and would hang."""
    cv2.setNumThreads(1)
