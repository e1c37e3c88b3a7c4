"""What a layout of labelled clips is, and which one a folder has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from lvef.data.layouts.duplicates import without_copies, without_shared_a2cs
from lvef.data.layouts.folder import MAX_EXCLUDED, LabelFolder, check_excluded
from lvef.data.names import expanded
from lvef.errors import DatasetError

LAYOUTS: dict[str, Layout] = {}
"""The layouts that are known, by name; see `register`."""


class Layout(ABC):
    """How a data set lays out its clips and labels; told by what lies in the folder.

    Attributes:
        name: Name of the layout, as options and messages have it.
        ef_of_volumes: Whether EF was made of the volumes beside it, so that a row in which they do
            not agree is a mistake. EF of two planes or of a report is none of one plane's volumes.
    """

    name: ClassVar[str]
    ef_of_volumes: ClassVar[bool] = False

    @abstractmethod
    def recognises(self, root: Path) -> bool:
        """Tell whether a folder that exists is of this layout, be it incomplete."""

    @abstractmethod
    def read(self, root: Path, max_excluded: float) -> LabelFolder:
        """Read and check a folder of this layout.

        Args:
            root: The folder.
            max_excluded: Share of rows that may be unusable before the folder is refused; see
                `check_excluded`.

        Raises:
            DatasetError: Something is missing, or cannot be read.
            ExcludedError: More than `max_excluded` is unusable.
        """

    @abstractmethod
    def label_files(self, root: Path) -> list[Path]:
        """Return the files that hold a folder's labels, by which a changed one is told."""

    @abstractmethod
    def video_folders(self, root: Path) -> list[Path]:
        """Return the folders that hold a folder's clips."""

    def clip_files(self, root: Path) -> list[Path]:
        """Return the files of a folder's clips, and what else lies in their folders."""
        return [path for folder in self.video_folders(root) for path in folder.iterdir()
                if path.is_file()]  # fmt: skip

    @abstractmethod
    def advice(self, root: Path) -> str:
        """Return in a sentence, without a full stop, what a folder that is not of it would need."""


def register(layout: Layout) -> Layout:
    """Make a layout known by its name."""
    LAYOUTS[layout.name] = layout
    return layout


def find_layout(root: Path | str, name: str | None = None) -> Layout:
    """Return the layout of a folder.

    Args:
        root: The folder.
        name: Which layout it is; by default what lies in it tells.

    Raises:
        DatasetError: It is of none that is known or of several, or there is no such folder.
    """
    root = expanded(root)
    if name is not None and name not in LAYOUTS:
        raise DatasetError(f"no layout is called {name!r}: there is {', '.join(LAYOUTS)}")
    if root.is_file() and name in (None, "list"):
        return LAYOUTS["list"]
    try:
        there = root.is_dir() and any(True for _ in root.iterdir())
    except OSError as error:
        raise DatasetError(f"{root} cannot be read: {error.strerror or error}") from error
    if name is not None and there:
        return LAYOUTS[name]
    fitting = [layout for layout in LAYOUTS.values() if there and layout.recognises(root)]
    if len(fitting) > 1:
        names = ", ".join(layout.name for layout in fitting)
        raise DatasetError(
            f"{root} may be of several layouts ({names}): say which by --data.layout"
        )
    if not fitting:
        wrong = "holds no labels that are known" if root.is_dir() else "not found"
        known = sorted(LAYOUTS.values(), key=lambda layout: layout.name == "list")  # the last way
        advice = ". ".join(layout.advice(root) for layout in known)
        raise DatasetError(f"{root} {wrong}. {advice}")
    return fitting[0]


def read_labels(
    root: Path | str, max_excluded: float = MAX_EXCLUDED, layout: str | None = None
) -> LabelFolder:
    """Read and check a folder of labelled clips, in which no clip then stands twice.

    Args:
        root: The folder.
        max_excluded: Share of rows that may be unusable before the folder is refused.
        layout: Name of its layout; by default what lies in the folder tells.

    Raises:
        DatasetError: It is of no known layout, something is missing, or cannot be read, or the
            same clip is in several splits.
        ExcludedError: More than `max_excluded` is unusable.
    """
    folder = find_layout(root, layout).read(expanded(root), max_excluded)
    return check_excluded(without_shared_a2cs(without_copies(folder)), max_excluded)
