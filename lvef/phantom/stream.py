"""An endless supply of phantom frames with dense targets, rendered while training runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from lvef.cardiac import WholeClip, chords_to_polygon, polygon_area, polygon_mask
from lvef.phantom.clip import PhantomClip
from lvef.phantom.purpose import Purpose
from lvef.streams import Use, stream

LOG_VOLUME = (4.0, 0.65)
"""Typical mean and spread of ln(volume / mL), used to bring the target near unit scale."""
LOG_AREA = (7.3, 0.45)
"""The same for ln(area / square pixel)."""


class FrameStream(IterableDataset[dict[str, Tensor]]):
    """Frames of phantoms that no folder holds, whatever its seed, shuffled across clips.

    Each item is a dict of `images` uint8 `(3, 112, 112)`, `mask` bool `(1, 112, 112)` and `sizes`
    float32 `(2,)`: ln volume and ln area, standardised by `LOG_VOLUME` and `LOG_AREA`.

    Args:
        seed: Seed of the population.
        num_images: Frames in all.
        frames_per_clip: Frames taken from each heart.
        buffer: Frames kept to shuffle among.
    """

    def __init__(
        self, seed: int, num_images: int, frames_per_clip: int = 6, buffer: int = 768
    ) -> None:
        self.seed = seed
        self.num_images = num_images
        self.frames_per_clip = frames_per_clip
        self.buffer = buffer

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield this worker's share of the frames."""
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        rng = stream(Use.ORDER_OF_FRAMES, self.seed, first)
        pool: list[dict[str, Tensor]] = []
        clips = -(-self.num_images // self.frames_per_clip)
        for index in range(first, clips, step):
            pool.extend(self._clip(index, rng))
            while len(pool) > self.buffer:
                yield pool.pop(int(rng.integers(len(pool))))
        rng.shuffle(pool)
        yield from pool

    def _clip(self, index: int, rng: np.random.Generator) -> Iterator[dict[str, Tensor]]:
        clip = PhantomClip(
            self.seed, index, marks=bool(rng.random() < 0.3), purpose=Purpose.PRETRAINING
        )
        for frame in rng.integers(0, clip.patient.num_frames, self.frames_per_clip):
            image = clip.frames([int(frame)])[0]
            polygon = chords_to_polygon(clip.tracing(int(frame))[1:])
            yield {
                "images": torch.from_numpy(image).expand(3, -1, -1),
                "mask": torch.from_numpy(polygon_mask(polygon, *image.shape))[None],
                "sizes": _sizes(clip, int(frame)),
            }


class ClipStream(IterableDataset[dict[str, Tensor]]):
    """Whole clips of phantoms that no folder holds, whatever its seed: those of `FrameStream`.

    Each item is a dict of `images` uint8 `(T, 3, 112, 112)` and `sizes` float32 `(T, 2)`, those of
    `FrameStream` for every frame.

    Args:
        seed: Seed of the population.
        num_clips: Clips in all, each of another heart.
        seen: Which frames of a clip.
    """

    def __init__(self, seed: int, num_clips: int, seen: WholeClip) -> None:
        self.seed, self.num_clips, self.seen = seed, num_clips, seen

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield this worker's share of the clips."""
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        rng = stream(Use.ORDER_OF_FRAMES, self.seed, first)
        for index in range(first, self.num_clips, step):
            marks = bool(rng.random() < 0.3)
            clip = PhantomClip(self.seed, index, marks=marks, purpose=Purpose.PRETRAINING)
            length, fps = clip.patient.num_frames, clip.patient.fps
            wanted = self.seen.frames(0, length, fps, start=int(rng.integers(length)))
            frames = np.minimum(wanted, length - 1)  # a clip too short stands still at its end
            images = torch.from_numpy(clip.frames(frames.tolist()))
            yield {
                "images": images[:, None].expand(-1, 3, -1, -1),
                "sizes": torch.stack([_sizes(clip, int(frame)) for frame in frames]),
            }


def _sizes(clip: PhantomClip, frame: int) -> Tensor:
    polygon = chords_to_polygon(clip.tracing(frame)[1:])
    sizes = (
        (np.log(clip.volume(frame)) - LOG_VOLUME[0]) / LOG_VOLUME[1],
        (np.log(polygon_area(polygon)) - LOG_AREA[0]) / LOG_AREA[1],
    )
    return torch.tensor(sizes, dtype=torch.float32)
