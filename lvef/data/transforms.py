"""Augmentation, batched on the device, the same for all frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

from lvef.data.options import AUGMENTATION, CLIP_AUGMENTATION
from lvef.data.slots import slots_by_view
from lvef.options import check_numbers


class Augmentation(nn.Module):
    """Small changes an echo laboratory would recognise as the same heart.

    Every case draws its own parameters and all its frames of a view share them, so that the change
    from ED to ES stays true; see `augmented_views`. Shapes are `(B, F, 3, H, W)`, uint8 in and
    float in 0..1 out.

    Args:
        rotation: Largest rotation in degrees.
        translation: Largest shift as a share of the width.
        scale: Largest relative zoom; small, since the size of the ventricle matters.
        gain: Largest relative change of brightness.
        gamma: Largest relative change of the grey curve's exponent.
        speckle: Largest standard deviation of multiplicative noise.
        horizontal_flip: Probability of a mirror image. Leave it at 0 unless your clips come in
            both conventions: left and right are anatomy.
    """

    def __init__(
        self,
        rotation: float = 8.0,
        translation: float = 0.05,
        scale: float = 0.04,
        gain: float = 0.2,
        gamma: float = 0.2,
        speckle: float = 0.15,
        horizontal_flip: float = 0.0,
    ) -> None:
        super().__init__()
        asked = {
            "rotation": rotation, "translation": translation, "scale": scale, "gain": gain,
            "gamma": gamma, "speckle": speckle, "horizontal_flip": horizontal_flip,
        }  # fmt: skip
        check_numbers("data.augmentation.", AUGMENTATION, asked)
        self.rotation = rotation
        self.translation = translation
        self.scale = scale
        self.gain = gain
        self.gamma = gamma
        self.speckle = speckle
        self.horizontal_flip = horizontal_flip
        self.to_float = v2.ToDtype(torch.float32, scale=True)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Return augmented frames, float in 0..1."""
        return self._shade(self._move(self.to_float(frames)))

    def _shade(self, images: Tensor) -> Tensor:
        """Change brightness, grey curve and speckle, each case in its own way."""

        def around_one(spread: float) -> Tensor:
            return torch.exp(spread * self._uniform(images))[:, None, None, None, None]

        images = images.clamp(min=0) ** around_one(self.gamma) * around_one(self.gain)
        if self.speckle > 0:
            strength = self.speckle * torch.rand(len(images), 1, 1, 1, 1, device=images.device)
            noise = torch.randn(*images.shape[:2], 1, *images.shape[3:], device=images.device)
            images = images * (1 + strength * noise)
        return images.clamp(0, 1)

    @staticmethod
    def _uniform(images: Tensor) -> Tensor:
        return 2 * torch.rand(len(images), device=images.device) - 1

    def _move(self, images: Tensor) -> Tensor:
        """Rotate, shift, zoom and perhaps mirror, each case in its own way."""
        angle = torch.deg2rad(self.rotation * self._uniform(images))
        zoom = torch.exp(self.scale * self._uniform(images))
        mirror = torch.rand(len(images), device=images.device) < self.horizontal_flip
        sign = 1 - 2 * mirror.float()
        shift = 2 * self.translation
        matrix = torch.stack(
            [
                torch.stack([sign * angle.cos() / zoom, -angle.sin() / zoom], dim=1),
                torch.stack([sign * angle.sin() / zoom, angle.cos() / zoom], dim=1),
                torch.stack([shift * self._uniform(images), shift * self._uniform(images)], dim=1),
            ],
            dim=2,
        )
        batch, slots, channels, height, width = images.shape
        flat = images.flatten(1, 2)
        grid = functional.affine_grid(matrix, [batch, 1, height, width], align_corners=False)
        moved = functional.grid_sample(flat, grid, padding_mode="zeros", align_corners=False)
        return moved.view(batch, slots, channels, height, width)


def augmented_views(augmentation: Augmentation, frames: Tensor, names: Sequence[str]) -> Tensor:
    """Return augmented frames, those of each view by a draw of their own.

    The clips of two views are taken one after the other: the probe is turned, depth and gain may
    change, and neither picture says where the heart lies in the other. EF of two planes stays what
    it is where one of them is scaled, as ED and ES are scaled alike.

    Args:
        augmentation: What changes them.
        frames: `(B, F, 3, H, W)`.
        names: Names of the frames, in slot order.
    """
    views = slots_by_view(names)
    if len(views) < 2:
        moved: Tensor = augmentation(frames)
        return moved
    moved = torch.empty(frames.shape, device=frames.device)
    for slots in views.values():
        moved[:, slots] = augmentation(frames[:, slots])
    return moved


class ClipAugmentation(Augmentation):
    """Larger changes, for an LV segmenter: a clip, its survey and its masks move together.

    Args:
        rotation: Largest rotation in degrees.
        translation: Largest shift as a share of the width.
        scale: Largest relative zoom.
        gain: Largest relative change of brightness.
        gamma: Largest relative change of the grey curve's exponent.
        speckle: Largest standard deviation of multiplicative noise.
        veil: Most grey that lies evenly over the whole picture.
        blur: Probability that a clip is blurred.
        unevenness: Largest standard deviation of a smooth field of gain, in natural logarithms.
        shadow: Probability that beams lie in a shadow.
        flicker: Largest standard deviation of the gain of single looks, in natural logarithms.
        frozen: Probability that a look repeats the one before, as where a machine drops frames.
    """

    def __init__(
        self,
        rotation: float = 15.0,
        translation: float = 0.1,
        scale: float = 0.22,
        gain: float = 0.3,
        gamma: float = 0.4,
        speckle: float = 0.3,
        veil: float = 0.12,
        blur: float = 0.2,
        unevenness: float = 0.0,
        shadow: float = 0.0,
        flicker: float = 0.0,
        frozen: float = 0.0,
    ) -> None:
        super().__init__(rotation, translation, scale, gain, gamma, speckle)
        asked = {
            "veil": veil, "blur": blur, "unevenness": unevenness, "shadow": shadow,
            "flicker": flicker, "frozen": frozen,
        }  # fmt: skip
        check_numbers("data.augmentation.", CLIP_AUGMENTATION, asked)
        self.veil = veil
        self.blur = blur
        self.unevenness = unevenness
        self.shadow = shadow
        self.flicker = flicker
        self.frozen = frozen

    @torch.no_grad()
    def clips(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a batch of `ClipDataset` with `clip` and `survey` float and `mask` moved alike."""
        looks = batch["clip"].shape[1]
        batch = self._freeze(batch)
        pictures = torch.cat([batch["clip"], batch["survey"]], dim=1)
        everything = torch.cat([self.to_float(pictures), batch["mask"].float()], dim=1)
        moved = self._move(everything[:, :, None])
        shown = self._shade(moved[:, : pictures.shape[1]])[:, :, 0]
        veil = self.veil * torch.rand(len(shown), 1, 1, 1, device=shown.device)
        inside = shown.amax(1, keepdim=True) > 0  # the veil lies in the sector
        shown = torch.where(inside, veil + (1 - veil) * shown, shown)
        blurred = functional.avg_pool2d(shown, 3, stride=1, padding=1)
        chosen = torch.rand(len(shown), 1, 1, 1, device=shown.device) < self.blur
        shown = torch.where(chosen, blurred, shown) * self._gain(shown)
        shown = (shown * self._flicker(shown)).clamp(max=1)
        return {
            **batch,
            "clip": shown[:, :looks],
            "survey": shown[:, looks:],
            "mask": (moved[:, pictures.shape[1] :, 0] > 0.5).to(torch.uint8),
        }

    def _freeze(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Let some looks, and their masks, repeat the one before."""
        if not self.frozen:
            return batch
        clip = batch["clip"]
        here = torch.arange(clip.shape[1], device=clip.device).expand(clip.shape[:2])
        kept = torch.rand(clip.shape[:2], device=clip.device) >= self.frozen
        kept[:, 0] = True
        last = torch.where(kept, here, 0).cummax(dim=1).values
        row = torch.arange(len(clip), device=clip.device)[:, None]
        return {**batch, **{name: batch[name][row, last] for name in ("clip", "mask", "traced")}}

    def _gain(self, shown: Tensor) -> Tensor:
        """Return `(B, 1, H, W)` gain of a clip: a smooth field, and beams behind a rib or lung."""
        batch, _, height, width = shown.shape
        device = shown.device
        strength = self.unevenness * torch.rand(batch, 1, 1, 1, device=device)
        coarse = torch.randn(batch, 1, 5, 5, device=device)
        field = functional.interpolate(coarse, (height, width), mode="bicubic")
        gain = torch.exp(strength * field)
        if not self.shadow:
            return gain
        y = torch.linspace(0, 1, height, device=device)[:, None]
        x = torch.linspace(-0.5, 0.5, width, device=device)
        angle = torch.atan2(x.expand(height, width), y + 1e-3)

        def draw(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(batch, 1, 1, 1, device=device)

        beside = (angle - draw(-0.7, 0.7)) / draw(0.05, 0.3)
        depth = torch.sigmoid((y - draw(0.0, 0.5)) * 20)
        depth = depth * (torch.rand(batch, 1, 1, 1, device=device) < self.shadow)
        return gain * (1 - draw(0.3, 1.0) * depth * torch.exp(-(beside**4)))

    def _flicker(self, shown: Tensor) -> Tensor | float:
        if not self.flicker:
            return 1.0
        strength = self.flicker * torch.rand(len(shown), 1, 1, 1, device=shown.device)
        return torch.exp(strength * torch.randn(*shown.shape[:2], 1, 1, device=shown.device))
