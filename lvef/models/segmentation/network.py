"""A small network that paints the left ventricle in every look at a clip."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lvef.cardiac import PICTURE_SIZE

_CHANNELS = (24, 64, 128, 256)
_INPUTS = 5
_WHITE = 0.995
COARSE = ((_CHANNELS[-2], PICTURE_SIZE // 8), (_CHANNELS[-1], PICTURE_SIZE // 16))
"""Channels and height of the maps of the two coarsest levels."""
SEEN = sum(width * height**2 for width, height in COARSE)
"""Numbers of these maps."""
_TOGETHER = 16
"""Looks that a CPU takes a level of the network through at once: their maps stay in its cache."""


class Painter(nn.Module):
    """What paints the ventricle and tells what it saw: the network, here or in another process."""

    def described(
        self, clip: Tensor, survey: Tensor, wanted: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `LVSegmentationNet.described`."""
        raise NotImplementedError


class LVSegmentationNet(Painter):
    """A U-Net (Ronneberger et al., MICCAI 2015) over looks at a clip, with temporal context.

    Each look is seen beside the one before and the one after, and beside mean and standard
    deviation of the whole clip, which show the walls without speckle and where they move. At the
    two coarsest levels convolutions over time join the looks. Pictures are scaled by the clip's
    own white, so that gain does not matter. 2.0 M parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        first, *others = _CHANNELS
        self.stem = _block(_INPUTS, first, stride=2)
        self.down = nn.ModuleList()
        for width_in, width_out in zip(_CHANNELS[:-1], others, strict=True):
            self.down.append(
                nn.Sequential(_block(width_in, width_out, stride=2), _block(width_out, width_out))
            )
        self.time = nn.ModuleList(
            nn.ModuleList(TemporalMixing(width, dilation) for dilation in (1, 2, 4))
            for width in _CHANNELS[2:]
        )
        self.up, self.merge = nn.ModuleList(), nn.ModuleList()
        for coarse, fine in zip(_CHANNELS[:0:-1], _CHANNELS[-2::-1], strict=True):
            self.up.append(nn.Conv2d(coarse, fine, 1))
            self.merge.append(nn.Sequential(_block(2 * fine, fine), _block(fine, fine)))
        self.head = nn.Conv2d(first, 1, 1)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, clip: Tensor, survey: Tensor, wanted: tuple[int, int] | None = None
    ) -> Tensor:
        """Return logits of the ventricle at half the resolution of the pictures.

        Args:
            clip: `(B, T, H, W)` looks, 40 ms apart, uint8 or float in 0..1; H and W multiples
                of 16.
            survey: `(B, S, H, W)` frames spread over the whole clip.
            wanted: First look and the one after the last of which logits are wanted; the others
                are seen for what they tell of these. None for all.

        Returns:
            `(B, T, H / 2, W / 2)` logits, T those that are wanted.
        """
        return self._painted(self._seen(clip, survey), clip.shape[0], clip.shape[1], wanted)

    def described(
        self, clip: Tensor, survey: Tensor, wanted: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what `forward` does, and what the way down saw of the looks that are wanted.

        Returns:
            `(B, T, H / 2, W / 2)` logits; and `(B, 2, SEEN)`, sums over these looks of the maps of
            the two coarsest levels, and of their squares: those of several stretches of a clip can
            be added.
        """
        batch, count = clip.shape[:2]
        passed = self._seen(clip, survey)
        told = _told(passed, (batch, count), wanted)
        return self._painted(passed, batch, count, wanted), told

    def encoded(self, clip: Tensor, survey: Tensor) -> Tensor:
        """Return the second of what `described` does, of all looks, and paint nothing."""
        batch, count = clip.shape[:2]
        return _told(self._seen(clip, survey), (batch, count), None)

    def _seen(self, clip: Tensor, survey: Tensor) -> list[Any]:
        """Return the maps of the way down, finest first."""
        x = self._apart(self.stem, describe(clip, survey))
        passed: list[Any] = [x]
        for level, down in enumerate(self.down):
            x = self._apart(down, x)
            if level > 0:
                for mix in list(self.time[level - 1].children()):
                    x = mix(x, clip.shape[0])
            passed.append(x)
        return passed

    def _painted(
        self, passed: list[Any], batch: int, count: int, wanted: tuple[int, int] | None
    ) -> Tensor:
        """Return the logits of the looks that are wanted."""
        if wanted is not None and wanted != (0, count):  # the way up is of each look by itself
            passed = [maps.unflatten(0, (batch, count))[:, slice(*wanted)].flatten(0, 1)
                      for maps in passed]  # fmt: skip
            count = wanted[1] - wanted[0]
        x = passed[-1]
        steps = zip(self.up, self.merge, passed[-2::-1], strict=True)
        for up, merge, finer in steps:
            x = self._apart(partial(_upwards, up, merge), x, finer)
        logits: Tensor = self.head(x)
        return logits.view(batch, count, *logits.shape[-2:])

    def _apart(self, part: Callable[..., Tensor], *maps: Tensor) -> Tensor:
        """Return what a part makes of maps `(N, ...)`, a few looks at a time where that pays.

        In inference mode alone: batch norm learns from whole batches, and what is exported must
        not know how many looks there are.
        """
        apart = torch.is_inference_mode_enabled() and not self.training
        if not apart or maps[0].device.type != "cpu" or len(maps[0]) <= _TOGETHER:
            return part(*maps)
        pieces = zip(*(torch.split(each, _TOGETHER) for each in maps), strict=True)
        return torch.cat([part(*piece) for piece in pieces])


class TemporalMixing(nn.Module):
    """A residual, depthwise convolution over three looks, then a pointwise one.

    Args:
        width: Channels.
        dilation: Looks between those that are joined.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.over_time = nn.Parameter(torch.randn(3, width) / 3**0.5)
        self.mix = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, maps: Tensor, batch: int) -> Tensor:
        """Return `(B T, C, h, w)` maps of `batch` clips, each look joined with its neighbours."""
        looks = maps.view(batch, -1, *maps.shape[1:])
        padded = functional.pad(looks, (0, 0) * 3 + (self.dilation, self.dilation))
        count = looks.shape[1]
        # Depthwise, written out: as a 3-D convolution it takes most of the network's time.
        joined = sum(
            weight[:, None, None] * padded[:, i * self.dilation : i * self.dilation + count]
            for i, weight in enumerate(self.over_time)
        )
        assert isinstance(joined, Tensor)
        mixed: Tensor = maps + self.mix(joined.flatten(0, 1))
        return mixed


def for_inference(net: LVSegmentationNet) -> LVSegmentationNet:
    """Return a copy in evaluation mode whose batch norm is folded into its convolutions.

    Logits are the same up to rounding (some 1e-5).
    """
    folded = deepcopy(net).eval()
    for block in folded.modules():
        if not (isinstance(block, nn.Sequential) and len(block) > 1):
            continue
        convolution, norm = block[0], block[1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block[0] = fuse_conv_bn_eval(convolution, norm)
            block[1], block[2] = nn.Identity(), nn.ReLU(inplace=True)
    return folded.to(memory_format=torch.channels_last)


def full_size(maps: Tensor) -> Tensor:
    """Return `(B, T, h, w)` maps at twice the height and width."""
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear")


def describe(clip: Tensor, survey: Tensor) -> Tensor:
    """Return what the network sees of each look, `(B T, 5, H, W)` float.

    The look, the one before, the one after, and the clip's mean and standard deviation; see
    `LVSegmentationNet.forward` for the arguments.
    """
    clip, survey = _unit(clip), _unit(survey)
    pixels = survey[..., ::3, ::3].flatten(1)
    brightest = pixels.topk(max(1, round((1 - _WHITE) * pixels.shape[1])), dim=1).values
    white = brightest[:, -1].clamp(min=0.05)
    clip, survey = (x / white[:, None, None, None] for x in (clip, survey))
    looks = _level(clip)
    seen = looks.new_empty(*looks.shape, _INPUTS)  # channels last, as convolutions want them
    seen[..., 0] = looks
    seen[:, :1, ..., 1], seen[:, 1:, ..., 1] = looks[:, :1], looks[:, :-1]
    seen[:, :-1, ..., 2], seen[:, -1:, ..., 2] = looks[:, 1:], looks[:, -1:]
    seen[..., 3] = _level(survey.mean(1, keepdim=True))
    seen[..., 4] = _level(3 * survey.std(1, keepdim=True))
    return seen.flatten(0, 1).permute(0, 3, 1, 2)


def _told(passed: list[Any], shape: tuple[int, int], wanted: tuple[int, int] | None) -> Tensor:
    """Return what the two coarsest of the maps tell, `(B, 2, SEEN)`."""
    return torch.cat([_sums(maps.unflatten(0, shape), wanted) for maps in passed[-2:]], -1)


def _sums(maps: Tensor, wanted: tuple[int, int] | None) -> Tensor:
    """Return sums over looks of `(B, T, C, h, w)` maps and of their squares, `(B, 2, C h w)`."""
    looks = maps[:, slice(*wanted)].float() if wanted else maps.float()
    return torch.stack([looks.sum(1), looks.square().sum(1)], 1).flatten(2)


def _level(pictures: Tensor) -> Tensor:
    return 2 * pictures.clamp(max=1.5) - 0.5


def _upwards(up: nn.Module, merge: nn.Module, maps: Tensor, finer: Tensor) -> Tensor:
    """Return maps at the next finer level, merged with what the way down knew there."""
    maps = functional.interpolate(up(maps), scale_factor=2.0, mode="bilinear")
    merged: Tensor = merge(torch.cat([maps, finer], dim=1))
    return merged


def _unit(pictures: Tensor) -> Tensor:
    return pictures if pictures.is_floating_point() else pictures.float() / 255


def _block(width_in: int, width_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(width_out),
        nn.ReLU(),
    )
