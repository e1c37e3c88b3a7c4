"""What the segmenter is trained by: cross-entropy and Dice, or the distance to the outline."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_FURTHEST = 6
"""Pixels of the masks from the outline beyond which all are alike."""


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy plus 1 - Dice, the mean over looks.

    Args:
        logits: `(n, h, w)`, at half the resolution of the masks.
        masks: `(n, 2 h, 2 w)`, 0 or 1.
    """
    target = functional.avg_pool2d(masks.float()[:, None], 2)[:, 0]
    probability = logits.sigmoid()
    overlap = 2 * (probability * target).sum((1, 2)) + 1
    score = overlap / (probability.sum((1, 2)) + target.sum((1, 2)) + 1)
    return functional.binary_cross_entropy_with_logits(logits, target) + 1 - score.mean()


def outline_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return how far each pixel's distance to the outline is from the true one, smooth L1.

    Logits are read as pixels of theirs inside of the outline, so that it lies where they are 0,
    between pixels, and one half of the probability lies there, too.

    Args:
        logits: `(n, h, w)`, at half the resolution of the masks.
        masks: `(n, 2 h, 2 w)`, 0 or 1.
    """
    target = functional.avg_pool2d(inside_outline(masks)[:, None] / 2, 2)[:, 0]
    return functional.smooth_l1_loss(logits.clamp(-_FURTHEST / 2, _FURTHEST / 2), target, beta=0.5)


@torch.no_grad()
def inside_outline(masks: Tensor) -> Tensor:
    """Return how many pixels each lies inside of the outline, negative outside, up to 6.

    Steps alternate between the eight neighbours and the four, which makes octagons of circles.

    Args:
        masks: `(n, H, W)`, 0 or 1.
    """
    inside = masks.float()[:, None]
    total = inside - 0.5
    wider, narrower = inside, inside
    for step in range(_FURTHEST - 1):
        wider = _widened(wider, step)
        narrower = 1 - _widened(1 - narrower, step)
        total = total + narrower - (1 - wider)
    return total[:, 0]


def _widened(masks: Tensor, step: int) -> Tensor:
    if step % 2:
        return functional.max_pool2d(masks, 3, stride=1, padding=1)
    across = functional.max_pool2d(masks, (1, 3), stride=1, padding=(0, 1))
    return torch.maximum(across, functional.max_pool2d(masks, (3, 1), stride=1, padding=(1, 0)))
