"""What a view gate lets through: limits that are chosen on clips that no head learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from lvef.analysis.gate import Limits, repeats
from lvef.cardiac.order import asymmetries
from lvef.models.segmentation.view_head import A4C, VIEWS, ViewHeads
from lvef.pretraining.view_material import Material

_LOST = {"view": 0.01, "time": 0.01}
"""Share of four-chamber views that a limit may cost, of those that it is chosen on. Hearts of wider
ranges than any that were learned from lose about twice as many to the limit of views."""
_CERTAIN = 2.5
"""Log-odds that time runs backwards, at least, where a clip is refused for it: twelve to one, since
few clips of an archive do, and more are poor ones in which it cannot be told."""
_LIMITS = (0.02, 0.5)
"""Probabilities that the limit lies between, whatever the phantoms say."""
_SHRUNK = 3.0
"""How strongly the weights of the arrow of time are held small."""


@torch.no_grad()
def seen_by(heads: ViewHeads, material: Material) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what heads see: probabilities of each view `(n, V)`, and of the first `(n,)`."""
    told = [heads(part.float()) for group in material.seen for part in torch.split(group, 256)]
    among, alone = (torch.cat(each).cpu().numpy() for each in zip(*told, strict=True))
    return among, alone


def chosen_limit(p_a4c: NDArray[Any]) -> float:
    """Return the least probability that is let through, of those of four-chamber views."""
    return float(np.clip(np.quantile(p_a4c, _LOST["view"]), *_LIMITS))


def learned_arrow(material: Material) -> NDArray[np.float64]:
    """Return what each of the asymmetries of a curve counts: logistic regression, no constant."""
    told = np.concatenate(
        [[asymmetries(one, fps), -asymmetries(other, fps)] for one, other, fps in material.curves]
    )
    spread = told.std(0) + 1e-9

    def loss(weights: NDArray[np.float64]) -> float:
        wrong = np.logaddexp(0, -(told / spread) @ weights).sum()
        return float(wrong + _SHRUNK * np.square(weights).sum())

    found = np.asarray(minimize(loss, np.zeros(told.shape[1])).x, np.float64)
    return np.asarray(found / spread)


def chosen_arrow(arrow: NDArray[np.float64], material: Material) -> tuple[float, float]:
    """Return the least log-odds that are let through, and the share of reversed clips below.

    Clips whose beats do not repeat are let through, either way.
    """
    ways = [[asymmetries(curve, fps) @ arrow if repeats(curve, fps) else np.inf
             for curve in (one, other)] for one, other, fps in material.curves]  # fmt: skip
    forwards, backwards = np.array(ways).T
    lost = np.quantile(forwards, _LOST["time"], method="lower")
    least = float(min(lost, -_CERTAIN))
    return least, float((backwards < least).mean())


def chosen(
    heads: ViewHeads, arrow: NDArray[np.float64], choice: Material
) -> tuple[Limits, dict[str, Any]]:
    """Return the limits, and what they let through of the clips that they were chosen on."""
    _, p_a4c = seen_by(heads, choice)
    wanted = np.array(choice.views) == VIEWS.index(A4C)
    least_p = chosen_limit(p_a4c[wanted])
    least_arrow, found = chosen_arrow(arrow, choice)
    kinds = np.array(choice.kinds)
    through = {
        str(kind): [round(float((p_a4c[kinds == kind] >= least_p).mean()), 4),
                    int((kinds == kind).sum())] for kind in np.unique(kinds)
    }  # fmt: skip
    summary = {
        "four-chamber views kept": round(float((p_a4c[wanted] >= least_p).mean()), 4),
        "others let through": round(float((p_a4c[~wanted] >= least_p).mean()), 4),
        "reversed found": round(found, 4),
        "least p": round(least_p, 4), "least arrow": round(least_arrow, 3),
        "pictures": [int(wanted.sum()), int((~wanted).sum())],
    }  # fmt: skip
    figures = {"choice": summary, "let through by kind": through}
    return Limits(least_p, tuple(arrow.tolist()), least_arrow), figures
