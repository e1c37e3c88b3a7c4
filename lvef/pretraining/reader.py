"""Where a reader draws: within the dark cavity, and how far within is a convention."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def further_inside(masks: Tensor, pixels: int) -> Tensor:
    """Return masks as a reader draws them who stays so many pixels further inside.

    Where a ventricle is cut off by the picture's edge, it stays so.

    Args:
        masks: `(..., H, W)` masks, 0 or 1.
        pixels: How many, 0 or more.
    """
    if not pixels:
        return masks
    flat = masks.reshape(-1, 1, *masks.shape[-2:]).float()
    eroded = -functional.max_pool2d(-flat, 2 * pixels + 1, stride=1, padding=pixels)
    return eroded.reshape(masks.shape).to(masks.dtype)
