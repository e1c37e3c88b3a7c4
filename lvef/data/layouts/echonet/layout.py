"""An EchoNet-Dynamic folder: what tells it, and how it is read."""

from __future__ import annotations

from pathlib import Path

from lvef.data.layouts.base import Layout, register
from lvef.data.layouts.echonet.filelist import read_filelist
from lvef.data.layouts.echonet.folder import EchoNetFolder
from lvef.data.layouts.echonet.parts import (
    FILE_LIST,
    TRACINGS,
    VIDEOS,
    found_parts,
    has_any_part,
    has_outlines,
    part,
)
from lvef.data.layouts.echonet.tracings import read_tracings
from lvef.data.layouts.folder import LabelFolder, check_excluded
from lvef.data.tables import plain_name
from lvef.errors import DatasetError

HOME_PAGE = "https://echonet.github.io/dynamic/"
_UNPACKED, _DEEPEST = "echonetdynamic", 2
"""What archives unpack into, as `plain_name` has it, and how often one in another."""


class EchoNetDynamic(Layout):
    """The layout of EchoNet-Dynamic and of phantoms: one list, one file of tracings, one folder.

    File names may have an extension or not, folders before them, and other capitals; further
    columns are kept as they are written. ED is the traced frame with the larger area. Unusable
    rows are set aside with a reason.
    """

    name = "echonet-dynamic"
    ef_of_volumes = True

    def recognises(self, root: Path) -> bool:
        """Tell a folder by any of its three parts, whatever its capitals."""
        place = _place(root)
        return has_any_part(place) and not has_outlines(place)

    def label_files(self, root: Path) -> list[Path]:
        """Return the list and the tracings."""
        return [part(_place(root), name) for name in (FILE_LIST, TRACINGS)]

    def video_folders(self, root: Path) -> list[Path]:
        """Return the one folder of videos."""
        return [part(_place(root), VIDEOS)]

    def advice(self, root: Path) -> str:
        """Return what such a folder holds, or where one is."""
        below = [path.parent for path in sorted(root.glob(f"*/{FILE_LIST}"))]
        if below:
            return f"There is one in {below[0]}: give that folder"
        return _needs(root)

    def read(self, root: Path, max_excluded: float) -> LabelFolder:
        """Read and check a folder; see `Layout.read`."""
        root = _place(root)
        list_file, tracing_file, videos = found_parts(root, self.advice(root))
        try:
            files = read_filelist(list_file, videos, self.ef_of_volumes)
            tracings, unordered = read_tracings(tracing_file, files.table["video"])
        except DatasetError as error:
            advice = _advice_on_tables(root, str(error))
            raise DatasetError(f"{error}. {advice}" if advice else str(error)) from error
        notes = []
        if unordered:
            notes.append(f"{unordered:,} tracings had their rows out of order: put in order")
        folder = EchoNetFolder.joined(root, files, tracings, *notes)
        return check_excluded(folder, max_excluded)


register(EchoNetDynamic())


def _place(root: Path) -> Path:
    """Return the folder of the parts: a root, or the one that an archive was unpacked into.

    Kaggle's mirrors unpack into `EchoNet-Dynamic/`, some into one of that name in another.
    """
    place = root
    for _ in range(_DEEPEST):
        if has_any_part(place):
            return place
        below = [path for path in place.iterdir() if path.is_dir()
                 and plain_name(path.name) == _UNPACKED]  # fmt: skip
        if len(below) != 1:
            break
        place = below[0]
    return place if has_any_part(place) else root


def _advice_on_tables(root: Path, error: str) -> str:
    """Return what to do with a folder whose tables are not as they should be, empty if unknown."""
    if has_outlines(root):
        return f"{root} is laid out as EchoNet-Pediatric: read it as echonet-pediatric"
    return _needs(root) if "not found among" in error else ""


def _needs(root: Path) -> str:
    return (
        f"An EchoNet-Dynamic folder holds FileList.csv, VolumeTracings.csv and Videos/; get the "
        f"data from {HOME_PAGE}, or make a phantom: python -m lvef phantom --root {root}"
    )
