"""What the segmenter is trained by: cross-entropy and Dice."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


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
