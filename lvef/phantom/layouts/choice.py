"""Which layouts phantoms are written in, and where their clips lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lvef.data.formats import require_nibabel
from lvef.data.phantom_folder import is_phantom, read_marker
from lvef.errors import ConfigurationError, VideoError
from lvef.phantom.clip import PhantomClip
from lvef.phantom.layouts.bids import (
    clear_subjects,
    number_of_session,
    write_session,
    write_tables,
)
from lvef.phantom.layouts.mimic_echo import (
    clear_studies,
    number_of_study,
    write_lists,
    write_study,
)

WrittenLayout = Literal[
    "echonet-dynamic", "echonet-pediatric", "camus", "list", "study", "mimic-echo", "bids"
]
USUAL: WrittenLayout = "echonet-dynamic"
SOLID = ("camus", "list", "study")
"""Layouts of several views of one heart, which the second generator draws."""
_BELOW = {"echonet-pediatric": "A4C", "camus": "database_nifti"}
"""Folder of the clips below the root, where there is one."""


@dataclass(frozen=True)
class StudyLayout:
    """How phantoms are written as studies, and listed.

    Attributes:
        write: Writes a phantom, given the folder, its number, split and container.
        finish: Writes the lists of the folder, given what `write` returned of all.
        clear: Removes what an earlier run wrote.
        number: Tells the number of the phantom that a video shows.
    """

    write: Callable[[PhantomClip, Path, int, str, str], dict[str, Any]]
    finish: Callable[[Path, Sequence[dict[str, Any]]], None]
    clear: Callable[[Path], None]
    number: Callable[[str], int]


OF_STUDIES = {
    "mimic-echo": StudyLayout(write_study, write_lists, clear_studies, number_of_study),
    "bids": StudyLayout(write_session, write_tables, clear_subjects, number_of_session),
}
"""Layouts whose clips are of studies, by name."""


def number_of(video: str, layout: str) -> int:
    """Return the number of the phantom that a video shows.

    Raises:
        ValueError, IndexError: Its name is none of a phantom.
    """
    if layout in OF_STUDIES:
        return OF_STUDIES[layout].number(video)
    return int(video.rsplit("N", 1)[1])


def clips_folder(root: Path, layout: WrittenLayout) -> Path:
    """Return the folder that clips and tables of a layout lie in."""
    return root / _BELOW.get(layout, "")


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
    if layout == "mimic-echo" and container == "mp4":
        raise ConfigurationError(
            f"--container {container} with --layout mimic-echo: its clips are DICOM; leave one away"
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
