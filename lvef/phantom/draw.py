"""Draws from ranges that can be made wider or narrower all at once."""

from __future__ import annotations

import numpy as np


class Draw:
    """Draws from ranges that are `breadth` times as wide as they are written."""

    def __init__(self, rng: np.random.Generator, breadth: float) -> None:
        self.rng, self.breadth = rng, breadth

    def __call__(self, low: float, high: float, least: float = -np.inf) -> float:
        """Draw evenly."""
        centre, half = (low + high) / 2, self.breadth * (high - low) / 2
        return max(least, float(self.rng.uniform(centre - half, centre + half)))

    def log(self, low: float, high: float) -> float:
        """Draw evenly on a logarithmic scale."""
        return float(np.exp(self(np.log(low), np.log(high))))

    def chance(self, probability: float) -> bool:
        """Return whether something of this probability happens."""
        return bool(self.rng.random() < probability)
