"""What a backbone is to the rest of the package, and those there are, by name."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from lvef.errors import ConfigurationError

Stage = Literal["fine", "coarse"]
"""Stages that heat maps are of: of many cells, and the last, of the most abstract features."""
BACKBONES: dict[str, type[Backbone]] = {}
"""Every backbone by its name; a subclass of `Backbone` enters itself."""


class Backbone(nn.Module, ABC):
    """Turns frames into features: any network, with the input scaling it was trained with.

    Several frames of a case pass through the same weights and their features are concatenated.
    A subclass with a `name` says which network, where its stages are, how it is folded and what
    weights fit; it can be chosen by its name from then on.

    Args:
        network: Takes normalised `(N, 3, H, W)` images, and returns `(N, num_features)`.
        weights: Name or path of weights, see `load`; None for those that the network has.
        freeze: `true` never trains the backbone, `false` trains it from the start, and a number
            trains it from that epoch on. While frozen, batch-norm statistics stand still too.

    Attributes:
        name: What it is called in options and checkpoints.
        title: What it is called on pages.
        version: Raised with every change of the features that the same weights give.
        num_features: Features of a frame.
        stage_channels: Channels of the maps of `feature_maps`.
        pixel_mean: Mean of red, green and blue in 0..1 that the network was trained with.
        pixel_std: Their standard deviation.
        frozen: Whether it stands still now.

    Raises:
        WeightsError: The weights cannot be had, read, or do not fit.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1
    num_features: int
    stage_channels: tuple[int, ...]
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    mean: Tensor
    std: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter a subclass with a name in `BACKBONES`."""
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            BACKBONES[cls.name] = cls

    def __init__(self, network: nn.Module, weights: str | None, freeze: bool | int) -> None:
        super().__init__()
        self.freeze = freeze
        self.network = network
        for name, values in (("mean", self.pixel_mean), ("std", self.pixel_std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        if weights is not None:
            self.load(weights)
        # Twice as fast on CPUs as the default layout, and what tensor cores want.
        self.to(memory_format=torch.channels_last)
        self.frozen = bool(freeze)
        self.set_frozen(self.frozen)

    @abstractmethod
    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the stages for `(N, 3, H, W)` images, finest first.

        The features of an image are the means of the last.
        """

    @abstractmethod
    def stage(self, which: Stage) -> nn.Module:
        """Return a part of the network whose output, `(N, C, h, w)`, heat maps are of."""

    @abstractmethod
    def folded(self) -> Self:
        """Return a frozen copy that computes the same but for rounding, faster."""

    @abstractmethod
    def load(self, weights: str) -> None:
        """Load weights by name or path.

        Raises:
            WeightsError: They cannot be had, read, or do not fit.
        """

    def forward(self, frames: Tensor) -> Tensor:
        """Return features of every frame of every case.

        Args:
            frames: `(B, F, 3, H, W)`, uint8 or float in 0..1.

        Returns:
            `(B, F * num_features)` float features, slot by slot.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.features(frames)

    def features(self, frames: Tensor) -> Tensor:
        """Return what `forward` does, with gradients in the frames even while it is frozen."""
        batch, slots = frames.shape[:2]
        features: Tensor = self.network(self.normalise(frames.flatten(0, 1)))
        return features.view(batch, slots * self.num_features)

    def normalise(self, images: Tensor) -> Tensor:
        """Scale `(N, 3, H, W)` images as its training did: uint8 or float in 0..1 in."""
        if not images.is_floating_point():
            images = images.float() / 255
        images = (images - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last)

    def set_frozen(self, frozen: bool) -> None:
        """Freeze or release the backbone.

        A backbone that is to be released later keeps `requires_grad`: distributed training
        registers parameters once, at the start, and would never synchronise late comers.
        """
        self.frozen = frozen
        self.network.requires_grad_(self.freeze is not True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode; a frozen network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def fingerprint(self, precision: str) -> str:
        """Return a name that changes with anything the features depend on but the pictures.

        Args:
            precision: Precision that it runs in.
        """
        kind = f"{type(self).__name__} {self.version}"
        digest = hashlib.sha256(f"{kind}, torch {torch.__version__}, {precision}".encode())
        for name, value in self.state_dict().items():
            digest.update(name.encode())
            # As bytes: NumPy knows no bfloat16.
            plain = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(plain.numpy().tobytes())
        return digest.hexdigest()


def new_backbone(name: str, freeze: bool | int = False) -> Backbone:
    """Return a backbone with random weights.

    Args:
        name: A name of `BACKBONES`.
        freeze: See `Backbone`.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if name not in BACKBONES:
        raise ConfigurationError(
            f"model.backbone.name is {name!r:.40}, but must be one of {', '.join(BACKBONES)}"
        )
    kind: Any = BACKBONES[name]  # each takes weights and freeze alone
    backbone: Backbone = kind(None, freeze)
    return backbone
