"""Networks of torchvision by their names: classifiers of pictures or clips, without classes."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models

from lvef.cardiac import PICTURE_SIZE, WholeClip
from lvef.errors import BackboneError, WeightsError
from lvef.models.backbones.base import IMAGENET
from lvef.models.backbones.given import Given, GivenBackbone, refuse_arguments
from lvef.models.backbones.torchvision_weights import downloaded, weights_facts
from lvef.models.backbones.trial import stages_of_maps, tried
from lvef.models.own_class import arguments_in_words

PREFIX = "torchvision/"
_AUXILIARY = ("googlenet", "inception_v3")
"""Networks that return several things while they are trained."""
_TOKENS = "vit_"
"""How networks begin whose maps are tokens: only what makes the tokens puts out maps."""
_NUM_CLASSES, _NUM_CLASSES_OF_CLIPS = 1000, 400
"""Of ImageNet, and of Kinetics-400."""
KINETICS = "kinetics400"
"""What weights are called that torchvision trained on Kinetics-400; each network knows its best."""
_LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d)
_TOKENS_OF_CLIPS = "mvit"
"""How networks of clips begin that take one length and one size."""
_OURS = {
    "weights": "--model.backbone.weights says which weights",
    "num_classes": "a backbone has features and no classifier",
    "progress": "it is no argument of the network",
}


class TorchvisionBackbone(GivenBackbone):
    """A network of torchvision: `torchvision/convnext_tiny`, `torchvision/vit_b_16`, ...

    A transformer that takes one size only gets frames scaled to it. A network of videos, such as
    `torchvision/r2plus1d_18` (Tran et al., CVPR 2018) or `torchvision/mvit_v2_s` (Li et al., CVPR
    2022), takes whole clips.

    Args:
        name: The name, prefix included.
        freeze: See `Backbone`.
        arguments: What torchvision makes the network with besides.

    Raises:
        BackboneError: torchvision has no such name, or refuses the arguments.
    """

    def __init__(
        self, name: str, freeze: bool | int = False, arguments: Mapping[str, Any] | None = None
    ) -> None:
        self.architecture = name.removeprefix(PREFIX)
        self.arguments = dict(arguments or {})
        refuse_arguments(name, self.arguments, _OURS)
        _check_name(self.architecture)
        network, head = self._made(None)
        size = _input_size(self.architecture, network, self.arguments)
        clips, length = self.architecture in _of_clips(), None
        if clips and self.architecture.startswith(_TOKENS_OF_CLIPS):
            length = int(self.arguments.get("temporal_size", WholeClip().length))
        side = size or PICTURE_SIZE
        clip = (3, length or WholeClip().length, side, side) if clips else ()
        trial = tried(name, network, size=side, clip=clip)
        scaled: Any = get_model_weights(self.architecture).DEFAULT.transforms()
        tokens = self.architecture.startswith(_TOKENS)
        given = Given(
            name, f"torchvision {self.architecture}", trial.num_features,
            tuple(scaled.mean), tuple(scaled.std),
            f"torchvision {torchvision.__version__} {arguments_in_words(self.arguments)}", size,
            {} if tokens or clips else stages_of_maps(trial), (head,), not clips, clips, length,
        )  # fmt: skip
        super().__init__(network, given, freeze)
        self._layout = torch.channels_last_3d if clips and not tokens else torch.contiguous_format
        if clips and not tokens:  # trains 1.4 times as fast on a CPU
            network.to(memory_format=self._layout)

    def as_clips(self, images: Tensor) -> Tensor:
        """Return clips `(B, 3, T, H, W)`."""
        return images.transpose(1, 2).contiguous(memory_format=self._layout)

    def library_weights(self, weights: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return weights by torchvision's name for them, downloaded once.

        Raises:
            WeightsError: They cannot be had, or are of another size of pictures.
        """
        there: Any = get_model_weights(self.architecture)
        best = KINETICS if self.takes_clips else IMAGENET
        if weights != best and weights not in there.__members__:
            names = ", ".join([best, *(each.name for each in there)])
            raise self.no_such_weights(weights, f"one of {names}")
        chosen = there.DEFAULT if weights == best else there[weights]

        def download() -> dict[str, Tensor]:
            return self._made(chosen)[0].state_dict()

        try:
            return downloaded(chosen, download), weights_facts(chosen)
        except BackboneError as error:
            raise WeightsError(f"{chosen.name}: {error}") from error

    def _made(self, weights: Any) -> tuple[nn.Module, str]:
        """Return the network without its classifier, and what that was called.

        Raises:
            BackboneError: It cannot be made so.
        """
        try:
            network: nn.Module = get_model(self.architecture, weights=weights, **self.arguments)
        except (TypeError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise BackboneError(
                f"{PREFIX}{self.architecture} cannot be made with model.backbone.arguments "
                f"{arguments_in_words(self.arguments)}: {line}"
            ) from error
        clips = self.architecture in _of_clips()
        num_classes = _NUM_CLASSES_OF_CLIPS if clips else _NUM_CLASSES
        return network, _without_classifier(network, num_classes)


def _of_clips() -> list[str]:
    """Return the names of networks that take clips."""
    names: list[str] = list_models(module=torchvision.models.video)
    return names


def _check_name(architecture: str) -> None:
    """Refuse what torchvision has no network for pictures or clips of.

    Raises:
        BackboneError: It is such; the message says which come near.
    """
    there = [name for name in list_models(module=torchvision.models) if name not in _AUXILIARY]
    there += _of_clips()
    if architecture in there:
        return
    if architecture in _AUXILIARY:
        raise BackboneError(
            f"torchvision/{architecture} has auxiliary classifiers and is none of the backbones: "
            f"take timm/{architecture}"
        )
    near = get_close_matches(architecture, there, 4)
    words = f": near are {', '.join(near)}" if near else f"; there are {', '.join(there)}"
    raise BackboneError(f"torchvision has no {architecture[:80]!r} for pictures or clips{words}")


def _without_classifier(network: nn.Module, num_classes: int) -> str:
    """Remove the layer that puts out classes, with the dropout right before it.

    Returns:
        Its name.
    """
    classes: list[str] = [
        name
        for name, part in network.named_modules()
        if isinstance(part, _LAYERS) and len(part.weight) == num_classes
    ]
    name = classes[-1]
    parent, _, own = name.rpartition(".")
    holder = network.get_submodule(parent) if parent else network
    before = str(int(own) - 1) if own.isdigit() else ""
    if isinstance(getattr(holder, before, None) if before else None, nn.Dropout):
        setattr(holder, before, nn.Identity())
    setattr(holder, own, nn.Identity())
    return name


def _input_size(architecture: str, network: Any, arguments: Mapping[str, Any]) -> int | None:
    """Return the height and width that a network's pictures must have; None for any."""
    if architecture.startswith(_TOKENS):
        return int(network.image_size)
    if architecture.startswith(_TOKENS_OF_CLIPS):
        return int(arguments.get("spatial_size", (224, 224))[-1])
    if architecture.startswith("maxvit"):
        return int(arguments.get("input_size", (224, 224))[-1])
    return None
