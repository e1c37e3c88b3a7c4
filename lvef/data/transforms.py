"""Augmentation, batched on the device, the same for all frames of a case."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2


class Augmentation(nn.Module):
    """Small changes an echo laboratory would recognise as the same heart.

    Every case draws its own parameters and all its frames share them, so that the change from ED
    to ES stays true. Shapes are `(B, F, 3, H, W)`, uint8 in and float in 0..1 out.

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
        images = self._move(self.to_float(frames))

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
