"""What a data module can be asked for, and what it cannot."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lvef.cardiac import CLIP, NOT_BOTH, RATES, asked_clip
from lvef.data.slots import FRAME_COLUMNS
from lvef.errors import ConfigurationError
from lvef.options import COUNT, SEED, SHARE, WORKERS, Range, check_numbers

BATCH_SIZE = 32
"""Cases a batch on each device, where nothing else is asked for."""
FEATURE_BATCH_SIZE = 256
"""Cases a training batch of features that were computed beforehand, likewise."""
_MOST_WORKERS = 8
_SEGMENTER_STEP = 16
"""An LV segmenter halves its pictures four times."""

RANGES = {
    "batch_size": COUNT,
    "num_workers": WORKERS,
    "image_size": Range(32, 2048),
    "limit": COUNT,
    "max_excluded": SHARE,
    "fps": Range(*RATES),
    "feature_batch_size": COUNT,
    "frame_cache_gigabytes": Range(0, 1_000_000, above=True),
    "fold_seed": SEED,
    "folds": Range(3, 10_000),
    "fold": Range(1, 10_000),
    "calibration_share": Range(0, 1, below=True),
}
"""Numbers that a data module takes."""
_OF_CLIP = {"length": Range(2, 512), "rate": Range(*RATES)}
"""Numbers in the name of a whole clip."""
AUGMENTATION = {
    "rotation": Range(0, 180),
    "translation": SHARE,
    "scale": Range(0, 2),
    "gain": Range(0, 5),
    "gamma": Range(0, 5),
    "speckle": Range(0, 10),
    "horizontal_flip": SHARE,
}
"""Numbers that an augmentation takes."""
CLIP_AUGMENTATION = {
    "veil": SHARE,
    "blur": SHARE,
    "unevenness": Range(0, 5),
    "shadow": SHARE,
    "flicker": Range(0, 5),
    "frozen": SHARE,
}
"""Numbers that the augmentation of clips takes beside these."""


def default_workers() -> int:
    """Return one worker a core that this process may use, 8 at most."""
    return min(num_cores(), _MOST_WORKERS)


def num_cores() -> int:
    """Return how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def check_options(
    frames: Sequence[str] | None,
    masks: bool,
    image_size: int,
    random_start: bool = False,
    **numbers: float | None,
) -> None:
    """Refuse options of a data module that cannot work.

    Args:
        frames: Frames a case consists of; None for one that takes no key frames.
        masks: Whether batches are for an LV segmenter.
        image_size: Height and width of a frame in pixels.
        random_start: Whether whole clips of TRAIN begin anywhere.
        numbers: Others of `RANGES`.

    Raises:
        ConfigurationError: One of them cannot.
    """
    if frames is not None:
        _check_frames(frames)
    if random_start and asked_clip(frames) is None:
        raise ConfigurationError(
            f"data.random_start is for whole clips, but data.frames is {list(frames or ())}: give "
            f"[{CLIP}]"
        )
    asked = {"image_size": image_size, **numbers}
    check_numbers("data.", {name: RANGES[name] for name in asked}, asked)
    if masks and image_size % _SEGMENTER_STEP:
        raise ConfigurationError(
            f"data.image_size is {image_size}, but an LV segmenter takes multiples of "
            f"{_SEGMENTER_STEP}"
        )


def _check_frames(frames: Sequence[str]) -> None:
    clip = asked_clip(frames)
    if clip is not None:
        if len(frames) > 1:
            raise ConfigurationError(f"data.frames is {list(frames)}, but {NOT_BOTH}")
        asked = {"length": clip.length, "rate": clip.rate}
        check_numbers(f"data.frames {frames[0]}: ", _OF_CLIP, asked)
        return
    unknown = [name for name in frames if name not in FRAME_COLUMNS]
    if unknown or not frames:
        raise ConfigurationError(
            f"data.frames is {list(frames)}, but a frame is one of {', '.join(FRAME_COLUMNS)}, or "
            f"in place of them a whole clip, {CLIP} or {CLIP}_LENGTH_RATE such as {CLIP}_32_50"
        )
    if len(set(frames)) != len(frames):
        raise ConfigurationError(f"data.frames names a frame twice: {list(frames)}")
