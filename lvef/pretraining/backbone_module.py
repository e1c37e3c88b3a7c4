"""A better start than noise: teach the backbone where and how large the ventricle is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from lvef.models.backbones import new_backbone
from lvef.models.schedule import one_cycle


class ContourDecoder(nn.Module):
    """Merges a backbone's stages, coarse to fine, into one heat map of the ventricle.

    Args:
        stage_channels: Channels of the stages' maps, finest first.
        channels: Width of the merged maps.
    """

    def __init__(self, stage_channels: Sequence[int], channels: int = 64) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in stage_channels)
        self.merge = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 1, 1),
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return `(N, 1, H/4, W/4)` logits from the maps of `ResNet50Backbone.feature_maps`."""
        merged = self.reduce[-1](maps[-1])
        for reduce, finer in zip(list(self.reduce)[-2::-1], maps[-2::-1], strict=True):
            merged = functional.interpolate(merged, size=finer.shape[-2:], mode="bilinear")
            merged = merged + reduce(finer)
        return self.merge(merged)  # type: ignore[no-any-return]


class PhantomPretraining(LightningModule):
    """Trains a backbone on what a phantom knows for free: LV mask, area and volume.

    The volume and area are read off the features by one linear layer, so the features that the
    heads get later carry them in plain sight: of one picture, or of every frame of a whole clip.
    Where the backbone shows the maps of its stages (ResNet-50), the mask reaches each of them.

    Args:
        lr: Peak learning rate of a one-cycle schedule.
        weight_decay: Weight decay of AdamW.
        backbone: Its name, see `BackboneOptions`.
        arguments: What its network is made with.
        length: Frames of a clip, of a backbone that takes whole clips.

    Raises:
        BackboneError: There is none of that name, or it cannot be had.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        weight_decay: float = 0.02,
        backbone: str = "resnet50",
        arguments: Mapping[str, Any] | None = None,
        length: int = 1,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.backbone: Any = new_backbone(backbone, False, arguments)
        channels = getattr(self.backbone, "stage_channels", None)
        self.decoder = None if channels is None else ContourDecoder(channels)
        self.sizes = nn.Linear(self.backbone.num_features, 2 * length)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch; see `lvef.phantom.stream` for what is in it."""
        if self.decoder is None:
            images = batch["images"]
            frames = images if self.backbone.takes_clips else images[:, None]
            loss, told = self._size_loss(self.backbone(frames), batch["sizes"])
            self.log_dict(told, prog_bar=True)
            return loss
        return self._loss_of_maps(self.decoder, batch)

    def _size_loss(self, features: Tensor, true: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        sizes = self.sizes(features).float().view_as(true)
        error = (sizes - true).abs()[..., 0].mean()
        loss = functional.smooth_l1_loss(sizes, true, beta=0.3)
        return loss, {"pretrain/log_volume_error": error}

    def _loss_of_maps(self, decoder: ContourDecoder, batch: dict[str, Tensor]) -> Tensor:
        maps = self.backbone.feature_maps(batch["images"])
        logits = decoder(maps).float()
        mask = functional.adaptive_avg_pool2d(batch["mask"].float(), logits.shape[-2:])
        probability = logits.sigmoid()
        overlap = 2 * (probability * mask).sum((1, 2, 3)) + 1
        dice = overlap / (probability.sum((1, 2, 3)) + mask.sum((1, 2, 3)) + 1)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, mask)
        size_loss, told = self._size_loss(maps[-1].mean((2, 3)), batch["sizes"])
        self.log_dict({"pretrain/dice": dice.mean(), **told}, prog_bar=True)
        loss: Tensor = cross_entropy + (1 - dice.mean()) + size_loss
        return loss

    def configure_optimizers(self) -> Any:
        """Return AdamW with a one-cycle schedule."""
        lr, decay = self.hparams["lr"], self.hparams["weight_decay"]
        return one_cycle(self, lr, decay, self.trainer.estimated_stepping_batches)
