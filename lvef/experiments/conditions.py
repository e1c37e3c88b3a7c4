"""What can go wrong with a clip: key frames off, fewer frames a second, poor pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lvef.cardiac import mid_frame
from lvef.data.corruptions import CORRUPTIONS

OFFSETS = tuple(range(-5, 6))
"""Frames by which a key frame is picked too early or too late."""
SLOWER = (2, 3, 4)
"""How many times fewer frames a second a clip has."""


@dataclass(frozen=True)
class Condition:
    """One thing that goes wrong.

    Attributes:
        kind: `ED off`, `ES off`, `ED and ES off`, `frame rate`, or one of `CORRUPTIONS`; empty
            where nothing does.
        level: By how much.
        unit: What `level` counts.
    """

    kind: str = ""
    level: float = 0.0
    unit: str = ""

    @property
    def words(self) -> str:
        """The condition in words."""
        if not self.kind:
            return "as labelled"
        level = f"{self.level:+g}" if self.kind.endswith("off") else f"{self.level:g}"
        return f"{self.kind}: {level} {self.unit}"

    def frames(self, ed: int, es: int, count: int) -> dict[str, int]:
        """Return the key frames that are picked in a clip of `count` frames."""
        if self.kind == "frame rate":
            step = int(self.level)
            last = (count - 1) // step
            ed, es = (min(round(frame / step), last) * step for frame in (ed, es))
        elif self.kind.endswith("off"):
            off = int(self.level)
            ed = int(np.clip(ed + off * ("ED" in self.kind), 0, count - 1))
            es = int(np.clip(es + off * ("ES" in self.kind), 0, count - 1))
        return {"EDF": ed, "ESF": es, "MF": mid_frame(ed, es)}


def all_conditions(frames: list[str]) -> Iterator[Condition]:
    """Yield what can go wrong for a model of these frames, first that nothing does."""
    yield Condition()
    single = [name for name, slot in (("ED", "EDF"), ("ES", "ESF")) if slot in frames]
    if "MF" in frames:  # it lies half-way between them
        single = ["ED", "ES"]
    kinds = [f"{name} off" for name in single]
    kinds += ["ED and ES off"] if len(single) > 1 else []
    yield from (Condition(kind, off, "frames") for kind in kinds for off in OFFSETS if off)
    yield from (Condition("frame rate", step, "times lower") for step in SLOWER)
    for name, (_, levels, unit) in CORRUPTIONS.items():
        yield from (Condition(name, level, unit) for level in levels)
