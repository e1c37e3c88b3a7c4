"""A user's own encoder by its class path: any `nn.Module` that turns pictures into features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lvef.cardiac import PICTURE_SIZE, WholeClip
from lvef.errors import BackboneError, WeightsError
from lvef.models.backbones.base import Backbone, Stage
from lvef.models.backbones.given import Given, GivenBackbone
from lvef.models.backbones.trial import Trial, tried
from lvef.models.own_class import arguments_in_words, made, own_class
from lvef.models.source import source_digest

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LIBRARIES = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "gpytorch", "captum")
"""Packages that are imported already, and hold no encoder of a user's own."""


class OwnBackbone(GivenBackbone):
    """An encoder of a user's own.

    It takes normalised pictures `(N, 3, H, W)`, or whole clips `(N, T, 3, H, W)`, and returns
    `(N, features)`. Its class, or an instance, may say more, and need say nothing:

    - `pixel_mean`, `pixel_std`: how pictures are normalised; ImageNet's by default. A single
      number each for a network of grey pictures, `(N, 1, H, W)`.
    - `input_size`: the height and width that it takes; by default it takes any.
    - `takes_clips`: true where it takes whole clips; `clip_length` then, how many frames; by
      default it takes any number.
    - `stages`: by `fine` and `coarse` the names of the parts whose maps heat maps are of; without,
      it has integrated gradients only.
    - `title`: what it is called on pages.
    - `version`: a number that is raised where features change though this file did not.
    - `channels_last`: true where its layers may be given pictures in that layout, which is
      faster.

    Args:
        name: Its class path.
        kind: The class.
        freeze: See `Backbone`.
        arguments: What it is made with.

    Raises:
        BackboneError: It cannot be made or used.
    """

    def __init__(
        self, name: str, kind: type[nn.Module], freeze: bool | int, arguments: Mapping[str, Any]
    ) -> None:
        network = encoder(name, kind, (), arguments)
        mean = _channels(name, network, "pixel_mean", _IMAGENET_MEAN)
        std = _channels(name, network, "pixel_std", _IMAGENET_STD[: len(mean)])
        if len(mean) != len(std) or min(std) <= 0:
            raise BackboneError(
                f"backbone {name}: pixel_mean and pixel_std must be as many, and pixel_std positive"
            )
        size = getattr(network, "input_size", None)
        if size is not None and (not isinstance(size, int) or size < 1):
            raise BackboneError(
                f"backbone {name}: input_size is {size!r:.40}, but must be a number"
            )
        advice = "" if size else "; where it takes one size only, let its input_size say so"
        clips, length = bool(getattr(network, "takes_clips", False)), _clip_length(name, network)
        side = size or PICTURE_SIZE
        clip = (length or WholeClip().length, len(mean), side, side) if clips else ()
        trial = tried(name, network, len(mean), side, advice, clip)
        version = getattr(network, "version", 1)
        given = Given(
            name, str(getattr(network, "title", kind.__name__)), trial.num_features, mean, std,
            f"{source_digest(kind)} {version} {arguments_in_words(arguments)}", size,
            {} if clips else _stages(name, network, trial),
            channels_last=not clips and bool(getattr(network, "channels_last", 0)),
            takes_clips=clips, clip_length=length,
        )  # fmt: skip
        self.says_pixels = hasattr(network, "pixel_mean")
        super().__init__(network, given, freeze)

    def library_weights(self, weights: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Refuse names: no library knows weights of it."""
        raise WeightsError(
            f"no backbone weights {weights!r}: no file is called so, and {self.name} is a class of "
            "your own, of which no library has weights; give a path with --model.backbone.weights "
            "PATH, or null to start as the class makes it"
        )


def encoder_class(class_path: str) -> type[nn.Module]:
    """Return the class that a path names.

    Raises:
        BackboneError: Its module is not imported, or it names no network of a user's own.
    """
    package = class_path.split(".")[0]
    if package in _LIBRARIES:
        raise BackboneError(
            f"backbone {class_path} is part of {package}: give timm/NAME or torchvision/NAME, or a "
            "class of your own"
        )
    return own_class(class_path, "backbone", nn.Module, BackboneError)


def encoder(name: str, kind: Any, given: tuple[Any, ...], arguments: Mapping[str, Any]) -> Any:
    """Return an instance of a user's class.

    Raises:
        BackboneError: It refuses its arguments, or fails.
    """
    what, option = f"backbone {name}", "model.backbone.arguments"
    return made(what, option, kind, given, arguments, BackboneError)


def own_backbone(class_path: str, freeze: bool | int, arguments: Mapping[str, Any]) -> Backbone:
    """Return the backbone that a class path names, with the weights that it makes.

    Args:
        class_path: Of an `nn.Module` (see `OwnBackbone`), or of a subclass of `Backbone`, which is
            made with `weights` None, `freeze` and `arguments`.
        freeze: See `Backbone`.
        arguments: What it is made with.

    Raises:
        BackboneError: It cannot be had.
    """
    kind = encoder_class(class_path)
    if not issubclass(kind, Backbone):
        return OwnBackbone(class_path, kind, freeze, arguments)
    backbone: Backbone = encoder(class_path, kind, (None, freeze), arguments)
    backbone.name = class_path
    return backbone


def _clip_length(name: str, network: nn.Module) -> int | None:
    """Return how many frames a network of clips takes; None for any number.

    Raises:
        BackboneError: It says no number.
    """
    said: Any = getattr(network, "clip_length", None)
    if said is not None and (not isinstance(said, int) or said < 1):
        raise BackboneError(f"backbone {name}: clip_length is {said!r:.40}, but must be a number")
    return said


def _channels(
    name: str, network: nn.Module, attribute: str, default: tuple[float, ...]
) -> tuple[float, ...]:
    """Return one number a channel, of one channel or of three."""
    said: Any = getattr(network, attribute, default)
    try:
        values = tuple(float(value) for value in (said if hasattr(said, "__iter__") else [said]))
    except (TypeError, ValueError):
        values = ()
    if len(values) not in (1, 3):
        raise BackboneError(
            f"backbone {name}: {attribute} is {said!r:.60}, but must be three numbers, or one for "
            "a network of grey pictures"
        )
    return values


def _stages(name: str, network: nn.Module, trial: Trial) -> dict[Stage, str]:
    """Return the stages that a network names.

    Raises:
        BackboneError: It names others, or parts that put out no maps.
    """
    said: Any = getattr(network, "stages", None)
    if not isinstance(said, Mapping):
        return {}  # another thing of that name, as the blocks of many networks are called
    for which, part in said.items():
        if which not in ("fine", "coarse"):
            raise BackboneError(f"backbone {name}: stages are fine and coarse, not {which!r:.40}")
        if part not in trial.maps:
            raise BackboneError(
                f"backbone {name}: its {which} stage {part!r:.60} is no part whose output is a map "
                "(n, channels, s, s)"
            )
    return dict(said)
