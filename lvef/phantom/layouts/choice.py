"""Which layouts phantoms are written in, and where their clips lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lvef.data.phantom_folder import is_phantom, read_marker
from lvef.errors import ConfigurationError

WrittenLayout = Literal["echonet-dynamic", "echonet-pediatric"]
USUAL: WrittenLayout = "echonet-dynamic"
_BELOW = {"echonet-dynamic": "", "echonet-pediatric": "A4C"}
"""Folder of the clips below the root."""


def clips_folder(root: Path, layout: WrittenLayout) -> Path:
    """Return the folder that clips and tables of a layout lie in."""
    return root / _BELOW[layout]


def refuse_other_layout(root: Path, layout: WrittenLayout, screen: bool) -> None:
    """Refuse to put one layout over another, and clips that a layout does not have.

    Raises:
        ConfigurationError: That is asked for.
    """
    if screen and layout != USUAL:
        raise ConfigurationError(
            f"--screen with --layout {layout}: its clips are cut out of the screen; leave one away"
        )
    there = read_marker(root).get("layout", USUAL) if is_phantom(root) else layout
    if there != layout:
        raise ConfigurationError(
            f"{root} holds phantoms in the layout {there}; choose another --root for {layout}"
        )
