"""Where the left ventricle is: the segmentation task."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvef.evaluation.overlap import area_error, boundary_distance, dice
from lvef.models.cases import CaseStore
from lvef.models.schedule import one_cycle
from lvef.models.segmentation.loss import segmentation_loss
from lvef.models.segmentation.network import LVSegmentationNet, full_size
from lvef.models.segmentation.weights import load_weights, weights_file
from lvef.models.task import Task
from lvef.options import LEARNING_RATE, WEIGHT_DECAY, check_numbers

_RANGES = {"lr": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}


class LVSegmenter(Task):
    """Paints the left ventricle in short clips, by cross-entropy and Dice loss.

    Trained on the ED and ES tracings of an EchoNet folder, or on every frame of phantoms.

    Args:
        weights: null starts from random weights, shipped from those of the package, a path from
            a .safetensors file.
        lr: Peak learning rate of a one-cycle schedule.
        weight_decay: Weight decay of AdamW.

    Attributes:
        cases: After an epoch of evaluation, `dice`, `distance` (pixels), `area_error` (percent,
            signed) and `row` of every video; CPU tensors `(n,)`.
        shown: Clip, masks and probabilities of the first batch of the last evaluation.
    """

    monitor = "val/dice"
    monitor_mode = "max"

    def __init__(
        self, weights: str | None = None, lr: float = 3e-3, weight_decay: float = 0.02
    ) -> None:
        check_numbers("model.", _RANGES, {"lr": lr, "weight_decay": weight_decay})
        super().__init__()
        self.save_hyperparameters({"lr": lr, "weight_decay": weight_decay}, logger=False)
        self.weights = weights
        self.net = LVSegmentationNet()
        self.store = CaseStore("dice", "distance", "area_error")
        self.cases: dict[str, Tensor] = {}
        self.shown: dict[str, Tensor] = {}

    def forward(self, clip: Tensor, survey: Tensor) -> Tensor:
        """Return `(B, T, H / 2, W / 2)` logits; see `LVSegmentationNet`."""
        logits: Tensor = self.net(clip, survey)
        return logits

    def setup(self, stage: str) -> None:
        """Load the weights to start from.

        Raises:
            WeightsError: They cannot be had.
        """
        if self.weights is not None:
            about = load_weights(self.net, self.weights)
            self.source = str(weights_file(self.weights))
            self.patients = about.get("trained_on") != "phantoms"

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch of `ClipDataset`, over the looks that are traced."""
        logits = self(batch["clip"], batch["survey"]).float()[batch["traced"]]
        loss = segmentation_loss(logits, batch["mask"][batch["traced"]])
        self.log("train/loss", loss, on_step=True, on_epoch=True, batch_size=len(batch["row"]))
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Measure the masks of a batch."""
        self._measure(batch, first=batch_idx == 0)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Measure the masks of a batch."""
        self._measure(batch, first=batch_idx == 0)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of VAL."""
        self._conclude("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of TEST."""
        self._conclude("test")

    def configure_optimizers(self) -> Any:
        """Return AdamW with a one-cycle schedule."""
        lr, decay = self.hparams["lr"], self.hparams["weight_decay"]
        return one_cycle(self, lr, decay, self.trainer.estimated_stepping_batches)

    def _measure(self, batch: dict[str, Tensor], first: bool) -> None:
        logits = self(batch["clip"], batch["survey"]).float()
        probability = full_size(logits.sigmoid())
        found, truth = (probability > 0.5).cpu().numpy(), batch["mask"].bool().cpu().numpy()
        traced = batch["traced"].cpu().numpy()
        columns: dict[str, list[float]] = {"dice": [], "distance": [], "area_error": []}
        for one, other, known in zip(found, truth, traced, strict=True):
            one, other = one[known], other[known]
            pairs = zip(one, other, strict=True)
            columns["dice"].append(float(dice(one, other).mean()))
            columns["distance"].append(float(np.mean([boundary_distance(*p) for p in pairs])))
            columns["area_error"].append(float(area_error(one, other).mean()))
        self.store.update(row=batch["row"], **{k: torch.tensor(v) for k, v in columns.items()})
        if first:
            self.shown = {
                "clip": batch["clip"].cpu(), "mask": batch["mask"].cpu(),
                "traced": batch["traced"].cpu(), "probability": probability.cpu(),
                "row": batch["row"].cpu(),
            }  # fmt: skip

    def _conclude(self, stage: str) -> None:
        self.cases = self.store.cases()
        self.store.reset()
        metrics = {
            f"{stage}/dice": float(self.cases["dice"].mean()),
            f"{stage}/boundary_distance": float(self.cases["distance"].mean()),
            f"{stage}/area_error": float(self.cases["area_error"].abs().mean()),
            f"{stage}/area_bias": float(self.cases["area_error"].mean()),
        }
        # Every process holds every case, so that there is nothing left to synchronise.
        self.log_dict(metrics, sync_dist=False)
        self.log(f"{stage}_monitor", metrics[f"{stage}/dice"], prog_bar=True, logger=False)
