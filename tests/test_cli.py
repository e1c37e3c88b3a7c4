"""The commands, run as a user would, in one process."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers import is_drawn, newest, told, words
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, Subset

from lvef.callbacks import EarlyStopping, PredictionWriter
from lvef.cli.commands import main, run_lightning
from lvef.cli.data_module import names_data_module
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.dataset import collate
from lvef.data.formats import write_video
from lvef.models import EFClassifier, EFRegressor
from lvef.models.loading import load_task
from lvef.phantom import PhantomClip
from lvef.report.history import read_history
from lvef.runs import data_options


@pytest.fixture(scope="module")
def logs(phantom_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log folder of a classifier and a paired regressor, trained for an epoch."""
    folder = tmp_path_factory.mktemp("logs")
    for config in ("esf_cls", "edf_esf_mlp"):
        assert main(words("fit", config, phantom_root, folder)) == 0
    return folder


def test_fit_leaves_checkpoints_config_exclusions_and_tensorboard(logs):
    run = logs / "esf_cls" / "version_0"
    for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml", "excluded.csv"):
        assert (run / name).is_file(), name
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"val/roc_auc", "val/loss", "train/loss_epoch"} <= set(tags["scalars"])
    assert {"sample_batch", "val/roc_and_pr", "val/confusion_matrix"} <= set(tags["images"])
    assert "best_val/roc_auc" in tags["scalars"], "hyperparameters stand with their final metrics"


def test_a_val_of_one_class_chooses_the_epoch_by_its_loss(logs, phantom_root):
    table = pd.read_csv(phantom_root / "FileList.csv").query("Split == 'VAL'")
    assert (table["EF"] > 40).all()
    last = torch.load(newest(logs / "esf_cls" / "version_0", "last.ckpt"), weights_only=True)
    held = [about for name, about in last["callbacks"].items() if "'monitor': 'val/" in name]
    assert {about.get("monitor", "val/loss") for about in held} == {"val/loss"}
    (chosen,) = (about for about in held if "best_k_models" in about)
    assert float(chosen["best_model_score"]) > 0


def test_the_metric_to_watch_changes_for_whoever_watched_the_tasks_own():
    own, other = (ModelCheckpoint(monitor=name, mode="max") for name in ("val/roc_auc", "val/f1"))
    stopping = EarlyStopping("val/roc_auc", mode="max", min_delta=0.1)
    task = EFClassifier()
    task.trainer = Trainer(logger=False, callbacks=[own, other, stopping], accelerator="cpu")
    task.watch("val/loss", "min")
    assert (own.monitor, own.mode, float(own.kth_value)) == ("val/loss", "min", float("inf"))
    assert (stopping.monitor, stopping.mode, stopping.min_delta) == ("val/loss", "min", -0.1)
    assert stopping.monitor_op(torch.tensor(0.5), stopping.best_score)
    assert (other.monitor, task.monitor) == ("val/f1", "val/loss")


def test_a_train_of_one_class_is_refused(phantom_root, tmp_path, capsys):
    (tmp_path / "Videos").symlink_to(phantom_root / "Videos")
    (tmp_path / "VolumeTracings.csv").symlink_to(phantom_root / "VolumeTracings.csv")
    table = pd.read_csv(phantom_root / "FileList.csv")
    table.loc[(table["Split"] == "TRAIN") & (table["EF"] <= 40), "Split"] = "VAL"
    table.to_csv(tmp_path / "FileList.csv", index=False)
    assert main(words("fit", "esf_cls", tmp_path, tmp_path / "logs")) == 1
    (line,) = told(capsys.readouterr().err)
    assert "TRAIN holds normal cases only: a classifier learns from both" in line


def test_a_run_is_resumed_from_its_last_checkpoint(logs, phantom_root):
    last = logs / "esf_cls" / "version_0" / "checkpoints" / "last.ckpt"
    steps = torch.load(last, weights_only=True)["global_step"]
    more = ["--ckpt_path", str(last), "--trainer.max_epochs", "2"]
    assert main(words("fit", "esf_cls", phantom_root, logs, *more)) == 0
    resumed = torch.load(last, weights_only=True)
    assert resumed["global_step"] == 2 * steps
    assert len(list(logs.rglob("best.ckpt"))) == 2, "one an experiment: the best is kept in place"
    epochs, _ = read_history(logs / "esf_cls" / "version_0")["val/loss"]
    assert epochs == [0, 1], "one curve in one folder"
    assert not (logs / "esf_cls" / "version_1").exists()


def test_a_run_resumed_by_a_relative_path_knows_its_best_epoch(phantom_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logs = Path("runs")
    assert main(words("fit", "esf_mlp", phantom_root, logs)) == 0
    folder = logs / "esf_mlp" / "version_0" / "checkpoints"
    last = torch.load(folder / "last.ckpt", weights_only=True)
    (name,) = (key for key in last["callbacks"] if "val/mae" in key and "ModelCheckpoint" in key)
    last["callbacks"][name]["best_model_score"] = torch.tensor(0.0)
    last["callbacks"][name]["best_k_models"] = {str((folder / "best.ckpt").resolve()): 0.0}
    last["callbacks"][name]["kth_value"] = torch.tensor(0.0)
    torch.save(last, folder / "last.ckpt")
    best = (folder / "best.ckpt").read_bytes()
    more = ["--ckpt_path", str(folder / "last.ckpt"), "--trainer.max_epochs", "2"]
    assert main(words("fit", "esf_mlp", phantom_root, logs, *more)) == 0
    after = torch.load(folder / "last.ckpt", weights_only=True)
    assert after["global_step"] == 2 * last["global_step"]
    assert (folder / "best.ckpt").read_bytes() == best, "no epoch is better than one without error"


def test_test_prints_one_table_and_writes_metrics_with_the_baseline(logs, phantom_root, capsys):
    assert main(words("test", "esf_cls", phantom_root, logs)) == 0
    printed = capsys.readouterr().out
    assert "PHANTOM TEST, 7 videos, EFClassifier on ESF" in printed
    assert "always the majority" in printed
    assert "not for diagnosis" in printed
    path = newest(logs, "metrics.json")
    metrics = json.loads(path.read_text())
    assert metrics["phantom"] is True
    assert metrics["num_cases"] == 7
    for name in ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "specificity"):
        assert set(metrics["metrics"][name]) == {"value", "lower", "upper", "method", "baseline"}
    cases = pd.read_csv(path.parent / "cases.csv")
    assert len(cases) == 7
    assert is_drawn(path.parent / "roc_and_pr.png")


def test_a_test_teaches_a_classifier_nothing(logs, phantom_root):
    held = torch.load(newest(logs / "esf_cls", "best.ckpt"), weights_only=True)["state_dict"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = run_lightning(words("test", "esf_cls", phantom_root, logs)).model
    torch.testing.assert_close(dict(task.state_dict()), dict(held), atol=0, rtol=0)


def test_test_of_a_regressor_agrees_with_its_cases(logs, phantom_root):
    assert main(words("test", "edf_esf_mlp", phantom_root, logs)) == 0
    path = newest(logs, "metrics.json")
    metrics = json.loads(path.read_text())["metrics"]
    cases = pd.read_csv(path.parent / "cases.csv")
    assert metrics["mae"]["value"] == pytest.approx(
        (cases["ef"] - cases["ef_true"]).abs().mean(), abs=1e-4
    )
    train = pd.read_csv(phantom_root / "FileList.csv").query("Split == 'TRAIN'")["EF"]
    assert metrics["mae"]["baseline"] == pytest.approx(
        (cases["ef_true"] - train.mean()).abs().mean(), abs=1e-3
    )
    for figure in ("predicted_and_true", "ef_distribution", "bland_altman"):
        assert is_drawn(path.parent / f"{figure}.png")


def test_a_checkpoint_says_that_no_patient_taught_it(logs):
    stated = torch.load(newest(logs / "esf_cls", "best.ckpt"), weights_only=True)["lvef"]
    assert (stated["patients"], stated["data"]["is_phantom"], stated["format"]) == (False, True, 1)


def test_predict_without_videos_predicts_the_test_split(logs, phantom_root):
    level = ["--model.uncertainty.level", "0.5"]  # three cases of VAL know of no higher
    assert main(words("predict", "edf_esf_mlp", phantom_root, logs, *level)) == 0
    rows = pd.read_csv(newest(logs, "predictions.csv"))
    expected = pd.read_csv(phantom_root / "FileList.csv").query("Split == 'TEST'")
    assert rows["video"].tolist() == expected["FileName"].tolist()
    assert (rows["status"] == "ok").all()
    assert rows["ef"].notna().all()
    assert (rows["ef_upper"] - rows["ef_lower"]).between(0, 99, inclusive="neither").all()
    assert rows["ef"].between(rows["ef_lower"], rows["ef_upper"]).all()
    assert rows["p_reduced"].between(0, 1).all()
    np.testing.assert_allclose(rows["ef_true"], expected["EF"], rtol=1e-5)


def test_predict_new_videos_gives_a_row_each_and_a_reason_to_those_that_fail(
    logs, phantom_root, tmp_path
):
    clip = PhantomClip(8, 0)
    frames = clip.frames(range(40))
    (tmp_path / "new").mkdir()
    write_video(tmp_path / "new" / "a.avi", frames, 50)
    write_video(tmp_path / "new" / "b.mp4", frames, 50)
    write_video(tmp_path / "new" / "unknown.mp4", frames[:9], 50)
    whole = (tmp_path / "new" / "b.mp4").read_bytes()
    (tmp_path / "new" / "corrupt.mp4").write_bytes(whole[: len(whole) // 3])
    keys = tmp_path / "keys.csv"
    keys.write_text("video,ed,es\na,3,21\nb,3,21\ncorrupt,3,21\n")
    more = ["--data.videos", str(tmp_path / "new"), "--data.keyframes", str(keys)]
    assert main(words("predict", "edf_esf_mlp", phantom_root, logs, *more)) == 0
    rows = pd.read_csv(newest(logs, "predictions.csv")).set_index("video")
    assert rows.columns[:5].tolist() == ["status", "reason", "ed_frame", "es_frame", "mid_frame"]
    assert rows["status"].to_dict() == {
        "a": "ok", "b": "ok", "corrupt": "failed", "unknown": "failed",
    }  # fmt: skip
    assert rows.loc["a", "mid_frame"] == 12
    assert (rows["trained_on"] == "phantoms").all()
    assert rows.loc["a", "ef"] == pytest.approx(rows.loc["b", "ef"], abs=3), "codec noise only"
    assert "no whole beat: 9 frames" in rows.loc["unknown", "reason"]
    assert rows.loc["corrupt", "reason"].startswith("corrupt.mp4: "), "no folder: it may be a name"


def test_predict_writes_the_reasons_when_no_video_is_left(logs, phantom_root, tmp_path):
    (tmp_path / "only.avi").write_bytes(b"")
    more = ["--data.videos", str(tmp_path)]
    assert main(words("predict", "esf_cls", phantom_root, logs, *more)) == 0
    rows = pd.read_csv(newest(logs, "predictions.csv"))
    assert rows["status"].tolist() == ["failed"]
    assert "empty" in rows.loc[0, "reason"]


def test_a_checkpoint_loads_in_plain_lightning_and_predicts_the_same(logs, phantom_root):
    path = newest(logs / "edf_esf_mlp", "best.ckpt")
    first, second = (EFRegressor.load_from_checkpoint(path).eval() for _ in range(2))
    assert first.frames == ["EDF", "ESF"]
    assert torch.isfinite(first.calibration.std_factor), "VAL was judged"
    frames = torch.randint(0, 255, (2, 2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(first(frames), second(frames))


class OwnData(EchoNetDataModule):
    """A data module as a user would derive one."""

    def predict_dataloader(self):
        """Leave out all but four cases."""
        few = Subset(super().predict_dataloader().dataset, range(4))
        return DataLoader(few, batch_size=4, collate_fn=collate)


def test_the_data_module_may_be_a_users_own_and_the_runs_config_says_so(
    logs, phantom_root, tmp_path
):
    path = str(newest(logs / "edf_esf_mlp", "best.ckpt"))
    more = ["--data", "test_cli.OwnData", "--data.batch_size", "4", "--ckpt_path", path]
    assert main(words("predict", "edf_esf_mlp", phantom_root, tmp_path, *more)) == 0
    first = newest(tmp_path, "predictions.csv")
    assert pd.read_csv(first)["status"].tolist() == ["ok"] * 4 + ["failed"] * 3
    config = yaml.safe_load(first.with_name("config.yaml").read_text())
    assert config["data"]["class_path"] == "test_cli.OwnData"
    assert data_options(config)["batch_size"] == 4
    again = ["predict", "--config", str(first.with_name("config.yaml"))]
    assert main([*again, "--trainer.logger", "false"]) == 0
    assert pd.read_csv(newest(tmp_path, "predictions.csv")).equals(pd.read_csv(first))


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("--data.videos clips", False),
        ("--data.root=clips --config esf_mlp", False),
        ("--data my.Module", True),
        ("--data=my.Module", True),
        ("--data.class_path my.Module", True),
        ("--config {own}", True),
        ("--config={plain}", False),
    ],
)
def test_a_command_names_its_data_module_or_takes_the_packages(tmp_path, typed, named):
    own, plain = tmp_path / "own.yaml", tmp_path / "plain.yaml"
    own.write_text("data:\n  class_path: my.Module\n  init_args:\n    root: a\n")
    plain.write_text("data:\n  root: a\n")
    assert names_data_module(["fit", *typed.format(own=own, plain=plain).split()]) == named


class Interruption(Callback):
    """Stops a prediction at its second batch."""

    def on_predict_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if batch_idx == 1:
            raise InterruptedError("enough")


def test_an_interrupted_prediction_keeps_what_it_has(logs, phantom_root, tmp_path):
    data = EchoNetDataModule(str(phantom_root), ["EDF", "ESF"], batch_size=4, num_workers=0)
    trainer = Trainer(
        accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_checkpointing=False,
        callbacks=[PredictionWriter(), Interruption()],
    )  # fmt: skip
    task = load_task(newest(logs / "edf_esf_mlp", "best.ckpt"))
    with pytest.raises(InterruptedError):
        trainer.predict(task, datamodule=data)
    rows = pd.read_csv(tmp_path / "predictions.csv")
    assert rows["status"].tolist() == ["ok"] * 4 + ["failed"] * 3
    assert rows["reason"].tail(1).item() == "not predicted: the run ended before this video"


@pytest.mark.parametrize(
    ("command", "config", "more", "message"),
    [
        ("fit", "esf_cls", ["--data.root", "no/such/place"], "no/such/place not found"),
        ("fit", "esf_cls", ["--data.frames", "[ESX]"], "a frame is one of EDF, ESF, MF"),
        ("fit", "esf_cls", ["--model.backbone.weights", "none.pt"], "neither a file nor one of"),
        ("fit", "esf_cls", ["--model.head.hiden", "4"], "hiden"),
        ("fit", "esf_cls", ["--trainer.max_epochz", "4"], "max_epochz"),
        ("fit", "nothing", [], "nothing.yaml"),
        ("test", "esf_cls", ["--ckpt_path", "none.ckpt"], "none.ckpt not found"),
        ("test", "esf_mlp", [], "no checkpoint in"),
        ("predict", "esf_cls", ["--data.videos", "no/such"], "no/such is no file"),
        ("fit", "esf_cls", ["--data.balanced", "true"], "balance the classes twice"),
        ("fit", "esf_cls", ["--trainer.max_epochs", "-1"], "the cosine schedule needs an end"),
        ("fit", "esf_cls", ["--trainer.precision", "bf16-true"], "choose 32-true, bf16-mixed"),
        pytest.param(
            "fit",
            "esf_cls",
            ["--trainer.accelerator", "gpu"],
            "gpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        ("predict", "esf_cls", ["--data.keyframes", "k.csv"], "give --data.videos too"),
        ("test", "esf_cls", ["--anonymize", "k.csv"], "it goes with predict and --data.videos"),
    ],
)
def test_bad_input_is_told_in_one_line(logs, phantom_root, capsys, command, config, more, message):
    assert main(words(command, config, phantom_root, logs, *more)) == 1
    error = capsys.readouterr().err
    assert len(told(error)) == 1
    assert message in told(error)[0]
    assert "Traceback" not in error


def test_a_checkpoint_of_another_task_is_refused(logs, phantom_root, capsys):
    path = newest(logs / "edf_esf_mlp", "best.ckpt")
    more = ["--ckpt_path", str(path)]
    assert main(words("test", "esf_cls", phantom_root, logs, *more)) == 1
    assert "holds a EFRegressor, but the config asks for EFClassifier" in capsys.readouterr().err
    assert main(words("test", "esf_mlp", phantom_root, logs, *more)) == 1
    assert "trained with data.frames = ['EDF', 'ESF']" in capsys.readouterr().err


def test_a_corrupt_video_is_told_in_one_line_by_the_workers_too(phantom_root, tmp_path, capsys):
    root = tmp_path / "copy"
    (root / "Videos").mkdir(parents=True)
    for name in ("FileList.csv", "VolumeTracings.csv"):
        (root / name).write_text((phantom_root / name).read_text())
    videos = sorted((phantom_root / "Videos").iterdir())
    for video in videos:
        (root / "Videos" / video.name).write_bytes(video.read_bytes()[:300])
    # Some are looked at when the folder is read, and set aside.
    more = ["--data.num_workers", "1", "--data.max_excluded", "0.5"]
    assert main(words("fit", "esf_cls", root, tmp_path / "logs", *more)) == 1
    error = capsys.readouterr().err
    assert len(told(error)) == 1
    assert "not a readable video" in told(error)[0]
    assert "--data.check_videos true" in told(error)[0]
    assert "Traceback" not in error


def test_too_many_unusable_videos_are_listed_before_the_run_stops(phantom_root, tmp_path, capsys):
    (tmp_path / "Videos").mkdir()
    for name in ("FileList.csv", "VolumeTracings.csv"):
        (tmp_path / name).write_text((phantom_root / name).read_text())
    assert main(words("fit", "esf_cls", tmp_path, tmp_path / "logs")) == 1
    assert "32 video file missing or empty" in capsys.readouterr().err
    assert len(pd.read_csv(newest(tmp_path / "logs", "excluded.csv"))) == 32


def test_a_missing_column_is_told_in_one_line(phantom_root, tmp_path, capsys):
    (tmp_path / "Videos").mkdir()
    for name in ("FileList.csv", "VolumeTracings.csv"):
        table = pd.read_csv(phantom_root / name)
        table.drop(columns="EF", errors="ignore").to_csv(tmp_path / name, index=False)
    assert main(words("fit", "esf_cls", tmp_path, tmp_path / "logs")) == 1
    assert "FileList.csv: column EF not found" in capsys.readouterr().err


def test_help_lists_every_command_and_phantom_is_one_of_them(capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    ours = ("phantom", "pretrain", "weights", "export", "table")
    for command in ("fit", "validate", "test", "predict", *ours):
        assert f"  {command} " in printed
    assert main(["phantom", "--root", str(tmp_path / "p"), "--num_videos", "3"]) == 0
    assert len(list((tmp_path / "p" / "Videos").iterdir())) == 3
    assert main(["phantom", "--root", str(tmp_path / "p"), "--num_clips", "3"]) == 1


def test_a_bare_flag_means_true(tmp_path, capsys):
    asked = ["--root", str(tmp_path / "p"), "--num_videos", "3", "--num_workers", "1"]
    assert main(["phantom", *asked, "--marks", "--seed", "3", "--progress", "false"]) == 0
    about = json.loads((tmp_path / "p" / "phantom.json").read_text())
    assert (about["marks"], about["seed"]) == (True, 3)
    words = ["table", "--root", str(tmp_path / "p"), "--output", str(tmp_path / "t")]
    for more in (["--quick", "--experiments", "[none]"], ["--experiments", "[none]", "--quick"]):
        assert main([*words, *more]) == 1
        assert told(capsys.readouterr().err)[0].startswith("error: no config configs/none.yaml")


def test_clips_of_one_patient_are_drawn_together(logs, phantom_root, tmp_path):
    for part in ("Videos", "VolumeTracings.csv", "phantom.json"):
        (tmp_path / part).symlink_to(phantom_root / part)
    table = pd.read_csv(phantom_root / "FileList.csv")
    number = table.groupby("Split").cumcount() // 2
    table.assign(Patient=table["Split"] + number.astype(str)).to_csv(
        tmp_path / "FileList.csv", index=False
    )
    best = newest(logs / "esf_cls", "best.ckpt")
    words_of_test = words("test", "esf_cls", tmp_path, tmp_path / "logs", "--ckpt_path", str(best))
    assert main(words_of_test) == 0
    metrics = json.loads(newest(tmp_path / "logs", "metrics.json").read_text())["metrics"]
    assert metrics["brier"]["method"] == "BCa bootstrap, 1,000 resamples of patients"
