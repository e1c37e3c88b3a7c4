"""Networks of timm (Wightman, PyTorch Image Models) by their names, classifier removed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from lvef.errors import BackboneError, WeightsError
from lvef.models.backbones.base import IMAGENET, Stage
from lvef.models.backbones.given import Given, GivenBackbone, refuse_arguments
from lvef.models.backbones.torchvision_weights import not_downloaded
from lvef.models.backbones.trial import Trial, stages_by_name, tried
from lvef.models.own_class import arguments_in_words

PREFIX = "timm/"
_WEIGHTS = "--model.backbone.weights says which weights"
_FEATURES = "a backbone has features and no classifier"
_OURS = {
    "pretrained": _WEIGHTS, "pretrained_cfg": _WEIGHTS, "pretrained_cfg_overlay": _WEIGHTS,
    "checkpoint_path": _WEIGHTS, "cache_dir": _WEIGHTS, "num_classes": _FEATURES,
    "features_only": _FEATURES, "in_chans": "frames have three channels",
}  # fmt: skip


class TimmBackbone(GivenBackbone):
    """A network of timm: `timm/convnext_tiny`, or with the name of weights `timm/NAME.TAG`.

    Pictures are normalised as the weights that the name means were trained. A transformer that
    takes one size only gets frames scaled to it; `arguments` may give it another (`img_size`, to
    which timm brings the position embeddings of its weights) or let it take any
    (`dynamic_img_size`).

    Args:
        name: The name, prefix included.
        freeze: See `Backbone`.
        arguments: What `timm.create_model` is called with besides.

    Raises:
        BackboneError: timm is not installed, has no such name, or refuses the arguments.
    """

    def __init__(
        self, name: str, freeze: bool | int = False, arguments: Mapping[str, Any] | None = None
    ) -> None:
        self.architecture = name.removeprefix(PREFIX)
        self.arguments = dict(arguments or {})
        refuse_arguments(name, self.arguments, _OURS)
        timm = _timm(name)
        _check_name(timm, self.architecture)
        network = self._made(pretrained=False)
        facts: dict[str, Any] = network.pretrained_cfg
        trial, size = _trial(name, network, facts, self.arguments)
        title = f"timm {self.architecture}"
        given = Given(
            name, title, trial.num_features, tuple(facts["mean"]), tuple(facts["std"]),
            f"timm {timm.__version__} {arguments_in_words(self.arguments)}", size,
            _stages(trial, network), _as_tuple(facts.get("classifier")),
        )  # fmt: skip
        super().__init__(network, given, freeze)

    def library_weights(self, weights: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights that the name means, downloaded once by timm.

        Raises:
            WeightsError: They cannot be had.
        """
        if weights != IMAGENET:
            raise self.no_such_weights(
                weights, f"{IMAGENET}, as timm's weights come with the name (timm/NAME.TAG),"
            )
        network: Any = self.network
        facts = {
            "library": "timm",
            "name": network.pretrained_cfg.get("tag") or network.pretrained_cfg["architecture"],
            **{
                ours: network.pretrained_cfg[theirs]
                for ours, theirs in (
                    ("url", "url"), ("hf_hub_id", "hf_hub_id"), ("licence", "license"),
                )
                if network.pretrained_cfg.get(theirs)
            },
        }  # fmt: skip
        if not {"url", "hf_hub_id"} & facts.keys():
            raise WeightsError(
                f"timm has no weights of {self.name}: give a file with --model.backbone.weights "
                "PATH, or null for random weights"
            )
        try:
            state = self._made(pretrained=True).state_dict()
        except Exception as error:  # of timm, Hugging Face or the network
            copy = (
                f"download https://huggingface.co/{facts['hf_hub_id']} into the cache of Hugging "
                "Face (HF_HOME) where there is a network"
                if "hf_hub_id" in facts
                else f"copy {facts['url']} to the folder hub/checkpoints of TORCH_HOME"
            )
            raise not_downloaded(f"the weights of {self.name}", error, copy) from error
        return dict(state), facts

    def _made(self, pretrained: bool) -> Any:
        timm: Any = import_module("timm")
        told = logging.getLogger("timm")
        level = told.level
        told.setLevel(logging.ERROR)  # what is loaded, and from where, is said by us
        try:
            return timm.create_model(
                self.architecture, pretrained=pretrained, num_classes=0, **self.arguments
            )
        except (TypeError, ValueError, AssertionError, KeyError) as error:
            if pretrained:
                raise
            line = " ".join(str(error).split())[:200]
            raise BackboneError(
                f"{PREFIX}{self.architecture} cannot be made with model.backbone.arguments "
                f"{arguments_in_words(self.arguments)}: {line}"
            ) from error
        finally:
            told.setLevel(level)


def _timm(name: str) -> Any:
    try:
        return import_module("timm")
    except ImportError as error:
        raise BackboneError(
            f"model.backbone.name {name} needs timm, which is not installed: "
            "pip install 'lvef[timm]', or pip install timm"
        ) from error


def _check_name(timm: Any, architecture: str) -> None:
    """Refuse a name that timm does not know, or a tag.

    Raises:
        BackboneError: It is such; the message says which come near.
    """
    plain, _, tag = architecture.partition(".")
    if not timm.is_model(plain):
        near = get_close_matches(plain, timm.list_models(), 4)
        words = f": near are {', '.join(near)}" if near else "; timm.list_models() has all"
        raise BackboneError(f"timm {timm.__version__} has no {plain[:80]!r}{words}")
    tagged = timm.list_pretrained(f"{plain}.*")
    if tag and architecture not in tagged:
        there = ", ".join(sorted(name.partition(".")[2] for name in tagged)) or "none"
        raise BackboneError(f"timm has no weights {tag[:80]!r} of {plain}; there are: {there}")


def _trial(
    name: str, network: nn.Module, facts: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[Trial, int | None]:
    """Return what a picture gives, and the size that the network must have; None for any."""
    own = int(facts["input_size"][-1])
    asked = arguments.get("img_size")
    if asked is not None:
        own = int(asked[-1] if isinstance(asked, (list, tuple)) else asked)
    flexible = arguments.get("dynamic_img_size") or arguments.get("strict_img_size") is False
    if facts.get("fixed_input_size") and not flexible:
        return tried(name, network, size=own), own
    try:
        return tried(name, network), None
    except BackboneError:
        return tried(name, network, size=own), own  # it takes multiples of something


def _stages(trial: Trial, network: Any) -> dict[Stage, str]:
    """Return the stages that timm names, as far as they put out maps of the channels it says."""
    named = [
        (part["module"], int(part["reduction"]))
        for part in getattr(network, "feature_info", None) or []
        if part.get("module")
    ]
    return stages_by_name(trial, named)


def _as_tuple(value: Any) -> tuple[str, ...]:
    """Return the names of classifiers: one or several."""
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
