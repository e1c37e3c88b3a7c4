"""What goes wrong with pictures: noise, gain, shadow, blur, resolution, compression."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

_DYNAMIC_RANGE = 60.0
"""Decibels that the grey levels of a machine's picture span, of which gain is a shift."""
_APEX = (0.5, 0.04)
"""Where the beams start, as a share of width and height."""


def add_speckle(frames: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Multiply by noise of that standard deviation, correlated over neighbouring pixels."""
    noise = torch.randn(*frames.shape[:2], 1, *frames.shape[3:], generator=generator)
    noise = transforms.gaussian_blur(noise.flatten(0, 1), [3, 3], [0.7, 0.7]).view(noise.shape)
    return _grey(frames.float() * (1 + level * noise / noise.std()))


def lose_gain(frames: Tensor, level: float, _: torch.Generator) -> Tensor:
    """Turn the gain down by so many decibels; what falls below black is lost."""
    return _grey(frames.float() - 255 * level / _DYNAMIC_RANGE)


def add_shadow(frames: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Darken a wedge of so many degrees from the transducer on, as behind a rib, to a sixth."""
    height, width = frames.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32),
        torch.arange(width, dtype=torch.float32),
        indexing="ij",
    )
    angle = torch.rad2deg(torch.atan2(columns - _APEX[0] * width, rows - _APEX[1] * height))
    centre = 60 * torch.rand(len(frames), generator=generator) - 30
    distance = (angle - centre[:, None, None]).abs() - level / 2
    share = 1 - (5 / 6) * (0.5 - distance / 4).clamp(0, 1)  # an edge of four degrees
    return _grey(frames.float() * share[:, None, None])


def blur(frames: Tensor, level: float, _: torch.Generator) -> Tensor:
    """Blur by a Gaussian of so many pixels."""
    size = 2 * round(3 * level) + 1
    return _grey(transforms.gaussian_blur(frames.float(), [size, size], [level, level]))


def lower_resolution(frames: Tensor, level: float, _: torch.Generator) -> Tensor:
    """Shrink so many times and enlarge again."""
    height, width = frames.shape[-2:]
    small = [max(1, round(height / level)), max(1, round(width / level))]
    shrunk = transforms.resize(frames.flatten(0, 1), small, antialias=True)
    restored: Tensor = transforms.resize(shrunk, [height, width], antialias=True)
    return restored.view(frames.shape)


def compress(frames: Tensor, level: float, _: torch.Generator) -> Tensor:
    """Compress as JPEG of that quality (0 to 100), as MJPEG clips are."""
    out = np.empty_like(frames.numpy())
    for index in np.ndindex(*frames.shape[:2]):
        picture = np.ascontiguousarray(np.moveaxis(frames[index].numpy(), 0, -1))
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(level)])[1]
        out[index] = np.moveaxis(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)), -1, 0)
    return torch.from_numpy(out)


CORRUPTIONS: dict[
    str, tuple[Callable[[Tensor, float, torch.Generator], Tensor], tuple[float, ...], str]
] = {
    "speckle": (add_speckle, (0.25, 0.5, 1.0), "standard deviation"),
    "gain": (lose_gain, (5, 10, 20), "dB lost"),
    "shadow": (add_shadow, (10, 20, 40), "degrees"),
    "blur": (blur, (1, 2, 3), "pixels"),
    "resolution": (lower_resolution, (2, 3, 4), "times coarser"),
    "compression": (compress, (30, 10, 5), "JPEG quality"),
}
"""By name: a function of frames uint8 `(B, F, 3, H, W)`, a level and a generator, that returns
frames of the same shape and type; the levels to try; and their unit."""


def _grey(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
