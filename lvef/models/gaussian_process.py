"""EF in percent: an exact Gaussian process on the features of a frozen backbone."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from tqdm import tqdm

from lvef.errors import ConfigurationError
from lvef.evaluation.sharpness import format_uncertainty
from lvef.models.backbones.provenance import learned_from
from lvef.models.base import Batch, Cases
from lvef.models.fitted import FittedTask
from lvef.models.gp.head import ExactGPHead
from lvef.models.options import BackboneOptions, GPOptions, UncertaintyOptions, options, plain


class EFGaussianProcess(FittedTask):
    """Predicts EF in percent from key frames, with a standard deviation of its own for each case.

    The backbone runs once over TRAIN; the Gaussian process is fitted to its features before the
    first validation. There is nothing to train by gradient descent: the run has one epoch.

    Args:
        frames: Names of the frames of a case; taken from the data module.
        backbone: The shared backbone, frozen.
        gp: The Gaussian process.
        uncertainty: Level of the stated interval, and what is flagged for review.
    """

    head: ExactGPHead

    def __init__(
        self,
        frames: list[str] = ["ESF"],  # noqa: B006
        backbone: BackboneOptions = BackboneOptions(freeze=True),  # noqa: B008
        gp: GPOptions = GPOptions(),  # noqa: B008
        uncertainty: UncertaintyOptions = UncertaintyOptions(),  # noqa: B008
    ) -> None:
        chosen = options(GPOptions, gp)
        super().__init__(
            frames,
            backbone,
            gp=plain(chosen),
            uncertainty=plain(options(UncertaintyOptions, uncertainty)),
        )
        if self.backbone_options.freeze is not True:
            raise ConfigurationError(
                "a Gaussian process needs a frozen backbone: set --model.backbone.freeze true"
            )
        self.head = ExactGPHead(**plain(chosen))
        self.add_population(uncertainty)

    @property
    def noise_std(self) -> float:
        """The noise that the process has learned, in EF points."""
        return float(self.head.likelihood.noise.detach().sqrt() * self.head.y_scale)

    @property
    def learned_from(self) -> str:
        """Whether its backbone was taught by the cases that it is fitted to, in words."""
        return learned_from(self.backbone_taught_by, self.train_part)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say too whether the backbone was taught by the same cases."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["lvef"]["backbone_learned_from"] = self.learned_from

    def uncertainty(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return what the standard deviations are worth, and whose labels taught the backbone."""
        report, _ = super().uncertainty()
        if report is None:
            return None, []
        report = {**report, "backbone_learned_from": self.learned_from}
        return report, format_uncertainty(report)

    def raw_answer(self, output: Tensor) -> Cases:
        """Return the mean and the standard deviation, noise included, in percent."""
        return {"ef": output[:, 0], "raw_std": output[:, 1]}

    def on_fit_start(self) -> None:
        """Compute the features of TRAIN and fit to them, before anything is predicted."""
        super().on_fit_start()
        self.train_part = dict(getattr(self._datamodule(), "train_part", {}))
        if self.learned_from == "the same cases":
            rank_zero_info(
                "The backbone was taught by the cases that the Gaussian process is fitted to, so "
                "that it takes its noise for smaller than it is: VAL will stretch its standard "
                "deviations. See --data.train_fold and --data.without_fold."
            )
        features, ef = self._datamodule().feature_table("TRAIN")
        self._fit(features.to(self.device), ef)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the negative log marginal likelihood; there is nothing left to learn."""
        loss = super().training_step(batch, batch_idx) - self.head.log_marginal_likelihood()
        self.log("train/loss", loss.detach(), on_epoch=True, batch_size=len(batch["row"]))
        return loss

    def _fit(self, features: Tensor, ef: Tensor) -> None:
        bar = tqdm(
            desc=f"Gaussian process on {len(ef)} cases",
            unit="step",
            disable=not (self.trainer.is_global_zero and self.trainer.progress_bar_callback),
        )
        steps: list[float] = []

        def progress(value: float) -> None:
            steps.append(value)
            bar.update()
            bar.set_postfix(log_likelihood=f"{value:.4f}")

        with bar:
            self.head.fit(features, ef, progress)
        if self.trainer.world_size > 1:
            # All have fitted the same; not a digit shall differ.
            for value in self.head.state_dict().values():
                dist.broadcast(value, src=0)
        self._log_fit(steps)

    def _log_fit(self, steps: list[float]) -> None:
        figures = {
            "gp/log_marginal_likelihood": self.head.log_marginal_likelihood(),
            "gp/noise_std_ef": self.noise_std,
            **{f"gp/{name}": value for name, value in self.head.hyperparameters().items()},
        }
        for logger in self.trainer.loggers:
            for step, value in enumerate(steps):
                logger.log_metrics({"gp/search": value}, step=step)
            logger.log_metrics(figures, step=0)
