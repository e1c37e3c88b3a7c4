"""The shared backbone: ResNet-50 (He et al., CVPR 2016), 2,048 features a frame."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import ResNet50_Weights, resnet50

from lvef.errors import WeightsError
from lvef.models.backbones.resnet_weights import resnet50_state
from lvef.models.torch_file import UnreadableError, read_metadata, read_torch

NUM_FEATURES = 2048
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class ResNet50Backbone(nn.Module):
    """ResNet-50 without its classifier, with the input scaling it was trained with.

    Several frames of a case pass through the same weights and their features are concatenated.

    Args:
        weights: `IMAGENET1K_V2` or `IMAGENET1K_V1` (downloaded once by torchvision), the path of
            a local file (`.pt`, `.pth`, `.safetensors`, or a checkpoint of this package or of
            another training of a ResNet-50, whatever its prefixes), or `null` for random weights.
        freeze: `true` never trains the backbone, `false` trains it from the start, and a number
            trains it from that epoch on. While frozen, batch-norm statistics stand still too.

    Raises:
        WeightsError: The weights cannot be had, read, or do not fit.
    """

    num_features = NUM_FEATURES
    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | None = "IMAGENET1K_V2", freeze: bool | int = False) -> None:
        super().__init__()
        self.freeze = freeze
        self.network = resnet50(weights=None)
        self.network.fc = nn.Identity()
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(3, 1, 1), persistent=False)
        if weights is not None:
            self.load(weights)
        # Twice as fast on CPUs as the default layout, and what tensor cores want.
        self.to(memory_format=torch.channels_last)
        self.frozen = bool(freeze)
        self.set_frozen(self.frozen)

    def forward(self, frames: Tensor) -> Tensor:
        """Return features of every frame of every case.

        Args:
            frames: `(B, F, 3, H, W)`, uint8 or float in 0..1.

        Returns:
            `(B, F * 2048)` float features, slot by slot.
        """
        batch, slots = frames.shape[:2]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features: Tensor = self.network(self.normalise(frames.flatten(0, 1)))
        return features.view(batch, slots * NUM_FEATURES)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages for `(N, 3, H, W)` images, finest first."""
        net = self.network
        x = net.maxpool(net.relu(net.bn1(net.conv1(self.normalise(images)))))
        maps = []
        for stage in _stages(net):
            x = stage(x)
            maps.append(x)
        return maps

    def normalise(self, images: Tensor) -> Tensor:
        """Scale `(N, 3, H, W)` images as ImageNet training did: uint8 or float in 0..1 in."""
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

    def train(self, mode: bool = True) -> ResNet50Backbone:
        """Switch to training mode; a frozen network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def folded(self) -> ResNet50Backbone:
        """Return a frozen copy with every batch norm folded into its convolution: faster.

        Features are the same but for rounding.
        """
        copy = ResNet50Backbone(None, freeze=True)
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

    def load(self, weights: str) -> None:
        """Load weights by name or path; see the class.

        Raises:
            WeightsError: They cannot be had, read, or do not fit.
        """
        path = Path(weights)
        if weights in ResNet50_Weights.__members__:
            state = _download(ResNet50_Weights[weights])
        elif path.is_file():
            state = self._read(path)
        else:
            names = ", ".join(ResNet50_Weights.__members__)
            raise WeightsError(
                f"no backbone weights {weights!r}: neither a file nor one of {names}; "
                "give a path, one of these names, or null for random weights"
            )
        self.network.load_state_dict(state)

    def _read(self, path: Path) -> dict[str, Tensor]:
        try:
            return resnet50_state(read_torch(path), self.network.state_dict())
        except UnreadableError as error:
            raise _unusable(path, error) from error


def _stages(network: nn.Module) -> list[Any]:
    return [getattr(network, f"layer{number}") for number in (1, 2, 3, 4)]


def fingerprint(backbone: ResNet50Backbone, precision: str) -> str:
    """Return a name that changes with anything a backbone's features depend on but the pictures.

    Args:
        backbone: The backbone.
        precision: Precision that it runs in.
    """
    digest = hashlib.sha256(f"ResNet50Backbone 2, torch {torch.__version__}, {precision}".encode())
    for name, value in backbone.state_dict().items():
        digest.update(name.encode())
        # As bytes: NumPy knows no bfloat16.
        plain = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(plain.numpy().tobytes())
    return digest.hexdigest()


def taught_by(weights: str) -> str:
    """Return "phantoms" where a file of weights says that they had a part in them, else nothing.

    Args:
        weights: See `ResNet50Backbone`.
    """
    path = Path(weights)
    if not path.is_file():
        return ""
    try:
        said = read_metadata(path)
        held = read_torch(path) if said is None else {}
    except UnreadableError as error:
        raise _unusable(path, error) from error
    if said is not None:
        return "phantoms" if "phantom" in said.get("trained_on", "").lower() else ""
    about = held.get("lvef") if isinstance(held, dict) else None
    if not isinstance(about, dict):
        return ""
    phantoms = about.get("data", {}).get("is_phantom") or about.get("trained_on")
    return "phantoms" if phantoms else ""


def _download(weights: ResNet50_Weights) -> dict[str, Tensor]:
    try:
        state = dict(weights.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        name = weights.url.rsplit("/", 1)[-1]
        cache = Path(torch.hub.get_dir()) / "checkpoints" / name
        raise WeightsError(
            f"cannot download {weights.name} ({error}). Three ways on: copy {weights.url} to "
            f"{cache}; or give a local file with --model.backbone.weights PATH (python -m lvef "
            "pretrain makes one from phantoms); or start from random weights with "
            "--model.backbone.weights null"
        ) from error
    return {key: value for key, value in state.items() if not key.startswith("fc.")}


def _unusable(path: Path, error: UnreadableError) -> WeightsError:
    return WeightsError(f"{path}: cannot be used as backbone weights: {error}")
