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
