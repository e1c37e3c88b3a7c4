"""Several epochs of training: which is kept, when it ends, how fast it learns, and from what.

Epochs are made good or bad on purpose, so that a metric that is watched the wrong way round, a rate
that never falls, or a backbone that never thaws cannot pass.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import bright
import pandas as pd
import pytest
import torch
from bright import write_bright
from helpers import newest, words
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lvef.cli.commands import main
from lvef.models import (
    EFClassifier,
    EFEnsemble,
    EFGaussianProcess,
    EFRegressor,
    LVSegmenter,
    Task,
)
from lvef.models.options import (
    BackboneOptions,
    GPOptions,
    HeadOptions,
    OptimizerOptions,
    UncertaintyOptions,
)

FROZEN = ["--model.backbone.freeze", "true", "--data.feature_batch_size", "8"]
RATE = 0.002


class Run(NamedTuple):
    """What a fit left behind.

    Attributes:
        curves: Values by name, epoch by epoch or step by step.
        best: Epoch of the best checkpoint.
        last: Epoch of the last checkpoint.
        pictures: What TensorBoard shows beside the curves.
    """

    curves: dict[str, list[float]]
    best: int
    last: int
    pictures: set[str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright(tmp_path_factory.mktemp("bright") / "folder")


def fit(config: str, root: Path, logs: Path, *more: str) -> Run:
    """Fit on a CPU, every step logged, and read what is left of it."""
    every = ["--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1"]
    every += ["--trainer.precision", "32-true", "--model.optimizer.lr", str(RATE)]
    assert main(words("fit", config, root, logs, *every, *more)) == 0
    run = newest(logs / config, "config.yaml").parent
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 1})
    events.Reload()
    curves = {tag: [e.value for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    best, last = (
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True, mmap=True)["epoch"]
        for name in ("best", "last")
    )
    return Run(curves, best, last, set(events.Tags()["images"]))


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def regressor(root: Path, logs: Path) -> Run:
    """The third epoch is the best and three worse ones follow; the first is the worst."""
    return fit(
        "esf_mlp", root, logs, *FROZEN, "--trainer.max_epochs", "9",
        "--model.optimizer.schedule", "plateau", "--model.optimizer.patience", "1",
        "--early_stopping.patience", "3", "--trainer.callbacks+=bright.Planted",
        "--trainer.callbacks.shift", "[9, 5, 0, 6, 7, 8, 0, 0, 0]",
    )  # fmt: skip


@pytest.fixture(scope="module")
def classifier(root: Path, logs: Path) -> Run:
    """Only the second of five epochs tells reduced from normal; the others say the contrary."""
    return fit(
        "esf_cls", root, logs, *FROZEN, "--trainer.max_epochs", "5",
        "--model.optimizer.warmup_epochs", "1", "--early_stopping.patience", "3",
        "--trainer.callbacks+=bright.Planted", "--trainer.callbacks.sign", "[-1, 1, -1, -1, -1]",
    )  # fmt: skip


def test_the_best_checkpoint_of_a_regressor_has_the_least_error(regressor):
    error = regressor.curves["val/mae"]
    assert min(error) == error[2] < max(error) == error[0], "as planted"
    assert regressor.best == 2
    assert regressor.last == 5


def test_the_best_checkpoint_of_a_classifier_has_the_greatest_auc(classifier):
    auc = classifier.curves["val/roc_auc"]
    assert auc[1] > 0.7 > 0.3 > max(auc[0], *auc[2:]), "as planted"
    assert classifier.best == 1
    assert classifier.last == 4


def test_a_fit_ends_when_it_has_not_become_better_for_so_long(regressor, classifier):
    assert len(regressor.curves["val/mae"]) == 3 + 3, "and it had become better twice before"
    assert len(classifier.curves["val/roc_auc"]) == 2 + 3


def test_tensorboard_shows_hyperparameters_with_the_metrics_of_the_best_epoch(
    regressor, classifier
):
    for run, epoch, monitor in ((regressor, 2, "val/mae"), (classifier, 1, "val/roc_auc")):
        named = {tag for tag in run.curves if tag.startswith("best_")}
        assert f"best_{monitor}" in named
        for tag in named:
            assert run.curves[tag] == [run.curves[tag.removeprefix("best_")][epoch]], tag


def test_tensorboard_shows_how_val_is_predicted_and_the_augmented_frames(
    regressor, classifier, thawing
):
    assert regressor.pictures == {"val/predicted_and_true"}, "features are no pictures"
    assert classifier.pictures == {
        "val/roc_and_pr", "val/confusion_matrix", "val/reliability", "val/error_rejection",
        "val/decision_curve", "val/risk_distribution",
    }  # fmt: skip
    assert thawing[0].pictures == {"val/predicted_and_true", "sample_batch"}


def test_a_plateau_divides_the_rate_by_five_and_only_when_val_has_become_worse(regressor):
    rates = regressor.curves["lr-AdamW/head"]
    expected = 5 * [RATE] + [RATE / 5]
    assert rates == pytest.approx([rate for rate in expected for _ in range(len(rates) // 6)])


def test_a_cosine_rises_over_its_warm_up_and_falls_to_nothing_at_the_end(classifier):
    rates = classifier.curves["lr-AdamW/head"]
    steps, warmup = 15, 3  # 24 cases in batches of 8, five epochs
    expected = [RATE * (step + 1) / warmup for step in range(warmup)]
    for step in range(warmup, steps):
        progress = (step - warmup) / (steps - warmup)
        expected.append(RATE * (1 + math.cos(math.pi * progress)) / 2)
    assert rates == pytest.approx(expected, rel=1e-4)
    assert rates[-1] < 0.02 * RATE


def test_a_fit_that_goes_on_knows_what_was_best_before_it_stopped(regressor, root, logs):
    """The seventh epoch is better than the three before it, and worse than the third."""
    more = [*FROZEN, "--trainer.max_epochs", "7", "--model.optimizer.schedule", "plateau"]
    more += ["--early_stopping.patience", "9", "--trainer.callbacks+=bright.Planted"]
    more += ["--trainer.callbacks.shift", "[9, 5, 0, 6, 7, 8, 4]"]
    last = newest(logs / "esf_mlp", "last.ckpt")
    longer = fit("esf_mlp", root, logs, *more, "--ckpt_path", str(last))
    assert longer.curves["val/mae"][-1] < min(regressor.curves["val/mae"][3:])
    assert longer.best == 2
    assert longer.last == 6
    assert longer.curves["best_val/mae"][-1] == regressor.curves["val/mae"][2]


def test_what_a_test_says_of_mistakes_and_doubt_is_what_its_cases_say(regressor, root, logs):
    best = newest(logs / "esf_mlp", "best.ckpt")
    assert main(words("test", "esf_mlp", root, logs, "--ckpt_path", str(best))) == 0
    path = newest(logs / "esf_mlp", "metrics.json")
    review = json.loads(path.read_text())["review"]
    cases = pd.read_csv(path.with_name("cases.csv"))
    wrong = cases["reduced"] != cases["reduced_true"]
    assert 0 < wrong.mean() < 1
    for name, chosen in (("flagged", cases["review"] == 1), ("unflagged", cases["review"] == 0)):
        assert review[name]["cases"] == chosen.sum()
        error = (cases["ef"] - cases["ef_true"]).abs()[chosen].mean()
        assert review[name]["mae"] in (None, pytest.approx(error, abs=1e-4))
    by_certainty = wrong[(cases["p_reduced"] - 0.5).abs().sort_values(ascending=False).index]
    curve = review["error_rejection"]
    for rejected, rate in zip(curve["rejected"], curve["error_rate"], strict=True):
        left = len(cases) - min(round(rejected * len(cases)), len(cases) - 1)
        assert rate == pytest.approx(by_certainty[:left].mean())


BACKBONE = BackboneOptions(None, freeze=True, lr_factor=0.3)
UNCERTAINTY = UncertaintyOptions(level=0.5, review_share=0.3)
TRAINED = {
    "frames": ["MF"], "backbone": BACKBONE, "head": HeadOptions(hidden=1, dropout=0.1),
    "optimizer": OptimizerOptions(0.5, 0.01, "plateau", 2.0, 1),
}  # fmt: skip
OPTIONS: dict[type[Task], dict[str, Any]] = {
    EFClassifier: {**TRAINED, "class_weights": "balanced", "label_smoothing": 0.1},
    EFRegressor: {**TRAINED, "loss": "mae", "uncertainty": UNCERTAINTY},
    EFGaussianProcess: {
        "frames": ["EDF", "ESF"], "backbone": BACKBONE, "uncertainty": UNCERTAINTY,
        "gp": GPOptions("matern52", "pca", 1, 1, "single", 50),
    },
    LVSegmenter: {"lr": 0.5, "weight_decay": 0.3},
}  # fmt: skip
"""What tasks can be made with, all of it other than the default."""


def assert_kept(task: Task, said: dict[str, Any]) -> None:
    """Check that a checkpoint of the task would say all that it was made with."""
    for name, value in said.items():
        plain = asdict(value) if is_dataclass(value) else value
        assert task.hparams[name] == plain, name
        assert signature(type(task)).parameters[name].default != value, "no default"


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_task_keeps_all_that_it_was_made_with(kind):
    task = kind(**OPTIONS[kind])
    assert_kept(task, OPTIONS[kind])
    again = kind(**task.hparams)
    assert dict(again.hparams) == dict(task.hparams)


def test_an_ensemble_keeps_how_it_weighs_its_members(regressor, logs):
    said = {"frames": ["ESF"], "weighting": "inverse_variance", "uncertainty": UNCERTAINTY}
    ensemble = EFEnsemble(members=[str(newest(logs / "esf_mlp", "best.ckpt"))], **said)
    assert_kept(ensemble, said)
    assert EFEnsemble(**ensemble.hparams).weighting == "inverse_variance"


def test_what_is_not_turned_over_is_learned(regressor, classifier):
    for run in (regressor, classifier):
        loss = run.curves["train/loss_epoch"]
        assert loss[-1] < 0.7 * loss[0]


@pytest.fixture(scope="module")
def thawing(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, bright.Watch]:
    """A backbone that is frozen for two epochs of three, on augmented frames."""
    run = fit(
        "esf_mlp", root, tmp_path_factory.mktemp("thaw"), "--trainer.max_epochs", "3",
        "--model.backbone.freeze", "2", "--data.limit", "8", "--data.batch_size", "4",
        "--trainer.callbacks+=bright.Watch",
    )  # fmt: skip
    return run, bright.SEEN[-1]


def test_a_backbone_frozen_for_two_epochs_learns_from_the_third_on(thawing):
    start, *epochs = thawing[1].backbones
    assert len(epochs) == 3
    for epoch in epochs[:2]:
        assert epoch == start
    learned = {name for name, digest in start.items() if epochs[2][name] != digest}
    assert learned == set(start), "weights, and the statistics of every batch norm"


def test_training_frames_are_augmented_anew_each_epoch_and_those_of_val_never(thawing):
    def epochs(batches: list[dict[str, torch.Tensor]]) -> list[dict[int, torch.Tensor]]:
        size = len(batches) // 3
        return [
            {
                int(row): frames
                for batch in batches[n * size :][:size]
                for row, frames in zip(batch["row"], batch["frames"], strict=True)
            }
            for n in range(3)
        ]

    watch = thawing[1]
    first, second, third = epochs(watch.trained)
    assert len(first) == 8
    for row, frames in first.items():
        assert not torch.equal(frames, second[row])
        assert not torch.equal(second[row], third[row])
    one, other, _ = epochs(watch.judged[-6:])
    assert len(one) == 8
    for row, frames in one.items():
        assert frames.dtype == torch.uint8, "as they were decoded"
        assert torch.equal(frames, other[row])
