"""Do heat maps mean anything: regions, pointing game, deletion and insertion, randomisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.stats import spearmanr

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]
CURVE_SHARES = np.linspace(0, 1, 11)
"""Shares of the pixels that are taken away, or given back, along the curves."""
_TOLERANCE = 4


def region_shares(saliency: Array, regions: Mapping[str, Mask]) -> dict[str, float]:
    """Return the share of a map that lies in each region; all NaN where the map is empty.

    Args:
        saliency: `(H, W)`, not negative.
        regions: `(H, W)` masks by name, which may overlap.
    """
    total = float(saliency.sum())
    if total <= 0:
        return dict.fromkeys(regions, float("nan"))
    return {name: float(saliency[mask].sum()) / total for name, mask in regions.items()}


def pointing_game(saliency: Array, region: Mask) -> tuple[float, float]:
    """Return whether a map peaks in a region, and how likely that is of a peak put at random.

    Zhang et al., *IJCV* 126:1084-1102 (2018); 4 pixels beside the region still count.

    Args:
        saliency: `(H, W)`, not negative.
        region: `(H, W)` mask.

    Returns:
        1 or 0 (NaN where the map is empty), and the region's share of the picture, margin included.
    """
    reach = np.hypot(*np.mgrid[-_TOLERANCE : _TOLERANCE + 1, -_TOLERANCE : _TOLERANCE + 1])
    near = binary_dilation(region, reach <= _TOLERANCE) if region.any() else region
    if saliency.max() <= 0:
        return float("nan"), float(near.mean())
    peak = np.unravel_index(int(np.argmax(saliency)), saliency.shape)
    return float(near[peak]), float(near.mean())


def perturbation_curves(
    saliency: Array,
    frames: Array,
    without: Array,
    score: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return how an answer's score falls as what a map points at is taken away, and comes back.

    Deletion and insertion of Petsiuk et al. (BMVC 2018); scores are scaled so that the frames as
    they are score 1 and the frames without structure 0.

    Args:
        saliency: `(F, H, W)` map of a case.
        frames: `(F, 3, H, W)` its frames, float in 0..1.
        without: `(F, 3, H, W)` the same without structure, such as blurred.
        score: Takes `(n, F, 3, H, W)` and returns `(n,)`.

    Returns:
        Deletion and insertion, `(11,)` each, at `CURVE_SHARES`; NaN where the score of both
        pictures is the same.
    """
    order = np.argsort(-saliency.ravel(), kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order)) / len(order)
    first = rank.reshape(saliency.shape)[:, None]
    taken = [np.where(first < share, without, frames) for share in CURVE_SHARES]
    given = [np.where(first < share, frames, without) for share in CURVE_SHARES]
    scores = np.asarray(score(np.stack([*taken, *given]).astype(np.float32)), dtype=np.float64)
    whole, nothing = scores[0], scores[len(taken) - 1]
    span = whole - nothing
    if abs(span) < 1e-6:
        nan = np.full(len(CURVE_SHARES), np.nan)
        return nan, nan
    scaled = (scores - nothing) / span
    return scaled[: len(taken)], scaled[len(taken) :]


def area_under(curve: Array) -> float:
    """Return the area under a curve over `CURVE_SHARES`."""
    return float(np.trapezoid(curve, CURVE_SHARES))


def similarity(one: Array, other: Array) -> float:
    """Return the rank correlation of two maps of any shape (Adebayo et al., NeurIPS 2018).

    A map that is the same everywhere says nothing and is like no other: 0.
    """
    if np.ptp(one) <= 0 or np.ptp(other) <= 0:
        return 0.0
    return float(spearmanr(one.ravel(), other.ravel()).statistic)
