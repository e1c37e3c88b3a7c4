"""Lightning's Trainer arguments, one by one: each works, or is one line of error."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import told, words
from lightning import Trainer

from lvef.cli.commands import main

LOGGERS = "lightning.pytorch.loggers"
LONGER = ["--trainer.max_epochs", "2"]


class Row(NamedTuple):
    """What is said to a command, and what it answers: a part of its error, or None for success."""

    said: list[str]
    answer: str | None = None
    command: str = "fit"

    @property
    def quick(self) -> bool:
        """Whether the quick suite asks for it: one row of each way of being refused."""
        return self.answer in _QUICK


_QUICK = (
    "wandb", "leaves no VAL", "trains on nothing", "no checkpoint, no metric and no log",
    "LearningRateFinder", "accumulate_grad_batches", "runs are written to a local folder",
    "val_check_interval", "profiler", "1 batches, before its first validation",
)  # fmt: skip


def row(name: str, value: str, answer: str | None = None, *more: str, command: str = "fit") -> Row:
    return Row([f"--trainer.{name}", value, *more], answer, command)


NO_END = ["--model.optimizer.schedule", "plateau", "--early_stopping.patience", "1"]
TABLE: dict[str, list[Row]] = {
    "accelerator": [row("accelerator", "cpu"), row("accelerator", "abacus", "abacus")],
    "strategy": [row("strategy", "auto"), row("strategy", "alone", "alone")],
    "devices": [row("devices", "1"), row("devices", "0", "devices")],
    "num_nodes": [row("num_nodes", "1")],  # two would wait for the other
    "precision": [
        row("precision", "32-true"), row("precision", "64-true", "choose 32-true"),
        row("precision", "12", "trainer.precision"),
    ],
    "logger": [
        row("logger", "false"),
        row("logger", f"{LOGGERS}.CSVLogger", None, "--trainer.logger.save_dir", "LOGS"),
        Row([f"--trainer.logger+={LOGGERS}.CSVLogger", "--trainer.logger.save_dir", "LOGS",
             f"--trainer.logger+={LOGGERS}.TensorBoardLogger", "--trainer.logger.save_dir",
             "LOGS"]),
        row("logger", f"{LOGGERS}.WandbLogger", "wandb"),
        row("logger", f"{LOGGERS}.MLFlowLogger", "mlflow"),
        row("logger", f"{LOGGERS}.CometLogger", "comet"),
        row("logger", f"{LOGGERS}.NeptuneLogger", "Neptune"),
        row("logger", "NoLogger", "NoLogger"),
    ],
    "callbacks": [
        Row(["--trainer.callbacks+=LearningRateFinder", "--trainer.callbacks.attr_name", "lr"],
            "LearningRateFinder"),
        Row(["--trainer.callbacks+=NoCallback"], "NoCallback"),
        Row(["--trainer.callbacks+=ModelSummary"]),
    ],
    "fast_dev_run": [
        row("fast_dev_run", "true"), Row(["--trainer.fast_dev_run=-1"], "fast_dev_run"),
    ],
    "max_epochs": [
        row("max_epochs", "-1", None, *NO_END),
        row("max_epochs", "-1", None, "--trainer.max_steps", "4"),
        row("max_epochs", "-1", "the cosine schedule needs an end"),
        row("max_epochs", "0", "trains on nothing"),
        row("max_epochs", "-2", "max_epochs"),
    ],
    "min_epochs": [row("min_epochs", "2", None, *LONGER)],
    "max_steps": [
        row("max_steps", "2"), row("max_steps", "1", "1 batches, before its first validation"),
        row("max_steps", "0", "trains on nothing"), row("max_steps", "-2", "max_steps"),
    ],
    "min_steps": [row("min_steps", "2")],
    "max_time": [
        row("max_time", "00:01:00:00"), row("max_time", "soon", "soon"),
        row("max_time", "00:00:00:00", "ended before its first validation"),
    ],
    "limit_train_batches": [
        row("limit_train_batches", "1"), row("limit_train_batches", "0.5"),
        row("limit_train_batches", "0", "trains on nothing"),
        row("limit_train_batches", "0.01", "limit_train_batches"),
        row("limit_train_batches", "-1", "limit_train_batches"),
    ],
    "limit_val_batches": [
        row("limit_val_batches", "1"), row("limit_val_batches", "0", "leaves no VAL"),
        row("limit_val_batches", "0.0", "leaves no VAL"),
    ],
    "limit_test_batches": [row("limit_test_batches", "0", "judges nothing", command="test")],
    "limit_predict_batches": [
        row("limit_predict_batches", "0", "predicts nothing", command="predict"),
    ],
    "overfit_batches": [row("overfit_batches", "1")],
    "val_check_interval": [
        row("val_check_interval", "0.5"), row("val_check_interval", "1"),
        row("val_check_interval", "100", "val_check_interval"),
    ],
    "check_val_every_n_epoch": [
        row("check_val_every_n_epoch", "2", None, *LONGER),
        row("check_val_every_n_epoch", "2", "2 batches, before its first validation"),
        row("check_val_every_n_epoch", "0", "check_val_every_n_epoch"),
    ],
    "num_sanity_val_steps": [row("num_sanity_val_steps", "0"), row("num_sanity_val_steps", "-1")],
    "log_every_n_steps": [row("log_every_n_steps", "1"), row("log_every_n_steps", "0")],
    "enable_checkpointing": [row("enable_checkpointing", "false")],
    "enable_progress_bar": [row("enable_progress_bar", "false")],
    "enable_model_summary": [row("enable_model_summary", "false")],
    "accumulate_grad_batches": [
        row("accumulate_grad_batches", "2"),
        row("accumulate_grad_batches", "0", "accumulate_grad_batches"),
    ],
    "gradient_clip_val": [
        row("gradient_clip_val", "null"), row("gradient_clip_val", "much", "gradient_clip_val"),
    ],
    "gradient_clip_algorithm": [
        row("gradient_clip_algorithm", "value"),
        row("gradient_clip_algorithm", "scissors", "gradient_clip_algorithm"),
    ],
    "deterministic": [row("deterministic", "true"), row("deterministic", "no way", "no way")],
    "benchmark": [row("benchmark", "true")],
    "inference_mode": [row("inference_mode", "false")],
    "use_distributed_sampler": [row("use_distributed_sampler", "false")],
    "profiler": [row("profiler", "simple"), row("profiler", "hearsay", "profiler")],
    "detect_anomaly": [row("detect_anomaly", "true")],
    "barebones": [row("barebones", "true", "no checkpoint, no metric and no log")],
    "plugins": [Row(["--trainer.plugins+=NoPlugin"], "NoPlugin")],
    "sync_batchnorm": [row("sync_batchnorm", "true")],
    "reload_dataloaders_every_n_epochs": [
        row("reload_dataloaders_every_n_epochs", "1", None, *LONGER),
        row("reload_dataloaders_every_n_epochs", "-1", "reload_dataloaders_every_n_epochs"),
    ],
    "default_root_dir": [
        row("default_root_dir", "s3://bucket/runs", "runs are written to a local folder"),
        row("default_root_dir", "FILE", "cannot be written"),
    ],
    "enable_autolog_hparams": [row("enable_autolog_hparams", "false")],
    "model_registry": [row("model_registry", "shelf")],
}  # fmt: skip
"""Each argument of a trainer, and what a fit answers to some of its values."""

ROWS = [
    pytest.param(
        one,
        id=f"{one.command} {' '.join(one.said)}",
        marks=[] if one.quick else [pytest.mark.slow],
    )
    for rows in TABLE.values()
    for one in rows
]


def test_the_table_knows_every_argument():
    known = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert known == set(TABLE), "a new argument wants a row: does it work, or what is told?"


@pytest.mark.parametrize("asked", ROWS)
def test_a_trainer_argument_works_or_is_one_line(asked, phantom_root, tmp_path, capsys):
    logs, file = tmp_path / "logs", tmp_path / "file"
    file.write_text("")
    places = {"LOGS": str(logs / "elsewhere"), "FILE": str(file)}
    said = [places.get(word, word) for word in asked.said]
    small = ["--data.batch_size", "10", "--trainer.accelerator", "cpu"]
    code = main(words(asked.command, "esf_mlp", phantom_root, logs, *small, *said))
    error = capsys.readouterr().err
    if asked.answer is not None:
        assert code == 1
        assert asked.answer in told(error)[0]
        assert len(told(error)) == 1
    else:
        assert code == 0, error
        left_behind(logs, said)
    assert "Traceback" not in error


def left_behind(logs: Path, said: list[str]) -> None:
    """Check that the run's folder has what it should."""
    run = logs / "esf_mlp" / "version_0"
    if "--trainer.fast_dev_run" in said:
        return
    assert (run / "config.yaml").is_file()
    assert (run / "excluded.csv").is_file()
    kept = "--trainer.enable_checkpointing" not in said
    for name in ("best", "last"):
        assert (run / "checkpoints" / f"{name}.ckpt").is_file() == kept
    assert not (logs / "esf_mlp" / "version_1").exists()
