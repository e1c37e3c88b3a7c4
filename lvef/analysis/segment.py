"""Run the segmenter over a whole clip."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label
from torch import nn

from lvef.cardiac import looks, survey
from lvef.models.inference import device_of, inference
from lvef.models.segmentation.network import full_size

_AT_ONCE, _OVERLAP = 64, 8
_CENTRE, _SIDE = (56.0, 58.0), 42.0
"""Where a closer look brings the ventricle, in pixels, and the square root of its area there."""
_ZOOM = (0.85, 1.6)
_CLOSER_LOOKS = 2


def segment_closely(
    net: nn.Module, frames: NDArray[np.uint8], fps: float, fast: bool = False
) -> NDArray[np.float32]:
    """Return the probability of the left ventricle in every frame, from several looks at the clip.

    The first, at the whole picture, tells where the ventricle is; the others bring it to the
    middle and to a size at which the network sees its outline best, each where the ones before
    found it on average. What all saw is averaged.

    Args and result are those of `segment`.
    """
    first = segment(net, frames, fps, fast)
    inside = np.ones(frames.shape[1:], bool)
    total, mean = first.copy(), first
    for closer in range(_CLOSER_LOOKS):
        y, x = np.nonzero(one_ventricle(mean).mean(0) > 0.3)
        if not len(x):
            break
        zoom = float(np.clip(_SIDE / np.sqrt(len(x)), *_ZOOM))
        middle = [(values.min() + values.max()) / 2 for values in (x, y)]
        there = np.array([[zoom, 0, _CENTRE[0] - zoom * middle[0]],
                          [0, zoom, _CENTRE[1] - zoom * middle[1]]])  # fmt: skip
        back = cv2.invertAffineTransform(there)
        total += _moved(segment(net, _moved(frames, there), fps, fast), back)
        inside &= _moved(np.ones((1, *frames.shape[1:]), np.float32), back)[0] > 0.99
        mean = np.where(inside, total / (closer + 2), first)
    return mean


def _moved(pictures: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[Any]:
    size = pictures.shape[:0:-1]
    return np.stack([cv2.warpAffine(p, matrix, size, flags=cv2.INTER_LINEAR) for p in pictures])


def segment(
    net: nn.Module, frames: NDArray[np.uint8], fps: float, fast: bool = False
) -> NDArray[np.float32]:
    """Return the probability of the left ventricle in every frame.

    The network looks at 25 frames a second, in overlapping stretches; frames between two looks
    get what lies between.

    Args:
        net: The network, in evaluation mode; see `LVSegmentationNet.forward`.
        frames: `(T, 112, 112)` uint8 grey frames.
        fps: Frames a second.
        fast: In bfloat16 where that is faster; see `inference`.

    Returns:
        `(T, 112, 112)` float32 in 0..1.
    """
    device = device_of(net)
    looked = looks(len(frames), fps)
    spread = torch.from_numpy(frames[survey(len(frames))])[None].to(device)
    probabilities = np.empty((len(looked), *frames.shape[1:]), np.float32)
    for start in range(0, len(looked), _AT_ONCE):
        first, stop = max(start - _OVERLAP, 0), min(start + _AT_ONCE + _OVERLAP, len(looked))
        clip = torch.from_numpy(frames[looked[first:stop]])[None].to(device)
        wanted = start - first, min(start - first + _AT_ONCE, stop - first)
        with inference(device, fast):
            logits = net(clip, spread, wanted).float()
            kept = full_size(logits.sigmoid())[0].cpu().numpy()
        probabilities[start : start + len(kept)] = kept
    if len(looked) == len(frames):
        return probabilities
    if len(looked) == 1:
        return np.repeat(probabilities, len(frames), axis=0)
    after = np.clip(np.searchsorted(looked, np.arange(len(frames))), 1, len(looked) - 1)
    before = after - 1
    share = (np.arange(len(frames)) - looked[before]) / (looked[after] - looked[before])
    share = np.clip(share, 0, 1).astype(np.float32)[:, None, None]
    return np.asarray(probabilities[before] * (1 - share) + probabilities[after] * share)


def one_ventricle(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return `(T, H, W)` masks: in each frame the largest piece above a half, without holes."""
    masks = probability > 0.5
    for frame, mask in enumerate(masks):
        pieces, count = label(mask)
        if count > 1:
            mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        masks[frame] = _without_holes(mask) if count else mask
    return masks


def _without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with its holes filled, as SciPy's `binary_fill_holes`, which takes longer."""
    filled = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return np.asarray(filled.astype(bool))


def confidence(probability: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how sure the network is of each mask, `(T,)`.

    Dice's coefficient of the mask and the probabilities: 1 where every pixel is in or out, 0
    where there is no mask.
    """
    inside = (probability * masks).sum((1, 2), dtype=np.float64)
    total = probability.sum((1, 2), dtype=np.float64) + masks.sum((1, 2))
    return np.asarray(2 * inside / np.maximum(total, 1e-9))
