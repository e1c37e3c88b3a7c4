"""Where the random numbers of a clip are, and what every clip of this room offers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.purpose import Purpose
from lvef.streams import Use, stream


class Clip(Protocol):
    """Frames that are made when they are asked for."""

    @property
    def fps(self) -> float:
        """Frames a second."""
        ...

    @property
    def num_frames(self) -> int:
        """Frames in the clip."""
        ...

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Return frames `(n, 112, 112)`, all by default; none depends on which others are asked."""
        ...


@dataclass(frozen=True)
class Place:
    """A clip's own random numbers.

    Attributes:
        seed: Seed of the population.
        purpose: What it is for; each has clips of its own.
        kind: Number of its kind.
        index: Number of the clip within its kind.
        part: Which of several pictures of a clip; 0 for the clip itself.
    """

    seed: int
    purpose: Purpose
    kind: int
    index: int
    part: int = 0

    @property
    def key(self) -> tuple[int, ...]:
        """Seed and numbers, as `stream` wants them."""
        return self.seed, self.purpose, self.kind, self.index, self.part

    def stream(self, use: Use, *more: int) -> np.random.Generator:
        """Return a generator of one of its streams."""
        return stream(use, *self.key, *more)
