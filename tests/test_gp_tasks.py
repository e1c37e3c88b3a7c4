"""Gaussian processes and ensembles as tasks: fit, test, predict, resume, two processes."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from helpers import best, is_drawn, newest, told, words
from lightning import Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lvef.cli.commands import main, run_lightning
from lvef.data.datamodule import EchoNetDataModule
from lvef.errors import ConfigurationError, NotFittedError
from lvef.models import EFEnsemble, EFGaussianProcess
from lvef.models.loading import describe_checkpoint, load_task
from lvef.models.options import BackboneOptions
from lvef.notice import NOT_FOR_DIAGNOSIS


def test_the_gaussian_process_stands_on_the_trained_backbone(logs):
    trained, fitted = (
        torch.load(best(logs, name), weights_only=True) for name in ("esf_mlp", "edf_esf_gpr")
    )
    name = "backbone.network.conv1.weight"
    assert torch.equal(trained["state_dict"][name], fitted["state_dict"][name])
    assert fitted["state_dict"]["head.train_x"].shape == (22, 4096)
    assert bool(fitted["state_dict"]["head.fitted"])
    assert fitted["lvef"]["task"] == "EFGaussianProcess"
    assert fitted["lvef"]["backbone_learned_from"] == "the same cases"
    assert fitted["lvef"]["data"]["train_fold"] is None
    assert fitted["lvef"]["train_part"]["cases"] == 22


def test_a_spread_that_val_stretches_is_told(logs):
    task = EFGaussianProcess.load_from_checkpoint(best(logs, "edf_esf_gpr"))
    for factor, told_of in ((3.2, True), (1.4, False)):
        task.calibration.std_factor.fill_(factor)
        with pytest.warns(UserWarning, match="VAL is small") as said:
            task.on_fit_end()
        stretched = [w for w in said if f"by {factor}" in str(w.message)]
        assert bool(stretched) == told_of


def test_a_test_says_what_a_spread_carries_and_what_val_promises(logs, phantom_root, capsys):
    assert main(words("test", "esf_mlp", phantom_root, logs)) == 0
    printed = capsys.readouterr().out
    assert "one SD for all cases" in printed
    assert "90 % promised: with 3 cases of VAL too few" in printed
    assert main(words("test", "ensemble", phantom_root, logs)) == 0
    said = json.loads(newest(logs / "ensemble", "metrics.json").read_text())["uncertainty"]
    assert not said["one_std"]
    assert len(said["tertiles"]) == 3
    assert said["noise_std"] is None


def test_the_fit_of_a_gaussian_process_is_in_tensorboard(logs):
    events = EventAccumulator(str(logs / "edf_esf_gpr" / "version_0"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    names = ("log_marginal_likelihood", "noise", "noise_std_ef", "lengthscale", "search")
    assert {f"gp/{name}" for name in names} <= tags
    head = EFGaussianProcess.load_from_checkpoint(best(logs, "edf_esf_gpr")).head
    logged = events.Scalars("gp/log_marginal_likelihood")[0].value
    assert logged == pytest.approx(head.log_marginal_likelihood(), abs=1e-5)


def test_a_gaussian_process_is_tested_with_intervals_and_review(logs, phantom_root, capsys):
    level = ["--model.uncertainty.level", "0.5"]  # three cases of VAL know of no higher
    assert main(words("test", "edf_esf_gpr", phantom_root, logs, *level)) == 0
    printed = capsys.readouterr().out
    assert "PHANTOM TEST, 7 videos, EFGaussianProcess on EDF + ESF" in printed
    assert "flagged for review" in printed
    assert NOT_FOR_DIAGNOSIS in printed
    path = newest(logs / "edf_esf_gpr", "metrics.json")
    about = json.loads(path.read_text())
    for name in ("mae", "coverage_50", "coverage_80", "coverage_90", "coverage_95", "nlpd", "crps"):
        assert about["metrics"][name]["value"] is not None
        assert about["metrics"][name]["baseline"] is not None
    assert about["review"]["flagged"]["cases"] + about["review"]["unflagged"]["cases"] == 7
    cases = pd.read_csv(path.parent / "cases.csv")
    assert cases["ef_std"].gt(0).all()
    assert (cases["ef_upper"] - cases["ef_lower"]).between(0, 99, inclusive="neither").all()
    inside = cases["ef_true"].between(cases["ef_lower"], cases["ef_upper"])
    assert about["metrics"]["coverage_50"]["value"] == pytest.approx(inside.mean(), abs=1e-6)
    for figure in ("coverage.png", "error_rejection.png", "predicted_and_true.png"):
        assert is_drawn(path.parent / figure)


@pytest.mark.parametrize("name", ["esf_mlp", "edf_esf_gpr", "ensemble"])
def test_a_test_teaches_nothing(logs, phantom_root, name):
    held = torch.load(best(logs, name), weights_only=True)["state_dict"]
    task = run_lightning(words("test", name, phantom_root, logs)).model
    torch.testing.assert_close(dict(task.state_dict()), dict(held), atol=0, rtol=0)


def test_a_checkpoint_of_a_gaussian_process_predicts_in_plain_lightning(logs, phantom_root):
    assert main(words("predict", "edf_esf_gpr", phantom_root, logs)) == 0
    rows = pd.read_csv(newest(logs / "edf_esf_gpr", "predictions.csv"))
    assert (rows["status"] == "ok").all()
    assert rows["ef_std"].gt(0).all()
    task = EFGaussianProcess.load_from_checkpoint(best(logs, "edf_esf_gpr")).eval()
    data = EchoNetDataModule(str(phantom_root), ["EDF", "ESF"], image_size=32, num_workers=0)
    data.setup("test")
    with torch.inference_mode():
        said = task.predict_step(next(iter(data.test_dataloader())), 0)
    assert said["ef"].numpy() == pytest.approx(rows["ef"].to_numpy(), abs=0.01)
    assert said["ef_std"].numpy() == pytest.approx(rows["ef_std"].to_numpy(), abs=0.01)


def test_a_gaussian_process_that_resumes_fits_and_judges_anew(logs, phantom_root):
    checkpoint = best(logs, "edf_esf_gpr")
    held = torch.load(checkpoint, weights_only=True)["state_dict"]
    before = checkpoint.stat().st_mtime_ns
    more = ["--ckpt_path", str(checkpoint)]
    assert main(words("fit", "edf_esf_gpr", phantom_root, logs, *more)) == 0
    assert checkpoint.stat().st_mtime_ns > before
    again = torch.load(checkpoint, weights_only=True)["state_dict"]
    for name in ("head.train_y", "head.likelihood_per_sample", "calibration.std_factor"):
        torch.testing.assert_close(again[name], held[name], atol=1e-4, rtol=1e-4)


def test_a_trainer_fits_a_gaussian_process_as_often_as_it_is_asked(logs, phantom_root, tmp_path):
    options = BackboneOptions(weights=None, freeze=True, checkpoint=str(best(logs, "esf_mlp")))
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, logger=False, enable_progress_bar=False,
        enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    task = EFGaussianProcess(["ESF"], options)
    learned = []
    for limit in (8, 12):
        data = EchoNetDataModule(
            str(phantom_root), ["ESF"], limit=limit, num_workers=0, feature_cache=None
        )
        trainer.fit(task, datamodule=data)
        learned.append((len(task.head.train_y), len(task.calibration.scores)))
    cases = data.table["split"].value_counts()
    assert learned[1] == (cases["TRAIN"], cases["VAL"])
    assert learned[0][0] == 8
    assert trainer.fit_loop.max_epochs == 3, "the next task finds the trainer as it was"


def test_any_level_can_be_asked_of_a_checkpoint(logs, phantom_root):
    widths = []
    for level in ("0.9", "0.5", None):
        more = [] if level is None else ["--model.uncertainty.level", level]
        assert main(words("predict", "edf_esf_gpr", phantom_root, logs, *more)) == 0
        rows = pd.read_csv(newest(logs / "edf_esf_gpr", "predictions.csv"))
        widths.append((rows["ef_upper"] - rows["ef_lower"]).mean())
    assert widths[1] < widths[0]
    assert widths[2] == widths[0], "its own, 0.9"


def test_an_ensemble_resumes(logs, phantom_root):
    checkpoint = best(logs, "ensemble")
    before = checkpoint.stat().st_mtime_ns
    more = ["--ckpt_path", str(checkpoint), "--model.members", "[]"]
    more += ["--data.batch_size", "1"]  # enough where nothing is trained
    assert main(words("fit", "ensemble", phantom_root, logs, *more)) == 0
    assert checkpoint.stat().st_mtime_ns > before


def test_the_ensemble_is_the_average_of_its_members(logs, phantom_root):
    for name in ("esf_mlp", "edf_esf_gpr", "ensemble"):
        assert main(words("test", name, phantom_root, logs)) == 0
    said = {
        name: pd.read_csv(newest(logs / name, "cases.csv")).set_index("video")
        for name in ("esf_mlp", "edf_esf_gpr", "ensemble")
    }
    expected = (said["esf_mlp"]["ef"] + said["edf_esf_gpr"]["ef"]) / 2
    pd.testing.assert_series_equal(said["ensemble"]["ef"], expected, atol=1e-3)
    assert main(words("predict", "ensemble", phantom_root, logs)) == 0
    rows = pd.read_csv(newest(logs / "ensemble", "predictions.csv")).set_index("video")
    pd.testing.assert_series_equal(
        rows["ef"], expected, check_names=False, check_like=True, atol=1e-3
    )


def test_the_checkpoint_of_an_ensemble_needs_no_other_file(logs, phantom_root, tmp_path):
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes(best(logs, "ensemble").read_bytes())
    more = ["--ckpt_path", str(alone)]
    assert main(words("test", "ensemble", phantom_root, tmp_path, *more)) == 0
    task = EFEnsemble.load_from_checkpoint(alone)
    assert [type(member).__name__ for member in task.members] == [
        "EFRegressor",
        "EFGaussianProcess",
    ]
    assert task.slots == [[1], [0, 1]]
    # Nor does one forget who taught the members.
    facts = json.loads(newest(tmp_path / "ensemble", "metrics.json").read_text())["members"]
    assert facts == load_task(best(logs, "ensemble")).made_of
    for name, said in zip(("esf_mlp", "edf_esf_gpr"), facts, strict=True):
        member = describe_checkpoint(best(logs, name))
        assert said["task"] == member["class_path"]
        assert said["frames"] == member["data"]["frames"]
        assert said["train_part"] == member["train_part"]
        assert said["train_part"]["split"]
        assert said["backbone_taught_by"] == member["backbone_taught_by"]
        assert said["trained_on"] == "phantoms"


@pytest.mark.parametrize(
    ("config", "more", "message"),
    [
        ("ensemble", ["--model.members", "[]"], "no members"),
        ("ensemble", ["--model.members", "[3]"], "neither a checkpoint nor an experiment"),
        ("esf_gpr", ["--model.uncertainty.level", "90"], "level is 90, but must be above 0"),
        ("esf_gpr", ["--data.feature_batch_size", "0"], "feature_batch_size is 0"),
        ("ensemble", ["--model.members", "[mf_mlp]"], "neither a checkpoint nor an experiment"),
        ("ensemble", ["--model.members", "[esf_cls]"], "holds a EFClassifier"),
        ("ensemble", ["--model.members", "[edf_esf_gpr]", "--data.frames", "[ESF]"], "needs EDF"),
        ("ensemble", ["--model.members", "[esf_mlp]", "--data.image_size", "48"], "image_size"),
        ("esf_gpr", ["--model.backbone.freeze", "false"], "needs a frozen backbone"),
        ("esf_gpr", ["--model.backbone.checkpoint", "none.ckpt"], "neither a file nor one of"),
        ("esf_gpr", ["--model.gp.kernel", "cubic"], "cubic"),
    ],
)
def test_bad_input_is_told_in_one_line(logs, phantom_root, capsys, config, more, message):
    if "[esf_cls]" in more and not (logs / "esf_cls").is_dir():
        assert main(words("fit", "esf_cls", phantom_root, logs)) == 0
        capsys.readouterr()
    assert main(words("fit", config, phantom_root, logs, *more)) == 1
    error = capsys.readouterr().err
    assert len(told(error)) == 1
    assert message in told(error)[0]
    assert "Traceback" not in error


def test_an_unfitted_gaussian_process_is_refused_by_its_task():
    with pytest.raises(ConfigurationError, match="frozen backbone"):
        EFGaussianProcess(["ESF"], BackboneOptions(weights=None, freeze=3))
    task = EFGaussianProcess(["ESF"], BackboneOptions(weights=None, freeze=True)).eval()
    with pytest.raises(NotFittedError, match="not fitted"):
        task(torch.zeros(1, 1, 3, 32, 32, dtype=torch.uint8))
