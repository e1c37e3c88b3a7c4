"""Random numbers: every purpose has a stream of its own, from a seed and a place.

A stream is known by its purpose, a seed and the numbers of its place: a clip, a frame of it, an
epoch. No two of these share random numbers. NumPy's `default_rng([seed, index])` would not keep
that: it pads with zeros, so that [seed, index] and [seed, index, 0] are the same stream, and
[seed, worker] is that of clip number `worker`. A spawn key is not padded.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Use(IntEnum):
    """What random numbers are drawn for. A number is never given to anything else again."""

    ORDER_OF_CASES = 1
    TRAINING_CASE = 2
    TRAINING_BATCH = 3
    PHANTOM = 16
    PHANTOM_TISSUE = 17
    PHANTOM_FRAME = 18
    SOLID_PHANTOM = 24
    SOLID_TISSUE = 25
    SOLID_FRAME = 26
    SOLID_STUDY = 27
    SOLID_STUDY_VIEW = 28
    CHOICE_OF_LOOKS = 32
    ORDER_OF_FRAMES = 33
    VIEW_CLIP = 40
    VIEW_TISSUE = 41
    VIEW_FRAME = 42
    VIEW_DRESS = 43
    VIEW_STUDY = 46
    VIEW_STUDY_LOOP = 47
    LOCAL_CASES = 48
    SPLITS_OF_LIST = 49


def sequence(use: Use, seed: int, *place: int) -> np.random.SeedSequence:
    """Return where a stream begins.

    Args:
        use: What it is for.
        seed: Seed, 0 to 2**64 - 1.
        place: Numbers from 0 to 2**32 - 1.
    """
    return np.random.SeedSequence(seed, spawn_key=(int(use), *place))


def stream(use: Use, seed: int, *place: int) -> np.random.Generator:
    """Return a generator of a stream; see `sequence`."""
    return np.random.default_rng(sequence(use, seed, *place))
