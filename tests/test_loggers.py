"""Figures and metrics of a run reach whichever loggers it has, and `test` finds the run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import is_drawn, newest, words
from lightning import Trainer
from lightning.pytorch.loggers import Logger

from lvef.callbacks.logged_figures import log_figure, takes_figures
from lvef.cli.commands import main

FIGURES = ("sample_batch", "val/predicted_and_true", "test/predicted_and_true")


class TakesImages(Logger):
    """A logger of somebody's, with the method that W&B's has."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str, Any, int]] = []

    name = version = "own"

    def log_metrics(self, metrics: dict, step: int | None = None) -> None:
        """Take metrics."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Take hyperparameters."""

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """Take pictures."""
        self.images.append((key, images, step or 0))


def test_a_logger_that_takes_images_gets_the_pixels_of_figures():
    from matplotlib.figure import Figure

    logger = TakesImages()
    trainer = Trainer(logger=logger, accelerator="cpu", enable_progress_bar=False)
    assert takes_figures(trainer)
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.text(0.1, 0.1, "EF")
    log_figure(trainer, "val/it", figure)
    ((key, (picture,), step),) = logger.images
    assert (key, step, picture.shape) == ("val/it", 0, (50, 100, 4))
    assert np.ptp(picture[..., :3]) > 100, "it shows something"
    assert not takes_figures(Trainer(logger=False, accelerator="cpu"))


def test_csv_gets_metrics_and_figures_and_test_finds_the_run(phantom_root, tmp_path):
    more = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path / "csv")]
    fit = words("fit", "esf_mlp", phantom_root, tmp_path, *more, "--trainer.max_epochs", "2")
    assert main(fit) == 0
    assert main(words("test", "esf_mlp", phantom_root, tmp_path, *more)) == 0
    for name in FIGURES:
        assert is_drawn(newest(tmp_path / "csv", f"{name.split('/')[-1]}.png")), name
    table = pd.concat(map(pd.read_csv, (tmp_path / "csv").rglob("metrics.csv")))
    assert table["val/mae"].notna().sum() == 2
    best = table["best_val/mae"].dropna()
    assert best.tolist() == [pytest.approx(table["val/mae"].min())]
    assert json.loads(newest(tmp_path, "metrics.json").read_text())["metrics"]["mae"]


@pytest.mark.slow
def test_wandb_offline_and_mlflow_in_a_folder_get_them_too(phantom_root, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    loggers = [
        {"class_path": "WandbLogger",
         "init_args": {"save_dir": str(tmp_path / "wb"), "offline": True}},
        {"class_path": "MLFlowLogger",
         "init_args": {"tracking_uri": store, "artifact_location": str(tmp_path / "artifacts")}},
    ]  # fmt: skip
    (tmp_path / "wb").mkdir()
    config = tmp_path / "loggers.yaml"
    config.write_text(json.dumps({"trainer": {"logger": loggers}}))
    fit = words("fit", "esf_mlp", phantom_root, tmp_path, "--config", str(config))
    assert main([*fit, "--trainer.max_epochs", "2"]) == 0
    assert main(words("test", "esf_mlp", phantom_root, tmp_path, "--config", str(config))) == 0
    drawn = {path.name.rsplit("_", 2)[0] for path in (tmp_path / "wb").rglob("*.png")}
    assert any("predicted_and_true" in name for name in drawn), os.listdir(tmp_path / "wb")
    for name in FIGURES:
        assert is_drawn(newest(tmp_path / "artifacts", f"{name.split('/')[-1]}.png")), name
    client: Any = mlflow.MlflowClient(store)
    (run, *_) = client.search_runs([e.experiment_id for e in client.search_experiments()],
                                   filter_string="metrics.`best_val/mae` > 0")  # fmt: skip
    assert run.data.metrics["best_val/mae"] > 0
    assert Path(newest(tmp_path, "metrics.json")).is_file()
