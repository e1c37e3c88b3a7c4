"""A run's own folder, what is taken from the newest, and what is refused for want of training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers import newest, told, words
from jsonargparse import Namespace
from lightning import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger

from lvef.cli.checkpoint import resolve
from lvef.cli.commands import main
from lvef.data.datamodule import EchoNetDataModule
from lvef.errors import CheckpointError, OutputError
from lvef.models import EFRegressor, LVSegmenter
from lvef.models.options import BackboneOptions
from lvef.runs import RunTrainer, checkpoint_in, newest_run, reserve, run_of

BOTH = ("best", "last")
LIGHT = ["--model.backbone.freeze", "true", "--trainer.accelerator", "cpu"]


def said(command: str, root: Path, logs: Path, *more: str) -> list[str]:
    """Return a command on a regressor whose epochs cost next to nothing."""
    light = LIGHT if command == "fit" else LIGHT[2:]
    return words(command, "esf_mlp", root, logs, *light, *more)


@pytest.fixture(scope="module")
def logs(phantom_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log folder of a regressor, fitted without any logger."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(said("fit", phantom_root, folder, "--trainer.logger", "false")) == 0
    return folder


def test_a_run_without_a_logger_has_a_folder_of_its_own(logs):
    run = logs / "esf_mlp" / "version_0"
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml",
        "excluded.csv",
        "run.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    assert {path.name for path in logs.iterdir()} == {"esf_mlp", "features"}


def test_a_config_that_was_read_is_never_written(logs, phantom_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "config.yaml"
    mine.write_text("experiment: esf_mlp\n")
    again = said("fit", phantom_root, tmp_path, "--trainer.logger", "false", "--config", str(mine))
    assert main(again) == 0
    assert mine.read_text() == "experiment: esf_mlp\n"
    assert (tmp_path / "esf_mlp" / "version_0" / "config.yaml").is_file()


def test_a_run_that_goes_on_by_its_own_config_stays_in_its_folder(logs, phantom_root):
    run = logs / "esf_mlp" / "version_0"
    config, last = run / "config.yaml", run / "checkpoints" / "last.ckpt"
    before, steps = config.read_text(), torch.load(last, weights_only=True)["global_step"]
    more = ["--trainer.max_epochs", "2", "--trainer.logger", "true", "--ckpt_path", str(last)]
    assert main(["fit", "--config", str(config), *more]) == 0
    assert config.read_text() == before
    assert "max_epochs: 2" in (run / "config_resumed_1.yaml").read_text()
    assert torch.load(last, weights_only=True)["global_step"] == 2 * steps
    assert list(run.glob("events.out.tfevents.*")), "the log is where the checkpoints are"
    assert sorted(path.name for path in run.parent.iterdir()) == ["version_0"]


def test_a_name_means_the_newest_runs_file_and_metrics_say_which(logs, phantom_root):
    more = ["--trainer.logger", "false", "--ckpt_path", "last"]
    assert main(said("test", phantom_root, logs, *more)) == 0
    path = newest(logs, "metrics.json")
    meant = logs / "esf_mlp" / "version_0" / "checkpoints" / "last.ckpt"
    assert json.loads(path.read_text())["checkpoint"] == str(meant)
    assert path.parent.parent == logs / "esf_mlp"


@pytest.mark.parametrize("asked", ["best", "last", "mine.ckpt", None])
def test_a_name_becomes_a_file_and_a_file_stays(tmp_path, asked):
    trainer = Namespace(default_root_dir=str(tmp_path))
    folder = tmp_path / "esf_mlp" / "version_4" / "checkpoints"
    folder.mkdir(parents=True)
    for name in BOTH:
        (folder / f"{name}.ckpt").write_bytes(b"")
    config = Namespace(experiment="esf_mlp", trainer=trainer, ckpt_path=asked)
    resolve(config)
    assert config.ckpt_path == (str(folder / f"{asked}.ckpt") if asked in BOTH else asked)


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("test", ["--ckpt_path", "hpc"], "has no hpc checkpoint"),
        ("fit", ["--ckpt_path", "hpc"], "has no hpc checkpoint"),
        ("validate", ["--ckpt_path", "registry"], "no registry of models"),
        ("predict", ["--ckpt_path", "last", "--experiment", "other"], "no checkpoint in"),
        ("fit", ["--ckpt_path", "best", "--experiment", "other"], "no checkpoint in"),
        ("fit", ["--checkpoint.dirpath", "CHECKPOINTS"], "another run's checkpoints lie"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    logs, phantom_root, capsys, command, more, message
):
    folder = str(logs / "esf_mlp" / "version_0" / "checkpoints")
    more = [folder if word == "CHECKPOINTS" else word for word in more]
    assert main(said(command, phantom_root, logs, *more)) == 1
    error = capsys.readouterr().err
    assert len(told(error)) == 1
    assert message in told(error)[0]
    assert "Traceback" not in error


def test_a_newest_run_without_a_best_checkpoint_is_not_passed_over(tmp_path, phantom_root, capsys):
    for number, name in ((0, "best"), (1, "last")):
        file = tmp_path / "esf_mlp" / f"version_{number}" / "checkpoints" / f"{name}.ckpt"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
    assert main(said("test", phantom_root, tmp_path)) == 1
    (line,) = told(capsys.readouterr().err)
    assert "version_1, has no best checkpoint (it has " in line


def test_an_interrupted_jobs_checkpoint_is_found(tmp_path):
    run = tmp_path / "version_3"
    run.mkdir()
    for number in (9, 10):
        (run / f"hpc_ckpt_{number}.ckpt").write_bytes(b"")
    assert newest_run(tmp_path) == run
    assert checkpoint_in(run, "hpc") == run / "hpc_ckpt_10.ckpt"
    assert run_of(run / "hpc_ckpt_10.ckpt") == run_of(run / "checkpoints" / "last.ckpt") == run
    assert run_of(tmp_path / "mine" / "last.ckpt") is None, "a folder of the user's own"


def test_each_run_gets_a_folder_that_nobody_has(tmp_path):
    (tmp_path / "version_7").mkdir()
    (tmp_path / "version_best").mkdir()
    assert [reserve(tmp_path).name for _ in range(2)] == ["version_8", "version_9"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        reserve(tmp_path / "file")


def test_the_folder_of_a_run_is_not_that_of_a_logger(tmp_path):
    trainer = RunTrainer(accelerator="cpu", logger=CSVLogger(tmp_path / "elsewhere"))
    assert str(trainer.log_dir).startswith(str(tmp_path / "elsewhere")), "as Lightning has it"
    trainer.run_folder = tmp_path / "run"
    assert trainer.log_dir == str(tmp_path / "run")


def untaught(phantom_root: Path) -> tuple[EFRegressor, EchoNetDataModule]:
    torch.manual_seed(0)
    data = EchoNetDataModule(str(phantom_root), ["ESF"], image_size=32, num_workers=0)
    return EFRegressor(["ESF"], BackboneOptions(None)), data


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_weights_that_nobody_taught_are_not_judged(phantom_root, tmp_path, verb):
    task, data = untaught(phantom_root)
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path)
    with pytest.raises(CheckpointError, match="the weights that it was made with"):
        getattr(trainer, verb)(task, datamodule=data)


def test_shipped_weights_are_those_of_a_file():
    task = LVSegmenter("shipped")
    task.setup("test")
    assert task.source.endswith("lv_seg.safetensors")


class Breaks(Callback):
    """Makes a weight infinite as soon as something was learned."""

    def on_train_batch_end(self, trainer, pl_module, *_):
        with torch.no_grad():
            next(pl_module.head.parameters()).fill_(torch.inf)


RARELY = ["--trainer.check_val_every_n_epoch", "3", "--trainer.max_epochs", "3"]


@pytest.mark.parametrize(("more", "what"), [([], "val/loss"), (RARELY, "train/loss")])
def test_a_loss_that_is_no_number_ends_a_fit_in_one_line(
    logs, phantom_root, tmp_path, capsys, more, what
):
    broken = ["--trainer.callbacks+=test_runs.Breaks", "--data.feature_batch_size", "4",
              "--data.feature_cache", str(logs / "features")]  # fmt: skip
    assert main(said("fit", phantom_root, tmp_path, *broken, *more)) == 1
    (line,) = told(capsys.readouterr().err)
    assert line.startswith(f"error: {what} of epoch 0 is no finite number")
    assert "--model.optimizer.lr" in line
    assert not list(tmp_path.rglob("*.ckpt")), "nothing broken is kept"
