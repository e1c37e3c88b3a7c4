"""Encoders as users write them; what tests put into a script outside the package."""

from __future__ import annotations

import torch
from torch import nn

SCRIPT = '''
import torch
from torch import nn


class MyEncoder(nn.Module):
    """Two convolutions of grey pictures."""

    title = "two convolutions"
    pixel_mean, pixel_std = [0.3], [0.2]
    stages = {"fine": "early", "coarse": "late"}

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(1, width, 7, 8, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.late(self.early(images)).mean((2, 3))
'''


class Plain(nn.Module):
    """Says nothing of itself, and looks at its pictures as nobody should who gets other layouts."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 8, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.first(images).view(len(images), len(self.first.weight), -1).mean(2)


class DropsSome(Plain):
    """Draws numbers while it is trained."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(images), 0.5, self.training)


class Unpooled(Plain):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.first(images)


class Several(Plain):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(images), images


class Flat(Plain):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images)[:, 0]


class OneSize(nn.Module):
    """As a transformer of one size."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3 * 24 * 24, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(images.flatten(1))


class SaysItsSize(OneSize):
    input_size = 24


class TwoChannels(Plain):
    pixel_mean = (0.5, 0.5)


class NamesNoPart(Plain):
    stages = {"coarse": "last"}  # noqa: RUF012


class NamesAnotherStage(Plain):
    stages = {"last": "first"}  # noqa: RUF012


class Fails(Plain):
    def __init__(self) -> None:
        super().__init__()
        raise OSError("no weights\nhere")


def factory() -> nn.Module:
    return Plain()


class OfClips(nn.Module):
    """Of grey clips: how bright their first and their last frame are, and how they change."""

    takes_clips = True
    pixel_mean, pixel_std = (0.0,), (1.0,)

    def __init__(self, width: int = 22) -> None:
        super().__init__()
        self.mix = nn.Conv3d(1, width, (3, 8, 8), (1, 8, 8), padding=(1, 0, 0))
        self.norm = nn.BatchNorm3d(width)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        bright = clips.mean((2, 3, 4))
        mixed = self.norm(self.mix(clips.transpose(1, 2))).relu().mean((2, 3, 4))
        return torch.cat([bright[:, [0, -1]], mixed], dim=1)


class OfFourFrames(OfClips):
    clip_length = 4


class SaysNoNumber(OfClips):
    clip_length = "four"


class UnpooledClips(OfClips):
    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.mix(clips.transpose(1, 2))
