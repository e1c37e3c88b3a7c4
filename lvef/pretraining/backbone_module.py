"""A better start than noise: teach the backbone where and how large the ventricle is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from lvef.models.backbones import ResNet50Backbone
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

    The volume and area are read off the pooled features by one linear layer, so the
    features that the heads get later carry them in plain sight; the mask reaches every stage.

    Args:
        lr: Peak learning rate of a one-cycle schedule.
        weight_decay: Weight decay of AdamW.
    """

    def __init__(self, lr: float = 1e-3, weight_decay: float = 0.02) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.backbone = ResNet50Backbone(None)
        self.decoder = ContourDecoder(self.backbone.stage_channels)
        self.sizes = nn.Linear(self.backbone.num_features, 2)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch; see `phantom.FrameStream` for what is in it."""
        maps = self.backbone.feature_maps(batch["images"])
        logits = self.decoder(maps).float()
        mask = functional.adaptive_avg_pool2d(batch["mask"].float(), logits.shape[-2:])
        probability = logits.sigmoid()
        overlap = 2 * (probability * mask).sum((1, 2, 3)) + 1
        dice = overlap / (probability.sum((1, 2, 3)) + mask.sum((1, 2, 3)) + 1)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, mask)
        sizes = self.sizes(maps[-1].mean((2, 3))).float()
        size_loss = functional.smooth_l1_loss(sizes, batch["sizes"], beta=0.3)
        self.log_dict(
            {
                "pretrain/dice": dice.mean(),
                "pretrain/log_volume_error": (sizes[:, 0] - batch["sizes"][:, 0]).abs().mean(),
            },
            prog_bar=True,
        )
        loss: Tensor = cross_entropy + (1 - dice.mean()) + size_loss
        return loss

    def configure_optimizers(self) -> Any:
        """Return AdamW with a one-cycle schedule."""
        lr, decay = self.hparams["lr"], self.hparams["weight_decay"]
        return one_cycle(self, lr, decay, self.trainer.estimated_stepping_batches)
