"""decord, where it returns the frames of the clip: an option that is checked.

It returns other frames wherever packets are reordered or cut away, and ends the process on an AVI
that claims more frames than it holds. So it reads MJPEG AVIs that hold what they claim, and
refuses all others.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.base import check_range
from lvef.errors import VideoError


def read_with_decord(file: BinaryIO, indices: Sequence[int], num_frames: int) -> NDArray[np.uint8]:
    """Return frames of an MJPEG AVI, `(len(indices), H, W, 3)` RGB.

    Args:
        file: The file, which decord opens once more by its name.
        indices: Frame numbers from 0, in any order, repeats allowed.
        num_frames: Frames that the file holds.

    Raises:
        VideoError: decord is not installed, or not proven right for this file.
    """
    try:
        import decord  # here, as hardly anyone asks for it
    except ImportError:  # no wheel, for example on Arm
        raise VideoError(
            "decord is asked for, but not installed: it has wheels for few platforms"
        ) from None
    check_range(indices, num_frames)
    if _claimed(file) != num_frames:
        raise VideoError("decord is right about MJPEG AVIs alone: read this clip with PyAV")
    try:
        reader = decord.VideoReader(file.name, ctx=decord.cpu(0), num_threads=1)
        # In rising order and once each, or decord seeks back and decodes again.
        ordered, places = np.unique(np.asarray(indices), return_inverse=True)
        frames = reader.get_batch(ordered.tolist()).asnumpy()
    except (decord.DECORDError, RuntimeError, IndexError):
        raise VideoError("not a readable video (decord)") from None
    return np.asarray(frames[places], dtype=np.uint8)


def _claimed(file: BinaryIO) -> int:
    """Return how many frames the header of an MJPEG AVI claims; -1 for any other file."""
    file.seek(0)
    head = file.read(4096)
    stream = head.find(b"strh")
    if head[8:12] != b"AVI " or head[stream + 8 : stream + 16].upper() != b"VIDSMJPG":
        return -1
    claimed: int = struct.unpack_from("<I", head, stream + 40)[0]
    return claimed
