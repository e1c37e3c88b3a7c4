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

from lvef.cardiac import NO_FRAME, PICTURE_SIZE, asked_clip, is_reduced
from lvef.data.frame_cache import FrameCache, Look
from lvef.data.looks import ClipLooks
from lvef.data.order import SeededCase
from lvef.data.slots import (
    A4C,
    NO_A2C,
    VIEWS,
    View,
    frame_numbers,
    slots_by_view,
    why_no_clip,
)
from lvef.errors import VideoError


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
    """The key frames of every case of a table, of one clip or of one of each view; or whole clips.

    Args:
        table: Rows with `path`, `num_frames` and the frame columns of each view that is seen, and
            `ef_true`; of whole clips also `fps`. The index is the row.
        frames: Which frames, in slot order: any of `FRAME_COLUMNS`; or a whole clip.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Blank what lies outside the ultrasound sector.
        crop: Crop frames that are not 112 x 112 square around the sector, as a clip that was
            never prepared needs; what the column `VIEW` knows is not looked for again.
        cache: Keeps what was decoded; None decodes each time.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        frames: Sequence[str],
        image_size: int = PICTURE_SIZE,
        remove_artifacts: bool = True,
        crop: bool = False,
        cache: FrameCache | None = None,
    ) -> None:
        self.rows = table.index.to_numpy(np.int64)
        self.ef = ef = table["ef_true"].to_numpy(np.float32)
        reduced = np.where(np.isnan(ef), -1, is_reduced(ef)).astype(np.int64)
        known = {"ef_true": ef, "reduced_true": reduced, "row": self.rows}
        self._known = {name: torch.tensor(column) for name, column in known.items()}
        self.indices = frame_numbers(table, frames)
        self._clip = asked_clip(frames)
        self._no_clip = why_no_clip(table, frames).tolist()
        self._fps = [] if self._clip is None else table["fps"].tolist()
        self.slots = slots_by_view(frames)
        self._cache = cache
        self._options = options = (image_size, remove_artifacts, crop)
        self._looks = {
            view: ClipLooks(table, view, *options) for view in VIEWS
            if view == A4C or view in self.slots
        }  # fmt: skip

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.rows)

    def __getitem__(self, asked: int | SeededCase) -> Sample:
        """Decode one case; a video that cannot be read becomes a failure with its reason.

        A whole clip of a `SeededCase` begins anywhere in its video.
        """
        item, seed = asked if isinstance(asked, tuple) else (asked, None)
        known = self._known
        try:
            frames = self._read(item, seed)
        except VideoError as error:
            return {"row": known["row"][item], "failure": str(error)}
        return {
            "frames": frames,
            "ef_true": known["ef_true"][item],
            "reduced_true": known["reduced_true"][item],
            "row": known["row"][item],
        }

    def look(self, item: int, wanted: list[int], view: View = A4C) -> Tensor:
        """Return any frames of a case's clip of a view, uint8 `(n, 3, H, W)`, as a model sees them.

        Raises:
            VideoError: They cannot be read.
        """
        return self._looks[view](item, wanted)

    def count(self, item: int, view: View = A4C) -> int:
        """Return how many frames a case's clip of a view holds."""
        return int(self._looks[view].counts[item])

    def to_view(
        self, item: int, points: NDArray[np.float64], view: View = A4C
    ) -> NDArray[np.float64]:
        """Return where points of a case's own frames lie in those that a model sees of that view.

        Args:
            item: A case that was looked at already, artifacts removed.
            points: `(n, 2)` x, y in pixels.
            view: Of which clip.
        """
        return self._looks[view].to_view(item, points)

    def _read(self, item: int, seed: int | None = None) -> Tensor:
        """Return the frames of a case in slot order, each clip read once.

        Raises:
            VideoError: One cannot be read, or there is none.
        """
        frames: list[Tensor] = [torch.empty(0)] * self.indices.shape[1]
        for view, slots in self.slots.items():
            wanted = self._wanted(item, seed)[slots].tolist()
            path = self._looks[view].paths[item]
            if not path:
                raise VideoError(f"{self._looks[A4C].paths[item]}: {NO_A2C}")
            if self._no_clip[item]:
                raise VideoError(f"{path}: {self._no_clip[item]}")
            if NO_FRAME in wanted:
                raise VideoError(f"{path} has no mid frame: ES is of another beat")
            drawn = seed is not None and self._clip is not None  # not seen again
            looked = self.look if drawn or self._cache is None else self._kept
            looks = looked(item, wanted, view)
            if len(self.slots) == 1:  # all there is, in slot order
                return looks
            for slot, frame in zip(slots, looks, strict=True):
                frames[slot] = frame
        return torch.stack(frames)

    def _kept(self, item: int, wanted: list[int], view: View) -> Tensor:
        """Return what `look` does, from the cache or into it.

        Raises:
            VideoError: They cannot be read.
        """
        cache, path = self._cache, self._looks[view].paths[item]
        look = Look(path, tuple(wanted), self.count(item, view), *self._options)
        digest = look.digest()
        if cache is None or digest is None:
            return self.look(item, wanted, view)
        kept = cache.load(look, digest)
        if kept is None:
            kept = self.look(item, wanted, view)
            cache.save(look, digest, kept)
        return kept

    def _wanted(self, item: int, seed: int | None) -> NDArray[np.int64]:
        """Return `(F,)` which frames a case consists of, whole clips where a seed says."""
        if seed is None or self._clip is None or self._no_clip[item]:
            return np.asarray(self.indices[item])
        return self._clip.frames(0, self.count(item), self._fps[item], start=seed)


def decodable(table: pd.DataFrame, view: View = A4C) -> pd.DataFrame:
    """Return a table that names no frame that there is not: ES stands in for such a mid frame.

    Args:
        table: The table.
        view: Of whose clips.
    """
    mid, es = (view.column(name) for name in ("mid_frame", "es_frame"))
    return table.assign(**{mid: table[mid].where(table[mid] != NO_FRAME, table[es])})


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
