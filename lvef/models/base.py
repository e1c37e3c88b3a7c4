"""What every EF task shares: backbone, features, the loop, and what a checkpoint says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lvef.errors import ConfigurationError
from lvef.evaluation.metrics import Metrics
from lvef.evaluation.summary import Summary
from lvef.models.backbones import new_backbone
from lvef.models.backbones.provenance import taught_by
from lvef.models.cases import CaseStore
from lvef.models.options import BackboneOptions, options, plain
from lvef.models.task import Task
from lvef.models.uncertainty import Calibration

Batch = dict[str, Tensor]
Cases = dict[str, Tensor]


class EFTask(Task):
    """Base of the tasks that predict from key frames.

    A subclass says what its head puts out, what that means for a case (`case_outputs`), its loss
    (`case_loss`), and how a set of cases is judged (`conclude`, `epoch_metrics`, `summary`).

    While the backbone is frozen its features are computed once, before the first epoch, and
    batches carry `features` float32 `(B, F * num_features)` in place of `frames`.

    Args:
        frames: Names of the frames of a case, in slot order; taken from the data module.
        backbone: The shared backbone; None for a task that brings its own.
        own: Further hyperparameters, plain data.

    Attributes:
        baseline: What the trivial answer of `summary` is, in words.
        outputs: Names of what `case_outputs` says.
        calibration: What VAL teaches about its mistakes.
        cases: After an epoch of evaluation, what was said of every case (CPU tensors `(n,)`).
    """

    baseline: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    calibration: Calibration
    head: nn.Module

    def __init__(self, frames: Sequence[str], backbone: BackboneOptions | None, **own: Any) -> None:
        super().__init__()
        self.frames = list(frames)
        if backbone is not None:
            # Weights are loaded when training starts: a checkpoint brings its own.
            self.backbone_options = chosen = options(BackboneOptions, backbone)
            self.backbone = new_backbone(chosen.name, chosen.freeze)
            own["backbone"] = plain(chosen)
        self.save_hyperparameters({"frames": self.frames, **own}, logger=False)
        self.store = CaseStore("ef", "reduced", "loss", *self.outputs)
        self.cases: Cases = {}

    def forward(self, frames: Tensor) -> Tensor:
        """Return the head's raw output `(B, ...)` for frames `(B, F, 3, H, W)`."""
        if frames.shape[1] != len(self.frames):
            raise ConfigurationError(
                f"the batch has {frames.shape[1]} frames a case, but the model takes "
                f"{len(self.frames)}: {', '.join(self.frames)}"
            )
        output: Tensor = self.head(self.backbone(frames))
        return output

    def batch_output(self, batch: Batch) -> Tensor:
        """Return the head's raw output for a batch of frames, or of features computed before."""
        if "features" in batch:
            output: Tensor = self.head(batch["features"])
            return output
        return self(batch["frames"])  # type: ignore[no-any-return]

    @abstractmethod
    def learn_population(self, ef: NDArray[np.float64], balanced_sampling: bool = False) -> None:
        """Take what is needed of TRAIN into buffers.

        Args:
            ef: `(n,)` EF in percent.
            balanced_sampling: Whether batches hold both classes alike.
        """

    @abstractmethod
    def case_outputs(self, output: Tensor) -> Cases:
        """Return what the head's raw output says of each case, `(B,)` float32 a name."""

    @abstractmethod
    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each case, `(B,)`."""

    @abstractmethod
    def epoch_metrics(self, cases: Cases) -> Metrics:
        """Return the metrics of a set of cases."""

    @abstractmethod
    def summary(self, cases: Cases) -> Summary:
        """Return the metrics with intervals and baseline."""

    def calibrate(self, cases: Cases) -> None:
        """Choose on VAL what is chosen on VAL; kept in buffers, so that checkpoints carry it."""

    def conclude(self, cases: Cases) -> Cases:
        """Return cases (CPU tensors `(n,)`) with what follows from the outputs once calibrated."""
        return cases

    def setup(self, stage: str) -> None:
        """Load the backbone's weights and look at TRAIN before training.

        Raises:
            WeightsError: The weights cannot be had.
        """
        if stage != "fit":
            return
        self.load_weights()
        datamodule = self._datamodule()
        ef = datamodule.split("TRAIN")["ef"].to_numpy(np.float64)
        self.learn_population(ef, datamodule.balanced)

    def load_weights(self) -> None:
        """Load what the options say the backbone starts from."""
        chosen = self.backbone_options
        weights = chosen.checkpoint or chosen.weights
        if weights is not None:
            self.backbone.load(weights)
            self.trained_on = self.trained_on or taught_by(weights)

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
        """Return `row` and the outputs of each case as CPU tensors, and the `failures`."""
        cases: dict[str, Any] = {"failures": batch.get("failures", [])}
        if "frames" in batch:
            said = self.case_outputs(self.batch_output(batch))
            known = {name: value.detach().float().cpu() for name, value in said.items()}
            cases.update(self.prediction(self.conclude(known)), row=batch["row"].cpu())
        return cases

    def prediction(self, cases: Cases) -> Cases:
        """Return what `predictions.csv` shows of cases, under its names."""
        return cases

    def on_validation_epoch_end(self) -> None:
        """Judge VAL, after choosing on it what is chosen on it."""
        cases = self._gather()
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.calibrate(cases)
        self.cases = self.conclude(cases)
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Judge TEST."""
        self.cases = self.conclude(self._gather())
        self._log_metrics("test")

    def _collect(self, batch: Batch) -> None:
        output = self.batch_output(batch)
        self.store.update(
            row=batch["row"],
            ef=batch["ef"],
            reduced=batch["reduced"],
            loss=self.case_loss(output, batch),
            **self.case_outputs(output),
        )

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
