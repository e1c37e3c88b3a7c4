"""Where the left ventricle is: the segmentation task."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lvef.evaluation.overlap import area_error, boundary_distance, dice
from lvef.models.cases import CaseStore
from lvef.models.schedule import one_cycle
from lvef.models.segmentation.loss import segmentation_loss
from lvef.models.segmentation.network import LVSegmentationNet, full_size
from lvef.models.segmentation.weights import load_weights, weights_file
from lvef.models.task import Task, TestReport, Visible
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import LEARNING_RATE, WEIGHT_DECAY, check_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lvef.models.answers import Answer

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

    kind = "segmentation"
    monitor = "val/dice"
    monitor_mode = "max"
    finds_beats = True
    data_arguments = MappingProxyType({"masks": True})

    def __init__(
        self, weights: str | None = None, lr: float = 3e-3, weight_decay: float = 0.02
    ) -> None:
        check_numbers("model.", _RANGES, {"lr": lr, "weight_decay": weight_decay})
        super().__init__()
        self.save_hyperparameters({"lr": lr, "weight_decay": weight_decay}, logger=False)
        self.weights = weights
        self.net = LVSegmentationNet()
        self.store = CaseStore("dice", "distance", "area_error")
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
            metadata = load_weights(self.net, self.weights)
            self.source = str(weights_file(self.weights))
            self.patients = metadata.get("trained_on") != "phantoms"

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

    def on_predict_start(self) -> None:
        """Refuse nothing: the data module has what finds the beats, and asks no network here."""

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of VAL."""
        self._conclude("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of TEST."""
        self._conclude("test")

    def test_report(self, title: str) -> TestReport:
        """Return how well the masks fit, with the spread between videos."""
        table = pd.DataFrame({n: c.numpy() for n, c in self.cases.items() if n != "row"})
        quantiles = table.quantile([0.05, 0.5, 0.95])
        metrics = {
            str(name): {"mean": float(table[name].mean()), "p5": low, "median": middle, "p95": high}
            for name, (low, middle, high) in quantiles.items()
        }
        lines = [
            f"{title}. {NOT_FOR_DIAGNOSIS}",
            pd.DataFrame(metrics).T.round(3).to_string(),
            "dice; distance of the boundaries in pixels; error of the area in percent, signed",
        ]
        return TestReport(metrics, "\n".join(lines))

    def figures(
        self,
        split: Literal["VAL", "TEST"],
        table: pd.DataFrame,
        data: str,
        visible: Visible,
    ) -> dict[str, Figure]:
        """Return the masks of the first traced look of each case of the first batch."""
        from lvef.figures.masks import mask_sheet

        slots = self.shown["traced"].int().argmax(1)
        cases = torch.arange(len(slots))
        dices = dict(zip(self.cases["row"].tolist(), self.cases["dice"].tolist(), strict=True))
        clips = self.shown["clip"].numpy()
        nothing = np.zeros(clips.shape[2:], bool)
        sectors = [visible(clip) for clip in clips]
        may_be_seen = np.stack([nothing if sector is None else sector for sector in sectors])
        sheet = mask_sheet(
            self.shown["clip"][cases, slots].numpy() * may_be_seen,
            self.shown["probability"][cases, slots].numpy(),
            self.shown["mask"][cases, slots].numpy().astype(bool),
            [f"Dice {dices[row]:.2f}" for row in self.shown["row"].tolist()],
            f"{data}{split}: the first {len(slots)} of {len(self.cases['row'])} videos",
        )
        return {"masks": sheet}

    def exportable(self) -> Answer:
        """Return the probability of the ventricle, as a function of looks at clips."""
        from lvef.models.answers import LVAnswer

        return LVAnswer(self)

    def configure_optimizers(self) -> Any:
        """Return AdamW with a one-cycle schedule."""
        lr, decay = self.hparams["lr"], self.hparams["weight_decay"]
        return one_cycle(self, lr, decay, self.trainer.estimated_stepping_batches)

    def _measure(self, batch: dict[str, Tensor], first: bool) -> None:
        logits = self(batch["clip"], batch["survey"]).float()
        probability = full_size(logits.sigmoid())
        masks, truth = (probability > 0.5).cpu().numpy(), batch["mask"].bool().cpu().numpy()
        traced = batch["traced"].cpu().numpy()
        columns: dict[str, list[float]] = {"dice": [], "distance": [], "area_error": []}
        for one, other, known in zip(masks, truth, traced, strict=True):
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
