"""Reduced or normal: the classification task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lvef.cardiac import is_reduced
from lvef.errors import ConfigurationError
from lvef.evaluation.correction import Kind
from lvef.evaluation.metrics import classification_metrics
from lvef.evaluation.resampling import Metrics
from lvef.evaluation.summary import Summary, summarise_classification
from lvef.evaluation.thresholds import best_threshold
from lvef.evaluation.uncertainty import LEVEL, probability_metrics
from lvef.models.base import Batch, Cases
from lvef.models.buffers import check_constant
from lvef.models.options import (
    BackboneOptions,
    HeadOptions,
    OptimizerOptions,
    UncertaintyOptions,
    options,
    plain,
)
from lvef.models.trained import TrainedTask
from lvef.models.uncertainty import MOST_FLAGGED, ClassCalibration
from lvef.options import Range, check_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lvef.models.answers import Answer

FEWEST_FOR_THRESHOLD = 10
"""Cases of each class from which a threshold is chosen where a classifier is recalibrated."""
_RANGES = {"label_smoothing": Range(0, 1, below=True)}


class EFClassifier(TrainedTask):
    """Classifies EF <= 40 % against > 40 % from key frames, by cross-entropy.

    Args:
        frames: Names of the frames of a case; taken from the data module.
        backbone: The shared backbone.
        head: The head.
        optimizer: The optimiser and its schedule.
        class_weights: balanced weighs both classes equally in the loss; null leaves the data's
            proportions.
        label_smoothing: Share of each label given to the other class.
        uncertainty: Level of the sets of plausible classes, and what is flagged for review.
    """

    monitor = "val/roc_auc"
    monitor_mode = "max"
    baseline = "always the majority"
    num_outputs = 2
    kind = "classification"
    raw_columns = ("log_odds",)
    sides = ("reduced", "normal")
    calibration: ClassCalibration
    threshold: Tensor
    class_weight: Tensor
    majority: Tensor
    prevalence: Tensor
    log_prior_shift: Tensor

    def __init__(
        self,
        frames: list[str] = ["ESF"],  # noqa: B006
        backbone: BackboneOptions = BackboneOptions(),  # noqa: B008
        head: HeadOptions = HeadOptions(),  # noqa: B008
        optimizer: OptimizerOptions = OptimizerOptions(),  # noqa: B008
        class_weights: Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
        uncertainty: UncertaintyOptions = UncertaintyOptions(),  # noqa: B008
    ) -> None:
        check_numbers("model.", _RANGES, {"label_smoothing": label_smoothing})
        chosen = options(UncertaintyOptions, uncertainty)
        super().__init__(
            frames,
            backbone,
            head,
            optimizer,
            class_weights=class_weights,
            label_smoothing=label_smoothing,
            uncertainty=plain(chosen),
        )
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self._share_in_doubt = 0.0
        self.register_buffer("threshold", torch.tensor(0.5))
        self.register_buffer("class_weight", torch.ones(2))
        self.register_buffer("majority", torch.tensor(0))
        self.register_buffer("prevalence", torch.tensor(0.5))
        self.register_buffer("log_prior_shift", torch.zeros(2))
        self.calibration = ClassCalibration(chosen.review_share, chosen.level or LEVEL)

    @property
    def decision_threshold(self) -> float:
        """The probability from which a case is called reduced, chosen on VAL."""
        return float(self.threshold)

    @property
    def calibration_cases(self) -> dict[str, int]:
        """How many cases of VAL the sets of plausible classes rest on, by class."""
        taught = self.calibration
        return {"normal": len(taught.normal_scores), "reduced": len(taught.reduced_scores)}

    @property
    def is_calibrated(self) -> bool:
        """Whether VAL chose temperature and threshold."""
        scores = self.calibration.normal_scores, self.calibration.reduced_scores
        return sum(map(len, scores)) > 0

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        check_constant("threshold", self.threshold, 0, 1)

    def take_training_statistics(
        self, ef_true: NDArray[np.float64], balanced_sampling: bool = False
    ) -> None:
        """Take class weights, the majority class and the prior from TRAIN.

        Raises:
            ConfigurationError: The classes would be balanced twice.
        """
        reduced = is_reduced(ef_true)
        counts = np.array([np.sum(~reduced), np.sum(reduced)])
        self.majority.fill_(int(counts.argmax()))
        self.prevalence.fill_(float(reduced.mean()))
        weighted = self.class_weights == "balanced"
        if weighted and balanced_sampling:
            raise ConfigurationError(
                "data.balanced and model.class_weights balanced would balance the classes twice; "
                "choose one"
            )
        weight = torch.as_tensor(len(ef_true) / (2 * np.maximum(counts, 1)))
        if weighted:
            self.class_weight.copy_(weight)
        if weighted or balanced_sampling:
            self.log_prior_shift.copy_(weight.log())

    def setup(self, stage: str) -> None:
        """Load weights, look at TRAIN, and choose by the loss where VAL holds one class.

        Raises:
            ConfigurationError: TRAIN holds one class.
        """
        super().setup(stage)
        if stage != "fit":
            return
        for split in ("TRAIN", "VAL"):
            rows = self._datamodule().split(split)  # of VAL those that choose the epoch
            rows = rows.drop(
                index=getattr(self._datamodule(), "calibration_rows", ()), errors="ignore"
            )
            reduced = is_reduced(rows["ef_true"].to_numpy(np.float64))
            if len(np.unique(reduced)) > 1:
                continue
            lacking = f"{split} holds {'reduced' if reduced[0] else 'normal'} cases only"
            if split == "TRAIN":
                raise ConfigurationError(
                    f"{lacking}: a classifier learns from both; give more videos (--data.limit, "
                    "the splits of the folder), or fit a regressor, such as configs/esf_mlp.yaml"
                )
            if self.monitor == type(self).monitor:
                self.watch("val/loss", "min")
                rank_zero_warn(
                    f"{lacking}: no ROC-AUC can choose an epoch, so best.ckpt is that of the least "
                    "val/loss"
                )

    def raw_answer(self, output: Tensor) -> Cases:
        """Return the log odds of reduced EF at the prevalence of TRAIN.

        Balancing the classes multiplies their odds; that is taken back, or a risk of one in
        eight would be reported as even odds.
        """
        logits = output - self.log_prior_shift
        return {"log_odds": logits[:, 1] - logits[:, 0]}

    def on_train_epoch_start(self) -> None:
        """Forget the threshold too."""
        super().on_train_epoch_start()
        self.threshold.fill_(0.5)

    def calibrate(self, cases: Cases) -> None:
        """Choose on VAL probabilities, the threshold of best balanced accuracy, and the flag."""
        self.calibration.fit(cases["log_odds"], cases["reduced_true"])
        probability = self.calibration.probability(cases["log_odds"])
        self.threshold.fill_(best_threshold(probability.numpy(), cases["reduced_true"].numpy()))
        self._share_in_doubt = self.calibration.choose_review(float(self.threshold))

    def recalibrate(self, cases: Cases, correction: Kind = "none") -> None:
        """Fit probabilities and sets anew; the threshold too, where both classes have enough cases.

        With fewer, the log odds from which a case is called reduced stay what VAL chose.
        """
        cut = self.calibration.log_odds(float(self.threshold))
        self.calibrate(cases)
        reduced = int(cases["reduced_true"].sum())
        if min(reduced, len(cases["reduced_true"]) - reduced) < FEWEST_FOR_THRESHOLD:
            self.threshold.fill_(float(self.calibration.probability(torch.tensor(cut))))
            self._share_in_doubt = self.calibration.choose_review(float(self.threshold))

    def on_fit_end(self) -> None:
        """Say where the flag of review fell back to the most doubtful."""
        super().on_fit_end()
        if self._share_in_doubt > MOST_FLAGGED:
            rank_zero_warn(
                f"sets of plausible classes would flag {100 * self._share_in_doubt:.0f} % of VAL, "
                f"which tells nobody where to look (VAL may be too small): in their place the "
                f"{100 * self.calibration.review_share:.0f} % with the most doubtful calls are "
                "flagged (model.uncertainty.review_share)"
            )

    def calibrated_answer(self, raw: Cases) -> Cases:
        """Add `p_reduced`, `reduced` at the threshold, and `review`; all `(n,)`."""
        probability = self.calibration.probability(raw["log_odds"].float())
        return {
            **raw,
            "p_reduced": probability,
            "reduced": (probability >= self.threshold.cpu()).float(),
            "review": self.calibration.review(probability, float(self.threshold)),
        }

    def explained(self, raw: Cases) -> Tensor:
        """Return the log odds of reduced EF."""
        return raw["log_odds"].float()

    def side_of(self, explained: Tensor) -> Tensor:
        """Return 1 where EF is called reduced, -1 elsewhere."""
        probability = self.calibration.probability(explained)
        return 2 * (probability >= self.threshold.to(probability)).float() - 1

    def exportable(self) -> Answer:
        """Return the probability of reduced EF, as a function of frames."""
        from lvef.models.answers import ClassAnswer

        return ClassAnswer(self)

    def case_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the weighted cross-entropy of each case."""
        return functional.cross_entropy(
            output,
            batch["reduced_true"],
            weight=self.class_weight,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )

    def epoch_metrics(self, cases: Cases) -> Metrics:
        """Return the classification metrics at the chosen threshold."""
        probability, truth = cases["p_reduced"].numpy(), cases["reduced_true"].numpy()
        metrics = classification_metrics(probability, truth, float(self.threshold))
        return {**metrics, **probability_metrics(probability, truth)}

    def summary(self, cases: Cases) -> Summary:
        """Return the metrics with intervals, beside always answering with the majority class."""
        return summarise_classification(
            cases["p_reduced"].numpy(),
            cases["reduced_true"].numpy(),
            float(self.threshold),
            int(self.majority),
            float(self.prevalence),
            self.clusters,
        )

    def case_figures(
        self,
        split: Literal["VAL", "TEST"],
        table: pd.DataFrame,
        title: str,
    ) -> dict[str, Figure]:
        """Return how well the classes are told apart, and how true the probabilities are."""
        from lvef.figures.gallery import classifier_figures

        cases = {name: column.numpy() for name, column in self.cases.items()}
        return classifier_figures(cases, self.decision_threshold, title)
