"""Which files are clips: of a folder, a pattern, or several of them."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path

from lvef.data.names import is_clip
from lvef.errors import ConfigurationError
from lvef.predict.stream.manifest import written_beside

_MOST_KINDS = 6
_WITH_PATHS = ("--data.videos", "--data.keyframes", "--data.root")


def status_of(path: Path) -> tuple[int, int]:
    """Return the bytes of a file and when it was last written, in nanoseconds; -1 without one."""
    try:
        status = os.stat(path)
    except OSError:  # a link to nowhere, which is told when it is opened
        return -1, -1
    return status.st_size, status.st_mtime_ns


def refuse_expanded(words: Sequence[str]) -> None:
    """Refuse several paths behind an option that takes one: a shell spelt a pattern out.

    Raises:
        ConfigurationError: There is such an option.
    """
    for place, word in enumerate(words):
        if word not in _WITH_PATHS:
            continue
        given = []
        for following in words[place + 1 :]:
            if following.startswith("--"):
                break
            given.append(following)
        if len(given) > 1:
            raise ConfigurationError(
                f"{word} takes one path, but {len(given)} follow it ({given[0]}, {given[1]}"
                f"{', ...' if len(given) > 2 else ''}): the shell spelt the pattern out, so put it "
                f"in quotes, such as {word} 'clips/*.avi'"
            )


@dataclass
class Search:
    """Walks folders, and counts what it passes over.

    Attributes:
        others: Files that are no clips, by kind.
        unsearched: Folders that were found but not searched.
        closed: Folders that may not be read.
        written: Folders of pictures, rows or DICOM objects that come with results.
    """

    others: Counter[str] = field(default_factory=Counter)
    unsearched: int = 0
    closed: int = 0
    written: int = 0

    def is_clip(self, file: Path) -> bool:
        """Tell a clip; what is none is counted."""
        if is_clip(file):
            return True
        self.others[file.suffix.lower() or "without extension"] += 1
        return False

    def remarks(self, folder: Path | None) -> list[str]:
        """Return what was passed over, in words."""
        remarks = []
        if self.others:
            most = sorted(self.others.items(), key=lambda each: (-each[1], each[0]))
            kinds = [f"{count:,} {kind}" for kind, count in most[:_MOST_KINDS]]
            listed = ascii(", ".join(kinds) + ", ..." * (len(self.others) > _MOST_KINDS))[1:-1]
            remarks.append(
                f"not read as no clip: {_counted(self.others.total(), 'file')} ({listed})"
            )
        if self.unsearched:
            where = f"; '{folder}/**/*' searches those below, too" if folder else ""
            remarks.append(f"not searched: {_counted(self.unsearched, 'folder')} in it{where}")
        if self.closed:
            remarks.append(f"not opened, as that is not allowed: {_counted(self.closed, 'folder')}")
        if self.written:
            remarks.append(f"not searched: {_counted(self.written, 'folder')} of results")
        return remarks

    def below(self, folder: Path) -> Iterator[Path]:
        """Yield the files of a folder and of all below it, those of each one after the other."""
        for each in self._below(folder):
            for entry in self._entries(each, count=False):
                if not _is_hidden(entry.name) and not _is_folder(entry) and _is_file(entry):
                    yield each / entry.name

    def pattern(self, pattern: Path) -> Iterator[Path]:
        """Yield the files that match a pattern."""
        parts = pattern.relative_to(pattern.anchor).parts
        if parts[-1:] == ("**",):
            parts = (*parts, "*")
        searched = parts[-2:] == ("**", "*")  # every folder below comes up by itself
        for path in self._matches(Path(pattern.anchor), parts):
            if not os.path.isdir(path):
                yield path
            elif not searched:
                self.unsearched += 1

    def _matches(self, base: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        if not parts:
            yield base
            return
        first, rest = parts[0], parts[1:]
        if first == "**":
            for folder in self._below(base):
                yield from self._matches(folder, rest)
        elif os.path.lexists(base / first):  # brackets may be a name's own
            yield from self._matches(base / first, rest)
        elif has_magic(first):
            written = written_beside(base)
            for entry in self._entries(base):
                fits = fnmatchcase(entry.name, first)
                wanted = _is_folder(entry) if rest else _is_folder(entry) or _is_file(entry)
                if os.path.normpath(base / entry.name) in written:
                    self.written += fits
                elif fits and wanted and (first.startswith(".") or not _is_hidden(entry.name)):
                    yield from self._matches(base / entry.name, rest)

    def _below(self, base: Path) -> Iterator[Path]:
        """Yield a folder and all below it, each once: links may lead back up."""
        seen: set[tuple[int, int]] = set()
        own, links = deque([base]), deque[Path]()
        written = written_beside(base)
        while own or links:
            folder = (own or links).popleft()
            if os.path.normpath(folder) in written:
                self.written += 1
                continue
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            yield folder
            for entry in self._entries(folder, count=False):
                if _is_folder(entry) and not _is_hidden(entry.name):
                    (links if entry.is_symlink() else own).append(folder / entry.name)
                    written |= written_beside(folder / entry.name)

    def _entries(self, folder: Path, count: bool = True) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:
            self.closed += count
            return []


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return os.path.isdir(entry.path)  # which takes a link in circles for none
    return entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Tell a file; a link that leads nowhere is one that cannot be read, and is told so."""
    return entry.is_symlink() or entry.is_file()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
