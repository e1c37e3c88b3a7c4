"""Weights that torchvision downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor
from torchvision.models import WeightsEnum

from lvef.errors import WeightsError


def not_downloaded(what: str, error: Exception, copy: str, made_by: str = "") -> WeightsError:
    """Return the error that says what can be done where weights cannot be downloaded.

    Args:
        what: Which weights.
        error: What was raised.
        copy: How they come into the library's cache.
        made_by: What makes a local file of them, in brackets.
    """
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return WeightsError(
        f"cannot download {what} ({reason}). Three ways on: {copy}; or give a local file with "
        f"--model.backbone.weights PATH{made_by}; or start from random weights with "
        "--model.backbone.weights null"
    )


def downloaded(
    weights: WeightsEnum, download: Callable[[], dict[str, Tensor]], made_by: str = ""
) -> dict[str, Tensor]:
    """Return weights by torchvision's own way: from its cache, or downloaded once.

    Args:
        weights: Which.
        download: Returns them.
        made_by: See `not_downloaded`.

    Raises:
        WeightsError: They cannot be had.
    """
    try:
        return download()
    except (URLError, OSError, RuntimeError) as error:
        name = weights.url.rsplit("/", 1)[-1]
        cache = Path(torch.hub.get_dir()) / "checkpoints" / name
        copy = f"copy {weights.url} to {cache}"
        raise not_downloaded(weights.name, error, copy, made_by) from error


def weights_facts(weights: WeightsEnum) -> dict[str, Any]:
    """Return where weights come from; torchvision says a licence of few of them."""
    facts = {"library": "torchvision", "name": weights.name, "url": weights.url}
    meta = weights.meta
    return facts | ({"licence": meta["license"]} if meta.get("license") else {})
