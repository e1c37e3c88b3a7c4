"""Streams with a limit, so that no file costs more memory or time than it is worth."""

from __future__ import annotations

import zlib
from typing import IO

from lvef.errors import VideoError

MOST_HEADER = 2**26
"""Bytes that are read before the pixels: 64 MiB."""
MOST_READS = 100_000
"""Pieces that they are read in, two or three an element."""
TOO_MUCH = f"damaged: more than {MOST_HEADER >> 20} MB or {MOST_READS} pieces before the pixels"
MOST_INFLATED = 2**31
"""Bytes that are inflated of a deflated file: 2 GiB."""
TOO_LARGE = (
    f"a deflated file of more than {MOST_INFLATED >> 30} GB: damaged, or store it as 'Explicit VR "
    "Little Endian'"
)
_AT_ONCE = 2**16


class Limited:
    """A file of which no more than `MOST_HEADER` bytes are read, in `MOST_READS` pieces.

    What is skipped does not count. Damage makes pydicom take anything for millions of elements.
    """

    def __init__(self, file: IO[bytes] | Inflated) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._read, self._bytes, self._reads = file.read, MOST_HEADER, MOST_READS

    @property
    def exceeded(self) -> bool:
        """Whether more was asked for."""
        return min(self._bytes, self._reads) < 0

    def read(self, size: int = -1) -> bytes:
        """Return bytes, or refuse to."""
        self._bytes -= size if size >= 0 else MOST_HEADER + 1
        self._reads -= 1
        if self.exceeded:
            raise VideoError(TOO_MUCH)
        return self._read(size)


class Inflated:
    """What a raw deflate stream holds, inflated as it is read.

    What was just read is kept for a short way back, as readers of tags go; a longer one begins
    anew, and all that is inflated counts towards the limit each time.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._start = file, file.tell()
        self._work = 0
        self._rewind()

    def _rewind(self) -> None:
        self._file.seek(self._start)
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._place = self._base = 0  # where it is read, and where what is held begins
        self._buffer = b""

    def tell(self) -> int:
        """Return the place where it is read."""
        return self._place

    def seek(self, place: int) -> int:
        """Go to a place, by inflating what lies before it."""
        if place < self._base:
            self._rewind()
        self._place = min(place, self._base + len(self._buffer))
        while self._place < place and self._more(_AT_ONCE):
            self._place = min(place, self._base + len(self._buffer))
        return self._place

    def read(self, size: int) -> bytes:
        """Return bytes, fewer where it ends."""
        parts, wanted = [], size
        while True:
            at = self._place - self._base
            parts.append(self._buffer[at : at + wanted])
            self._place += len(parts[-1])
            wanted -= len(parts[-1])
            if not wanted or not self._more(max(_AT_ONCE, wanted)):
                return b"".join(parts)

    def _more(self, size: int) -> bool:
        """Inflate up to `size` bytes more, and drop what lies too far back."""
        data = b""
        while not data and not self._inflate.eof:
            fed = self._inflate.unconsumed_tail or self._file.read(2**14)
            data = self._inflate.decompress(fed, size)
            if not fed:
                break
        self._work += len(data)
        if self._work > MOST_INFLATED + MOST_HEADER:
            raise VideoError(TOO_LARGE)
        drop = max(0, self._place - _AT_ONCE - self._base)
        self._buffer, self._base = self._buffer[drop:] + data, self._base + drop
        return bool(data)
