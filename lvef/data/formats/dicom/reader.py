"""Read a DICOM loop: its header, all of it, some of its frames, or one after the other."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.dicom.decode import decode
from lvef.data.formats.dicom.file import Source, error_name, name_of, opened
from lvef.data.formats.dicom.header import HEADER, DicomHeader, read_header
from lvef.errors import VideoError

MOST_AT_ONCE = 2**32
"""Bytes of frames that are returned at once: 4 GiB; `iter_frames` holds one frame."""
_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class DicomClip(DicomHeader):
    """A loop with its `frames`, `(num_frames, H, W, 3)` uint8 RGB."""

    frames: NDArray[np.uint8] = field(repr=False)


def dicom_header(source: Source) -> DicomHeader:
    """Read what a loop is without decoding it; damage within the frames goes unnoticed.

    Raises:
        VideoError: The file is missing, damaged, no DICOM, no ultrasound, no loop, without a 2D
            picture or pixels, compressed in a way that cannot be read, or holds other frames than
            it says (of a video that shows when it is decoded).
    """

    def header() -> DicomHeader:
        with opened(source, HEADER) as file:
            return read_header(file)[0]

    return in_our_words(source, header)


def iter_frames(source: Source) -> Iterator[NDArray[np.uint8]]:
    """Decode a loop, one frame after the other.

    Yields:
        `(H, W, 3)` uint8 RGB pictures; those of more than 8 bits are scaled by their window or
        stored bits.

    Raises:
        VideoError: As `dicom_header`, or a frame is damaged.
    """
    return _frames(source, None)


def read(source: Source, indices: Sequence[int]) -> NDArray[np.uint8]:
    """Decode just the frames asked for; of a video, which has to be read on, all are decoded.

    Args:
        source: The file.
        indices: Frame numbers from 0, in any order, repeats allowed.

    Returns:
        `(len(indices), H, W, 3)` uint8 RGB frames in the order asked for.

    Raises:
        VideoError: As `iter_frames`, or a frame lies outside the loop, or none is asked for.
    """
    wanted = sorted(set(indices))
    if not wanted or wanted[0] < 0:
        raise VideoError(f"{name_of(source)}: frames count from 0: ask for one or more of those")
    header = dicom_header(source)
    if wanted[-1] >= header.num_frames:
        last = header.num_frames - 1
        raise VideoError(
            f"{name_of(source)}: frame {wanted[-1]} asked for, but the clip ends at frame {last}"
        )
    _check_size(source, header, len(indices))
    frames = dict(zip(wanted, _frames(source, wanted), strict=True))
    return np.stack([frames[index] for index in indices])


def read_dicom(source: Source) -> DicomClip:
    """Decode a whole loop into memory.

    Raises:
        VideoError: As `iter_frames`, or the frames take more than `MOST_AT_ONCE` bytes.
    """
    header = dicom_header(source)
    _check_size(source, header, header.num_frames)
    frames = np.empty((header.num_frames, header.height, header.width, 3), np.uint8)
    for place, picture in zip(frames, _frames(source, None), strict=True):
        place[:] = picture
    return DicomClip(**vars(header), frames=frames)


def _check_size(source: Source, header: DicomHeader, count: int) -> None:
    size = count * header.height * header.width * 3
    if size > MOST_AT_ONCE:
        raise VideoError(
            f"{name_of(source)}: too large: {count} frames of {header.height} x {header.width} "
            f"take {size / 2**30:.1f} GB, but at most {MOST_AT_ONCE >> 30} GB are read at once"
        )


def _frames(source: Source, wanted: Sequence[int] | None) -> Iterator[NDArray[np.uint8]]:
    """Yield frames; pydicom is silent while one is decoded, and not while another uses it."""

    def pictures() -> Generator[NDArray[np.uint8], None, None]:
        with opened(source, HEADER) as file:
            yield from decode(file, read_header(file)[1], wanted)

    coming = pictures()
    try:
        while (picture := in_our_words(source, lambda: next(coming, None))) is not None:
            yield picture
    finally:
        coming.close()


def in_our_words(source: Source, read: Callable[[], _Result]) -> _Result:
    """Run a reader with pydicom silent, and tell whatever goes wrong as one VideoError.

    pydicom's errors, warnings and log lines quote values: they are dropped, not even chained. The
    folders of a file may name a patient, too.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except VideoError as refusal:
        reason = str(refusal)
    except PermissionError:
        reason = "the file may not be read (permission denied)"
    except MemoryError:
        reason = "not enough memory to read this file"
    except Exception as error:  # a damaged file raises nearly anything
        reason = f"not a readable DICOM file: damaged or cut short ({error_name(error)})"
    finally:
        logger.setLevel(level)
    raise VideoError(f"{name_of(source)}: {reason}")
