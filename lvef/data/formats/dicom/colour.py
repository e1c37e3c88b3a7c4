"""From the samples of a DICOM picture, in any colour model and of any depth, to 8-bit RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut, apply_windowing, convert_color_space

from lvef.errors import VideoError

_NEAR = 6  # grey levels by which a grey pixel's samples may differ, after lossy compression


def grey_share(model: str, pixels: NDArray[np.uint8]) -> float:
    """Return how much of `(..., 3)` samples is grey, taken as RGB or as YBR_FULL.

    An echo is grey and black for the most part, and its text and colour flow are small: what makes
    it so is what it is.
    """
    first, second, third = np.moveaxis(pixels.astype(np.int16), -1, 0)
    centre = first if model == "RGB" else 128
    return float(((abs(second - centre) <= _NEAR) & (abs(third - centre) <= _NEAR)).mean())


def true_model(model: str, samples: NDArray[np.uint8], doubtful: bool) -> str:
    """Return what `(H, W, 3)` uint8 samples are: RGB or YBR_FULL.

    Args:
        model: What the file says.
        samples: A picture as stored.
        doubtful: Whether the file has contradicted itself. If it has, the likelier is taken, else
            the other only where most of the picture is grey by it and next to nothing by what is
            said.

    Raises:
        VideoError: It is doubtful, and the picture does not tell.
    """
    stated = "RGB" if model == "RGB" else "YBR_FULL"
    other = "YBR_FULL" if stated == "RGB" else "RGB"
    by_stated, by_other = grey_share(stated, samples), grey_share(other, samples)
    if doubtful:
        if max(by_stated, by_other) < 0.05:
            raise VideoError("the file says YBR_FULL_422 but holds something else: RGB or YCbCr?")
        return other if by_other > by_stated else stated
    return other if by_other > 0.8 and by_stated < 0.2 else stated


def to_rgb(array: NDArray[Any], model: str, dataset: Any) -> NDArray[np.uint8]:
    """Turn `(H, W)` or `(H, W, 3)` samples of any colour model into `(H, W, 3)` uint8 RGB."""
    if model == "PALETTE COLOR":
        colours = apply_color_lut(array, dataset)
        return (colours >> 8 if colours.dtype.itemsize == 2 else colours).astype(np.uint8)
    samples = eight_bits(array, dataset)
    if samples.ndim == 2:
        grey = 255 - samples if model == "MONOCHROME1" else samples
        return np.repeat(grey[..., None], 3, axis=-1)
    if model in ("YBR_FULL", "YBR_FULL_422"):
        return convert_color_space(samples, "YBR_FULL", "RGB").astype(np.uint8)
    if model != "RGB":
        raise VideoError("a colour model that its compression does not have")
    return samples


def eight_bits(array: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Scale samples to 8 bits; grey ones of more bits by their window where they have one."""
    bits, signed = int(dataset.BitsStored), dataset.get("PixelRepresentation") == 1
    if array.dtype == np.uint8 and bits == 8 and not signed:
        return array
    if bits > 8 and array.ndim == 2:
        array = apply_windowing(array, dataset)
    scaled = (array.astype(np.float64) + signed * 2.0 ** (bits - 1)) * (255 / (2.0**bits - 1))
    return np.asarray(scaled.round().clip(0, 255), dtype=np.uint8)
