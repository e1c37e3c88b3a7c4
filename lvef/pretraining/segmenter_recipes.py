"""How segmenters are trained: on which phantoms, for how long, and what they are judged by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from lvef.phantom.hard import HARD_KINDS, evenly
from lvef.phantom.pool import PhantomKind
from lvef.phantom.purpose import Purpose

MACHINE = {"unevenness": 0.5, "shadow": 0.3}
"""Augmentation by what probes and ribs do."""
SEQUENCE = {"flicker": 0.2, "frozen": 0.1}
"""Augmentation by what happens between looks."""
_LOOKS = 20
"""Looks of each clip that are rendered: more hearts tell more than more of each."""


def _pool(seed: int, breadth: float | None = 1.0, **given: Any) -> PhantomKind:
    return PhantomKind(seed, breadth, most_looks=_LOOKS, purpose=Purpose.SEGMENTER, **given)


def _judge(seed: int, breadth: float | None = 1.0, **given: Any) -> PhantomKind:
    return PhantomKind(
        seed, breadth, most_looks=_LOOKS, from_ed=True, purpose=Purpose.JUDGES, **given
    )


POOLS: dict[str, PhantomKind] = {
    "plain": _pool(2000),
    "wide": _pool(2100, 1.5),
    "narrow": _pool(2200, 0.6),
    "clinic": _pool(2300, None),
    **{kind: _pool(2400 + i, hard={kind: 1.0}) for i, kind in enumerate(HARD_KINDS)},
}
"""What is trained on; hearts of this purpose are never measured on."""
JUDGES: dict[str, tuple[PhantomKind, int]] = {
    "solid": (_judge(9000, solid=True), 120),
    "wider": (_judge(3001, 1.25), 60),
    "hard": (_judge(3003, hard=evenly(1.0)), 60),
    "standard": (_judge(3002, None), 30),
}
"""What is measured on, and how many clips of each; "solid" is the second generator's."""


@dataclass(frozen=True)
class Recipe:
    """How one segmenter is trained.

    Attributes:
        name: What it is called.
        shares: Share of the clips that comes from each of `POOLS`.
        clips: Clips in all.
        epochs: Times that each is seen; 0 measures the shipped weights.
        augmentation: Options of `ClipAugmentation` that are not its defaults.
        seed: Of weights, order and augmentation.
        rate: Peak learning rate.
        warm: Start from the shipped weights, for `WARM_SHARE` of the time.
        inset: Pixels by which the reader whom it learns from, and is judged by, stays further
            inside than the generator's.
        outline: Learn how far each pixel is from the outline, in place of whether it is inside.
    """

    name: str
    shares: dict[str, float]
    clips: int = 1000
    epochs: int = 8
    augmentation: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    rate: float = 3e-3
    warm: bool = False
    inset: int = 0
    outline: bool = False

    def counts(self) -> dict[str, int]:
        """Return how many clips come from each pool."""
        return {pool: round(share * self.clips) for pool, share in self.shares.items()}


_BREADTHS = ("wide", "narrow", "clinic")


def _mixed(share: float, others: tuple[str, ...]) -> dict[str, float]:
    return {"plain": 1 - share, **dict.fromkeys(others, share / len(others))}


_PLAIN = Recipe("plain", {"plain": 1.0}, clips=2000, epochs=7, inset=1)
_VARIANTS = [
    _PLAIN,
    replace(_PLAIN, name="outline", outline=True),
    replace(_PLAIN, name="machine", augmentation=MACHINE),
    replace(_PLAIN, name="sequence", augmentation=SEQUENCE),
    replace(_PLAIN, name="longer", epochs=14),
    *(replace(_PLAIN, name=kind, shares=_mixed(0.25, (kind,))) for kind in HARD_KINDS),
    replace(_PLAIN, name="all kinds", shares=_mixed(0.4, HARD_KINDS)),
    replace(_PLAIN, name="breadths", shares=_mixed(0.6, _BREADTHS)),
]
_SHIPPED = Recipe("shipped", {}, clips=0, epochs=0)
_FINAL = Recipe("final", _mixed(0.3, ("dilated",)), 8000, 28, MACHINE)
_WARM = replace(_FINAL, name="warm", rate=1e-3, warm=True)
_INSIDE = replace(_WARM, name="reader", augmentation={}, inset=1)
_AGAIN = replace(_INSIDE, name="again", shares=_mixed(0.6, _BREADTHS))
_AGAIN_ALL = {**dict.fromkeys(("plain", *_BREADTHS), 0.2), **dict.fromkeys(HARD_KINDS, 0.05)}
RECIPES: dict[str, list[Recipe]] = {
    "ablation": [
        *(replace(_PLAIN, seed=seed) for seed in range(3)),
        *(replace(recipe, seed=seed) for seed in (0, 1) for recipe in _VARIANTS[1:]),
    ],
    "final": [
        *(replace(_FINAL, seed=seed) for seed in range(3)),
        _WARM,
        replace(_WARM, name="warm, no machine", augmentation={}),
    ],
    "reader": [
        *(replace(_INSIDE, seed=seed) for seed in range(3)),
        replace(_INSIDE, name="longer only", inset=0),
        replace(_INSIDE, name="reader, all kinds", shares=_mixed(0.4, HARD_KINDS)),
        replace(_INSIDE, name="reader, sequence", augmentation=SEQUENCE),
        _SHIPPED,
        replace(_SHIPPED, name="shipped, reader", inset=1),
    ],
    "again": [
        *(replace(_AGAIN, seed=seed) for seed in range(3)),
        replace(_AGAIN, name="again, all kinds", shares=_AGAIN_ALL),
        replace(_AGAIN, name="again, further inside", inset=2),
        replace(_SHIPPED, inset=1),
    ],
}
"""Each change alone at a quarter of the clips and epochs, with two seeds; and what ships.

"reader" goes on from what ships, with a reader one pixel further inside; "again" from that.
"""
