"""Which layouts phantoms are written in, and where their clips lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lvef.data.formats import require_nibabel
from lvef.data.phantom_folder import is_phantom, read_marker
from lvef.errors import ConfigurationError, VideoError

WrittenLayout = Literal["echonet-dynamic", "echonet-pediatric", "camus", "list"]
USUAL: WrittenLayout = "echonet-dynamic"
SOLID = ("camus", "list")
"""Layouts of two views of one heart, which the second generator draws."""
_BELOW = {"echonet-dynamic": "", "echonet-pediatric": "A4C", "camus": "database_nifti", "list": ""}
"""Folder of the clips below the root."""


def clips_folder(root: Path, layout: WrittenLayout) -> Path:
    """Return the folder that clips and tables of a layout lie in."""
    return root / _BELOW[layout]


def check_layout(
    root: Path, layout: WrittenLayout, screen: bool, container: str, breadth: float | None
) -> None:
    """Refuse to put one layout over another, and clips that a layout does not have.

    Raises:
        ConfigurationError: That is asked for, or a package is missing.
    """
    if screen and layout != USUAL:
        raise ConfigurationError(
            f"--screen with --layout {layout}: its clips are cut out of the screen; leave one away"
        )
    if layout in SOLID and breadth is not None:
        raise ConfigurationError(
            f"--breadth with --layout {layout}: its hearts are solid, and not domain-randomised; "
            "leave one away"
        )
    if layout == "camus":
        if container != "avi":
            raise ConfigurationError(
                f"--container {container} with --layout camus: its clips are NIfTI; leave one away"
            )
        try:
            require_nibabel()
        except VideoError as error:
            raise ConfigurationError(f"--layout camus: {error}") from error
    there = read_marker(root).get("layout", USUAL) if is_phantom(root) else layout
    if there != layout:
        raise ConfigurationError(
            f"{root} holds phantoms in the layout {there}; choose another --root for {layout}"
        )
