"""A clip format, added as a user would add one, whose decoder aborts, hangs and wants memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from lvef.data.formats import FORMATS, ClipInfo
from lvef.predict.stream.work import ClipWork

MAGIC = b"HOSTILE "
KINDS = ("aborts", "hangs", "grows", "wants")
_STEP = 64 * 2**20


class HostileFormat:
    """Does what stands in the file."""

    name, extensions = "hostile", ()

    def recognises(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def info(self, file) -> ClipInfo:
        kind = file.read()[len(MAGIC) :].decode()
        if kind == "aborts":
            os.abort()
        if kind == "hangs":
            time.sleep(3600)
        held = []
        while kind == "grows":  # to 40 GB, were it let
            held.append(np.ones(_STEP, np.uint8))
            time.sleep(0.02)
            if len(held) * _STEP > 40 * 2**30:
                break
        return ClipInfo(int(np.ones(40 * 2**30, np.uint8).sum()))

    def read(self, file, indices):
        raise NotImplementedError

    stream = read


class HostileWork(ClipWork):
    """The work of `analyse`, where that format is known."""

    def __init__(self, *about: object) -> None:
        FORMATS.insert(0, HostileFormat())
        super().__init__(*about)


def write_hostile(folder: Path, prefix: str = "") -> None:
    """Write a file of each kind, and a damaged one whose name is no UTF-8."""
    for kind in KINDS:
        (folder / f"{prefix}{kind}.avi").write_bytes(MAGIC + kind.encode())
    (folder / os.fsdecode(prefix.encode() + b"caf\xe9.avi")).write_bytes(b"not a video" * 100)
