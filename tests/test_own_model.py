"""A model of a user's own, from a script outside the package, through every command and a Trainer.

Encoder, head, optimiser, schedule and task are by class path.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from bright import write_bright
from helpers import CONFIGS, best, newest, told, words
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from own_parts import SCRIPT, TASK
from test_training import RATE, fit

import lvef
from lvef.cli.commands import main
from lvef.errors import CheckpointError
from lvef.models import EFClassifier, EFRegressor
from lvef.models.loading import describe_checkpoint, load_task
from lvef.models.options import BackboneOptions, HeadOptions, OptimizerOptions
from lvef.predict.datamodule import EchoNetDataModule

IMPORT = ["--import", "my_model"]
ENCODER = ["--model.backbone.name", "my_model.MyEncoder", "--model.backbone.arguments.width", "4"]
HEAD = ["--model.head.name", "my_model.MyHead", "--model.head.arguments.width", "6"]
OPTIMIZER = [
    "--model.optimizer.name", "my_model.MyOptimizer", "--model.optimizer.lr", "0.001",
    "--model.optimizer.arguments.momentum", "0.5",
    "--model.optimizer.schedule", "my_model.MySchedule", "--model.optimizer.schedule_interval",
    "step", "--model.optimizer.schedule_arguments.least", "0.1",
]  # fmt: skip
OWN = [*IMPORT, *ENCODER, *HEAD, *OPTIMIZER]
STEP, PLATEAU = (f"torch.optim.lr_scheduler.{name}" for name in ("StepLR", "ReduceLROnPlateau"))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a script of a user's, in which commands are run."""
    (tmp_path / "my_model.py").write_text(SCRIPT + TASK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_model", None)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["my_model.MyRegressor", "EFClassifier"])
def test_it_goes_through_every_command(folder, phantom_root, task):
    own, twice = [*OWN, "--model", task], ["--trainer.max_epochs", "2"]
    assert main(words("fit", "edf_esf_mlp", phantom_root, folder, *own, *twice)) == 0
    checkpoint = best(folder, "edf_esf_mlp")
    said = describe_checkpoint(checkpoint)["hparams"]
    assert said["head"]["arguments"] == {"width": 6}
    assert said["optimizer"]["schedule_arguments"] == {"least": 0.1}
    last = checkpoint.with_name("last.ckpt")
    state = torch.load(last, weights_only=True)
    steps, (schedule,) = state["global_step"], state["lr_schedulers"]
    assert (schedule["total_steps"], schedule["last_epoch"], state["epoch"]) == (steps, steps, 1)
    groups = {group["name"]: group for group in state["optimizer_states"][0]["param_groups"]}
    assert groups["head"]["momentum"] == 0.5
    assert groups["head"]["lr"] == pytest.approx(0.1 * 1e-3), "at its end"
    assert groups["backbone"]["lr"] == pytest.approx(0.1 * 1e-3 * said["backbone"]["lr_factor"])
    asked = [*IMPORT, "--model", task, "--ckpt_path", str(checkpoint)]
    for command in ("validate", "test"):
        more = ["--saliency", "true"] if command == "test" else []
        assert main(words(command, "edf_esf_mlp", phantom_root, folder, *asked, *more)) == 0
    run = newest(folder / "edf_esf_mlp", "metrics.json").parent
    assert list((run / "saliency").glob("*.png"))
    assert main(["verify", *IMPORT, str(run)]) == 0
    assert main(["report", *IMPORT, str(run), "--output", "page.html"]) == 0
    clip = str(next((phantom_root / "Videos").iterdir()))
    clips = ["--data.videos", clip]
    assert main(words("predict", "edf_esf_mlp", phantom_root, folder, *asked, *clips)) == 0
    (row,) = pd.read_csv(newest(folder / "edf_esf_mlp", "predictions.csv")).to_dict("records")
    assert row["status"] == "ok"
    export = ["export", *IMPORT, "--ckpt_path", str(checkpoint), "--output", "own.onnx"]
    assert main(export) == 0
    bare = ["test", *IMPORT, "--ckpt_path", str(checkpoint), "--saliency", "false"]
    assert main(bare) == 0, "the run's config says the rest"
    code = (
        f"import lvef; row = lvef.load({str(checkpoint)!r}, trusted=['my_model'])"
        f".predict({clip!r}); assert abs(row['p_reduced'][0] - {row['p_reduced']!r}) < 1e-3, row"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=folder).returncode == 0


@pytest.mark.slow
def test_gaussian_process_and_ensemble_stand_on_it(folder, phantom_root):
    frozen = ["--model.backbone.freeze", "true"]
    assert main(words("fit", "edf_esf_mlp", phantom_root, folder, *OWN, *frozen)) == 0
    gpr = [*IMPORT, *ENCODER, "--model.backbone.checkpoint", str(best(folder, "edf_esf_mlp"))]
    assert main(words("fit", "edf_esf_gpr", phantom_root, folder, *gpr)) == 0
    members = [*IMPORT, "--model.members", "[edf_esf_mlp, edf_esf_gpr]"]
    assert main(words("fit", "ensemble", phantom_root, folder, *members)) == 0
    assert main(words("test", "ensemble", phantom_root, folder, *IMPORT)) == 0
    sys.modules.pop("my_model")
    with pytest.raises(CheckpointError, match=r"my_model.* not imported"):
        load_task(best(folder, "ensemble"))


@pytest.mark.slow
def test_a_sweep_searches_what_a_head_is_made_with(folder, phantom_root):
    (folder / "space.yaml").write_text(
        "model.head.arguments.width: {low: 2, high: 8, step: 2}\n"
        "model.optimizer.schedule: {choices: [constant, plateau]}\n"
    )
    more = [*ENCODER, *HEAD[:2], "--data.num_workers", "0", "--data.image_size", "32",
            "--model.backbone.weights", "null"]  # fmt: skip
    asked = ["sweep", *IMPORT, "--config", str(CONFIGS / "esf_mlp.yaml"), "--search", "space.yaml",
             "--root", str(phantom_root), "--trials", "1", "--max_epochs", "1", "--more",
             " ".join(more)]  # fmt: skip
    assert main(asked) == 0
    (trial,) = pd.read_csv("sweep/trials.csv").to_dict("records")
    found = describe_checkpoint(trial["user_attrs_checkpoint"])["hparams"]["head"]["arguments"]
    assert found == {"width": trial["params_model.head.arguments.width"]}


@pytest.mark.slow
def test_a_row_of_the_table_is_run_anew_where_its_encoder_changed(folder, phantom_root):
    backbone = {"name": "my_model.MyEncoder", "arguments": {"width": 4}}
    model = {"init_args": {"backbone": backbone, "head": {"name": "my_model.MyHead"}}}
    base = {"base": str(CONFIGS / "esf_mlp.yaml"), "data": {"image_size": 32}}
    (folder / "esf_mlp.yaml").write_text(yaml.safe_dump({**base, "model": model}))
    (folder / "phantom.yaml").write_text((CONFIGS / "phantom.yaml").read_text())
    asked = ["table", *IMPORT, "--root", str(phantom_root), "--output", "results", "--configs",
             str(folder), "--experiments", "[esf_mlp]", "--max_epochs", "2"]  # fmt: skip

    def checkpoint() -> str:
        assert main(asked) == 0
        row = json.loads((folder / "results" / "table.json").read_text())["rows"]["esf_mlp"]
        return str(row["checkpoint"])

    first = checkpoint()
    assert checkpoint() == first, "reused"
    del sys.modules["my_model"]
    (folder / "my_model.py").write_text(SCRIPT.replace("silu", "relu"))
    assert checkpoint() != first


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright(tmp_path_factory.mktemp("bright") / "folder")


@pytest.mark.slow
def test_a_plateau_by_its_class_path_falls_as_that_of_the_package(bright, tmp_path):
    planted = [
        "--model.backbone.name", "encoders.Plain", "--model.backbone.freeze", "true",
        "--data.feature_batch_size", "8", "--trainer.max_epochs", "9",
        "--early_stopping.patience", "3", "--trainer.callbacks+=bright.Planted",
        "--trainer.callbacks.shift", "[9, 5, 0, 6, 7, 8, 0, 0, 0]", "--model.optimizer.schedule",
    ]  # fmt: skip
    ours = [*planted, "plateau", "--model.optimizer.patience", "1"]
    theirs = [*planted, PLATEAU, "--model.optimizer.schedule_arguments",
              "{factor: 0.2, patience: 1}"]  # fmt: skip
    rates = [
        fit("esf_mlp", bright, tmp_path / name, *more).curves["lr-AdamW/head"]
        for name, more in (("ours", ours), ("theirs", theirs))
    ]
    assert rates[0] == rates[1]
    assert rates[0] == pytest.approx([*[RATE] * 5, RATE / 5])


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["torch.optim.SGD", {"momentum": 0.9}, STEP, {"step_size": 1, "gamma": 0.5}, "epoch"],
        ["torch.optim.RMSprop", {}, STEP, {"step_size": 4, "gamma": 0.5}, "step"],
        ["my_model.MyOptimizer", {"momentum": 0.5}, PLATEAU, {"patience": 0}, "epoch"],
        ["adamw", {"betas": [0.8, 0.9]}, "torch.optim.lr_scheduler.MultiStepLR",
         {"milestones": [1, 3]}, "epoch"],
    ],
)  # fmt: skip
def test_a_fit_goes_on_with_optimiser_and_schedule_as_if_it_had_not_stopped(
    bright, folder, more, capsys
):
    name, arguments, schedule, schedule_arguments, interval = more
    parts = [
        *IMPORT, "--model.optimizer.name", name, "--model.optimizer.arguments",
        json.dumps(arguments), "--model.optimizer.schedule", schedule,
        "--model.optimizer.schedule_arguments", json.dumps(schedule_arguments),
        "--model.optimizer.schedule_interval", interval, "--model.optimizer.lr", "0.01",
    ]  # fmt: skip
    plain = ["--model.backbone.name", "encoders.Plain", "--trainer.precision", "32-true"]

    def fitted(logs: str, epochs: int, *more: str) -> Path:
        ends = ["--trainer.max_epochs", str(epochs), "--trainer.accelerator", "cpu"]
        asked = words("fit", "esf_mlp", bright, folder / logs, *plain, *ends, *more)
        assert main(asked) == 0
        return newest(folder / logs, "last.ckpt")

    whole = torch.load(fitted("whole", 4, *parts), weights_only=True)
    last = fitted("parts", 2, *parts)
    capsys.readouterr()
    assert fitted("parts", 4, *IMPORT, "--ckpt_path", str(last)) == last
    told = capsys.readouterr().out
    assert f"goes on with the checkpoint's model.optimizer.schedule, {schedule}" in told
    found = torch.load(last, weights_only=True)
    assert found["epoch"] == whole["epoch"] == 3
    assert found["lr_schedulers"] == whole["lr_schedulers"]
    for one, other in ((found, whole), (found["optimizer_states"][0]["state"],
                                        whole["optimizer_states"][0]["state"])):  # fmt: skip
        for key in one.keys() & {"state_dict", *range(20)}:
            for each, value in one[key].items():
                same = other[key][each]
                assert value is same is None or torch.equal(*map(torch.as_tensor, (value, same)))
    rates = [group["lr"] for group in found["optimizer_states"][0]["param_groups"]]
    assert rates == [group["lr"] for group in whole["optimizer_states"][0]["param_groups"]]
    assert load_task(last).optimizer_options.name == name


@pytest.mark.slow
def test_a_checkpoint_that_names_no_head_and_no_optimiser_is_tested_and_gone_on_with(
    bright, tmp_path
):
    plain = ["--model.backbone.name", "encoders.Plain", "--model.head.hidden", "7"]
    assert main(words("fit", "esf_mlp", bright, tmp_path, *plain)) == 0
    last = newest(tmp_path, "last.ckpt")
    checkpoint = torch.load(last, weights_only=True)
    hparams = checkpoint["lvef"]["hparams"]
    later = ("name", "arguments", "schedule_arguments", "schedule_interval")
    for part in ("head", "optimizer"):
        hparams[part] = {name: own for name, own in hparams[part].items() if name not in later}
    assert hparams["head"] == {"hidden": 7, "dropout": 0.3}
    torch.save(checkpoint, last)
    asked = [*plain[:2], "--ckpt_path", str(last)]
    assert main(words("test", "esf_mlp", bright, tmp_path, *asked)) == 0
    assert main(words("fit", "esf_mlp", bright, tmp_path, *asked, "--trainer.max_epochs", "2")) == 0
    assert describe_checkpoint(last)["hparams"]["optimizer"]["name"] == "adamw"
    assert torch.load(last, weights_only=True)["epoch"] == 1


@pytest.mark.slow
def test_a_schedule_that_is_at_its_end_is_one_line(bright, tmp_path, capsys):
    once = ["--model.optimizer.schedule", "torch.optim.lr_scheduler.OneCycleLR",
            "--model.optimizer.schedule_arguments.max_lr", "0.01",
            "--model.optimizer.schedule_interval", "step", "--model.backbone.name",
            "encoders.Plain", "--trainer.max_epochs"]  # fmt: skip
    assert main(words("fit", "esf_mlp", bright, tmp_path, *once, "2")) == 0
    last = ["--ckpt_path", str(newest(tmp_path, "last.ckpt"))]
    capsys.readouterr()
    assert main(words("fit", "esf_mlp", bright, tmp_path, *once, "3", *last)) == 1
    (line,) = told(capsys.readouterr().err)
    assert "OneCycleLR: ValueError: Tried to step 7 times" in line


@pytest.mark.slow
@pytest.mark.parametrize("kind", [EFRegressor, EFClassifier])
def test_a_plain_trainer_fits_tests_and_predicts(folder, phantom_root, kind):
    sys.path.insert(0, str(folder))
    __import__("my_model")
    frames = ["EDF", "ESF"]
    data = EchoNetDataModule(
        str(phantom_root), frames, batch_size=8, image_size=32, num_workers=0, feature_cache=None
    )

    def made(**parts: OptimizerOptions) -> EFRegressor | EFClassifier:
        torch.manual_seed(0)
        encoder = BackboneOptions(None, name="my_model.MyEncoder", arguments={"width": 4})
        return kind(frames, encoder, HeadOptions(name="my_model.MyHead"), **parts)

    def trainer(epochs: int, keeps: ModelCheckpoint | None = None) -> Trainer:
        return Trainer(
            accelerator="cpu", max_epochs=epochs, callbacks=[keeps] if keeps else None,
            enable_checkpointing=keeps is not None, logger=False, enable_progress_bar=False,
            default_root_dir=folder,
        )  # fmt: skip

    model = made(optimizer=OptimizerOptions(0.01, name="my_model.MyOptimizer"))
    kept = ModelCheckpoint(
        folder, "best", monitor=model.monitor, mode=model.monitor_mode, save_last=True
    )
    trainer(2, kept).fit(model, data)
    (said,) = trainer(1).test(model, data, ckpt_path=kept.best_model_path, verbose=False)
    batches = trainer(1).predict(model, data, ckpt_path=kept.best_model_path)
    named = [name for name in batches[0] if name != "failures"]
    answers = {name: torch.cat([batch[name] for batch in batches]).numpy() for name in named}
    ef_true = data.table.loc[answers["row"], "ef_true"].to_numpy()
    if kind is EFRegressor:
        mae = np.abs(answers["ef"] - ef_true).mean()
        assert said["test/mae"] == pytest.approx(mae, rel=1e-4)
    else:
        brier = np.mean((answers["p_reduced"] - (ef_true <= 40)) ** 2)
        assert said["test/brier"] == pytest.approx(brier, rel=1e-4)
    task = lvef.load(kept.best_model_path, trusted=["my_model"]).task
    batch = next(iter(data.test_dataloader()))
    with torch.no_grad():
        output = task(batch["frames"])
        raw = task.raw_answer(output)
        answer = task.calibrated_answer(raw)
    assert (output.shape, output.dtype) == ((len(batch["row"]), kind.num_outputs), torch.float32)
    first = [answers["p_reduced"][answers["row"] == row][0] for row in batch["row"].tolist()]
    assert answer["p_reduced"].numpy() == pytest.approx(np.array(first), abs=1e-4)
    if kind is EFRegressor:
        assert torch.equal(raw["ef"], task.ef_mean + task.ef_scale * output[:, 0])
    last = str(kept.last_model_path)
    trainer(3).fit(made(optimizer=OptimizerOptions(0.01, name="my_model.MyOptimizer")), data,
                   ckpt_path=last)  # fmt: skip
    with pytest.raises(CheckpointError, match=r"optimizer.name my_model.MyOptimizer, and a fit do"):
        trainer(3).fit(made(), data, ckpt_path=last)
