"""What every EF task shares: backbone, features, figures, and what a checkpoint says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch import Tensor, nn

from lvef.cardiac import asked_clip, num_pictures
from lvef.columns import SPLITS
from lvef.errors import ConfigurationError
from lvef.models.backbones import new_backbone
from lvef.models.backbones.provenance import origin_of, parts_of, taught_by
from lvef.models.backbones.released import PATIENTS, in_words
from lvef.models.calibrated import CalibratedTask
from lvef.models.heads import head_output
from lvef.models.options import BackboneOptions, options, plain
from lvef.models.task import Batch, Cases, Visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Batch", "Cases", "EFTask"]


class EFTask(CalibratedTask):
    """Base of the tasks that predict from key frames, or from whole clips.

    A subclass says besides what a `CalibratedTask` says what it takes from TRAIN
    (`take_training_statistics`), and what heat maps are of (`explained`, `side_of`).

    While the backbone is frozen its features are computed once, before the first epoch, and
    batches carry `features` float32 `(B, F * num_features)` in place of `frames`.

    Args:
        frames: Names of the frames of a case, in slot order, or of a whole clip; taken from the
            data module.
        backbone: The shared backbone; None for a task that brings its own.
        own: Further hyperparameters, plain data.

    Attributes:
        sides: What the two directions of an answer are called that heat maps speak for.
        train_part: Which part of TRAIN taught it, see `Folds.facts`; known once loaded.
        backbone_taught_by: The same of the backbone it started from.
    """

    sides: ClassVar[tuple[str, str]]
    head: nn.Module

    def __init__(self, frames: Sequence[str], backbone: BackboneOptions | None, **own: Any) -> None:
        super().__init__()
        self.frames = list(frames)
        self.explains = asked_clip(self.frames) is None
        if backbone is not None:
            # Weights are loaded when training starts: a checkpoint brings its own.
            self.backbone_options = chosen = options(BackboneOptions, backbone)
            self.backbone = new_backbone(chosen.name, chosen.freeze, chosen.arguments)
            self.backbone.refuse_other_frames(self.frames)
            own["backbone"] = plain(chosen)
        self.save_hyperparameters({"frames": self.frames, **own}, logger=False)
        self.train_part: dict[str, Any] = {}
        self.backbone_taught_by: list[dict[str, Any]] = []

    def forward(self, frames: Tensor) -> Tensor:
        """Return the head's raw output `(B, ...)` for frames `(B, F, 3, H, W)`."""
        if frames.shape[1] != num_pictures(self.frames):
            raise ConfigurationError(
                f"the batch has {frames.shape[1]} frames a case, but the model takes "
                f"{num_pictures(self.frames)}: {', '.join(self.frames)}"
            )
        return head_output(self.head, self.backbone(frames))

    def batch_output(self, batch: Batch) -> Tensor:
        """Return the head's raw output for a batch of frames, or of features computed before."""
        if "features" in batch:
            return head_output(self.head, batch["features"])
        return self(batch["frames"])  # type: ignore[no-any-return]

    @abstractmethod
    def take_training_statistics(
        self, ef_true: NDArray[np.float64], balanced_sampling: bool = False
    ) -> None:
        """Take what is needed of TRAIN into buffers.

        Args:
            ef_true: `(n,)` EF in percent.
            balanced_sampling: Whether batches hold both classes alike.
        """

    @abstractmethod
    def explained(self, raw: Cases) -> Tensor:
        """Return the number of a raw answer that heat maps explain, `(B,)`."""

    @abstractmethod
    def side_of(self, explained: Tensor) -> Tensor:
        """Return which of `sides` an answer is on, `(B,)`: 1 for the first, -1 for the second."""

    @property
    def network_title(self) -> str:
        """The backbone, and what it gives."""
        seen = f"{self.backbone.known_as}, {self.backbone.num_features:,} features a"
        clip = asked_clip(self.frames)
        if clip is not None:
            return f"{seen} clip of {clip.words}"
        return f"{seen} frame, shared by all frames"

    def parts(self) -> list[tuple[EFTask, list[int]]]:
        """Return the networks that make the answer, each with the slots of a case it looks at."""
        return [(self, list(range(num_pictures(self.frames))))]

    def joined(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return the raw output that the raw outputs of all `parts`, in order, make together."""
        return outputs[0]

    def figures(
        self,
        split: Literal["VAL", "TEST"],
        table: pd.DataFrame,
        data: str,
        visible: Visible,
    ) -> dict[str, Figure]:
        """Return how the cases of a split are predicted, and for TEST how EF is distributed."""
        from lvef.figures.data import ef_distribution  # matplotlib, which a fit need not have

        title = f"{data}{split}, {len(self.cases['row'])} videos, {' + '.join(self.frames)}"
        drawn = self.case_figures(split, table, title)
        if split == "TEST":
            of_split = table.groupby("split")["ef_true"]
            drawn["ef_distribution"] = ef_distribution(
                {name: of_split.get_group(name) for name in SPLITS if name in of_split.groups},
                f"{data}EF by split",
            )
        return drawn

    @abstractmethod
    def case_figures(
        self, split: Literal["VAL", "TEST"], table: pd.DataFrame, title: str
    ) -> dict[str, Figure]:
        """Return pictures of `cases` by name; see `figures`."""

    def setup(self, stage: str) -> None:
        """Load the backbone's weights and look at TRAIN before training.

        Raises:
            WeightsError: The weights cannot be had.
        """
        if stage != "fit":
            return
        self.load_weights()
        datamodule = self._datamodule()
        ef_true = datamodule.split("TRAIN")["ef_true"].to_numpy(np.float64)
        self.take_training_statistics(ef_true, datamodule.balanced)

    def load_weights(self) -> None:
        """Load what the options say the backbone starts from."""
        chosen = self.backbone_options
        weights = chosen.checkpoint or chosen.weights
        if weights is not None:
            self.backbone.released = chosen.released
            self.backbone.load(weights)
            self.backbone.provenance = said = self.backbone.provenance or origin_of(weights)
            if "licence" in said:
                rank_zero_info(in_words(said))
            self.trained_on = self.trained_on or taught_by(weights)
            self.backbone_taught_by = parts_of(weights)
            if said.get("taught_by") == PATIENTS:
                self.patients = True
                self.backbone_taught_by = self.backbone_taught_by or [{}]  # of whom, nobody says

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say too whose labels taught the backbone."""
        super().on_save_checkpoint(checkpoint)
        own, parts = checkpoint["lvef"]["train_part"], list(self.backbone_taught_by)
        moved = hasattr(self, "backbone") and self.backbone.freeze is not True
        checkpoint["lvef"]["backbone_taught_by"] = parts + [own] * (moved and own not in parts)
        if hasattr(self, "backbone"):
            checkpoint["lvef"]["backbone"] = self.backbone.facts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Know how the task was taught."""
        super().on_load_checkpoint(checkpoint)
        metadata = checkpoint["lvef"]
        apart = metadata["data"].get("calibration_share") or metadata.get("recalibrated")
        self.calibrated_apart = bool(apart)
        self.recalibrated = metadata.get("recalibrated", {})
        self.train_part = metadata.get("train_part", {})
        self.backbone_taught_by = metadata.get("backbone_taught_by", [{}])
        if hasattr(self, "backbone"):
            self.backbone.provenance = metadata.get("backbone", {}).get("weights", {})

    def on_fit_start(self) -> None:
        """Compute the features of a frozen backbone."""
        self.compute_features()

    def compute_features(self) -> None:
        """Compute the features of a frozen backbone, once for the whole run.

        Called where a checkpoint that is resumed has been loaded already, and before anything
        builds the loader of TRAIN.
        """
        if self.backbone.freeze is not True or self._datamodule().has_features:
            return
        folded = self.backbone.folded()

        def extract(frames: Tensor) -> Tensor:
            with torch.no_grad(), self.trainer.strategy.precision_plugin.forward_context():
                features: Tensor = folded(frames)
            return features.float()

        self._datamodule().compute_features(
            extract,
            self.backbone.fingerprint(f"{self.trainer.precision} on {self.device.type}"),
            self.device,
        )
