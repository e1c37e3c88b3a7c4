"""Backbones by what options call them: a name, a library's name, or a class path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvef.errors import BackboneError
from lvef.models.backbones import timm_library, torchvision_library
from lvef.models.backbones.base import BACKBONES, Backbone
from lvef.models.backbones.own import own_backbone
from lvef.models.backbones.timm_library import TimmBackbone
from lvef.models.backbones.torchvision_library import TorchvisionBackbone
from lvef.models.own_class import is_class_path


def new_backbone(
    name: str, freeze: bool | int = False, arguments: Mapping[str, Any] | None = None
) -> Backbone:
    """Return a backbone with random weights, or those that its class makes.

    Args:
        name: A name of `BACKBONES`, `timm/NAME`, `torchvision/NAME`, or a class path such as
            `my_models.MyEncoder`, whose module is imported already.
        freeze: See `Backbone`.
        arguments: What the network is made with.

    Raises:
        BackboneError: There is none of that name, or it cannot be had.
    """
    given = dict(arguments or {})
    if name.startswith(timm_library.PREFIX):
        return TimmBackbone(name, freeze, given)
    if name.startswith(torchvision_library.PREFIX):
        return TorchvisionBackbone(name, freeze, given)
    if name in BACKBONES:
        if given:
            raise BackboneError(f"model.backbone.arguments: {name} takes none")
        kind: Any = BACKBONES[name]  # each takes weights and freeze alone
        backbone: Backbone = kind(None, freeze)
        return backbone
    if is_class_path(name):
        return own_backbone(name, freeze, given)
    raise BackboneError(
        f"model.backbone.name is {name!r:.80}, but must be one of {', '.join(BACKBONES)}, "
        "timm/NAME such as timm/convnext_tiny, torchvision/NAME, or the class path of a network of "
        "your own such as my_models.MyEncoder"
    )
