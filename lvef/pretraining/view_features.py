"""What the segmenter's encoder sees of short clips, for a head that tells views to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvef.analysis.fullness import fullness
from lvef.analysis.segment import one_ventricle
from lvef.cardiac import survey
from lvef.data.transforms import ClipAugmentation
from lvef.models.segmentation.network import LVSegmentationNet, full_size
from lvef.models.segmentation.view_head import moments
from lvef.phantom.purpose import Purpose
from lvef.phantom.views import KINDS
from lvef.phantom.views.four_chamber import ColourBox
from lvef.phantom.views.place import Place
from lvef.pretraining.view_clips import SHORT, ShortClip

AUGMENTATIONS = (
    ClipAugmentation(
        rotation=10, translation=0.06, scale=0.12, gain=0.3, gamma=0.4, speckle=0.3, veil=0.15,
        blur=0.3, unevenness=0.3, shadow=0.2, flicker=0.02,
    ),
    ClipAugmentation(
        rotation=15, translation=0.1, scale=0.3, gain=0.4, gamma=0.5, speckle=0.4, veil=0.2,
        blur=0.3, unevenness=0.5, shadow=0.3, flicker=0.03,
    ),
)  # fmt: skip
"""By turns: what may happen to a clip, and more than that, so that a ventricle that fills the
picture, or whose right neighbour lies outside of it, has been seen."""


def versions(clip: ShortClip) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield what a clip teaches: a view, and looks `(T, 112, 112)` that show it.

    A four-chamber view turned around is another one, and so is one under a box of colour.
    """
    frames, view = clip.frames, KINDS[clip.kind].view
    rng = np.random.default_rng(clip.index)
    start = int(rng.integers(max(len(frames) - SHORT, 0) + 1))
    short = frames[start : start + SHORT]
    yield view, frames
    yield view, short
    if view != "A4C":
        return
    turned = frames if rng.random() < 0.5 else short
    yield "A4C mirrored", turned[:, :, ::-1]
    yield "A4C apex down", turned[:, ::-1]
    turns = int(rng.integers(1, 4))
    yield "A4C apex down" if turns == 2 else "other", np.rot90(turned, turns, (1, 2))
    yield "colour", _coloured(frames, clip)


def _coloured(frames: NDArray[np.uint8], clip: ShortClip) -> NDArray[np.uint8]:
    """Return every second or third look with a box of colour over it."""

    def given(indices: list[int]) -> NDArray[np.uint8]:
        return np.asarray(frames[np.asarray(indices, int) % len(frames)])

    inner: Any = SimpleNamespace(
        frames=given, fps=clip.fps, num_frames=len(frames), seconds_a_beat=0.8, origin=(56.0, 5.0)
    )
    place = Place(0, Purpose.VIEWS, KINDS["colour box"].number, clip.index, part=9)
    box = ColourBox(inner, place)
    return box.frames(range(min(box.num_frames, SHORT)))


@torch.no_grad()
def encoded(
    net: LVSegmentationNet,
    frames: NDArray[np.uint8],
    device: str,
    augmentation: ClipAugmentation | None = None,
) -> Tensor:
    """Return `(n, 2, SEEN)` float16, on the device, of n clips of equal length, `(n, T, 112, 112)`.

    Args:
        net: On the device, in evaluation mode.
        frames: The clips' looks.
        device: Where it runs.
        augmentation: What is done to the pictures; None leaves them as they are.
    """
    clips = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    spread = clips[:, torch.from_numpy(survey(clips.shape[1])).to(device)]
    if augmentation is not None:
        nothing = torch.zeros_like(clips[:, :1])
        batch = {"clip": clips, "survey": spread, "mask": nothing, "traced": nothing[..., 0, 0]}
        batch = augmentation.clips(batch)
        clips, spread = batch["clip"], batch["survey"]
    with torch.autocast(device, torch.bfloat16, enabled=False):
        told = net.encoded(clips, spread)
    return moments(told / clips.shape[1]).half()


@torch.no_grad()
def fullness_curves(
    net: LVSegmentationNet, frames: NDArray[np.uint8], fps: float, device: str
) -> NDArray[np.float64]:
    """Return how full the ventricle is, `(n, T)`, in looks `(n, T, 112, 112)`; see `fullness`."""
    clips = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    spread = clips[:, torch.from_numpy(survey(clips.shape[1])).to(device)]
    painted = full_size(net(clips, spread).float().sigmoid()).cpu().numpy()
    return np.stack(
        [
            fullness(each, fps, one_ventricle(seen))[0]
            for each, seen in zip(frames, painted, strict=True)
        ]
    )
