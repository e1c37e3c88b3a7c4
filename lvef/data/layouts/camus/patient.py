"""What lies in a patient's folder: loops and masks of two views, and what is stated of each.

As the data set's publisher lays it out (Leclerc et al., *IEEE Trans Med Imaging* 38:2198-2210,
2019; <https://www.creatis.insa-lyon.fr/Challenge/camus/>), in its NIfTI release. ED and ES in
`Info_*.cfg` count from 1: `vital`, the library of the group in Sherbrooke that made the data set
with its publishers, takes 1 from each (`vital/data/camus/dataset_generator.py`), and says that
some loops begin with ES.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lvef.data.tables import plain_name

FOUR, TWO = "4CH", "2CH"
LOOP = "half_sequence"
_ENDINGS = (".nii.gz", ".nii")
_EARLIER = ".mhd"
_LONGEST = 2**16
_KEYS = {
    "EF": ("ef", "lvef"),
    "EDV": ("lvedv",),
    "ESV": ("lvesv",),
    "ED": ("ed",),
    "ES": ("es",),
    "NbFrame": ("nbframe",),
    "FrameRate": ("framerate",),
    "Sex": ("sex",),
    "Age": ("age",),
    "ImageQuality": ("imagequality",),
}
"""What is stated, and how it is written; the earlier release says LVef, LVedv and LVesv."""


def stated(folder: Path, view: str) -> dict[str, str] | None:
    """Return what `Info_VIEW.cfg` states, a text for each of `_KEYS`; None where there is none."""
    path = folder / f"Info_{view}.cfg"
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode("utf-8-sig", errors="replace")
    except OSError:
        return None
    pairs = [line.partition(":") for line in text.splitlines() if ":" in line]
    cells = {plain_name(key): value.strip() for key, _, value in pairs}
    return {name: _first(cells, written) for name, written in _KEYS.items()}


def file_of(folder: Path, view: str, part: str) -> str:
    """Return a file of a view, such as `ED_gt`, packed or not; empty where there is none."""
    for ending in _ENDINGS:
        path = folder / f"{folder.name}_{view}_{part}{ending}"
        if path.is_file() and path.stat().st_size:
            return str(path)
    return ""


def is_of_the_earlier_release(folder: Path) -> bool:
    """Tell a folder of MetaImage files, as CAMUS was published first."""
    return any(folder.glob(f"*{_EARLIER}"))


def _first(cells: dict[str, str], names: Sequence[str]) -> str:
    return next((cells[name] for name in names if name in cells), "")
