"""What had a part in weights that a backbone starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lvef.errors import WeightsError
from lvef.models.torch_file import UnreadableError, read_metadata, read_torch

LEARNED_FROM = ("no labels", "other cases", "the same cases", "cases that are not known")
"""Whose labels may have taught a backbone, beside those that its head is fitted to."""
_NOBODY, _OTHERS, _SAME, _UNKNOWN = LEARNED_FROM


def taught_by(weights: str) -> str:
    """Return "phantoms" where a file of weights says that they had a part in them, else nothing.

    Args:
        weights: Name or path; see `Backbone.load`.

    Raises:
        WeightsError: The file cannot be read.
    """
    path = Path(weights)
    if not path.is_file():
        return ""
    try:
        metadata = read_metadata(path)
        content = read_torch(path) if metadata is None else {}
    except UnreadableError as error:
        raise unusable(path, error) from error
    if metadata is not None:
        return "phantoms" if "phantom" in metadata.get("trained_on", "").lower() else ""
    run = content.get("lvef") if isinstance(content, dict) else None
    if not isinstance(run, dict):
        return ""
    return "phantoms" if run.get("data", {}).get("is_phantom") or run.get("trained_on") else ""


def unusable(path: Path, error: UnreadableError) -> WeightsError:
    """Return the error that says why a file cannot be used."""
    return WeightsError(f"{path}: cannot be used as backbone weights: {error}")


def parts_of(weights: str) -> list[dict[str, Any]]:
    """Return whose labels taught a file of weights, as `Folds.facts` says it; empty where none did.

    A checkpoint of an earlier version does not say, which stands as an empty part.

    Args:
        weights: Name or path; see `Backbone.load`.
    """
    run = _run_of(weights)
    parts: list[dict[str, Any]] = [] if run is None else run.get("backbone_taught_by", [{}])
    return parts


def origin_of(weights: str) -> dict[str, Any]:
    """Return where the library's weights come from that a checkpoint's backbone started from.

    Nothing of other files, and of a backbone that started from noise.

    Args:
        weights: Name or path; see `Backbone.load`.
    """
    return dict((_run_of(weights) or {}).get("backbone", {}).get("weights", {}))


def _run_of(weights: str) -> dict[str, Any] | None:
    """Return what a checkpoint of this package says of itself; None of anything else."""
    path = Path(weights)
    try:
        if not path.is_file() or read_metadata(path) is not None:
            return None
        content = read_torch(path)
    except UnreadableError as error:
        raise unusable(path, error) from error
    run = content.get("lvef") if isinstance(content, dict) else None
    return run if isinstance(run, dict) else None


def learned_from(parts: Sequence[Mapping[str, Any]], own: Mapping[str, Any]) -> str:
    """Return whether a backbone was taught by the cases that a head is fitted to.

    Args:
        parts: Whose labels taught the backbone; see `parts_of`.
        own: What the head is fitted to; see `Folds.facts`.

    Returns:
        One of `LEARNED_FROM`.
    """
    if not parts:
        return _NOBODY
    if any(_overlap(part, own) for part in parts):
        return _SAME
    if all(part.get("split") and part["split"] == own.get("split") for part in parts):
        return _OTHERS
    return _UNKNOWN


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two parts of the same TRAIN are known to share cases."""
    if not one.get("split") or one["split"] != other.get("split"):
        return False
    if one["seed"] != other["seed"]:
        return True  # dealt out otherwise: by chance, some are in both
    spans = [(max(a, c), min(b, d)) for a, b in one["spans"] for c, d in other["spans"]]
    return any(first < last for first, last in spans)
