"""Rendered phantoms kept in memory, and random windows of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.data.clips import WINDOW
from lvef.phantom.pool import LookedClip

_PART = 250
"""Clips that are rendered before training may look at them."""


def joined(clips: list[LookedClip]) -> dict[str, NDArray[Any]]:
    """Return clips as arrays: their looks one after the other, and where each begins."""
    return {
        "frames": np.concatenate([clip.frames for clip in clips]),
        "masks": np.concatenate([clip.masks for clip in clips]),
        "survey": np.stack([clip.survey for clip in clips]),
        "starts": np.cumsum([0, *(len(clip.frames) for clip in clips)]),
        "beats": np.concatenate([clip.beats for clip in clips]),
        "beat_starts": np.cumsum([0, *(len(clip.beats) for clip in clips)]),
        "ef_true": np.array([clip.ef for clip in clips]),
        "kinds": np.array([clip.kinds for clip in clips]),
    }


def fill(folder: Path, name: str, clips: list[LookedClip]) -> None:
    """Write clips as arrays that every process can map."""
    part = folder / f"{name}.part"
    part.mkdir()
    for key, array in joined(clips).items():
        np.save(part / f"{key}.npy", array)
    part.rename(folder / name)


def arrays_of(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays that `fill` wrote, mapped."""
    return {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}


def parts_of(counts: dict[str, int], by_turns: bool = True) -> list[tuple[str, range]]:
    """Return the names of the parts that pools are rendered in, and which clips each holds.

    Those of all pools take turns, so that training can begin when the first of each is there; or
    one pool comes after the other.
    """
    parts = [
        (start, f"{pool}.{start}", range(start, min(start + _PART, count)))
        for pool, count in counts.items()
        for start in range(0, count, _PART)
    ]
    if by_turns:
        parts.sort(key=lambda part: part[0])
    return [(name, numbers) for _, name, numbers in parts]


class Windows:
    """Clips on the device, and random windows of them; grows while clips are rendered.

    Args:
        folder: Where `fill` writes them.
        counts: How many clips are taken from each pool.
        device: Where they are kept.
        whole: Wait for all of them, not only for the first of each pool.
    """

    def __init__(
        self, folder: Path, counts: dict[str, int], device: str, whole: bool = False
    ) -> None:
        self.folder, self.device = folder, device
        self.waiting = {name: len(numbers) for name, numbers in parts_of(counts)}
        first = list(self.waiting) if whole else [f"{p}.0" for p, count in counts.items() if count]
        while not all((folder / name).is_dir() for name in first):
            time.sleep(0.2)
        self.frames: list[Tensor] = []
        self.masks: list[Tensor] = []
        self.surveys: list[Tensor] = []
        self.starts = [0]
        self.bits = 7 - torch.arange(8, device=device, dtype=torch.uint8)
        self.grow()

    def grow(self) -> None:
        """Take what has been rendered since."""
        for name in [name for name in self.waiting if (self.folder / name).is_dir()]:
            count, arrays = self.waiting.pop(name), arrays_of(self.folder / name)
            ends = arrays["starts"][: count + 1]
            self.starts += (self.starts[-1] + ends[1:]).tolist()
            for kept, key, stop in (
                (self.frames, "frames", ends[-1]),
                (self.masks, "masks", ends[-1]),
                (self.surveys, "survey", count),
            ):
                kept.append(torch.from_numpy(np.array(arrays[key][:stop])).to(self.device))
        for kept in (self.frames, self.masks, self.surveys):
            kept[:] = [torch.cat(kept)]
        self.ends = torch.tensor(self.starts, device=self.device)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.starts) - 1

    def batch(self, chosen: Tensor) -> dict[str, Tensor]:
        """Return one window of each of the chosen clips; a batch as `ClipDataset` gives them."""
        first, stop = self.ends[chosen], self.ends[chosen + 1]
        room = (stop - first - WINDOW).clamp(min=0)
        offset = (torch.rand(len(chosen), device=first.device) * (room + 1)).long()
        place = offset[:, None] + torch.arange(WINDOW, device=first.device)
        place = first[:, None] + torch.minimum(place, (stop - first - 1)[:, None])
        packed = self.masks[0][place]
        mask = (packed[..., None] >> self.bits) & 1
        return {
            "clip": self.frames[0][place],
            "survey": self.surveys[0][chosen],
            "mask": mask.flatten(-2),
            "traced": torch.ones_like(place, dtype=torch.bool),
        }
