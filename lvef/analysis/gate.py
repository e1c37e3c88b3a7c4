"""The view of a clip and the arrow of its time, by what weights learned from phantoms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.cardiac import periodicity
from lvef.cardiac.order import ASYMMETRIES, asymmetries
from lvef.data.apical import A2C, A4C
from lvef.errors import WeightsError
from lvef.models.segmentation.view_head import VIEWS, ViewHeads, moments

METADATA = "view_gate"
"""Under which word weights state what a gate needs beside their heads."""
OTHER, COLOUR = "other", "colour"
_NAMES = {
    A2C: "an apical two-chamber view",
    "A3C": "an apical three-chamber view",
    "PLAX": "a parasternal long axis",
    "PSAX": "a parasternal short axis",
    "A4C apex down": "a four-chamber view with its apex down",
    "A4C mirrored": "a mirrored four-chamber view",
    COLOUR: "a picture with colour over it",
    "Doppler": "a Doppler or M-mode screen",
    "split": "several pictures on one screen",
    "none": "no heart",
}
NO_HEART = "no heart is seen"
NO_GATE = (
    "The segmenter's weights have no view heads: no clip is refused for its view, but for those in "
    "colour, and the columns view and p_a4c are empty."
)
"""What is told where nothing looks at the view."""
_FLOW = 0.02
"""Share of a sector painted with flow from which a clip is one in colour."""
_NAMED = 0.5
"""Probability from which a view that is not the wanted one is called by its name."""
_LONG = 0.9
"""Seconds from which a clip shows which way time runs."""
_REGULAR = 0.9
"""How well beats repeat, at least, where the way of time is asked: no two beats of an irregular
heart fill alike, nor do two of a curve that is mostly noise."""


@dataclass(frozen=True)
class Limits:
    """What a gate lets through; chosen on phantoms that no head learned from.

    Attributes:
        least_p: Probability of a four-chamber view, at least.
        arrow: `(ASYMMETRIES,)` what each of them counts: together log-odds that time runs forwards.
        least_arrow: These log-odds, at least.
    """

    least_p: float
    arrow: tuple[float, ...]
    least_arrow: float

    @classmethod
    def read(cls, text: str) -> Limits:
        """Return what is written with weights, as JSON.

        Raises:
            WeightsError: It was written by another version, or is damaged.
        """
        try:
            held = json.loads(text)
            arrow = tuple(float(weight) for weight in held["arrow"])
            found = cls(float(held["least_p"]), arrow, float(held["least_arrow"]))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise WeightsError(
                f"segmenter weights with a view gate that is damaged: {text}"
            ) from error
        if len(arrow) != ASYMMETRIES or not np.isfinite([found.least_p, *arrow]).all():
            raise WeightsError(f"segmenter weights with a view gate of another version: {text}")
        return found

    def text(self) -> str:
        """Return them as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Seen:
    """What a gate sees in a clip.

    Attributes:
        view: One of `VIEWS`; empty where there is no gate.
        p_a4c: Probability of an upright apical four-chamber view; NaN where there is no gate.
        fault: Why no EF can be given, in words; empty where it can.
    """

    view: str = ""
    p_a4c: float = float("nan")
    fault: str = ""


class ViewGate:
    """Tells views, and refuses all but the one that is wanted.

    Args:
        heads: What sees views.
        limits: What is let through.
    """

    def __init__(self, heads: ViewHeads, limits: Limits) -> None:
        self.heads, self.limits = heads, limits

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> ViewGate | None:
        """Return the gate that lies beside a network; None where there is none.

        Args:
            tensors: See `read_weights`.
            metadata: Likewise.

        Raises:
            WeightsError: It is damaged, or of another version.
        """
        heads = ViewHeads.read(tensors)
        if heads is None or METADATA not in metadata:
            return None
        return cls(heads, Limits.read(metadata[METADATA]))

    def see(self, told: NDArray[np.float32], wanted: str = A4C) -> Seen:
        """Return the view of a clip.

        Args:
            told: `(2, SEEN)`, see `look`.
            wanted: A4C, or A2C where a list says that a clip is of it: two-chamber views are then
                let through, too.
        """
        with torch.inference_mode():
            among, wide = self.heads(moments(torch.from_numpy(told)[None]))
        shares, p_a4c = among[0].numpy(), float(wide[0])
        if p_a4c >= self.limits.least_p:
            return Seen(A4C, p_a4c)
        best = 1 + int(np.argmax(shares[1:]))
        view = VIEWS[best] if shares[best] >= _NAMED else OTHER
        if wanted == A2C and shares[VIEWS.index(A2C)] >= _NAMED:
            return Seen(view, p_a4c)
        return Seen(view, p_a4c, _not_wanted(view, p_a4c))

    def runs_backwards(self, curve: NDArray[np.float64], fps: float) -> bool:
        """Return whether time runs backwards, by the curve of the ventricle `(T,)`."""
        if len(curve) < _LONG * fps or not np.isfinite(curve).all():
            return False
        if not repeats(curve, fps):
            return False
        return self.forwards(curve, fps) < self.limits.least_arrow

    def forwards(self, curve: NDArray[np.float64], fps: float) -> float:
        """Return log-odds that time runs forwards."""
        return float(np.dot(self.limits.arrow, asymmetries(curve, fps)))


def repeats(curve: NDArray[np.float64], fps: float) -> bool:
    """Return whether the beats of a curve `(T,)` are so alike that the way of time is asked."""
    return bool(periodicity(curve, fps)[1] >= _REGULAR)


def in_colour(seen: Seen, flow: float) -> Seen:
    """Return what is seen of a clip of which colours are known, too.

    Args:
        seen: What its grey levels tell.
        flow: Share of its sector that is painted with flow, see `lvef.data.flow`.
    """
    if flow < _FLOW:
        return seen
    told = f"colour flow is painted over {100 * flow:.0f} % of the sector"
    return replace(seen, view=COLOUR, fault=told)


def _not_wanted(view: str, p_a4c: float) -> str:
    chance = f"(p = {p_a4c:.2f})"
    name = _NAMES.get(view)
    if view == "none":
        return f"{NO_HEART}, and no apical four-chamber view {chance}"
    if name is None:
        return f"does not look like an apical four-chamber view {chance}"
    return f"looks like {name}, not an upright apical four-chamber view {chance}"
