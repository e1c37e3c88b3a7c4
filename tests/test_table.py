"""`python -m lvef table`: every row measured, nothing run twice."""

from __future__ import annotations

import json
import shutil
import sys
from hashlib import sha1
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import is_drawn

from lvef.data.layouts import read_labels
from lvef.errors import ConfigurationError, LvefError
from lvef.evaluation.ceilings import ef_from_volume
from lvef.experiments.experiment import (
    fit_and_test,
    fit_experiment,
    result_settings,
    videos_stamp,
)
from lvef.experiments.table import table
from lvef.experiments.table_bounds import MAJORITY, MEAN, MEDIAN, given
from lvef.experiments.table_experiments import ENSEMBLES, EXPERIMENTS
from lvef.experiments.table_markdown import number
from lvef.models import EFRegressor
from lvef.models.loading import load_task
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.report.history import read_history

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def small_configs(tmp_path: Path) -> Path:
    """The configs, with an overlay that makes everything small."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for config in CONFIGS.glob("*.yaml"):
        (folder / config.name).write_text(config.read_text())
    overlay = (folder / "phantom.yaml").read_text()
    small = "data:\n  image_size: 32\n  num_workers: 0\n  batch_size: 8\n"
    (folder / "phantom.yaml").write_text(overlay.replace("data:\n", small))
    return folder


def test_every_experiment_of_the_table_has_a_config():
    assert len(EXPERIMENTS) == 16
    for name in EXPERIMENTS:
        assert name.startswith("ensemble") or (CONFIGS / f"{name}.yaml").is_file()


def test_the_table_continues_where_it_was_interrupted(
    phantom_root, tmp_path, small_configs, monkeypatch
):
    monkeypatch.setitem(ENSEMBLES, "ensemble_pair", (["esf_mlp", "esf_gpr"], "inverse_variance"))
    output = tmp_path / "out"
    chosen = ["esf_cls", "esf_mlp", "esf_gpr", "edf_gpr", "ensemble_pair"]
    arguments = {"configs": small_configs, "max_epochs": 1}
    table(str(phantom_root), output, chosen[:2], **arguments)
    first = json.loads((output / "table.json").read_text())["rows"]
    study = output / "saliency" / "esf_cls" / "saliency.md"
    study.parent.mkdir(parents=True)
    study.write_text("## PHANTOM: what the heat maps are worth\n")
    text = table(str(phantom_root), output, chosen, **arguments).read_text()
    assert study.read_text() in text, "a study in the table's folder is part of it"
    about = json.loads((output / "table.json").read_text())
    assert list(about["rows"]) == chosen
    for name in chosen[:2]:
        assert about["rows"][name] == first[name], "reused, minutes and all"
    assert len(list((output / "esf_mlp").glob("version_*"))) == 2, "one fit and one test"
    cost = about["rows"]["esf_mlp"]
    assert cost["ms_a_case"] > 0
    assert cost["peak_memory_mb"]["main"] > 100
    told = f"| {cost['peak_memory_mb']['main'] / 1000:.1f} | {number(cost['ms_a_case'])} |"
    assert told in text
    assert "| minutes to fit | GB | ms a case |" in text
    own = about["rows"]["esf_gpr"]["made_from"]["words"]
    assert about["rows"]["esf_mlp"]["checkpoint"] in own, "the GP stands on the MLP's backbone"
    assert "--model.backbone.checkpoint" not in about["rows"]["edf_gpr"]["made_from"]["words"]
    both = about["rows"]["ensemble_pair"]
    for member in ("esf_mlp", "esf_gpr"):
        checkpoint = about["rows"][member]["checkpoint"]
        assert checkpoint in str(both["made_from"]["words"])
        assert checkpoint in both["made_from"]["files"], "a member fitted anew is another ensemble"
    cases = pd.read_csv(both["cases"])
    said = [torch.as_tensor(cases[name].to_numpy()) for name in ("ef", "ef_std")]
    lower, upper = load_task(both["checkpoint"]).calibration.interval(*said, 0.5)
    inside = cases["ef_true"].between(lower.numpy(), upper.numpy())
    assert both["metrics"]["coverage_50"]["value"] == pytest.approx(inside.mean(), abs=1e-6)

    quick = {**arguments, "quick": True}
    table(str(phantom_root), output, ["esf_cls"], **quick)
    assert (output / "quick" / "table.md").read_text().startswith("**Quick look")
    assert (output / "table.md").read_text() == text, "a quick look replaces nothing"
    again = json.loads((output / "quick" / "table.json").read_text())["rows"]["esf_cls"]
    assert "--data.limit" in again["made_from"]["words"]
    assert again["checkpoint"] != first["esf_cls"]["checkpoint"], "other settings are another run"
    monkeypatch.chdir(tmp_path)
    table(str(phantom_root), Path("out"), ["esf_cls"], configs=Path("configs"), max_epochs=1)
    strict = json.loads((output / "table.json").read_text(), parse_constant=pytest.fail)
    assert strict["rows"]["esf_cls"] == first["esf_cls"], "the quick look has not replaced it"

    *measured, published = [line for line in text.splitlines() if line.startswith("## ")]
    assert all("PHANTOM" in line for line in measured)
    assert "not measured here" in published
    assert NOT_FOR_DIAGNOSIS in text
    for part in (
        given("ESV", "median"), given("ESV", "mean"), MEAN, MEDIAN, MAJORITY,
        "given the true ESV, threshold of VAL", "reference study, esf_cls | 0.885 | 0.860 | 0.910",
        "coverage_90", "recall | specificity", "CoReEcho", "VAL would choose", "p-values of mae",
        "uncorrected, and these are 6", "± 0.5 EF points", "by nearness", "Published",
    ):  # fmt: skip
        assert part in text
    difference = about["differences"]["mae"]["esf_mlp"]["esf_gpr"]
    assert 0 < difference["p"] <= difference["p_holm"] <= 1
    assert difference["lower_90"] <= difference["difference"] <= difference["upper_90"]
    assert about["calls"]["esf_mlp"]["error_rate"]["cases"] == len(cases)
    assert not about["seeds"]["mae"], "one training says nothing of chance"
    for plot in (
        "mae", "roc_auc", "coverage", "error_rejection", "samples", "ef_distribution",
    ):  # fmt: skip
        assert is_drawn(output / f"{plot}.png")


def test_an_interrupted_experiment_goes_on_from_its_last_epoch(
    phantom_root, tmp_path, small_configs, monkeypatch
):
    output = tmp_path / "out"
    arguments = {"configs": small_configs, "max_epochs": 3}
    ended = EFRegressor.on_train_epoch_start

    def interrupted(task):
        if task.current_epoch == 2:
            raise RuntimeError("pulled the plug")
        ended(task)

    with monkeypatch.context() as patched:
        patched.setattr(EFRegressor, "on_train_epoch_start", interrupted)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            table(str(phantom_root), output, ["esf_mlp"], **arguments)
    (begun,) = (output / "esf_mlp").glob("*.begun")
    left = output / "esf_mlp" / "version_0" / "checkpoints" / "last.ckpt"
    assert torch.load(left, weights_only=False)["epoch"] == 1
    about = json.loads(begun.read_text())
    begun.write_text(json.dumps({**about, "minutes": 60.0}))
    trained = []
    with monkeypatch.context() as patched:
        patched.setattr(
            EFRegressor, "on_train_epoch_start", lambda task: trained.append(task.current_epoch)
        )
        table(str(phantom_root), output, ["esf_mlp"], **arguments)
    assert trained == [2], "the first two epochs are not trained again"
    assert not begun.exists()
    row = json.loads((output / "table.json").read_text())["rows"]["esf_mlp"]
    assert Path(row["checkpoint"]).parent == left.parent, "one run, in one folder"
    assert 60 < row["minutes"] < 70, "with what was trained before"
    epochs, _ = read_history(left.parents[1])["val/mae"]
    assert epochs == [0, 1, 2], "and one curve"
    assert is_drawn(output / "learning_mae.png")


def test_a_fit_goes_on_from_no_checkpoint_but_its_own(tmp_path, monkeypatch):
    asked = []

    def stopped(words):
        asked.append(words)
        raise KeyboardInterrupt

    monkeypatch.setattr("lvef.experiments.experiment.run_lightning", stopped)
    full, quick = {"words": ["--a", "full"]}, {"words": ["--a", "quick"]}
    runs = tmp_path / "esf_mlp"
    (runs / "version_old").mkdir(parents=True)
    for name, settings in (("full", full), ("quick", quick), ("full", full)):
        with pytest.raises(KeyboardInterrupt):
            fit_experiment(runs / f"done_{name}.begun", settings)
        if name == "quick":  # it made the folder that the first never came to make
            last = runs / "version_0" / "checkpoints" / "last.ckpt"
            last.parent.mkdir(parents=True)
            last.write_bytes(b"half a checkpoint")
    assert asked == [["fit", *settings["words"]] for settings in (full, quick, full)]
    with pytest.raises(KeyboardInterrupt):
        fit_experiment(runs / "done_quick.begun", quick)
    assert "--ckpt_path" not in asked[-1], "a damaged checkpoint is not gone on from"
    (runs / "done_full.begun").write_text('{"made_fr')
    with pytest.raises(KeyboardInterrupt):
        fit_experiment(runs / "done_full.begun", full)
    fitted = {"checkpoint": str(last), "minutes": 1.0, "val": {}}
    begun = {"made_from": full, "folder": str(runs), "fitted": fitted}
    (runs / "done_full.begun").write_text(json.dumps(begun))
    assert fit_experiment(runs / "done_full.begun", full) == fitted, "only its test was interrupted"


def test_an_ensemble_wants_its_members_first(phantom_root, tmp_path):
    with pytest.raises(ConfigurationError, match="ensemble_pair is built on edf_esf_mlp"):
        table(str(phantom_root), tmp_path, ["ensemble_pair"], CONFIGS)
    with pytest.raises(ConfigurationError, match="esf_gpr is built on esf_mlp"):
        table(str(phantom_root), tmp_path, ["esf_gpr", "esf_mlp"], CONFIGS)
    with pytest.raises(ConfigurationError, match=r"no config nothing\.yaml"):
        table(str(phantom_root), tmp_path, ["nothing"], CONFIGS)
    for name in ("ensemble", "lv_seg"):
        with pytest.raises(ConfigurationError, match=f"{name} is no row .* ensemble_mlp, ens"):
            table(str(phantom_root), tmp_path, ["esf_mlp", name], CONFIGS)
    (tmp_path / "torn.yaml").write_text("model: [")
    with pytest.raises(ConfigurationError, match=r"torn\.yaml: not readable as YAML"):
        table(str(phantom_root), tmp_path, ["torn"], tmp_path)


@pytest.mark.parametrize(
    "changed",
    ["esf_mlp.yaml", "phantom.yaml", "own.pt", "overlay.pt", "base.ckpt", "FileList.csv", ""],
)
def test_what_was_made_from_something_else_is_not_reused(tmp_path, changed):
    for name in ("own.pt", "overlay.pt", "base.ckpt", "FileList.csv", "VolumeTracings.csv"):
        (tmp_path / name).write_text("before")
    configs = []
    for name, named in (("esf_mlp", "own"), ("phantom", "overlay")):
        weights = tmp_path / f"{named}.pt"
        configs.append(tmp_path / f"{name}.yaml")
        configs[-1].write_text(f"model: {{init_args: {{backbone: {{weights: {weights}}}}}}}\n")
    words = [word for config in configs for word in ("--config", str(config))]

    def said() -> dict[str, Any]:
        return result_settings(words, [str(tmp_path / "base.ckpt")], configs, tmp_path)

    made_from = said()
    settings = sha1(json.dumps(words).encode()).hexdigest()[:8]
    done = tmp_path / "esf_mlp" / f"done_{settings}.json"
    done.parent.mkdir()
    kept = {name: str(tmp_path / "base.ckpt") for name in ("checkpoint", "cases")}
    done.write_text(json.dumps({"made_from": made_from, **kept}))
    if not changed:
        assert fit_and_test("esf_mlp", said(), tmp_path)["made_from"] == made_from
        return
    with (tmp_path / changed).open("a") as file:
        file.write("# after\n")
    with pytest.raises(LvefError, match="no task"):  # it is run anew, and its config names no task
        fit_and_test("esf_mlp", said(), tmp_path)


def test_a_row_of_a_class_whose_file_changed_is_not_reused(tmp_path, monkeypatch):
    for name in ("FileList.csv", "VolumeTracings.csv"):
        (tmp_path / name).touch()
    script = tmp_path / "my_nets.py"
    script.write_text("class Net: ...\nclass Head: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "my_nets", import_module("my_nets"))
    config = tmp_path / "own.yaml"

    def said(*words: str, head: str = "mlp") -> dict[str, Any]:
        config.write_text(
            f"model: {{class_path: lvef.models.EFRegressor, init_args: {{a: {head}}}}}\n"
        )
        return result_settings(["--config", str(config), *words], [], [config], tmp_path)

    assert "sources" not in said("--data.root", "my_nets.absent", "os.path"), "no class is named"
    before = said("--model.backbone.name", "my_nets.Net", head="my_nets.Head")["sources"]
    assert list(before) == ["my_nets.Head", "my_nets.Net"]
    script.write_text("class Net: width = 3\nclass Head: ...\n")
    after = said("--model.backbone.name", "my_nets.Net", head="my_nets.Head")["sources"]
    assert set(before.values()) & set(after.values()) == set()


def test_a_changed_video_is_another_folder(tmp_path):
    (tmp_path / "Videos").mkdir()
    video = tmp_path / "Videos" / "a.avi"
    video.write_text("before")
    before = videos_stamp(tmp_path)
    assert videos_stamp(tmp_path) == before
    video.write_text("afterwards")
    assert videos_stamp(tmp_path) != before


@pytest.mark.slow
def test_what_is_given_a_true_volume_is_judged_on_the_videos_that_can_be_read(
    phantom_root, tmp_path, small_configs
):
    root = tmp_path / "data"
    shutil.copytree(phantom_root, root)
    videos = read_labels(root).table.set_index("split")
    Path(videos.loc["TEST", "path"].iloc[0]).write_bytes(b"no video")
    table(
        str(root), tmp_path / "out", ["esf_mlp"], small_configs, max_epochs=1, max_excluded=0.5,
        check_videos=True,
    )  # fmt: skip
    bounds = json.loads((tmp_path / "out" / "table.json").read_text())["bounds"]
    train, test = videos.loc["TRAIN"], videos.loc["TEST"].iloc[1:]
    said = ef_from_volume(train["esv"], train["ef_true"], test["esv"], "median")
    mae = bounds[given("ESV", "median")]["metrics"]["mae"]["value"]
    assert mae == pytest.approx(np.abs(said - test["ef_true"]).mean(), abs=1e-6)


@pytest.mark.slow
def test_other_seeds_train_again_and_stand_beside_the_first(
    phantom_root, tmp_path, small_configs, monkeypatch
):
    output, chosen = tmp_path / "out", ["esf_mlp", "esf_gpr"]
    arguments = {"configs": small_configs, "max_epochs": 1, "quick": True}
    table(str(phantom_root), output, chosen, **arguments)
    first = json.loads((output / "quick" / "table.json").read_text())
    began = EFRegressor.on_train_epoch_start

    def interrupted(task):
        raise RuntimeError("pulled the plug")

    with monkeypatch.context() as patched:
        patched.setattr(EFRegressor, "on_train_epoch_start", interrupted)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            table(str(phantom_root), output, chosen, seeds=2, **arguments)
    assert EFRegressor.on_train_epoch_start is began
    text = table(str(phantom_root), output, chosen, seeds=2, **arguments).read_text()
    about = json.loads((output / "quick" / "table.json").read_text())
    assert about["rows"] == first["rows"], "the first seed is reused as it was, and is the table"
    other = about["other_seeds"]["1"]
    for name in chosen:
        words = other[name]["made_from"]["words"]
        assert words[words.index("--seed_everything") + 1] == "1"
        values = about["seeds"]["mae"]["rows"][name]["values"]
        assert values[0] == pytest.approx(first["rows"][name]["metrics"]["mae"]["value"])
        if name == "esf_mlp":  # a process of 22 cases says the mean, whatever it stands on
            assert values[0] != values[1], "another training gives something else"
    assert other["esf_mlp"]["checkpoint"] in other["esf_gpr"]["made_from"]["words"], "its own MLP"
    assert "PHANTOM: mae over 2 trainings (seeds)" in text
