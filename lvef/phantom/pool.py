"""Many phantoms at the looks that a segmenter takes of them, rendered by every core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import ejection_fraction, looks, polygon_mask, survey
from lvef.phantom.clip import PhantomClip
from lvef.phantom.hard import Hard
from lvef.phantom.purpose import Purpose
from lvef.phantom.randomised import APICAL_MARGIN
from lvef.phantom.solid import SolidClip
from lvef.streams import Use, stream

_BEFORE_ED = 3


@dataclass(frozen=True)
class PhantomKind:
    """What phantoms are drawn from.

    Attributes:
        seed: Seed of the population.
        breadth: See `PhantomClip`.
        hard: See `PhantomClip`.
        apical_margin: See `PhantomClip`.
        solid: Whether they come from the second generator, `SolidClip`, which has neither.
        most_looks: Looks of each clip that are rendered, one after the other; null for all.
        from_ed: Whether these begin shortly before the labelled end-diastole, not anywhere.
        purpose: What they are for; each has hearts of its own.
    """

    seed: int
    breadth: float | None = 1.0
    hard: Hard | None = None
    apical_margin: float = APICAL_MARGIN
    solid: bool = False
    most_looks: int | None = None
    from_ed: bool = False
    purpose: Purpose = Purpose.LOOK

    def clip(self, index: int) -> PhantomClip | SolidClip:
        """Return one of the phantoms."""
        if self.solid:
            return SolidClip(self.seed, index, self.purpose)
        return PhantomClip(
            self.seed, index, breadth=self.breadth, hard=self.hard,
            apical_margin=self.apical_margin, purpose=self.purpose,
        )  # fmt: skip

    def chosen(self, clip: PhantomClip | SolidClip, index: int) -> NDArray[np.int64]:
        """Return the frames that are rendered of a clip."""
        seen = looks(clip.patient.num_frames, clip.patient.fps)
        if self.most_looks is None or len(seen) <= self.most_looks:
            return seen
        last = len(seen) - self.most_looks
        rng = stream(Use.CHOICE_OF_LOOKS, self.seed, self.purpose, index)
        start = int(rng.integers(last + 1))
        if self.from_ed:
            start = int(np.clip(np.searchsorted(seen, clip.ed_frame) - _BEFORE_ED, 0, last))
        return seen[start : start + self.most_looks]


@dataclass(frozen=True)
class LookedClip:
    """One phantom as a segmenter sees it.

    Attributes:
        frames: `(T, H, W)` uint8 looks, 25 a second.
        survey: `(S, H, W)` uint8 frames spread over the whole clip.
        masks: `(T, H, W / 8)` uint8 true masks, bits packed.
        beats: `(n, 2)` looks nearest to ED and ES of the whole beats.
        ef: True EF of the image plane in percent, median over its beats; NaN without one.
        kinds: What makes it hard, joined by "+".
    """

    frames: NDArray[np.uint8]
    survey: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    beats: NDArray[np.int64]
    ef: float
    kinds: str


def look_at(kind: PhantomKind, index: int) -> LookedClip:
    """Render one phantom."""
    clip = kind.clip(index)
    seen, spread = kind.chosen(clip, index), survey(clip.patient.num_frames)
    wanted, place = np.unique(np.concatenate([seen, spread]), return_inverse=True)
    frames = clip.frames(wanted.tolist())[place]
    truth = clip.truth()
    masks = np.stack([polygon_mask(truth["contour"][i], *frames.shape[1:]) for i in seen])
    moments = []
    for ed in truth["ed_frames"].tolist():
        after = [es for es in truth["es_frames"].tolist() if es > ed]
        if after and seen[0] <= ed and after[0] <= seen[-1]:
            moments.append((ed, after[0]))
    volumes = np.array([[truth["volume"][frame] for frame in pair] for pair in moments])
    pairs = [[int(np.abs(seen - frame).argmin()) for frame in pair] for pair in moments]
    return LookedClip(
        frames=frames[: len(seen)],
        survey=frames[len(seen) :],
        masks=np.packbits(masks, axis=-1),
        beats=np.array(pairs, np.int64).reshape(-1, 2),
        ef=float(np.median(ejection_fraction(*volumes.T))) if moments else float("nan"),
        kinds="+".join(clip.kinds) if isinstance(clip, SolidClip) else clip.kind,
    )


def render(asked: Sequence[tuple[PhantomKind, int]], workers: int) -> Iterator[LookedClip]:
    """Yield phantoms in the order in which they are asked for.

    Args:
        asked: Kind and number of each.
        workers: Processes.
    """
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    with context.Pool(workers, _quiet) as pool:
        yield from pool.imap(_look_at, asked, chunksize=4)


def _quiet() -> None:
    cv2.setNumThreads(1)


def _look_at(asked: tuple[PhantomKind, int]) -> LookedClip:
    return look_at(*asked)
