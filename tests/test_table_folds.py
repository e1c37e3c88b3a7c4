"""`python -m lvef table --folds K`: every case judged once, by a model that did not see it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import CONFIGS, best, is_drawn, told
from scipy.special import expit

from lvef.cardiac import is_reduced
from lvef.cli.commands import main
from lvef.data.folds import Folds
from lvef.data.layouts import read_labels
from lvef.errors import ConfigurationError, DatasetError
from lvef.evaluation.comparison import bootstrap_auc, bootstrap_mae, resampled
from lvef.evaluation.resampling import bootstrap_interval
from lvef.evaluation.sharpness import promise_report
from lvef.evaluation.summary import BCA_OF_PATIENTS, summarise_classification
from lvef.evaluation.uncertainty import LEVELS
from lvef.experiments.experiment import videos_stamp
from lvef.experiments.shares import share_of
from lvef.experiments.table import table
from lvef.experiments.table_bounds import MAJORITY, MEAN, MEDIAN, given, table_bounds
from lvef.experiments.table_calls import calls_of
from lvef.experiments.table_experiments import needs_of
from lvef.experiments.table_folds import Needs, TableFolds, pool_cases
from lvef.experiments.table_pooled import pooled_row
from lvef.experiments.table_report import write_report
from lvef.experiments.table_rows import clusters_of, of_each_case, read_cases
from lvef.models.loading import load_task

DEAL = TableFolds(3, 0)
THRESHOLDS = [0.2, 0.5, 0.8]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Fewer resamples: what is looked at here are values, and by what intervals are made."""
    monkeypatch.setitem(bootstrap_interval.__kwdefaults__, "resamples", 40)
    monkeypatch.setattr("lvef.evaluation.resampling._MOST_LEFT_OUT", 10)


@pytest.fixture
def labels() -> pd.DataFrame:
    """Labels of 240 hearts, two clips of each of 120 patients, named by numbers."""
    rng = np.random.default_rng(4)
    ef = np.clip(np.repeat(rng.normal(52, 14, 120), 2) + rng.normal(0, 2, 240), 10, 85)
    edv = np.exp(4.6 - 0.012 * (ef - 55) + rng.normal(0, 0.3, 240))
    return pd.DataFrame({
        "video": [f"{n:04d}" for n in range(240)], "split": "TRAIN", "ef_true": ef,
        "edv": edv, "esv": edv * (1 - ef / 100), "patient": [f"p{n // 2}" for n in range(240)],
        "mid_frame": 5,
    })  # fmt: skip


@pytest.fixture
def parts(labels) -> list[pd.DataFrame]:
    """The same, as each fold has it."""
    return [Folds(folds=3, fold=fold).dealt(labels) for fold in (1, 2, 3)]


def classifier_rows(parts: list[pd.DataFrame], folder: Path, shift: float = 2.0) -> list[dict]:
    """Rows of a classifier whose models are equally good, but calibrated far apart."""
    rows = []
    for fold, (part, threshold) in enumerate(zip(parts, THRESHOLDS, strict=True), start=1):
        test = part[part["split"] == "TEST"]
        rng = np.random.default_rng(fold)
        odds = (40 - test["ef_true"]) / 5 + shift * (fold - 2) + rng.normal(0, 1, len(test))
        cases = pd.DataFrame({
            "video": test["video"], "ef_true": test["ef_true"], "p_reduced": expit(odds),
            "reduced": (expit(odds) >= threshold).astype(float), "review": 0.0,
            "reduced_true": is_reduced(test["ef_true"].to_numpy()).astype(int),
        })  # fmt: skip
        path = folder / f"fold_{fold}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        cases.to_csv(path, index=False)
        metrics = summarise_classification(cases["p_reduced"], cases["reduced_true"], threshold)
        rows.append({
            "kind": "classification", "phantom": True, "cases": str(path), "metrics": metrics,
            "threshold": threshold, "minutes": 1.0, "checkpoint": str(folder / "best.ckpt"),
            "val": {"metric": "val/roc_auc", "value": 0.9 + fold / 100},
        })  # fmt: skip
    return rows


def test_cases_are_called_by_the_threshold_of_their_own_fold(parts, tmp_path):
    metrics = pytest.importorskip("sklearn.metrics")
    rows = classifier_rows(parts, tmp_path / "runs")
    row = pooled_row("esf_cls", rows, parts, tmp_path, DEAL)
    each = [pd.read_csv(one["cases"]) for one in rows]
    cases = pd.concat(each)
    said, truth, calls = cases["p_reduced"], cases["reduced_true"], cases["reduced"]
    found = {name: value["value"] for name, value in row["metrics"].items()}
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, calls))
    assert found["specificity"] == pytest.approx(metrics.recall_score(1 - truth, 1 - calls))
    assert found["balanced_accuracy"] != pytest.approx(
        metrics.balanced_accuracy_score(truth, said >= 0.5), abs=1e-3
    ), "one threshold for all would call otherwise"
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, said))
    aucs = [metrics.roc_auc_score(one["reduced_true"], one["p_reduced"]) for one in each]
    assert row["over_folds"]["roc_auc"]["mean"] == pytest.approx(np.mean(aucs))
    assert row["over_folds"]["roc_auc"]["sd"] == pytest.approx(np.std(aucs, ddof=1))
    assert found["roc_auc"] < np.mean(aucs) - 0.01, "pooled scores of models that differ"
    assert row["metrics"]["f1"]["method"] == BCA_OF_PATIENTS
    assert row["num_patients"] == 120
    assert row["threshold"] == THRESHOLDS
    assert row["val"]["value"] == pytest.approx(0.92)
    calls_said = calls_of(cases.assign(fold=np.repeat([1, 2, 3], [len(e) for e in each])),
                          0.5, 0)  # fmt: skip
    assert calls_said["sensitivity"]["value"] == pytest.approx(found["recall"])


def taught_otherwise(checkpoint: Path, path: Path, fold: int) -> Path:
    """Write a checkpoint whose VAL taught it scores of its own."""
    content = torch.load(checkpoint, weights_only=True)
    scores = torch.linspace(0.01, 1, 60) * (2 - fold / 2)
    content["state_dict"] |= {
        "calibration.scores": scores, "calibration.std_factor": torch.tensor(fold / 3),
    }  # fmt: skip
    torch.save(content, path)
    return path


def test_intervals_and_flags_are_by_the_factors_of_each_fold(parts, tmp_path, logs):
    """A model whose VAL taught each fold other factors."""
    rows, held = [], []
    for fold, part in enumerate(parts, start=1):
        checkpoint = taught_otherwise(best(logs, "esf_mlp"), tmp_path / f"{fold}.ckpt", fold)
        test, task = part[part["split"] == "TEST"], load_task(checkpoint)
        error = torch.linspace(-4, 4, len(test)) * fold
        raw = {
            "ef": torch.as_tensor(test["ef_true"].to_numpy(copy=True)).float() + error,
            "raw_std": torch.linspace(4 if fold == 2 else 9, 9, len(test)),
        }  # fmt: skip
        said = {name: value.numpy() for name, value in task.calibrated_answer(raw).items()}
        truth = test["ef_true"].to_numpy()
        cases = pd.DataFrame({
            "video": test["video"], **said, "ef_true": truth,
            "reduced_true": is_reduced(truth).astype(int),
        })  # fmt: skip
        path = tmp_path / f"{fold}.csv"
        cases.to_csv(path, index=False)
        low, high = task.intervals({n: torch.as_tensor(said[n]) for n in ("ef", "ef_std")})
        held.append((low <= truth[:, None]) & (truth[:, None] <= high))
        rows.append({
            "kind": "regression", "phantom": True, "cases": str(path), "minutes": 1.0,
            "metrics": {"mae": {"value": 3.0 * fold}}, "threshold": 0.5,
            "checkpoint": str(checkpoint), "val": {"metric": "val/mae", "value": 3.0 * fold},
            "uncertainty": {"std_factor": 1.0 * fold, "val_rmse": 5.0, "noise_std": None},
            "calibration": promise_report({"all": 20 * fold}, 0.9, apart=True),
        })  # fmt: skip
    row = pooled_row("edf_esf_mlp", rows, parts, tmp_path, DEAL)
    inside = np.concatenate(held).mean(axis=0)
    for place, level in enumerate(LEVELS):
        found = row["metrics"][f"coverage_{100 * level:.0f}"]["value"]
        assert found == pytest.approx(inside[place])
    one = load_task(rows[0]["checkpoint"])
    pooled = read_cases(row["cases"])
    said = [torch.as_tensor(pooled[n].to_numpy(copy=True)).float() for n in ("ef", "ef_std")]
    low, high = (end.numpy() for end in one.calibration.interval(*said, 0.5))
    assert inside[0] != pytest.approx(pooled["ef_true"].between(low, high).mean()), "not by one's"
    sizes = [len(each) for each in held]
    error = (pooled["ef"] - pooled["ef_true"]).abs().mean()
    assert row["metrics"]["mae"]["value"] == pytest.approx(error, abs=1e-4)
    assert row["over_folds"]["mae"] == {"values": [3, 6, 9], "mean": 6, "sd": 3}
    assert row["uncertainty"]["std_factor"] == pytest.approx(np.average([1, 2, 3], weights=sizes))
    assert not row["uncertainty"]["one_std"], "a case has one of its own"
    assert row["calibration"]["cases"] == {"all": 20}, "the fold that promises least"
    mean = np.concatenate([
        (part.loc[part["split"] == "TEST", "ef_true"]
         - part.loc[part["split"] == "TRAIN", "ef_true"].mean()).abs() for part in parts
    ]).mean()  # fmt: skip
    assert row["metrics"]["mae"]["baseline"] == pytest.approx(mean, abs=1e-4)


def test_the_pooled_predictions_hold_every_video_once_with_its_fold(parts, tmp_path):
    rows = classifier_rows(parts, tmp_path / "runs")
    row = pooled_row("esf_cls", rows, parts, tmp_path, DEAL)
    pooled = read_cases(row["cases"])
    assert Path(row["cases"]) == tmp_path / "pooled" / "esf_cls.csv"
    assert sorted(pooled["video"]) == sorted(parts[0]["video"])
    for fold, part in enumerate(parts, start=1):
        test = part.loc[part["split"] == "TEST", "video"]
        assert set(pooled.loc[pooled["fold"] == fold, "video"]) == set(test)
    assert "patient" not in pooled, "whose clip it is does not leave the folder"


def test_what_is_not_there_exactly_once_is_an_error_in_words(parts):
    cases = [part.loc[part["split"] == "TEST", ["video", "ef_true"]] for part in parts]
    assert len(pool_cases("esf_mlp", cases, parts)) == 240
    first = cases[0]["video"].iloc[0]
    broken = {
        f"esf_mlp: predicted in two folds 1 video ({first})": [*cases[:2], pd.concat(
            [cases[2], cases[0][:1]])],
        "esf_mlp: not predicted in their fold 5 videos (": [cases[0][5:], *cases[1:]],
        "esf_mlp: predicted, but in no fold 1 video (another)": [pd.concat(
            [cases[0], pd.DataFrame({"video": ["another"]})]), *cases[1:]],
        f"not predicted in their fold {len(cases[0]) + len(cases[1])} videos": [
            cases[1], cases[0], cases[2]],
    }  # fmt: skip
    for message, given_cases in broken.items():
        with pytest.raises(DatasetError) as told_in_words:
            pool_cases("esf_mlp", given_cases, parts)
        assert message in str(told_in_words.value)
    torn = [part.assign(patient=part["patient"].mask(part["video"].isin(
        cases[1]["video"][:1]), parts[0].loc[parts[0]["split"] == "TEST", "patient"].iloc[0]))
        for part in parts]  # fmt: skip
    with pytest.raises(DatasetError, match="1 patients are in two folds"):
        pool_cases("esf_mlp", cases, torn)


def test_constant_answers_and_volumes_are_those_of_each_fold(parts):
    bounds = table_bounds(parts)
    tests = [part[part["split"] == "TEST"] for part in parts]
    trains = [part[part["split"] == "TRAIN"] for part in parts]
    for name, statistic in ((MEAN, "mean"), (MEDIAN, "median")):
        error = pd.concat([
            (test["ef_true"] - train["ef_true"].agg(statistic)).abs()
            for test, train in zip(tests, trains, strict=True)
        ])  # fmt: skip
        assert bounds[name]["metrics"]["mae"]["value"] == pytest.approx(error.mean())
    called = bounds["given the true ESV, threshold of VAL"]
    assert len(called["threshold_ml"]) == 3
    calls = np.concatenate([
        (test["esv"] >= cut).to_numpy()
        for test, cut in zip(tests, called["threshold_ml"], strict=True)
    ])  # fmt: skip
    truth = np.concatenate([is_reduced(test["ef_true"].to_numpy()) for test in tests])
    assert called["metrics"]["recall"]["value"] == pytest.approx(calls[truth].mean())
    assert bounds[MAJORITY]["majority"] == [0, 0, 0]
    assert bounds[MAJORITY]["metrics"]["roc_auc"]["value"] == 0.5, "no fold ranks above another"
    assert bounds[given("ESV", "median")]["metrics"]["mae"]["method"] == BCA_OF_PATIENTS


def test_the_table_of_folds_says_what_it_is(parts, tmp_path):
    rows = {
        name: pooled_row(
            name, classifier_rows(parts, tmp_path / name, shift), parts, tmp_path, DEAL
        )
        for name, shift in (("esf_cls", 2.0), ("edf_esf_cls", 0.1))
    }
    margins = {"mae": 0.5, "roc_auc": 0.02}
    text = write_report(
        tmp_path, {0: rows}, parts, table_bounds(parts), margins, True, folds=DEAL
    ).read_text()
    measured = [line for line in text.split("## Published")[0].splitlines() if line[:1] == "#"]
    assert all("PHANTOM: 3 folds, seed 0" in line for line in measured)
    for part in (
        "each of the 240 videos was in TEST of one fold; the clips of a patient are in one fold",
        "take the 3 models for one", "Bengio & Grandvalet", "roc_auc fold by fold",
        "Forman & Scholz", "by patient where one has several",
    ):  # fmt: skip
        assert part in text
    about = json.loads((tmp_path / "table.json").read_text(), parse_constant=pytest.fail)
    assert about["folds"] == {"number": 3, "seed": 0}
    assert about["differences"]["roc_auc"]["esf_cls"]["edf_esf_cls"]["verdict"] == "worse"
    fewer = about["calls"]["edf_esf_cls"]["sensitivity"]
    assert fewer["upper"] - fewer["lower"] > np.diff(_plain_interval(fewer)), "patients count"


def _plain_interval(share: dict) -> list[float]:
    hits = round(share["value"] * share["cases"])
    plain = share_of(np.arange(share["cases"]) < hits)
    return [plain["lower"], plain["upper"]]


def test_resamples_are_of_patients_where_one_has_several(rng):
    patients = np.repeat([f"p{n}" for n in range(50)], 4)
    drawn = resampled(200, patients, resamples=2000)
    by_patient = drawn.reshape(2000, 50, 4)
    assert (by_patient == by_patient[:, :, :1]).all(), "all clips of a patient, or none"
    assert (by_patient[:, :, 0].sum(axis=1) == 50).all()
    error = np.repeat(rng.exponential(5, 50), 4)
    spread = bootstrap_mae(error, np.zeros(200), drawn).std()
    assert spread == pytest.approx(error[::4].std() / np.sqrt(50), rel=0.06)
    alone = bootstrap_mae(error, np.zeros(200), resampled(200, resamples=2000)).std()
    assert spread == pytest.approx(2 * alone, rel=0.1), "four clips that tell no more than one"
    truth = np.repeat(rng.random(50) < 0.4, 4).astype(float)
    assert np.isfinite(bootstrap_auc(error, truth, drawn)).all()


def test_folds_that_cannot_be_fitted_are_told_before_anything_is(phantom_root, tmp_path, capsys):
    reduced = int((read_labels(phantom_root).table["ef_true"] <= 40).sum())
    given_folds = {
        ("--folds", "0"): "--folds is 0, but must be",
        ("--folds", "1"): "--folds is 1, but must be",
        ("--folds", "2"): "--folds is 2, but must be",
        ("--folds", "33"): "--folds) is 33, but there are 32 cases",
        ("--folds", str(reduced + 1)): "has no case with EF 40 % or less; ask for fewer --folds",
        ("--folds", "3", "--seeds", "2"): "--seeds cannot go with it",
        ("--fold_seed", "3"): "say how many by --folds",
        ("--folds", "3", "--fold_seed", "-1"): "--fold_seed is -1, but must be",
    }
    command = ["table", "--root", str(phantom_root), "--output", str(tmp_path / "out")]
    command += ["--experiments", "[esf_cls]", "--configs", str(CONFIGS)]
    for words, message in given_folds.items():
        assert main([*command, *words]) == 1
        (line,) = told(capsys.readouterr().err)
        assert message in line
    assert not (tmp_path / "out").exists()


def test_a_fold_that_lacks_what_a_model_sees_is_refused(phantom_root):
    folder = read_labels(phantom_root)
    needs = needs_of(["mf_mlp", "esf_mlp", "esf_cls"], CONFIGS, None)
    assert [each.frames for each in needs.values()] == [["MF"], ["ESF"], ["ESF"]]
    assert [each.both_classes for each in needs.values()] == [False, False, True]
    without = replace(folder, table=folder.table.assign(mid_frame=-1))
    DEAL.refuse_small(without, {"esf_mlp": needs["esf_mlp"]})
    with pytest.raises(ConfigurationError, match="mf_mlp cannot be fitted to fold 1 of 3: its"):
        DEAL.refuse_small(without, needs)
    normal = replace(folder, table=folder.table.assign(ef_true=55.0))
    DEAL.refuse_small(normal, {"esf_mlp": needs["esf_mlp"]})  # a regressor needs no reduced case
    with pytest.raises(ConfigurationError, match="or for regressors alone"):
        DEAL.refuse_small(normal, needs)
    limited = DEAL.parts(folder, Needs(limit=2))
    assert all(part["split"].value_counts().tolist() == [2, 2, 2] for part in limited)


def test_what_each_fold_has_one_of_belongs_to_its_cases():
    cases = pd.DataFrame({"fold": [1, 3, 3]})
    assert of_each_case([0.1, 0.2, 0.3], cases).tolist() == [0.1, 0.3, 0.3]
    assert of_each_case(0.5, cases).tolist() == [0.5, 0.5, 0.5]
    assert clusters_of(pd.DataFrame({"video": ["a", "b"]})) is None
    assert clusters_of(pd.DataFrame({"video": ["a", "b"], "patient": ["", ""]})) is None


def test_a_list_of_clips_has_a_stamp_too(phantom_root, tmp_path):
    listed = read_labels(phantom_root).table[["path", "ef_true"]]
    listed = listed.set_axis(["path", "EF"], axis=1)
    listed.to_csv(tmp_path / "clips.csv", index=False)
    assert videos_stamp(tmp_path / "clips.csv") == videos_stamp(phantom_root)


@pytest.fixture
def small_configs(tmp_path: Path) -> Path:
    """The configs, with an overlay that makes everything small."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for config in CONFIGS.glob("*.yaml"):
        (folder / config.name).write_text(config.read_text())
    small = "data:\n  image_size: 32\n  num_workers: 0\n  batch_size: 8\n"
    overlay = folder / "phantom.yaml"
    overlay.write_text(overlay.read_text().replace("data:\n", small))
    return folder


@pytest.mark.slow
def test_a_table_of_folds_judges_every_video_once_by_a_model_that_did_not_see_it(
    phantom_root, tmp_path, small_configs, monkeypatch
):
    out, options = tmp_path / "out", {"configs": small_configs, "max_epochs": 1, "folds": 3}
    text = table(str(phantom_root), out, ["esf_mlp"], **options).read_text()
    about = json.loads((out / "folds_3" / "table.json").read_text(), parse_constant=pytest.fail)
    row = about["rows"]["esf_mlp"]
    pooled = pd.read_csv(row["cases"])
    labels = read_labels(phantom_root).table
    assert sorted(pooled["video"]) == sorted(labels["video"])
    assert "3 folds, seed 0" in row["title"]
    assert "PHANTOM: 3 folds, seed 0: mae fold by fold" in text
    inside, train = {50: [], 90: []}, []
    for fold, checkpoint in enumerate(row["checkpoints"], start=1):
        run = out / "folds_3" / f"esf_mlp_fold_{fold}"
        assert Path(checkpoint) == run / "version_0" / "checkpoints" / "best.ckpt"
        said = json.loads((run / "version_1" / "metrics.json").read_text())
        assert (said["folds"], said["fold"], said["fold_seed"]) == (3, fold, 0)
        assert f"TEST of fold {fold} of 3" in said["title"]
        own = pooled[pooled["fold"] == fold]
        dealt = Folds(folds=3, fold=fold).dealt(labels)
        assert set(own["video"]) == set(dealt.loc[dealt["split"] == "TEST", "video"])
        for level in inside:
            values = [torch.as_tensor(own[n].to_numpy()).float() for n in ("ef", "ef_std")]
            ends = load_task(checkpoint).calibration.interval(*values, level / 100)
            low, high = (end.numpy() for end in ends)
            inside[level] += ((low <= own["ef_true"]) & (own["ef_true"] <= high)).tolist()
        mean = dealt.loc[dealt["split"] == "TRAIN", "ef_true"].mean()
        train += (own["ef_true"] - mean).abs().tolist()
    metrics = row["metrics"]
    for level, held in inside.items():
        assert metrics[f"coverage_{level}"]["value"] == pytest.approx(np.mean(held))
    assert metrics["coverage_90"]["value"] == pytest.approx(
        pooled["ef_true"].between(pooled["ef_lower"], pooled["ef_upper"]).mean()
    )
    error = (pooled["ef"] - pooled["ef_true"]).abs()
    assert metrics["mae"]["value"] == pytest.approx(error.mean(), abs=1e-4)
    assert metrics["mae"]["baseline"] == pytest.approx(np.mean(train), abs=1e-4)
    each = error.groupby(pooled["fold"]).mean()
    assert row["over_folds"]["mae"]["mean"] == pytest.approx(each.mean(), abs=1e-4)
    assert row["over_folds"]["mae"]["sd"] == pytest.approx(each.std(), abs=1e-4)
    assert row["uncertainty"]["one_std"], "each model has one, and the folds' differ"
    assert is_drawn(out / "folds_3" / "ef_distribution.png")

    def refused(words):
        raise AssertionError("what is fitted is not fitted again")

    monkeypatch.setattr("lvef.experiments.experiment.run_lightning", refused)
    assert table(str(phantom_root), out, ["esf_mlp"], **options).read_text() == text
    with pytest.raises(AssertionError, match="not fitted again"):
        table(str(phantom_root), out, ["esf_mlp"], **options, fold_seed=1)
    assert not list(out.glob("esf_mlp*")), "a table of one split stands apart"


@pytest.mark.slow
def test_what_is_built_on_others_is_built_on_those_of_its_own_fold(
    phantom_root, tmp_path, small_configs, monkeypatch
):
    from lvef.experiments.table_experiments import ENSEMBLES

    monkeypatch.setitem(ENSEMBLES, "ensemble_pair", (["esf_mlp", "esf_gpr"], "inverse_variance"))
    chosen = ["esf_cls", "esf_mlp", "esf_gpr", "ensemble_pair"]
    options = {"configs": small_configs, "quick": True, "max_epochs": 1, "folds": 3}
    text = table(str(phantom_root), tmp_path / "out", chosen, **options).read_text()
    assert text.startswith("**Quick look: at most 200 videos a split, 1 epochs.")
    folder = tmp_path / "out" / "folds_3"
    about = json.loads((folder / "quick" / "table.json").read_text(), parse_constant=pytest.fail)
    rows = about["rows"]
    for fold in (1, 2, 3):
        own = f"_fold_{fold}/"
        for name, members in (("esf_gpr", ["esf_mlp"]), ("ensemble_pair", ["esf_mlp", "esf_gpr"])):
            (done,) = (folder / f"{name}_fold_{fold}").glob("done_*.json")
            files = json.loads(done.read_text())["made_from"]["files"]
            taken = {file for file in files if file.endswith(".ckpt")}
            assert taken == {rows[member]["checkpoints"][fold - 1] for member in members}
            assert all(own in file for file in taken)
    assert list(about["differences"]["mae"]) == chosen[1:]
    assert {len(pd.read_csv(row["cases"])) for row in rows.values()} == {32}
    assert isinstance(rows["esf_cls"]["threshold"], list)
    assert not rows["esf_gpr"]["uncertainty"]["one_std"]
    for part in ("p-values of mae", "ROC-AUC and PR-AUC", "fold by fold", "Flagged for human"):
        assert part in text
