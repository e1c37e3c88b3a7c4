"""How strongly the parts of a heart reflect."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]


@dataclass(frozen=True)
class Echogenicity:
    """How strongly the parts of a heart reflect; pairs are ranges to draw from.

    The defaults are those of the standard benchmark.

    Attributes:
        background: Tissue around the heart.
        muscle: The left ventricle's wall.
        heart: The rest of the heart, relative to `muscle`.
        texture: Coarse and fine variation within tissue, in natural logarithms.
        pericardium: The bright line behind the lateral wall.
        septal_core: The bright line inside the septum.
        annulus: The hinges of the valves.
        trabeculae: Fewest and most (exclusive) small structures in the LV cavity.
        papillary: Papillary muscles.
        lines: Bright endocardial lines.
        gaps: Places where the wall is not seen.
        unseen: Share of its echo that the lateral wall loses where it runs along the beams.
        unseen_until: Level down to which it does, from the apex.
        grading: Share of its echo that the wall loses from its outer to its inner edge.
        spongy: Thickness in mm of the trabeculated layer inside the compacted wall.
        spongy_level: Its echo, relative to `muscle`.
        strands: Bright structures that run along the lateral wall, inside it.
        septal_gap: Share of its echo that the septum loses near the apex.
    """

    background: Span = (0.06, 0.30)
    muscle: Span = (0.45, 0.75)
    heart: Span = (0.4, 0.8)
    texture: Span = (0.55, 0.35)
    pericardium: Span = (0.8, 2.2)
    septal_core: Span = (0.6, 1.3)
    annulus: Span = (0.8, 2.4)
    trabeculae: tuple[int, int] = (2, 8)
    papillary: int = 0
    lines: int = 0
    gaps: int = 0
    unseen: float = 0.0
    unseen_until: float = 0.0
    grading: float = 0.0
    spongy: float = 0.0
    spongy_level: float = 1.0
    strands: int = 0
    septal_gap: float = 0.0
