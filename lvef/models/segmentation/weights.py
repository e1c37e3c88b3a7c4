"""Weights of the segmenter: those that ship, files, and checkpoints of its task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from lvef.errors import CheckpointError, WeightsError
from lvef.models.segmentation.network import LVSegmentationNet
from lvef.models.segmentation.view_head import PREFIX

SHIPPED = "shipped"
"""The weights that come with the package, trained on phantoms only."""
_TASK = "lvef.models.LVSegmenter"
_PACKAGE = Path(__file__).resolve().parents[2]
"""By this file, and not by the name: where a working folder holds a clone that is called `lvef`,
Python may take that for the package."""


def weights_file(weights: str | Path) -> Path:
    """Return the file of segmenter weights: "shipped" are those that come with the package."""
    if str(weights) == SHIPPED:
        return _PACKAGE / "weights" / "lv_seg.safetensors"
    return Path(weights)


def load_weights(net: LVSegmentationNet, weights: str | Path) -> dict[str, str]:
    """Fill a network with weights, and return what their file says of them; see `read_weights`.

    Raises:
        WeightsError: They cannot be read, or are another network's.
    """
    state, metadata = read_weights(weights)
    fill(net, state, weights)
    return metadata


def fill(net: LVSegmentationNet, tensors: Mapping[str, Tensor], weights: str | Path) -> None:
    """Fill a network with its own of some tensors, those of view heads left out.

    Args:
        net: The network.
        tensors: See `read_weights`.
        weights: Where they are from, which an error names.

    Raises:
        WeightsError: They are another network's.
    """
    own = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
    try:
        net.load_state_dict(own)
    except RuntimeError as error:
        raise WeightsError(f"{weights}: of another version of the segmenter") from error


def recalibration_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what weights say of the labelled clips that calibrated their EF; empty of others.

    Args:
        metadata: See `read_weights`.

    Raises:
        WeightsError: It is damaged.
    """
    try:
        return dict(json.loads(metadata.get("recalibrated", "{}")))
    except (ValueError, TypeError) as error:
        raise WeightsError("segmenter weights whose metadata are damaged") from error


def read_weights(weights: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a network's tensors, with those of view heads, and what the file says of them.

    Args:
        weights: "shipped", a .safetensors file, or a checkpoint of an `LVSegmenter`.

    Raises:
        WeightsError: They cannot be read.
    """
    path = weights_file(weights)
    if not path.is_file():
        raise WeightsError(f"{path} not found; give segmenter weights, or {SHIPPED!r}")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as opened:
                return load_file(path), dict(opened.metadata() or {})
        from lvef.models.loading import read_checkpoint  # brings Lightning, which files need not

        checkpoint = read_checkpoint(path)
    except (SafetensorError, OSError, CheckpointError) as error:
        raise WeightsError(f"{path}: not readable segmenter weights") from error
    metadata = checkpoint["lvef"]
    if metadata["class_path"] != _TASK:
        raise WeightsError(f"{path} holds a {metadata['task']}, not an LVSegmenter")
    phantoms = metadata["data"].get("is_phantom") and not metadata.get("patients", False)
    tensors = checkpoint["state_dict"].items()
    state = {name.removeprefix("net."): v for name, v in tensors if name.startswith("net.")}
    return state, {"trained_on": "phantoms" if phantoms else ""}
