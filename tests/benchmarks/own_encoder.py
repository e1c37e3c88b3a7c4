"""A user's own encoder for `key_frames_or_clips.py`: four strided convolutions, no ImageNet."""

from __future__ import annotations

from torch import Tensor, nn

_WIDTHS = (32, 64, 128, 256)


class OwnEncoder(nn.Module):
    """Pictures `(N, 1, H, W)` to features `(N, 256)`; 0.4 million parameters."""

    pixel_mean, pixel_std = 0.15, 0.2  # one number each: it looks at grey pictures

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((1, *_WIDTHS), _WIDTHS, strict=False):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the mean of the last maps."""
        maps: Tensor = self.layers(pictures)
        return maps.mean((2, 3))
