"""Gates to which every clip is of one view, whatever it shows."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from lvef.analysis.gate import METADATA, Limits, ViewGate
from lvef.cardiac.order import ASYMMETRIES
from lvef.models.segmentation.view_head import PREFIX, VIEWS, ViewHeads
from lvef.models.segmentation.weights import read_weights

FORWARDS = (0.0, 6.0, *(0.0,) * (ASYMMETRIES - 2))
"""Weights of an arrow of time that asks for how long it fills, and nothing else."""
LIMITS = Limits(least_p=0.3, arrow=FORWARDS, least_arrow=-1.0)
NEVER = Limits(least_p=0.3, arrow=FORWARDS, least_arrow=-1e6)
"""Limits that let time run either way."""


def gate_that_sees(view: str, limits: Limits = LIMITS) -> ViewGate:
    """A gate to which every clip is of one view."""
    heads = ViewHeads(1).eval()
    last = heads.heads[0].both[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
        last.bias[VIEWS.index(view)] = 6.0
        last.bias[-1] = 6.0 if view == "A4C" else -6.0
    return ViewGate(heads, limits)


def weights_that_see(view: str | None, path: Path) -> Path:
    """Write the shipped weights with heads to which every clip is of one view; None for none."""
    state, metadata = read_weights("shipped")
    tensors = {name: value for name, value in state.items() if not name.startswith(PREFIX)}
    metadata = {name: text for name, text in metadata.items() if name != METADATA}
    if view is not None:
        gate = gate_that_sees(view, NEVER)
        tensors |= gate.heads.tensors()
        metadata[METADATA] = gate.limits.text()
    save_file(tensors, path, metadata)
    return path
