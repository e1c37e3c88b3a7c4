"""Backbones whose network this package did not write: of a library, or a user's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from lvef.errors import BackboneError, WeightsError
from lvef.models.backbones.base import IMAGENET, Backbone, Stage
from lvef.models.backbones.tensors import network_state


@dataclass(frozen=True)
class Given:
    """What a network was made for.

    Attributes:
        name: What the backbone is called in options and checkpoints.
        title: What it is called on pages.
        num_features: Features of a picture, or of a whole clip.
        pixel_mean: Mean of each channel in 0..1; one of a network of grey pictures.
        pixel_std: Their standard deviation.
        made_with: What the features depend on beside the weights: versions, arguments, source.
        input_size: Height and width that its pictures must have; None takes any.
        stages: Names of its stages.
        head: Parts that a file of its weights has besides, the classifier.
        channels_last: See `Backbone`.
        takes_clips: See `Backbone`.
        clip_length: See `Backbone`.
    """

    name: str
    title: str
    num_features: int
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    made_with: str
    input_size: int | None = None
    stages: Mapping[Stage, str] = field(default_factory=dict)
    head: tuple[str, ...] = ()
    channels_last: bool = True
    takes_clips: bool = False
    clip_length: int | None = None


class GivenBackbone(Backbone):
    """A network that is described by `Given`.

    Frames of another size than it takes are scaled to that, on the device; a network of one
    channel gets their mean over red, green and blue.

    Args:
        network: Takes normalised `(N, C, H, W)` images, or `(N, T, C, H, W)` clips, and returns
            `(N, num_features)`.
        given: What it was made for.
        freeze: See `Backbone`.
    """

    def __init__(self, network: nn.Module, given: Given, freeze: bool | int) -> None:
        self.given = given
        self.name, self.title = given.name, given.title
        self.num_features = given.num_features
        self.pixel_mean, self.pixel_std = given.pixel_mean, given.pixel_std
        self.stages = tuple(given.stages)
        self.channels_last = given.channels_last
        self.takes_clips, self.clip_length = given.takes_clips, given.clip_length
        super().__init__(network, None, freeze)

    def identity(self) -> str:
        """Return name, arguments, versions or source, and how pictures are brought to it."""
        told = (self.given.made_with, self.pixel_mean, self.pixel_std, self.given.input_size)
        return f" {self.name} {told!r}"

    def normalise(self, images: Tensor) -> Tensor:
        """Scale values, size and channels of `(N, 3, H, W)` images to what the network takes."""
        if not images.is_floating_point():
            images = images.float() / 255
        size = self.given.input_size
        if size is not None and images.shape[-2:] != (size, size):
            shrunk = images.shape[-1] > size
            images = functional.interpolate(
                images, (size, size), mode="bilinear", align_corners=False, antialias=shrunk
            )
        if len(self.pixel_mean) == 1:
            images = images.mean(1, keepdim=True)
        return super().normalise(images)

    def stage(self, which: Stage) -> nn.Module:
        """Return a stage.

        Raises:
            BackboneError: It has none of the kind.
        """
        if which not in self.given.stages:
            raise BackboneError(f"backbone {self.name} has no {which} stage that puts out maps")
        return self.network.get_submodule(self.given.stages[which])

    def load(self, weights: str) -> None:
        """Load weights: `imagenet` or another name of the library's, or a local file.

        Raises:
            WeightsError: They cannot be had, read, or do not fit.
        """
        if Path(weights).is_file():
            self.take(Path(weights))
            return
        state, facts = self.library_weights(weights)
        try:
            self.network.load_state_dict(state)
        except RuntimeError as error:
            line = " ".join(str(error).split())[:300]
            raise WeightsError(f"weights {weights} do not fit {self.name}: {line}") from error
        self.set_pixels()
        self.provenance = facts

    def state_in(self, content: Any) -> dict[str, Tensor]:
        """Return the network's tensors out of what a file holds, without its classifier.

        Raises:
            UnreadableError: It has none, or others.
        """
        return network_state(content, self.network.state_dict(), self.name, self.given.head)

    @abstractmethod
    def library_weights(self, weights: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors that a library calls by a name, and where they come from.

        Raises:
            WeightsError: They cannot be had.
        """

    def no_such_weights(self, weights: str, names: str = IMAGENET) -> WeightsError:
        """Return the error that says which there are."""
        return WeightsError(
            f"no backbone weights {weights!r}: neither a file nor {names} of {self.name}; give a "
            "path, one of these names, or null for random weights"
        )


def refuse_arguments(name: str, arguments: Mapping[str, Any], ours: Mapping[str, str]) -> None:
    """Refuse arguments that are not a user's to give.

    Args:
        name: The backbone's.
        arguments: What the network is to be made with.
        ours: By name of an argument why it is none of them.

    Raises:
        BackboneError: One is.
    """
    for argument, why in ours.items():
        if argument in arguments:
            raise BackboneError(f"model.backbone.arguments.{argument} of {name}: {why}")
