"""How well a network paints looked-at phantoms, of either generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lvef.analysis.segment import one_ventricle, segment_closely
from lvef.cardiac import CLIP_FPS, ejection_fraction, mask_volume
from lvef.evaluation.overlap import area_error, dice
from lvef.models.segmentation.network import Painter
from lvef.pretraining.phantom_figures import BANDS
from lvef.pretraining.reader import further_inside

_OFFSETS = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Pixels by which masks are made wider to see how far a convention alone sets them apart."""


def measure(
    net: Painter | Sequence[Painter],
    arrays: dict[str, NDArray[Any]],
    inset: int = 0,
    turned: float = 0.0,
) -> dict[str, NDArray[Any]]:
    """Return what is measured of each clip, `(n,)` each.

    `inset` is how many pixels the reader stays further inside than the generator's; `net` and
    `turned` are those of `segment_closely`.

    `dice` and `area_error` (percent) over its looks; `dice+2` and the like, where masks are made
    so many pixels wider on every side; `ef` true, `ef_masks` by the masks at the true ED and ES,
    `edv_error` and `esv_error` (percent) there.
    """
    names = ("dice", "area_error", "ef_masks", "edv_error", "esv_error")
    rows: dict[str, list[float]] = {name: [] for name in (*names, *map(_wider, _OFFSETS))}
    for number in range(len(arrays["survey"])):
        span = slice(*arrays["starts"][number : number + 2])
        frames = np.array(arrays["frames"][span])
        drawn = torch.from_numpy(np.unpackbits(arrays["masks"][span], axis=-1))
        truth = further_inside(drawn, inset).bool().numpy()
        painted = one_ventricle(segment_closely(net, frames, CLIP_FPS, turned=turned))
        rows["dice"].append(float(dice(painted, truth).mean()))
        outside = np.stack([_signed_distance(mask) for mask in painted])
        for offset in _OFFSETS:
            rows[_wider(offset)].append(float(dice(outside <= offset, truth).mean()))
        rows["area_error"].append(float(area_error(painted, truth).mean()))
        ends = arrays["beats"][slice(*arrays["beat_starts"][number : number + 2])]
        volumes = np.array(
            [[[mask_volume(m[i])[0] for i in pair] for pair in ends] for m in (painted, truth)]
        ).reshape(2, -1, 2)
        error = 100 * (volumes[0] / volumes[1] - 1)
        rows["ef_masks"].append(_median(ejection_fraction(*volumes[0].T)))
        rows["edv_error"].append(_median(error[:, 0]))
        rows["esv_error"].append(_median(error[:, 1]))
    return {"ef_true": np.array(arrays["ef_true"]), **{k: np.array(v) for k, v in rows.items()}}


def summarise(rows: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Return means over clips, and the bias of EF by masks in bands of EF.

    `dice_fitted` is Dice where all masks are as much wider or narrower as suits them best;
    `ef_mae_fitted` the error of the EF after x (a + b x / 100) through these same clips.
    """
    gap = rows["ef_masks"] - rows["ef_true"]
    figures = {
        "dice": float(rows["dice"].mean()),
        # How far readers stay from the edge is a convention that generators need not share.
        "dice_fitted": max(float(rows[_wider(offset)].mean()) for offset in _OFFSETS),
        "dice_low": float(np.percentile(rows["dice"], 10)),
        "area_error": _mean(np.abs(rows["area_error"])),
        "edv_error": _mean(rows["edv_error"]),
        "esv_error": _mean(rows["esv_error"]),
        "ef_mae": _mean(np.abs(gap)),
        "ef_mae_fitted": _mean(np.abs(_after_a_fit(rows["ef_masks"], rows["ef_true"]))),
    }
    for low, high in BANDS:
        chosen = (rows["ef_true"] > low) & (rows["ef_true"] <= high)
        figures[f"ef_bias_{low}_{high}"] = _mean(gap[chosen])
    return figures


def _after_a_fit(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(found) & np.isfinite(true)
    terms = np.stack([found[known], found[known] ** 2 / 100], axis=1)
    fitted = terms @ np.linalg.lstsq(terms, true[known], rcond=None)[0]
    return np.asarray(fitted - true[known])


def _wider(offset: float) -> str:
    return f"dice{offset:+g}"


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how far outside of a mask each pixel lies, 0.5 and more; negative inside."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    outside, inside = distance_transform_edt(~mask), distance_transform_edt(mask)
    return np.asarray(np.where(mask, 0.5 - inside, outside - 0.5))


def _median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is known; NaN where nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
