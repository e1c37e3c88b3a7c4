"""What every EF task shares: backbone, features, the loop, and what a checkpoint says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor, nn

from lvef.cardiac import asked_clip, num_pictures
from lvef.columns import SPLITS
from lvef.errors import ConfigurationError
from lvef.evaluation.correction import Kind
from lvef.evaluation.resampling import Metrics
from lvef.evaluation.sharpness import format_promise
from lvef.models.backbones import new_backbone
from lvef.models.backbones.provenance import origin_of, parts_of, taught_by
from lvef.models.cases import CaseStore
from lvef.models.heads import head_output
from lvef.models.judging import JudgedTask
from lvef.models.options import BackboneOptions, options, plain
from lvef.models.task import Batch, Cases, Visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOO_LOW = 0.05
"""How far below its level the coverage of an interval may lie before a fit warns."""

__all__ = ["Batch", "Cases", "EFTask"]


class EFTask(JudgedTask):
    """Base of the tasks that predict from key frames, or from whole clips.

    What is said of a case comes about in three stages. The head puts out a *raw output*
    `(B, ...)`; `raw_answer` says what that means, in the columns `raw_columns`;
    `calibrated_answer` says what follows from it once VAL has taught the task its mistakes, in the
    columns of `cases.csv` and `predictions.csv` (see `lvef.columns`).

    A subclass says besides its loss (`case_loss`), what it takes from TRAIN
    (`take_training_statistics`), and how a set of cases is judged (`calibrate`, `epoch_metrics`,
    `summary`).

    While the backbone is frozen its features are computed once, before the first epoch, and
    batches carry `features` float32 `(B, F * num_features)` in place of `frames`.

    Args:
        frames: Names of the frames of a case, in slot order, or of a whole clip; taken from the
            data module.
        backbone: The shared backbone; None for a task that brings its own.
        own: Further hyperparameters, plain data.

    Attributes:
        raw_columns: Names of what `raw_answer` says.
        sides: What the two directions of an answer are called that heat maps speak for.
        train_part: Which part of TRAIN taught it, see `Folds.facts`; known once loaded.
        backbone_taught_by: The same of the backbone it started from.
    """

    raw_columns: ClassVar[tuple[str, ...]]
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
        self.store = CaseStore("ef_true", "reduced_true", "loss", *self.raw_columns)

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
    def raw_answer(self, output: Tensor) -> Cases:
        """Return what the head's raw output says of each case, `(B,)` float32 a column.

        On whatever device the output is, and in nothing but tensor operations, through which
        gradients reach the frames.
        """

    def calibrated_answer(self, raw: Cases) -> Cases:
        """Return what follows from the raw answer of cases (CPU tensors `(n,)`) once calibrated.

        Other columns of the cases, such as the truth, are passed on.
        """
        return raw

    @abstractmethod
    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each case, `(B,)`."""

    @abstractmethod
    def epoch_metrics(self, cases: Cases) -> Metrics:
        """Return the metrics of a set of cases."""

    @abstractmethod
    def explained(self, raw: Cases) -> Tensor:
        """Return the number of a raw answer that heat maps explain, `(B,)`."""

    @abstractmethod
    def side_of(self, explained: Tensor) -> Tensor:
        """Return which of `sides` an answer is on, `(B,)`: 1 for the first, -1 for the second."""

    def calibrate(self, cases: Cases) -> None:
        """Choose on VAL what is chosen on VAL; kept in buffers, so that checkpoints carry it."""

    def recalibrate(self, cases: Cases, correction: Kind = "none") -> None:
        """Learn from labelled cases of another place what `calibrate` learns from VAL.

        Args:
            cases: Raw answers and truth as of VAL, a row a clip; where a clip has several beats
                their medians, of EF also `ef_spread` between them, and `beat_ef` and
                `beat_raw_std` of one of them.
            correction: How the answers themselves may be moved, where they are an EF.
        """
        self.calibrate(cases)

    @property
    def network_title(self) -> str:
        """The backbone, and what it gives."""
        seen = f"{self.backbone.title}, {self.backbone.num_features:,} features a"
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
            self.backbone.load(weights)
            self.backbone.provenance = self.backbone.provenance or origin_of(weights)
            if "licence" in self.backbone.provenance:
                said = self.backbone.provenance
                rank_zero_info(f"Weights {said['name']} of {said['library']}: {said['licence']}")
            self.trained_on = self.trained_on or taught_by(weights)
            self.backbone_taught_by = parts_of(weights)

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

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the cases of a batch."""
        self._collect(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the cases of a batch."""
        self._collect(batch)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Return `row` and the answers of each case as CPU tensors, and the `failures`."""
        cases: dict[str, Any] = {"failures": batch.get("failures", [])}
        if "frames" in batch or "features" in batch:
            raw = self.raw_answer(self.batch_output(batch))
            raw = {name: value.detach().float().cpu() for name, value in raw.items()}
            cases.update(self.calibrated_answer(raw), row=batch["row"].cpu())
        return cases

    def on_validation_epoch_end(self) -> None:
        """Judge VAL, after choosing on it what is chosen on it."""
        cases = self._gather()
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.calibrate(self.one_clip_each(self._part(cases, apart=True)))
        self.cases = self.calibrated_answer(self._part(cases, apart=False))
        self._log_metrics("val")

    def on_fit_end(self) -> None:
        """Say where VAL is too small for what it promises."""
        promise = self.promise()
        least = [worst or 0.0 for worst in promise["coverage_worst"].values()]
        if self.is_calibrated and least and min(least) < promise["level"] - TOO_LOW:
            rank_zero_warn(f"VAL is small for its intervals: {format_promise(promise)}")

    def on_test_epoch_end(self) -> None:
        """Judge TEST."""
        self.cases = self.calibrated_answer(self._gather())
        self._log_metrics("test")

    def _collect(self, batch: Batch) -> None:
        output = self.batch_output(batch)
        self.store.update(
            row=batch["row"],
            ef_true=batch["ef_true"],
            reduced_true=batch["reduced_true"],
            loss=self.case_loss(output, batch),
            **self.raw_answer(output),
        )

    def _part(self, cases: Cases, apart: bool) -> Cases:
        """Return the cases of VAL that calibrate, or those that choose the epoch.

        Raises:
            ConfigurationError: One part has no case.
        """
        kept = getattr(getattr(self.trainer, "datamodule", None), "calibration_rows", ())
        if not len(kept) or self.trainer.sanity_checking:
            return cases
        self.calibrated_apart = self.calibrated_apart or self.trainer.state.fn == "fit"
        chosen = torch.isin(cases["row"], torch.as_tensor(kept)) == apart
        if not chosen.any():
            raise ConfigurationError(
                "data.calibration_share leaves no case of VAL to "
                + ("calibrate by" if apart else "choose the epoch by")
                + ": give more cases (--data.limit, --trainer.limit_val_batches) or another share"
            )
        return {name: column[chosen] for name, column in cases.items()}

    def _gather(self) -> Cases:
        cases = self.store.cases()
        self.store.reset()
        return cases

    def _log_metrics(self, stage: str) -> None:
        metrics = {"loss": float(self.cases["loss"].double().mean())}
        metrics.update(self.epoch_metrics(self.cases))
        # Every process holds every case, so that there is nothing left to synchronise.
        self.log_dict(
            {f"{stage}/{name}": value for name, value in metrics.items()},
            prog_bar=False,
            sync_dist=False,
            batch_size=len(self.cases["row"]),
        )
        self.log(
            f"{stage}_monitor", metrics[self.monitor.split("/")[1]], prog_bar=True, logger=False
        )
