"""How models see frames of any size: blanked, cropped square, and brought to one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.cardiac import PICTURE_SIZE
from lvef.data.decode import DecodedClip
from lvef.data.prepare import sector_square
from lvef.data.sector import blank_outside


@dataclass(frozen=True)
class FrameOptions:
    """What a model sees of a clip.

    Attributes:
        frames: Names of the frames of a case, in slot order: any of
            `lvef.data.slots.FRAME_COLUMNS`.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Whether what lies outside the ultrasound sector is blanked.
    """

    frames: tuple[str, ...]
    image_size: int = PICTURE_SIZE
    remove_artifacts: bool = True

    @classmethod
    def of_checkpoint(cls, frames: Sequence[str], data: Mapping[str, Any]) -> FrameOptions:
        """Return what a checkpoint's model sees.

        Args:
            frames: Of its task.
            data: What the checkpoint says of its data, under `data`.
        """
        size, remove = data.get("image_size", PICTURE_SIZE), data.get("remove_artifacts", True)
        return cls(tuple(frames), size, remove)


@dataclass(frozen=True)
class ClipView:
    """What is known of a new clip once it was decoded, so that nothing is looked for twice.

    Attributes:
        shape: Height and width of its frames in pixels.
        packed: Bits of the `(H, W)` mask of its sector.
        seen: As what the frames are seen; None where none are kept.
        frames: By number, frames as a model sees them, uint8 `(3, S, S)`.
    """

    shape: tuple[int, int]
    packed: NDArray[np.uint8]
    seen: FrameOptions | None = None
    frames: dict[int, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, clip: DecodedClip, numbers: Sequence[int] = (), seen: FrameOptions | None = None
    ) -> ClipView:
        """Return the view of a decoded clip, cropped around its sector.

        Args:
            clip: The clip.
            numbers: Frames to keep.
            seen: As what they are seen; None keeps none.
        """
        height, width = clip.sector.shape
        shape, packed = (height, width), np.packbits(clip.sector)
        if seen is None or not numbers or clip.pictures is None:
            return cls(shape, packed)
        own = blanked_and_cropped(
            clip.frames(numbers), clip.sector, seen.remove_artifacts, crop=True
        )
        kept = to_square(own, seen.image_size)
        return cls(shape, packed, seen, dict(zip(numbers, kept, strict=True)))

    def sector(self) -> NDArray[np.bool_]:
        """Return the `(H, W)` mask of the sector."""
        height, width = self.shape
        bits = np.unpackbits(self.packed, count=height * width)
        return bits.reshape(height, width).astype(bool)

    def look(self, numbers: Sequence[int], size: int, remove_artifacts: bool) -> Tensor | None:
        """Return frames `(n, 3, size, size)` that are kept; None where one is not."""
        if self.seen is None or not all(number in self.frames for number in numbers):
            return None
        if (self.seen.image_size, self.seen.remove_artifacts) != (size, remove_artifacts):
            return None
        return torch.stack([self.frames[number] for number in numbers])


def blanked_and_cropped(
    frames: NDArray[np.uint8], sector: NDArray[np.bool_], remove_artifacts: bool, crop: bool
) -> NDArray[np.uint8]:
    """Return `(n, H, W, 3)` frames, blanked outside the sector and cropped as asked for."""
    if remove_artifacts:
        frames = blank_outside(frames, sector)
    return sector_square(frames.shape[1:3], sector).cut(frames) if crop else frames


def to_square(frames: NDArray[np.uint8] | Tensor, size: int) -> Tensor:
    """Bring frames to `size` x `size` pixels without changing the heart's proportions.

    Args:
        frames: `(n, H, W, 3)` uint8.
        size: Height and width wanted, in pixels.

    Returns:
        `(n, 3, size, size)` uint8; the shorter side is padded with black, and shrinking is
        antialiased.
    """
    images = torch.as_tensor(frames).permute(0, 3, 1, 2)
    height, width = images.shape[-2:]
    if height == width == size:
        return images.contiguous()
    # Seconds, in every process that analyses clips: what is found is of the right size already.
    from torchvision.transforms.v2 import functional as transforms

    if height != width:
        side = max(height, width)
        left, top = (side - width) // 2, (side - height) // 2
        images = transforms.pad(images, [left, top, side - width - left, side - height - top])
    if images.shape[-1] != size:
        images = transforms.resize(images, [size, size], antialias=True)
    return images.contiguous()
