"""One clip of one kind."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lvef.errors import ConfigurationError
from lvef.phantom.purpose import Purpose
from lvef.phantom.views.kinds import KINDS
from lvef.phantom.views.place import Place


class ViewClip:
    """A phantom of a view, of another organ or of a screen, as an archive keeps it.

    The same purpose, seed, kind and index give the same clip wherever it is made.

    Args:
        seed: Seed of the population.
        kind: Name of a kind, from `KINDS`.
        index: Number of the clip within its kind.
        purpose: What it is for; each has clips of its own.

    Attributes:
        name: File name without extension; says PHANTOM, so that no one takes it for a patient.
        kind: Name of its kind.
        view: What a single frame shows.
        ef: Whether an EF may be given.
        held_out: Whether nothing may be trained on it.
        clip: What makes its frames.

    Raises:
        ConfigurationError: There is no such kind.
    """

    def __init__(self, seed: int, kind: str, index: int, purpose: Purpose = Purpose.LOOK) -> None:
        if kind not in KINDS:
            raise ConfigurationError(f"no kind of phantom is {kind!r}: one of {', '.join(KINDS)}")
        about = KINDS[kind]
        self.name = f"VIEWPHANTOM{seed:03d}K{about.number:02d}N{index:06d}"
        self.kind, self.view, self.ef = kind, about.view, about.ef
        self.held_out = about.held_out
        self.clip = about.make(Place(seed, purpose, about.number, index))

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.clip.fps

    @property
    def num_frames(self) -> int:
        """Frames in the clip."""
        return self.clip.num_frames

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Render frames.

        Args:
            indices: Frame numbers from 0; all frames by default.

        Returns:
            `(n, 112, 112)` uint8 grey frames. A frame does not depend on which others are asked.
        """
        return self.clip.frames(indices)
