"""Short clips of every kind that heads which tell views may learn from, on every core."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import CLIP_FPS, looks
from lvef.phantom.purpose import Purpose
from lvef.phantom.views import KINDS, ViewClip
from lvef.streams import Use, stream

MANY = "A4C wide"
"""A kind of which a round has many clips: hearts differ more than what is made of them, and those
of the first generator are quick. Three in a round taught nothing."""
FOUR_CHAMBER = {
    "A4C of a clinic": 1, "A4C randomised": 4, MANY: 110, "A4C solid": 4, "A4C after black": 1,
}  # fmt: skip
"""Clips of each kind of upright four-chamber view in a round. Half of the plain ones are of the
second generator: all other views of a heart are, and how it paints must not tell them apart."""
_TWICE = dict.fromkeys(("two-chamber", "mirrored", "colour box"), 2)
"""Those that are most like them, of which most were let through: twice in a round, others once."""
OF_ORDER = ("still", "shuffled", "reversed")
"""Kinds that show a four-chamber view in each frame: no head that sees frames can learn them."""
_CHOSEN = 6
LOOKS, SHORT = 48, 20
"""Looks of a clip that are rendered, and of a shorter stretch of it. Every kind has both: a head
that saw one kind at one length and the others at another learns the length."""


def taught_kinds() -> dict[str, int]:
    """Return how many clips of each kind a round has; nothing that is held out."""
    others = [name for name, kind in KINDS.items() if not kind.ef and name not in OF_ORDER]
    own = {name: 1 for name in others if not KINDS[name].held_out}
    return FOUR_CHAMBER | own | _TWICE


@dataclass(frozen=True)
class ShortClip:
    """A stretch of a clip at the rate at which a segmenter looks.

    Attributes:
        kind: Name of its kind.
        index: Its number within it.
        fps: Looks a second.
        frames: `(T, 112, 112)` uint8.
    """

    kind: str
    index: int
    fps: float
    frames: NDArray[np.uint8]


def round_of(number: int) -> Iterator[tuple[str, int]]:
    """Yield kinds and numbers of the clips of a round."""
    for kind, each in taught_kinds().items():
        for which in range(each):
            yield kind, number * each + which


def purpose_of(number: int) -> Purpose:
    """Return what a round is for: heads learn from most, limits are chosen on every sixth."""
    return Purpose.VIEWS_CHOICE if number % _CHOSEN == _CHOSEN - 1 else Purpose.VIEWS


def short_clip(seed: int, kind: str, index: int, purpose: Purpose) -> ShortClip:
    """Render a stretch of one clip; of one that begins in the dark, its beginning."""
    clip = ViewClip(seed, kind, index, purpose)
    seen = looks(clip.num_frames, clip.fps)
    rng = stream(Use.CHOICE_OF_LOOKS, seed, purpose, KINDS[kind].number, index)
    start = int(rng.integers(max(len(seen) - LOOKS, 0) + 1))
    start = 0 if kind == "A4C after black" else start
    chosen = seen[start : start + LOOKS].tolist()
    return ShortClip(kind, index, min(clip.fps, CLIP_FPS), clip.frames(chosen))


def keep(clips: list[ShortClip], path: Path) -> None:
    """Write clips, whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            kinds=np.array([clip.kind for clip in clips]),
            indices=np.array([clip.index for clip in clips]),
            fps=np.array([clip.fps for clip in clips]),
            starts=np.cumsum([0, *(len(clip.frames) for clip in clips)]),
            frames=np.concatenate([clip.frames for clip in clips]),
        )
    part.rename(path)


def kept(path: Path) -> list[ShortClip]:
    """Return what `keep` wrote."""
    with np.load(path) as arrays:
        held: dict[str, Any] = dict(arrays)
    ends = held["starts"]
    return [
        ShortClip(str(kind), int(index), float(fps), held["frames"][ends[n] : ends[n + 1]])
        for n, (kind, index, fps) in enumerate(
            zip(held["kinds"], held["indices"], held["fps"], strict=True)
        )
    ]


def rendered_rounds(
    numbers: Sequence[int], seed: int, workers: int, folder: Path | None = None
) -> Generator[tuple[Purpose, list[ShortClip]], None, None]:
    """Yield rounds, those that a folder holds at once, the others as they are rendered.

    Args:
        numbers: Which rounds.
        seed: Seed of the population.
        workers: Processes.
        folder: Where rounds are kept, to be encoded again by other weights; None to keep none.
    """
    files = {n: _file(folder, seed, n) for n in numbers}
    held = [n for n in numbers if files[n] is not None and files[n].is_file()]  # type: ignore[union-attr]
    for number in held:
        yield purpose_of(number), kept(files[number])  # type: ignore[arg-type]
    missing = [number for number in numbers if number not in held]
    if not missing:
        return
    jobs = ((seed, *each, purpose_of(n)) for n in missing for each in round_of(n))
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    with context.Pool(workers, _quiet) as pool:
        clips = pool.imap(_short_clip, jobs)
        for number in missing:
            own = list(islice(clips, sum(taught_kinds().values())))
            path = files[number]
            if path is not None:
                keep(own, path)
            yield purpose_of(number), own


def _file(folder: Path | None, seed: int, number: int) -> Path | None:
    name = f"{purpose_of(number).name.lower()}_{seed}_{number:05d}.npz"
    return None if folder is None else folder / name


def _quiet() -> None:
    cv2.setNumThreads(1)


def _short_clip(asked: tuple[int, str, int, Purpose]) -> ShortClip:
    return short_clip(*asked)
