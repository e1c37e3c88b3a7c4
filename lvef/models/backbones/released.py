"""Encoders that others taught by echocardiograms and released, told by the tensors of their files.

No such file is part of this package: whoever has one gives it, under its publisher's terms. What
stands here was read in the publishers' repositories; what could not be is said to be assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lvef.models.backbones.tensors import flat_tensors
from lvef.models.torch_file import UnreadableError

AUTO, NONE = "auto", "none"
"""What a file is said to be (`ReleasedName` of `lvef.models.options`) besides a name of these."""
PATIENTS = "patients"


@dataclass(frozen=True)
class Released:
    """A released encoder.

    Attributes:
        name: What options and checkpoints call it.
        title: What pages call it.
        part: Which of its networks is used.
        url: Where its publisher has it.
        terms: What its publisher permits.
        backbones: Backbones that it fits, the one to choose first.
        tells: Tensors that tell it, by the end of their names behind one prefix, with their shape.
        pixel_mean: Mean of red, green and blue in 0..1 that it was taught with; None where that is
            what the network's library has.
        pixel_std: Their standard deviation.
        pixels: How that is known.
    """

    name: str
    title: str
    part: str
    url: str
    terms: str
    backbones: tuple[str, ...]
    tells: Mapping[str, tuple[int, ...]]
    pixel_mean: tuple[float, ...] | None
    pixel_std: tuple[float, ...] | None
    pixels: str

    @property
    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of it, plain data."""
        return {
            "library": self.title,
            "name": self.part,
            "url": self.url,
            "licence": self.terms,
            "released": self.name,
            "taught_by": PATIENTS,
            "pixels": self.pixels,
        }


def _of_255(*values: float) -> tuple[float, ...]:
    return tuple(value / 255 for value in values)


_ECHONET_TERMS = (
    "no licence of the file was found; LICENSE.txt of its repository (2019) reserves all rights, "
    "and the clips that taught it are for non-commercial research only: ask its authors"
)
_ECHONET_URL = "https://github.com/echonet/dynamic/releases/tag/v1.0.0"
_ECHONET_MEAN = _of_255(31.834011, 31.95879, 32.082172)
_ECHONET_STD = _of_255(48.866325, 49.137333, 49.361984)
_ECHONET_PIXELS = (
    "assumed, as the file does not say them: those with which echonet/strain runs EchoNet-Dynamic"
)
RELEASED: dict[str, Released] = {
    each.name: each
    for each in (
        Released(
            "echonet_dynamic_ef", "EchoNet-Dynamic", "R(2+1)D of EF", _ECHONET_URL, _ECHONET_TERMS,
            ("torchvision/r2plus1d_18",),
            {
                "stem.0.weight": (45, 3, 1, 7, 7),
                "layer4.1.conv2.0.3.weight": (512, 1152, 3, 1, 1),
                "fc.weight": (1, 512),
            },
            _ECHONET_MEAN, _ECHONET_STD, _ECHONET_PIXELS,
        ),
        Released(
            "echonet_dynamic_lv", "EchoNet-Dynamic", "ResNet-50 of its DeepLab", _ECHONET_URL,
            _ECHONET_TERMS,
            ("resnet50", "torchvision/resnet50"),
            {
                "backbone.conv1.weight": (64, 3, 7, 7),
                "classifier.0.convs.0.0.weight": (256, 2048, 1, 1),
                "classifier.4.weight": (1, 256, 1, 1),
            },
            _ECHONET_MEAN, _ECHONET_STD, _ECHONET_PIXELS,
        ),
        Released(
            "echoprime", "EchoPrime", "MViTv2 of videos",
            "https://github.com/echonet/EchoPrime/releases/tag/v1.0.0",
            "LICENSE of its repository (Cedars-Sinai, 2024): educational or academic research "
            "only, it and what derives from it are not to be passed on; its README says MIT: "
            "ask its authors",
            ("torchvision/mvit_v2_s",),
            {
                "conv_proj.weight": (96, 3, 3, 7, 7),
                "norm.weight": (768,),
                "head.1.weight": (512, 768),
            },
            _of_255(29.110628, 28.076836, 29.096405), _of_255(47.989223, 46.456997, 47.20083),
            "as in its code",
        ),
        Released(
            "panecho", "PanEcho", "image encoder",
            "https://github.com/CarDS-Yale/PanEcho/releases/tag/v1.0",
            "no licence was found in its repository: ask its authors",
            ("torchvision/convnext_tiny",),
            {
                "encoder.encoder.model.features.0.0.weight": (96, 3, 4, 4),
                "encoder.transformer.layers.0.self_attn.in_proj_weight": (2304, 768),
            },
            None, None,
            "ImageNet's, as its README says",
        ),
    )
}  # fmt: skip
"""Those that are known, by name."""


def released_in(content: Any, said: str = AUTO) -> Released | None:
    """Return the released encoder that a file holds, None where it is none of them.

    Args:
        content: What the file holds.
        said: What it is said to be; see `ReleasedName` of `lvef.models.options`.

    Raises:
        UnreadableError: Its tensors tell another than is said.
    """
    if said == NONE or (isinstance(content, Mapping) and "lvef" in content):  # a run of ours
        return None
    tensors = dict(flat_tensors(content))
    told = next((each for each in RELEASED.values() if _tells(each, tensors)), None)
    if said == AUTO or (told is not None and told.name == said):
        return told
    if told is not None:
        raise UnreadableError(
            f"its tensors are those of {told.title}'s {told.part}, but model.backbone.released is "
            f"{said}"
        )
    return RELEASED.get(said)


def _tells(released: Released, tensors: Mapping[str, Tensor]) -> bool:
    first, *_ = released.tells
    prefixes = [name[: -len(first)] for name in tensors if name.endswith(first)]
    return any(
        all(
            prefix + name in tensors and tuple(tensors[prefix + name].shape) == shape
            for name, shape in released.tells.items()
        )
        for prefix in prefixes
        if not prefix or prefix.endswith(".")
    )


def _for_another(released: Released, backbone: str) -> UnreadableError:
    """Return the error that says which backbone takes a released encoder."""
    return UnreadableError(
        f"it holds {released.title}'s {released.part}, but model.backbone.name is {backbone}: give "
        f"--model.backbone.name {released.backbones[0]}"
    )


def no_fit(released: Released, backbone: str, why: UnreadableError) -> UnreadableError:
    """Return the error of a released encoder that a backbone could not take.

    Args:
        released: The encoder.
        backbone: Name of the backbone.
        why: What was wrong.
    """
    if backbone not in released.backbones:
        return _for_another(released, backbone)
    return UnreadableError(f"as {released.title}'s {released.part}: {why}")


def in_words(facts: Mapping[str, Any]) -> str:
    """Return the line that says which weights a backbone starts from, and under which terms.

    Args:
        facts: What is known of them; see `Released.facts`.
    """
    line = f"Weights {facts['name']} of {facts['library']}: {facts['licence']}"
    if "released" not in facts:
        return line
    return (
        f"{line}. Taken for these by their tensors; clips of patients taught them. Mean and "
        f"standard deviation of pixels: {facts['pixels']}. Where it is something else: "
        f"--model.backbone.released {NONE}"
    )
