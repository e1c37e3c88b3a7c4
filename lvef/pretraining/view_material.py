"""What a view head learns from: what the encoder sees of clips, and the curves of their beats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lvef.models.segmentation.network import LVSegmentationNet
from lvef.models.segmentation.view_head import VIEWS
from lvef.phantom.views import KINDS
from lvef.pretraining.view_clips import LOOKS, MANY, ShortClip
from lvef.pretraining.view_features import AUGMENTATIONS, encoded, fullness_curves, versions

_HARD = 3
"""Times as many copies are made of the two views that are most like the wanted one."""
_PLAIN = -1
_CHANGED = {0: ", changed", 1: ", changed more"}


@dataclass
class Material:
    """What the encoder saw of clips.

    Attributes:
        seen: `(n, 2, SEEN)` float16 each.
        views: Numbers of their views.
        kinds: Their kinds; of what was made of a four-chamber view, "made: " and its view.
        curves: How full the ventricle of a four-chamber view is, `(T,)`, forwards and backwards,
            and looks a second.
    """

    seen: list[Tensor] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    curves: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = field(
        default_factory=list
    )

    def add(
        self, net: LVSegmentationNet, clips: Sequence[ShortClip], device: str, copies: int
    ) -> None:
        """Look at clips: at each version as it is, and at some augmented copies of it.

        One copy is enough of a kind of which there are many, and none teaches the way of time.
        """
        groups: dict[tuple[int, int], list[tuple[int, str, NDArray[np.uint8]]]] = defaultdict(list)
        for clip in clips:
            for number, (view, frames) in enumerate(versions(clip)):
                kind = clip.kind if view == KINDS[clip.kind].view else f"made: {view}"
                plain = number == 0
                times = _HARD if view in ("A2C", "A3C") else 1
                each = 1 if clip.kind == MANY else copies
                further = [copy % len(AUGMENTATIONS) for copy in range(each)] * times
                for way in [_PLAIN] * plain + further:
                    told = (VIEWS.index(view), kind, frames)
                    groups[len(frames), way].append(told)
            timed = KINDS[clip.kind].ef and clip.kind != MANY
            if timed and len(clip.frames) == LOOKS:
                ways = np.stack([clip.frames, clip.frames[::-1]])
                there, back = fullness_curves(net, ways, clip.fps, device)
                if np.isfinite([there, back]).all():
                    self.curves.append((there, back, clip.fps))
        for (_, way), own in groups.items():
            looks = np.stack([frames for _, _, frames in own])
            augmentation = None if way == _PLAIN else AUGMENTATIONS[way]
            self.seen.append(encoded(net, looks, device, augmentation))
            self.views += [view for view, _, _ in own]
            self.kinds += [kind + _CHANGED.get(way, "") for _, kind, _ in own]
