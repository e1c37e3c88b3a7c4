"""Which clips there are, told one after the other: an archive has hundreds of thousands."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from glob import has_magic
from hashlib import blake2b
from itertools import groupby
from math import isnan
from pathlib import Path

from lvef.data.formats import dicomdir_files, is_dicomdir
from lvef.data.layouts.clip_list.table import read_list
from lvef.data.names import CLIP_EXTENSIONS, expanded
from lvef.errors import ConfigurationError, DatasetError
from lvef.files import printable
from lvef.predict.clip_beats import EMPTY
from lvef.predict.find import Search, status_of

TWICE = "listed twice, with different frames or two-chamber views"
_KEY = 16


@dataclass(frozen=True)
class ClipInput:
    """A clip to be analysed.

    Attributes:
        path: Its file.
        name: What it is called in the tables.
        shown: What reasons call the file.
        size: Its bytes; -1 where that cannot be told.
        mtime_ns: When it was last written, in nanoseconds; -1 likewise.
        beats: ED and ES of its beats where they are given, NaN where one is no whole number.
        problem: Why it cannot be used, known before it is opened; empty where nothing is known.
        case: Its number, where nothing that is written may name it; 0 where it has none.
        secret: Hides in `key` what is known of such a clip.
        study: What the study that it is of is called; empty where none is known.
        study_key: Tells that study from all others, where its place or its file says which it is;
            empty where a list says so, by whose name the study is known.
        study_uid: Hash of the StudyInstanceUID that it states; empty where none is known.
        view: Which view of the heart it is said to be; likewise.
        a2c: The two-chamber clip of the same study, where a list names one.
    """

    path: Path
    name: str
    shown: str
    size: int = -1
    mtime_ns: int = -1
    beats: tuple[tuple[float, float], ...] = ()
    problem: str = ""
    case: int = 0
    secret: bytes = field(default=b"", repr=False)
    study: str = ""
    study_key: str = ""
    study_uid: str = ""
    view: str = ""
    a2c: ClipInput | None = None

    @property
    def stored_path(self) -> bytes:
        """What its rows are stored under, and sorted by: its absolute path, or its number."""
        return b"%012d" % self.case if self.case else os.fsencode(os.path.abspath(self.path))

    @property
    def key(self) -> bytes:
        """Tells this file, as it is now and as what it was given, from all others."""
        own = [self.stored_path, b"%d" % self.size, b"%d" % self.mtime_ns]
        listed = self.study and not self.study_key  # else the file itself says so
        of_study = [os.fsencode(self.study), os.fsencode(self.view)] if listed else []
        second = [] if self.a2c is None else [self.a2c.key]
        about = b"\0".join([*own, *of_study, *second])
        return blake2b(about, digest_size=_KEY, key=self.secret).digest()

    @property
    def row(self) -> dict[str, object]:
        """What is known of it before it is opened, as a row; see `EMPTY`."""
        known = {"video": self.name, "shown": self.shown, "path": self.path}
        of_study = {name: getattr(self, name) for name in ("study", "study_key", "study_uid")}
        return {**EMPTY, **known, **of_study, "apical_view": self.view}


@dataclass(frozen=True)
class Shard:
    """One of several shares of an archive, each the business of one process.

    Attributes:
        index: Which, from 0.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return a shard from text, such as 2/8: the second of eight.

        Raises:
            ConfigurationError: It is no such text.
        """
        try:
            number, count = (int(part) for part in text.split("/"))
        except ValueError:
            number = count = 0
        if not 1 <= number <= count:
            raise ConfigurationError(f"--shard {text}: give the number and of how many, as 2/8")
        return cls(number - 1, count)

    @classmethod
    def of_environment(cls) -> Shard:
        """Return what torchrun or a SLURM array says; the whole where neither is there.

        Raises:
            ConfigurationError: It says no such thing, or an array leaves numbers out.
        """
        if {"RANK", "WORLD_SIZE"} <= os.environ.keys():
            return cls._checked("torchrun", _stated("RANK"), _stated("WORLD_SIZE"))
        if {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"} <= os.environ.keys():
            task, count = _stated("SLURM_ARRAY_TASK_ID"), _stated("SLURM_ARRAY_TASK_COUNT")
            first, step = _stated("SLURM_ARRAY_TASK_MIN", 0), _stated("SLURM_ARRAY_TASK_STEP", 1)
            last = _stated("SLURM_ARRAY_TASK_MAX", first + step * (count - 1))
            index, rest = divmod(task - first, max(1, step))
            even = rest == 0 and last == first + max(1, step) * (count - 1)
            return cls._checked("a SLURM array", index if even else -1, count)
        return cls()

    @classmethod
    def _checked(cls, who: str, index: int, count: int) -> Shard:
        if not 0 <= index < count:
            raise ConfigurationError(
                f"{who} gives no shares that follow each other: begin all of them (an array such "
                "as 0-7), or say which this one is with --shard K/N"
            )
        return cls(index, count)

    def has(self, clip: ClipInput) -> bool:
        """Return whether a clip is this shard's: by its name, the same on every machine."""
        digest = blake2b(os.fsencode(clip.name), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index

    def __str__(self) -> str:
        """Such as 02-of-08."""
        return f"{self.index + 1:02d}-of-{self.count:02d}"


def _stated(name: str, default: int | None = None) -> int:
    """Return a number of the environment; -1 where it is none."""
    text = os.environ.get(name, "" if default is None else str(default)).strip()
    return int(text) if text.isdecimal() else -1


WHOLE = Shard()
"""An archive that one process has to itself."""


def clip_inputs(where: Sequence[str | Path], search: Search | None = None) -> Iterator[ClipInput]:
    """Yield the clips of files, folders and patterns, as they are found.

    A CSV file is a list of clips, see `read_list`, of which labels are not needed. A folder is
    searched with all folders below it, and a DICOMDIR for the files that it lists.
    Clips are called by their path below what was given, without extension where no other clip of
    the same folder has that name; where several are given, by their folder's name before it.

    Args:
        where: Files, folders, patterns (`**` is any folders), DICOMDIRs.
        search: Counts what is passed over.

    Raises:
        DatasetError: One of them is not there, or may not be read; or none of them holds a clip.
            Where one of several holds none, a warning tells.
    """
    if not where:
        raise DatasetError("no clip is named: give files, folders or patterns")
    search = search or Search()
    roots = [expanded(each) for each in where]
    for root in roots:  # before any is worked on
        if not os.path.lexists(root) and not has_magic(str(root)):
            raise DatasetError(f"{root} is no file, folder or pattern of a clip")
    empty: list[str] = []
    # Files that are named one by one lie in a folder like any others.
    alone = Counter((root.parent, _bare(root)) for root in set(roots) if root.is_file())
    prefixes = _prefixes([_root_of(root) for root in roots])
    for root, prefix in zip(roots, prefixes, strict=True):
        if is_list(root):
            yield from _listed(root, prefix)
            continue
        files, count = _files(root, search), 0
        try:
            for folder, own in groupby(files, key=lambda file: file.parent):
                named = list(own)
                count += len(named)
                stems = Counter(map(_bare, named))
                stems.update({_bare(root): alone[folder, _bare(root)] - 1} if root in named else {})
                yield from _named(named, stems, folder, _root_of(root), prefix)
        except OSError as error:
            raise DatasetError(f"{root} cannot be searched: {error.strerror or error}") from error
        if not count:
            empty.append("; ".join([f"{root} holds no clip", *search.remarks(None)]))
    if len(empty) == len(roots):
        raise DatasetError("; ".join(empty))
    for told in empty:
        warnings.warn(told, stacklevel=2)


def is_list(path: Path) -> bool:
    """Return whether what is named is a list of clips."""
    return path.suffix.lower() == ".csv" and path.is_file()


def _listed(path: Path, prefix: str) -> Iterator[ClipInput]:
    """Yield the clips of a list, each with the two-chamber clip of its study where it names one.

    Raises:
        DatasetError: It cannot be read, or lists none.
    """
    table, _ = read_list(path, labelled=False)
    if table.empty:
        raise DatasetError(f"{path} lists no clip")
    table = table.drop_duplicates()
    told = table.duplicated("path", keep=False).map({True: TWICE, False: ""})
    for row, problem in zip(table.to_dict("records"), told, strict=True):
        name = f"{prefix}/{row['video']}" if prefix else row["video"]
        clip = _listed_clip(row["path"], name, row["ed"], row["es"])
        second = row.get("path_a2c")
        a2c = _listed_clip(second, name, row["ed_a2c"], row["es_a2c"]) if second else None
        yield replace(clip, a2c=a2c, problem=problem)


def _listed_clip(path: str, name: str, ed: float, es: float) -> ClipInput:
    file = Path(path)
    beats = () if isnan(ed) or isnan(es) else ((ed, es),)
    return ClipInput(file, printable(name), printable(file.name), *status_of(file), beats=beats)


def listed_paths(path: str | Path) -> list[str]:
    """Return the files and folders that a text file names, one a line; `#` begins a remark.

    What is relative is relative to the file's own folder.

    Raises:
        DatasetError: It cannot be read, or names nothing.
    """
    path = expanded(path)
    try:
        lines = os.fsdecode(path.read_bytes()).removeprefix("\ufeff").splitlines()
    except OSError as error:
        raise DatasetError(f"--list {path}: {error.strerror or error}") from error
    named = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not named:
        raise DatasetError(f"--list {path} names no file: one a line")
    return [str(path.parent / expanded(each)) for each in named]


def _files(root: Path, search: Search) -> Iterator[Path]:
    """Yield the clips of one place, those of a folder one after the other."""
    found: Iterator[Path]
    if root.is_dir():
        found = filter(search.is_clip, search.below(root))
    elif root.suffix.lower() not in CLIP_EXTENSIONS and is_dicomdir(root):
        found = dicomdir_files(root)
    elif root.is_file() or root.is_symlink():
        found = iter([root])  # whatever it is: what is named is told of
    else:
        found = filter(search.is_clip, search.pattern(root))
    yield from found


def _named(
    files: list[Path], stems: Counter[str], folder: Path, root: Path, prefix: str
) -> Iterator[ClipInput]:
    below = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else ""
    start = "/".join(part for part in (prefix, below) if part not in ("", "."))
    for file in files:
        bare = _bare(file) if stems[_bare(file)] == 1 else file.name
        name = printable(f"{start}/{bare}" if start else bare)
        size, changed = status_of(file)
        yield ClipInput(file, name, printable(file.name), size, changed)


def _bare(file: Path) -> str:
    return file.stem if file.suffix.lower() in CLIP_EXTENSIONS else file.name


def _root_of(path: Path) -> Path:
    """Return the folder that names are told from: of a pattern, that before the first sign."""
    if path.is_dir():
        return path
    parts = path.parts
    fixed = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return Path(*parts[:fixed]) if fixed < len(parts) and not path.exists() else path.parent


def searched_folders(where: Sequence[str | Path]) -> list[Path]:
    """Return the folders, of those where clips are looked for, that are searched with all below."""
    roots = [expanded(each) for each in where]
    return [_root_of(root) for root in roots if root.is_dir() or has_magic(str(root))]


def _prefixes(roots: Sequence[Path]) -> list[str]:
    """Return what tells clips of several folders apart; nothing where there is one."""
    distinct = list(dict.fromkeys(root.absolute() for root in roots))
    if len(distinct) == 1:
        return [""] * len(roots)
    for depth in range(1, max(len(root.parts) for root in distinct) + 1):
        ends = {root: "/".join(root.parts[-depth:]).strip("/") for root in distinct}
        if len(set(ends.values())) == len(distinct):
            break
    return [ends[root.absolute()] for root in roots]


def without(clips: Iterable[ClipInput], done: set[bytes]) -> Iterator[ClipInput]:
    """Yield the clips that are not done, each once, and remember them as taken."""
    for clip in clips:
        key = clip.key
        if key not in done:
            done.add(key)
            yield clip
