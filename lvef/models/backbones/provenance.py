"""What had a part in weights that a backbone starts from."""

from __future__ import annotations

from pathlib import Path

from lvef.errors import WeightsError
from lvef.models.torch_file import UnreadableError, read_metadata, read_torch


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
