"""What a backbone is to the rest of the package, and those of this package, by name."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from lvef.cardiac import CLIP, NOT_BOTH, asked_clip
from lvef.errors import BackboneError
from lvef.models.backbones.pixels import Pixels, pixels_of_run
from lvef.models.backbones.provenance import unusable
from lvef.models.backbones.released import AUTO, no_fit, released_in
from lvef.models.backbones.tensors import network_state
from lvef.models.source import source_digest
from lvef.models.torch_file import UnreadableError, read_torch

_PIXELS_AT_ONCE = 32 * 112 * 112
"""Of images that a CPU takes fastest together: of more, what a layer makes leaves its caches."""

Stage = Literal["fine", "coarse"]
"""Stages that heat maps are of: of many cells, and the last, of the most abstract features."""
BACKBONES: dict[str, type[Backbone]] = {}
"""Every backbone with a name of its own; a subclass of `Backbone` enters itself."""
IMAGENET = "imagenet"
"""What weights are called that a library trained on ImageNet; each knows its own best."""


class Backbone(Pixels, ABC):
    """Turns frames into features: any network, with the input scaling it was trained with.

    Several frames of a case pass through the same weights and their features are concatenated.
    A subclass says which network, where its stages are and what weights fit; with a `name` in its
    class it can be chosen by that from then on, else by its class path.

    Args:
        network: Takes normalised `(N, 3, H, W)` images, or `(N, T, 3, H, W)` clips, and returns
            `(N, num_features)`.
        weights: Name or path of weights, see `load`; None for those that the network has.
        freeze: `true` never trains the backbone, `false` trains it from the start, and a number
            trains it from that epoch on. While frozen, batch-norm statistics stand still too.

    Attributes:
        name: What it is called in options and checkpoints.
        title: What it is called on pages.
        version: Raised with every change of the features that the same weights give.
        num_features: Features of a frame, or of a whole clip.
        takes_clips: Whether it looks at whole clips, in place of single frames.
        clip_length: Frames of a clip that it takes; None for any number.
        says_pixels: Whether its mean and standard deviation of pixels, see `Pixels`, are those of
            whatever weights it gets.
        stages: Those that it has; a transformer of tokens has none.
        channels_last: Whether images are laid out so: twice as fast on CPUs as the default, and
            what tensor cores want.
        provenance: Where the weights come from, once a library's or released ones were loaded:
            plain data.
        released: What a file of weights is said to be; see `ReleasedName` of the options.
        frozen: Whether it stands still now.

    Raises:
        WeightsError: The weights cannot be had, read, or do not fit.
    """

    name: str
    title: str
    version: ClassVar[int] = 1
    num_features: int
    stages: tuple[Stage, ...] = ("fine", "coarse")
    channels_last: bool = True
    takes_clips: bool = False
    clip_length: int | None = None
    says_pixels: bool = False
    released: str = AUTO

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter a subclass with a name in `BACKBONES`."""
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            BACKBONES[cls.name] = cls

    def __init__(self, network: nn.Module, weights: str | None, freeze: bool | int) -> None:
        super().__init__()
        self.freeze = freeze
        self.network = network
        self.provenance: dict[str, Any] = {}
        self.set_pixels()
        if weights is not None:
            self.load(weights)
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        self.frozen = bool(freeze)
        self.set_frozen(self.frozen)

    @abstractmethod
    def stage(self, which: Stage) -> nn.Module:
        """Return a part of the network whose output, `(N, C, h, w)`, heat maps are of.

        Raises:
            BackboneError: It has no such stage; see `stages`.
        """

    @abstractmethod
    def load(self, weights: str) -> None:
        """Load weights by name or path.

        Raises:
            WeightsError: They cannot be had, read, or do not fit.
        """

    def take(self, path: Path) -> None:
        """Load the weights that a file holds, and normalise pictures as these were taught.

        Raises:
            WeightsError: It cannot be read, or does not fit.
        """
        try:
            content = read_torch(path)
            origin = released_in(content, self.released)
            try:
                state = self.state_in(content)
            except UnreadableError as error:
                raise (error if origin is None else no_fit(origin, self.name, error)) from error
        except UnreadableError as error:
            raise unusable(path, error) from error
        self.network.load_state_dict(state)
        pixels = pixels_of_run(content)
        if origin is not None and origin.pixel_mean and origin.pixel_std:
            pixels = torch.tensor(origin.pixel_mean), torch.tensor(origin.pixel_std)
        self.set_pixels(*(() if self.says_pixels else pixels))
        self.provenance = {} if origin is None else origin.facts

    def state_in(self, content: Any) -> dict[str, Tensor]:
        """Return the network's tensors out of what a file holds.

        Raises:
            UnreadableError: It has none, or others.
        """
        return network_state(content, self.network.state_dict(), self.name)

    def refuse_other_frames(self, frames: Sequence[str]) -> None:
        """Refuse key frames where it takes whole clips, clips where it does not, or of a length.

        Args:
            frames: What a model of it is to see.

        Raises:
            BackboneError: They are such.
        """
        clip, asked = asked_clip(frames), f"data.frames is [{', '.join(frames)}]"
        if clip is None and self.takes_clips:
            raise BackboneError(
                f"backbone {self.name} takes whole clips, but {asked}: give [{CLIP}]"
            )
        if clip is None:
            return
        if len(frames) > 1:
            raise BackboneError(f"{asked}, but {NOT_BOTH}")
        if not self.takes_clips:
            raise BackboneError(
                f"backbone {self.name} takes single frames, but {asked}: give one of clips such as "
                "--model.backbone.name torchvision/r2plus1d_18, or key frames such as [EDF, ESF]"
            )
        if self.clip_length not in (None, clip.length):
            raise BackboneError(
                f"backbone {self.name} takes clips of {self.clip_length} frames, but {asked}, of "
                f"{clip.length}"
            )

    def folded(self) -> Self:
        """Return a frozen copy that computes the same but for rounding, faster where it can."""
        twin = copy.deepcopy(self)
        twin.freeze = True
        twin.set_frozen(True)
        return twin.eval()

    def lowered(self) -> Self:
        """Return `folded`, with as much in bfloat16 as moves an EF by a tenth of a point at most.

        Nothing is, of a backbone of which nobody has measured how much that is.
        """
        return self.folded()

    def identity(self) -> str:
        """Return what its features depend on beside weights, class and `version`.

        Of a class of somebody else's that is the source: nobody need raise a version.
        """
        own = type(self).__module__.split(".")[0] == "lvef"
        return "" if own else source_digest(type(self))

    @property
    def facts(self) -> dict[str, Any]:
        """What it is and where its weights come from, as checkpoints say it."""
        return {"name": self.name, "title": self.title, "weights": dict(self.provenance)}

    @property
    def known_as(self) -> str:
        """Its title, and whose released encoder it began as."""
        whose = f" from {self.provenance['library']}" if "released" in self.provenance else ""
        return f"{self.title}{whose}"

    def forward(self, frames: Tensor) -> Tensor:
        """Return features of every frame of every case.

        Args:
            frames: `(B, F, 3, H, W)`, uint8 or float in 0..1.

        Returns:
            `(B, F * num_features)` float features, slot by slot; `(B, num_features)` of clips.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.features(frames)

    def features(self, frames: Tensor) -> Tensor:
        """Return what `forward` does, with gradients in the frames even while it is frozen.

        Raises:
            BackboneError: The network returns something else than `(N, num_features)`.
        """
        batch, slots = frames.shape[:2]
        images = self.normalise(frames.flatten(0, 1))
        if self.takes_clips:
            images, slots = self.as_clips(images.reshape(batch, slots, *images.shape[1:])), 1
        found = []
        for part in self._parts(images):
            features = self.network(part)
            check_output(self.name, features, self.num_features)
            found.append(features)
        return torch.cat(found).reshape(batch, slots * self.num_features)

    def _parts(self, images: Tensor) -> Sequence[Tensor]:
        """Return images in as many parts as are fastest; each is seen alone, so nothing changes."""
        learns = torch.is_grad_enabled() or self.network.training
        if (
            learns
            or self.takes_clips
            or images.device.type != "cpu"
            or torch.compiler.is_compiling()
        ):
            return [images]
        return torch.split(images, max(1, _PIXELS_AT_ONCE // (images.shape[-2] * images.shape[-1])))

    def as_clips(self, images: Tensor) -> Tensor:
        """Return normalised clips `(B, T, C, H, W)` in the order of axes that the network takes."""
        return images

    def normalise(self, images: Tensor) -> Tensor:
        """Scale `(N, 3, H, W)` images as its training did: uint8 or float in 0..1 in."""
        if not images.is_floating_point():
            images = images.float() / 255
        images = (images - self.mean) / self.std
        if not self.channels_last:
            return images.contiguous()
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
        kind = f"{type(self).__name__} {self.version}{self.identity()}"
        digest = hashlib.sha256(f"{kind}, torch {torch.__version__}, {precision}".encode())
        for name, value in self.state_dict().items():
            digest.update(name.encode())
            # As bytes: NumPy knows no bfloat16.
            plain = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(plain.numpy().tobytes())
        return digest.hexdigest()


def check_output(name: str, output: Any, num_features: int | None = None) -> None:
    """Refuse what a network returns that is no row of features for each image.

    Args:
        name: Its name.
        output: What it returned.
        num_features: Features of an image; None where they are not known yet.

    Raises:
        BackboneError: It is something else.
    """
    wanted = f"(n, {'features' if num_features is None else num_features})"
    if not isinstance(output, Tensor):
        raise BackboneError(
            f"backbone {name} returns a {type(output).__name__}, but must return one tensor "
            f"{wanted}, a row for each picture"
        )
    if output.ndim == 2 and (num_features is None or output.shape[1] == num_features):
        return
    shape = ", ".join(["n", *map(str, output.shape[1:])])
    over = {4: "height and width", 5: "time, height and width"}.get(output.ndim)
    pooled = f": pool its maps, as by their mean over {over}" if over else ""
    raise BackboneError(
        f"backbone {name} returns ({shape}) for n pictures, but must return {wanted}{pooled}"
    )
