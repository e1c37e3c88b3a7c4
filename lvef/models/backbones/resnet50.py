"""ResNet-50 (He et al., CVPR 2016), 2,048 features a frame."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import ResNet50_Weights, resnet50

from lvef.errors import WeightsError
from lvef.models.backbones.base import IMAGENET, Backbone, Stage
from lvef.models.backbones.resnet_weights import resnet50_state
from lvef.models.backbones.torchvision_weights import downloaded, weights_facts

_IMAGENET = "IMAGENET1K_V2"
_MADE_BY = " (python -m lvef pretrain makes one from phantoms)"
_STAGES: dict[Stage, str] = {"fine": "layer2", "coarse": "layer4"}
_LOWERED = ("layer3", "layer4")


class _InBfloat16(nn.Module):
    """A stage that multiplies in bfloat16 and gives float32."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.inner = stage

    def forward(self, images: Tensor) -> Tensor:
        """Return what the stage makes of `(N, C, H, W)` images."""
        with torch.autocast(images.device.type, torch.bfloat16):
            maps: Tensor = self.inner(images)
        return maps.float()


class ResNet50Backbone(Backbone):
    """ResNet-50 without its classifier.

    Args:
        weights: `imagenet`, which are `IMAGENET1K_V2`, or `IMAGENET1K_V1` (downloaded once by
            torchvision), the path of a local file (`.pt`, `.pth`, `.safetensors`, or a checkpoint
            of this package or of another training of a ResNet-50, whatever its prefixes), or
            `null` for random weights.
        freeze: See `Backbone`.

    Raises:
        WeightsError: The weights cannot be had, read, or do not fit.
    """

    name = "resnet50"
    title = "ResNet-50"
    version = 2
    num_features = 2048
    stage_channels = (256, 512, 1024, 2048)
    pixel_mean = (0.485, 0.456, 0.406)
    pixel_std = (0.229, 0.224, 0.225)

    def __init__(self, weights: str | None = IMAGENET, freeze: bool | int = False) -> None:
        network = resnet50(weights=None)
        network.fc = nn.Identity()
        super().__init__(network, weights, freeze)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages for `(N, 3, H, W)` images, finest first.

        The features of an image are the means of the last.
        """
        net: Any = self.network
        x = net.maxpool(net.relu(net.bn1(net.conv1(self.normalise(images)))))
        maps = []
        for stage in _stages(net):
            x = stage(x)
            maps.append(x)
        return maps

    def stage(self, which: Stage) -> nn.Module:
        """Return the second stage, an eighth as wide as the frame, or the last, a 32nd."""
        return self.network.get_submodule(_STAGES[which])

    def folded(self) -> Self:
        """Return a frozen copy with every batch norm folded into its convolution: faster.

        Features are the same but for rounding.
        """
        copy = type(self)(None, freeze=True)
        copy.load_state_dict(self.state_dict())
        copy.eval()
        network = copy.network
        blocks = [block for stage in _stages(network) for block in stage]
        pairs = [(network, "conv1", "bn1")]
        pairs += [(block, f"conv{i}", f"bn{i}") for block in blocks for i in (1, 2, 3)]
        pairs += [(b.downsample, "0", "1") for b in blocks if b.downsample is not None]
        for parent, convolution, norm in pairs:
            fused = fuse_conv_bn_eval(getattr(parent, convolution), getattr(parent, norm))
            setattr(parent, convolution, fused)
            setattr(parent, norm, nn.Identity())
        copy.to(memory_format=torch.channels_last)
        return copy.to(self.mean.device)

    def lowered(self) -> Self:
        """Return a folded copy whose last two stages run in bfloat16: 1.3 times as fast.

        Their errors move EF by a few hundredths of a point, those of the first two by tenths.
        """
        copy = self.folded()
        for name in _LOWERED:
            setattr(copy.network, name, _InBfloat16(getattr(copy.network, name)))
        return copy

    def load(self, weights: str) -> None:
        """Load weights by name or path; see the class.

        Raises:
            WeightsError: They cannot be had, read, or do not fit.
        """
        path = Path(weights)
        named = _IMAGENET if weights == IMAGENET else weights
        if named in ResNet50_Weights.__members__:
            chosen = ResNet50_Weights[named]
            found = downloaded(chosen, partial(_of_library, chosen), _MADE_BY)
            state = {key: value for key, value in found.items() if not key.startswith("fc.")}
            self.network.load_state_dict(state)
            self.set_pixels()
            self.provenance = weights_facts(chosen)
        elif path.is_file():
            self.take(path)
        else:
            names = ", ".join((IMAGENET, *ResNet50_Weights.__members__))
            raise WeightsError(
                f"no backbone weights {weights!r}: neither a file nor one of {names}; "
                "give a path, one of these names, or null for random weights"
            )

    def state_in(self, content: Any) -> dict[str, Tensor]:
        """Return the tensors of the ResNet-50 that a file holds; see `resnet50_state`.

        Raises:
            UnreadableError: It has none, or others.
        """
        return resnet50_state(content, self.network.state_dict())


def _of_library(weights: ResNet50_Weights) -> dict[str, Tensor]:
    return dict(weights.get_state_dict(progress=True, check_hash=True))


def _stages(network: nn.Module) -> list[Any]:
    return [getattr(network, f"layer{number}") for number in (1, 2, 3, 4)]
