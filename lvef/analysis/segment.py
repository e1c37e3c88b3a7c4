"""Run the segmenter over a whole clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label

from lvef.cardiac import looks, survey
from lvef.models.inference import device_of, inference
from lvef.models.segmentation.network import SEEN, Painter, full_size

_AT_ONCE, _OVERLAP = 64, 8
_CENTRE, _SIDE = (56.0, 58.0), 42.0
"""Where a closer look brings the ventricle, in pixels, and the square root of its area there."""
_ZOOM = (0.85, 1.6)
_CLOSER_LOOKS = 2


def segment_closely(
    net: Painter | Sequence[Painter],
    frames: NDArray[np.uint8],
    fps: float,
    fast: bool = False,
    turned: float = 0.0,
) -> NDArray[np.float32]:
    """Return the probability of the left ventricle in every frame, from several looks at the clip.

    The first, at the whole picture, tells where the ventricle is; the others bring it to the
    middle and to a size at which the network sees its outline best, each where the ones before
    found it on average. What all saw is averaged.

    Args:
        net: The network, or several that take the looks by turns; see `segment`.
        frames: See `segment`.
        fps: See `segment`.
        fast: See `segment`.
        turned: Degrees by which the closer looks are turned, one to either side.

    Returns:
        See `segment`.
    """
    return look_closely(net, frames, fps, fast, turned)[0]


def look_closely(
    net: Painter | Sequence[Painter],
    frames: NDArray[np.uint8],
    fps: float,
    fast: bool = False,
    turned: float = 0.0,
    worth_it: Callable[[NDArray[np.float32]], bool] = lambda _: True,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what `segment_closely` does, and what the first look at the whole picture told.

    Args:
        net: See `segment_closely`.
        frames: Likewise.
        fps: Likewise.
        fast: Likewise.
        turned: Likewise.
        worth_it: Returns whether, after what the first look told, closer ones are taken at all.

    Returns:
        `(T, 112, 112)` probabilities; and `(2, SEEN)`, means over looks of the maps of the encoder
        and of their squares, see `LVSegmentationNet.described`.
    """
    nets = [net] if isinstance(net, Painter) else list(net)
    first, told = look(nets[0], frames, fps, fast)
    if not worth_it(told):
        return first, told
    inside = np.ones(frames.shape[1:], bool)
    total, mean = first.copy(), first
    for closer in range(_CLOSER_LOOKS):
        y, x = np.nonzero(one_ventricle(mean).mean(0) > 0.3)
        if not len(x):
            break
        zoom = float(np.clip(_SIDE / np.sqrt(len(x)), *_ZOOM))
        middle = [(values.min() + values.max()) / 2 for values in (x, y)]
        angle = turned if closer % 2 else -turned
        there = cv2.getRotationMatrix2D(middle, angle, zoom)
        there[:, 2] += np.subtract(_CENTRE, middle)
        back = cv2.invertAffineTransform(there)
        own = nets[(closer + 1) % len(nets)]
        total += _moved(segment(own, _moved(frames, there), fps, fast), back)
        inside &= _moved(np.ones((1, *frames.shape[1:]), np.float32), back)[0] > 0.99
        mean = np.where(inside, total / (closer + 2), first)
    return mean, told


def _moved(pictures: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[Any]:
    size = pictures.shape[:0:-1]
    return np.stack([cv2.warpAffine(p, matrix, size, flags=cv2.INTER_LINEAR) for p in pictures])


def segment(
    net: Painter, frames: NDArray[np.uint8], fps: float, fast: bool = False
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
    return _looked(net, frames, fps, fast, tell=False)[0]


def look(
    net: Painter, frames: NDArray[np.uint8], fps: float, fast: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what `segment` does, and what the looks told together.

    Returns:
        `(T, 112, 112)` probabilities; and `(2, SEEN)`, means over looks of the maps of the encoder
        and of their squares, see `LVSegmentationNet.described`.
    """
    return _looked(net, frames, fps, fast, tell=True)


def _looked(
    net: Painter, frames: NDArray[np.uint8], fps: float, fast: bool, tell: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    device = device_of(net)
    looked = looks(len(frames), fps)
    spread = torch.from_numpy(frames[survey(len(frames))])[None].to(device)
    probabilities = np.empty((len(looked), *frames.shape[1:]), np.float32)
    told = np.zeros((2, SEEN), np.float32)
    for start in range(0, len(looked), _AT_ONCE):
        first, stop = max(start - _OVERLAP, 0), min(start + _AT_ONCE + _OVERLAP, len(looked))
        clip = torch.from_numpy(frames[looked[first:stop]])[None].to(device)
        wanted = start - first, min(start - first + _AT_ONCE, stop - first)
        with inference(device, fast):
            if tell:
                logits, sums = net.described(clip, spread, wanted)
                told += sums[0].cpu().numpy()
            else:
                logits = net(clip, spread, wanted)
            kept = full_size(logits.float().sigmoid())[0].cpu().numpy()
        probabilities[start : start + len(kept)] = kept
    return _between_looks(probabilities, looked, len(frames)), told / np.float32(len(looked))


def _between_looks(
    probabilities: NDArray[np.float32], looked: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """Return what was seen in looks for each of `count` frames."""
    if len(looked) == count:
        return probabilities
    if len(looked) == 1:
        return np.repeat(probabilities, count, axis=0)
    after = np.clip(np.searchsorted(looked, np.arange(count)), 1, len(looked) - 1)
    before = after - 1
    share = (np.arange(count) - looked[before]) / (looked[after] - looked[before])
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
