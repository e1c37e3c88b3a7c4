"""How a task is asked case by case, and what VAL teaches it of its mistakes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lvef.errors import ConfigurationError
from lvef.evaluation.correction import Kind
from lvef.evaluation.resampling import Metrics
from lvef.evaluation.sharpness import format_promise
from lvef.models.cases import CaseStore
from lvef.models.judging import JudgedTask
from lvef.models.task import Batch, Cases

TOO_LOW = 0.05
"""How far below its level the coverage of an interval may lie before a fit warns."""


class CalibratedTask(JudgedTask):
    """Base of tasks that answer case by case, and are calibrated on VAL.

    What is said of a case comes about in three stages. The network puts out a *raw output*
    `(B, ...)`; `raw_answer` says what that means, in the columns `raw_columns`;
    `calibrated_answer` says what follows from it once VAL has taught the task its mistakes, in the
    columns of `cases.csv` and `predictions.csv` (see `lvef.columns`).

    A subclass says besides its loss (`case_loss`), and how a set of cases is judged (`calibrate`,
    `epoch_metrics`, `summary`).

    Attributes:
        raw_columns: Names of what `raw_answer` says.
    """

    raw_columns: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.store = CaseStore("ef_true", "reduced_true", "loss", *self.raw_columns)

    @abstractmethod
    def batch_output(self, batch: Batch) -> Tensor:
        """Return the network's raw output for a batch."""

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
