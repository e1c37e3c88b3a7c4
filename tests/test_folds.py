"""Folds of TRAIN and a share of VAL for calibration: who is in which, and who knows of it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import best, newest, told, words

from lvef.cli.commands import main, run_lightning
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.folds import Folds
from lvef.data.layouts import read_labels
from lvef.errors import ConfigurationError
from lvef.models.backbones.provenance import learned_from
from lvef.models.loading import describe_checkpoint, load_ef_task

ROWS = pd.DataFrame({"video": [f"clip{number}" for number in range(1000)]})


def test_folds_are_disjoint_and_together_all():
    folds = [Folds(train_fold=f"{number}/4").learns_from(ROWS) for number in (1, 2, 3, 4)]
    assert (np.sum(folds, axis=0) == 1).all()
    assert all(200 < fold.sum() < 300 for fold in folds)
    assert (Folds(without_fold="2/4").learns_from(ROWS) == ~folds[1]).all()
    half = Folds(train_fold="1/2").learns_from(ROWS)
    assert (half == (folds[0] | folds[1])).all(), "half a fold is two quarters"
    other = Folds(train_fold="1/2", fold_seed=1).learns_from(ROWS)
    assert 0.4 < (half == other).mean() < 0.6


def test_a_case_stays_in_its_fold_when_others_come():
    fold = Folds(train_fold="1/2")
    assert (fold.learns_from(ROWS)[500:] == fold.learns_from(ROWS[500:])).all()


@pytest.mark.parametrize("of", ["learns_from", "calibrates"])
def test_clips_of_a_patient_are_never_parted(of):
    rows = ROWS.assign(patient=[f"p{number // 5}" for number in range(1000)])
    chosen = getattr(Folds(train_fold="1/2", calibration_share=0.5), of)(rows)
    assert set(pd.Series(chosen).groupby(rows["patient"]).nunique()) == {1}
    assert 0.35 < chosen.mean() < 0.65


def test_the_share_for_calibration_is_kept_to_a_case():
    assert Folds(calibration_share=0.3).calibrates(ROWS).sum() == 300
    assert Folds().calibrates(ROWS).sum() == 0
    assert Folds(calibration_share=0.01).calibrates(ROWS[:3]).sum() == 1
    assert Folds(calibration_share=0.99).calibrates(ROWS[:3]).sum() == 2, "one chooses the epoch"
    with pytest.raises(ConfigurationError, match="single case"):
        Folds(calibration_share=0.5).calibrates(ROWS[:1])


def test_the_share_for_calibration_is_dealt_out_by_the_seed():
    first, again, other = (
        Folds(calibration_share=0.5, fold_seed=seed).calibrates(ROWS) for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert 0.4 < (first == other).mean() < 0.6
    # Whatever order the table is in, and not the first that come.
    backwards = Folds(calibration_share=0.5).calibrates(ROWS[::-1])
    assert (backwards == first[::-1]).all()
    assert 200 < first[:500].sum() < 300


def test_clips_without_a_patient_are_dealt_out_one_by_one():
    rows = ROWS.assign(patient=[""] * 500 + ["p"] * 500)
    chosen = Folds(train_fold="1/2").learns_from(rows)
    assert 200 < chosen[:500].sum() < 300
    assert chosen[500:].sum() in (0, 500)


@pytest.mark.parametrize("fold", ["0/2", "3/2", "1/1", "half", "1", "-1/2"])
def test_what_is_no_fold_is_refused(fold):
    with pytest.raises(ConfigurationError, match="a fold is written k/K"):
        Folds(train_fold=fold)
    with pytest.raises(ConfigurationError, match="choose one"):
        Folds(train_fold="1/2", without_fold="1/2")


def test_whose_labels_taught_a_backbone_is_told():
    def facts(rows: pd.DataFrame = ROWS, **options: object) -> dict:
        return Folds(**options).facts(rows, 1)

    own = facts(train_fold="1/2")
    assert learned_from([], own) == "no labels"
    assert learned_from([facts(without_fold="1/2")], own) == "other cases"
    assert learned_from([facts(train_fold="3/4")], own) == "other cases"
    assert learned_from([facts(train_fold="2/4")], own) == "the same cases"
    assert learned_from([facts()], own) == "the same cases"
    assert learned_from([facts(without_fold="1/2", fold_seed=1)], own) == "the same cases"
    assert learned_from([facts(ROWS[:10])], own) == "cases that are not known"
    assert learned_from([{}], own) == "cases that are not known", "an older checkpoint"


@pytest.mark.filterwarnings("error:The given NumPy array is not writable")
def test_a_process_is_fitted_to_one_fold_and_its_backbone_to_the_other(phantom_root, tmp_path,
                                                                       capsys):  # fmt: skip
    more = ["--data.without_fold", "1/2", "--data.calibration_share", "0.34"]
    mlp = run_lightning(words("fit", "esf_mlp", phantom_root, tmp_path, *more))
    trained = set(mlp.datamodule.split("TRAIN")["video"])
    assert len(mlp.model.calibration.scores) == 1, "of three cases of VAL"
    assert len(mlp.model.cases["row"]) == 2
    assert not set(mlp.model.cases["row"].tolist()) & set(mlp.datamodule.calibration_rows)
    assert load_ef_task(best(tmp_path, "esf_mlp")).calibrated_apart
    assert main(["verify", str(tmp_path / "esf_mlp" / "version_0")]) == 0
    # A fit that goes on learns from the same cases.
    last = best(tmp_path, "esf_mlp").with_name("last.ckpt")
    on = [*more, "--ckpt_path", str(last), "--trainer.max_epochs", "2"]
    resumed = run_lightning([*words("fit", "esf_mlp", phantom_root, tmp_path), *on])
    assert set(resumed.datamodule.split("TRAIN")["video"]) == trained
    assert resumed.trainer.current_epoch == 2
    backbone = ["--model.backbone.checkpoint", str(best(tmp_path, "esf_mlp"))]
    fold = ["--data.train_fold", "1/2"]
    with pytest.warns(UserWarning, match="3 cases of VAL too few to say anything at 90 %"):
        gpr = run_lightning(words("fit", "esf_gpr", phantom_root, tmp_path, *backbone, *fold))
    fitted = set(gpr.datamodule.split("TRAIN")["video"])
    assert not trained & fitted
    assert len(trained | fitted) == 22
    assert len(gpr.model.head.train_y) == len(fitted)
    assert not load_ef_task(best(tmp_path, "esf_gpr")).calibrated_apart
    said = describe_checkpoint(best(tmp_path, "esf_gpr"))
    assert said["backbone_learned_from"] == "other cases"
    assert said["data"]["train_fold"] == "1/2"
    assert main(words("test", "esf_gpr", phantom_root, tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "the backbone was taught by other cases" in printed
    assert "VAL factor" in printed
    metrics = json.loads(newest(tmp_path / "esf_gpr", "metrics.json").read_text())
    uncertainty = metrics["uncertainty"]
    held = torch.load(best(tmp_path, "esf_gpr"), weights_only=True)["state_dict"]
    assert uncertainty["std_factor"] == pytest.approx(float(held["calibration.std_factor"]))
    assert uncertainty["noise_std"] == pytest.approx(gpr.model.noise_std)
    assert uncertainty["val_rmse"] == pytest.approx(said["figures"]["val/rmse"], rel=1e-4)
    assert metrics["calibration"]["cases"] == {"all": 3}
    record = json.loads((tmp_path / "esf_gpr" / "version_0" / "run.json").read_text())
    assert record["config"]["data"]["train_fold"] == "1/2"
    assert record["data"]["usable"]["TRAIN"] == len(fitted)
    capsys.readouterr()
    again = ["--ckpt_path", str(best(tmp_path, "esf_gpr"))]
    assert main(words("fit", "esf_gpr", phantom_root, tmp_path, *again)) == 1
    assert "data.train_fold = 1/2" in told(capsys.readouterr().err)[0]


def test_a_segmenter_has_no_folds():
    with pytest.raises(ConfigurationError, match="for models of EF"):
        EchoNetDataModule(masks=True, train_fold="1/2")


def test_every_case_is_in_test_of_one_fold_and_no_patient_in_two():
    rng = np.random.default_rng(3)
    count = 300
    rows = pd.DataFrame({
        "video": [f"v{n}" for n in range(count)], "split": "TRAIN",
        "ef_true": rng.uniform(15, 75, count),
        "patient": [f"p{n // 3}" if n < 240 else "" for n in range(count)],
    })  # fmt: skip
    held, reduced = [], []
    for fold in range(1, 6):
        dealt = Folds(folds=5, fold=fold).dealt(rows)
        assert dealt["split"].value_counts().to_dict().keys() == {"TRAIN", "VAL", "TEST"}
        assert dealt[rows["patient"] != ""].groupby("patient")["split"].nunique().max() == 1
        test = dealt[dealt["split"] == "TEST"]
        held += test["video"].tolist()
        reduced.append((test["ef_true"] <= 40).mean())
        following = Folds(folds=5, fold=fold % 5 + 1).dealt(rows)
        assert (following["split"] == "TEST").equals(dealt["split"] == "VAL")
    assert sorted(held) == sorted(rows["video"])
    assert max(reduced) - min(reduced) < 0.15
    again = Folds(folds=5, fold=2).dealt(rows.sample(frac=1, random_state=0)).sort_index()
    assert again["split"].equals(Folds(folds=5, fold=2).dealt(rows)["split"]), "whatever the order"
    other = Folds(folds=5, fold=2, fold_seed=1).dealt(rows)["split"]
    assert not other.equals(again["split"])
    assert Folds().dealt(rows) is rows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 5}, "give both"),
        ({"fold": 1}, "give both"),
        ({"folds": 2, "fold": 1}, "at least 3 folds"),
        ({"folds": 5, "fold": 6}, "count from 1"),
        ({"folds": 5, "fold": 0}, "count from 1"),
    ],
)
def test_folds_that_there_are_not_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Folds(**options)


def test_more_folds_than_patients_are_refused():
    rows = pd.DataFrame({"video": ["a", "b", "c"], "ef_true": 50.0, "patient": ["p", "p", "q"]})
    with pytest.raises(ConfigurationError, match="there are 2 cases or patients"):
        Folds(folds=3, fold=1).dealt(rows)


@pytest.mark.slow
def test_a_fold_is_judged_on_its_own_test_alone(phantom_root, tmp_path, capsys):
    folds = ["--data.folds", "4", "--data.fold", "2"]
    assert main(words("fit", "esf_mlp", phantom_root, tmp_path, *folds)) == 0
    assert main(words("test", "esf_mlp", phantom_root, tmp_path, *folds)) == 0
    cases = pd.read_csv(newest(tmp_path, "cases.csv"))
    dealt = Folds(folds=4, fold=2).dealt(read_labels(phantom_root).table)
    assert set(cases["video"]) == set(dealt.loc[dealt["split"] == "TEST", "video"])
    capsys.readouterr()
    for other in ([], ["--data.folds", "4", "--data.fold", "3"], [*folds, "--data.fold_seed", "7"]):
        assert main(words("test", "esf_mlp", phantom_root, tmp_path, *other)) == 1
        assert "was trained with data.fold" in told(capsys.readouterr().err)[0]
    checkpoint = ["--ckpt_path", str(best(tmp_path, "esf_mlp"))]
    given = ["external", *checkpoint, "--root", str(phantom_root), "--output", str(tmp_path / "e")]
    assert main([*given, "--split", "TEST"]) == 1
    assert "was fitted to all but folds" in told(capsys.readouterr().err)[0]
