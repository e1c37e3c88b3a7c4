"""Key frames that were decoded once, kept on disk for the epochs and runs that follow."""

from __future__ import annotations

import hashlib
import os
import struct
import time
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from lvef.data.looks import PICTURES
from lvef.errors import OutputError
from lvef.files import hold_lock, is_unfinished, make_room

GIGABYTES = 16.0
"""What a cache may take where nobody says otherwise."""
_HEAD = struct.Struct("<8sIIII32s")
"""Magic, CRC-32 of all that follows it, frames, planes a frame, side in pixels, digest."""
_MAGIC = b"lvefkey1"
_ENDING = ".frames"
_STEP, _KEPT = 64, 0.8
"""A process looks at the size each time it wrote a 64th of the bound; 0.8 of it is left then."""
_USED, _LEFT = 3600.0, 3600.0
"""Seconds: how coarsely the last use is known, and after which an unfinished file is nobody's."""


@dataclass(frozen=True)
class Look:
    """What frames depend on.

    Attributes:
        path: The clip.
        numbers: Which frames, in order.
        count: Frames of the clip, as far as its table knows: the sector is found from as many.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Whether what lies outside the sector is blanked.
        crop: Whether they are cropped around it.
    """

    path: str
    numbers: tuple[int, ...]
    count: int
    image_size: int
    remove_artifacts: bool
    crop: bool

    def digest(self) -> bytes | None:
        """Return 32 bytes that change with any of these, with the file, and with what reads it.

        None where the file is not there.
        """
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        known = (
            PICTURES, _reader(), os.path.abspath(self.path), status.st_size, status.st_mtime_ns,
            self.numbers, self.count, self.image_size, self.remove_artifacts, self.crop,
        )  # fmt: skip
        return hashlib.blake2b(
            repr(known).encode(errors="surrogateescape"), digest_size=32
        ).digest()


class FrameCache:
    """Frames on disk, a file for each case and view; files may be deleted at any time.

    A file's name is a digest of all that its frames depend on, so that a stale one is not found. It
    is written under another name and then renamed: workers and runs that share the folder see it
    whole or not at all, and a killed one leaves nothing under its name. What it holds is checked
    by a CRC each time. Grey frames take one plane.

    Args:
        folder: Where they are kept.
        gigabytes: What all of them may take; those unused for longest go first. Between two looks
            each process that writes may add a 64th of it.
    """

    def __init__(self, folder: Path | str, gigabytes: float = GIGABYTES) -> None:
        self.folder, self.bound = Path(folder), int(gigabytes * 1e9)
        self._root = os.path.abspath(self.folder)
        self._written = 0
        self._refused = False

    def open(self) -> None:
        """See that the folder can be written, and make it fit its bound.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            make_room(self.folder / f".{uuid4().hex}")
        except OutputError as error:
            raise OutputError(f"data.frame_cache: {error}") from error
        self.trim()

    def load(self, look: Look, digest: bytes) -> Tensor | None:
        """Return frames `(n, 3, S, S)` uint8; None where they are not there whole.

        A damaged file costs a warning that names it; what is decoded anew takes its place.
        """
        path = self.path(digest)
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            status = os.fstat(handle)
            frames = _unpacked(_content(handle, status.st_size), look, digest)
            if status.st_mtime < time.time() - _USED:
                with suppress(OSError):
                    os.utime(path)
        except (OSError, ValueError) as error:
            warnings.warn(f"{path} is damaged ({error}); frames are decoded anew", stacklevel=2)
            return None
        finally:
            os.close(handle)
        return frames

    def save(self, look: Look, digest: bytes, frames: Tensor) -> None:
        """Keep frames; where there is no room, a warning says so, once, and the run goes on.

        Nothing is kept of a clip that was changed while it was decoded.
        """
        if self._refused or look.digest() != digest:
            return
        path = Path(self.path(digest))
        unfinished = path.with_name(f".{uuid4().hex}.part{_ENDING}")
        content = _packed(frames, digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished.write_bytes(content)  # no fsync: what a power cut leaves is found
                os.replace(unfinished, path)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            self._refused = True
            said = OutputError.of(self.folder, error)
            warnings.warn(f"data.frame_cache: no more frames are kept: {said}", stacklevel=2)
            return
        self._written += len(content)
        if self._written * _STEP >= self.bound:
            self.trim()

    def trim(self) -> None:
        """Remove what was unused for longest where all take more than they may.

        Only one process does so at a time: another that comes to it meanwhile need not.
        """
        self._written = 0
        try:
            lock = hold_lock(self.folder / ".lock")
        except OutputError:
            return
        if lock is None:
            return
        try:
            self._trim()
        finally:
            os.close(lock)

    def _trim(self) -> None:
        kept: list[tuple[float, int, str]] = []
        for entry in _entries(self.folder):
            with suppress(OSError):
                status = entry.stat()
                if entry.name.endswith(_ENDING) and not is_unfinished(entry.name):
                    kept.append((status.st_mtime, status.st_size, entry.path))
                elif is_unfinished(entry.name) and status.st_mtime < time.time() - _LEFT:
                    os.unlink(entry.path)
        total = sum(size for _, size, _ in kept)
        if total * (1 + 1 / _STEP) <= self.bound:
            return
        for _, size, path in sorted(kept):
            if total <= _KEPT * self.bound:
                return
            with suppress(OSError):
                os.unlink(path)
                total -= size

    def path(self, digest: bytes) -> str:
        """Return the file of a digest."""
        name = digest.hex()  # text: a `Path` takes longer than the rest
        return os.path.join(self._root, name[:2], f"{name[2:34]}{_ENDING}")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in the folders of a cache."""
    found: list[os.DirEntry[str]] = []
    with suppress(OSError), os.scandir(folder) as parts:
        for part in parts:
            if len(part.name) == 2 and part.is_dir(follow_symlinks=False):
                with suppress(OSError), os.scandir(part.path) as entries:
                    found += entries
    return found


def _packed(frames: Tensor, digest: bytes) -> bytes:
    array = frames.contiguous().numpy()
    grey = bool((array[:, 0] == array[:, 1]).all() and (array[:, 0] == array[:, 2]).all())
    planes = np.ascontiguousarray(array[:, :1]) if grey else array
    body = planes.tobytes()
    head = _HEAD.pack(_MAGIC, 0, len(array), planes.shape[1], array.shape[-1], digest)
    check = zlib.crc32(body, zlib.crc32(head[12:]))
    return head[:8] + struct.pack("<I", check) + head[12:] + body


def _content(handle: int, size: int) -> bytes:
    """Return what a file holds. For a few frames a map takes longer, most of it to be undone."""
    content = os.read(handle, size)
    while len(content) < size and (more := os.read(handle, size - len(content))):
        content += more
    return content


def _unpacked(content: bytes, look: Look, digest: bytes) -> Tensor:
    """Return the frames that a file holds.

    Raises:
        ValueError: They are not those that were written.
    """
    if len(content) < _HEAD.size:
        raise ValueError("it is cut short")
    magic, check, count, planes, size, own = _HEAD.unpack_from(content)
    stated = (magic, count, size, own) == (_MAGIC, len(look.numbers), look.image_size, digest)
    if not stated or planes not in (1, 3):
        raise ValueError("it is not what its name says")
    if len(content) != _HEAD.size + count * planes * size * size:
        raise ValueError("it is cut short")
    if zlib.crc32(memoryview(content)[12:]) != check:
        raise ValueError("its frames are not those that were written")
    frames = torch.empty((count, 3, size, size), dtype=torch.uint8)
    kept = np.frombuffer(content, np.uint8, offset=_HEAD.size)
    frames.numpy()[:] = kept.reshape(count, planes, size, size)
    return frames


@cache
def _reader() -> str:
    """Return what decodes and scales, with versions."""
    said = []
    for name in ("av", "pydicom", "nibabel", "torchvision"):
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            said.append(f"no {name}")
    return ", ".join(said)
