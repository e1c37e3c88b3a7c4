"""A model at another place: recalibration in memory, with a known truth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import beta, kstest
from sklearn.metrics import balanced_accuracy_score

from lvef.data.folds import Folds
from lvef.data.layouts import LabelFolder
from lvef.errors import CheckpointError, ConfigurationError
from lvef.evaluation.correction import learn_correction, out_of_fold, scores_of_both
from lvef.evaluation.intervals import mean_of_proportions, proportion_interval
from lvef.evaluation.sharpness import worst_coverage
from lvef.evaluation.uncertainty import conformal_quantile
from lvef.experiments.external import unreadable
from lvef.experiments.external_measures import measures, with_intervals
from lvef.experiments.external_report import SAID, external_summary, format_external
from lvef.experiments.local_cases import draw_cases, one_clip_each
from lvef.experiments.taught_folder import folder_facts, format_cases, refuse_taught
from lvef.figures.external import external_figure
from lvef.models import EFClassifier, EFRegressor
from lvef.models.loading import load_task
from lvef.models.options import BackboneOptions
from lvef.models.recalibration import (
    FEWEST,
    check_cases,
    fewest_cases,
    recalibrated,
    recalibrated_checkpoint,
)
from lvef.predict.labelled_clips import LabelledBeats

SMALL = BackboneOptions(weights=None)
BIAS, NOISE = 6.0, 8.0


def regressor():
    """Return a regressor whose standard deviation is half of what its error will be."""
    task = EFRegressor(backbone=SMALL)
    ef = torch.full((400,), 50.0)
    residual = torch.as_tensor(np.random.default_rng(0).normal(0, NOISE / 2, 400)).float()
    task.ef_scale.fill_(10.0)
    task.calibrate({"ef": ef + residual, "raw_std": torch.full((400,), 10.0), "ef_true": ef})
    return task


def place(count, seed, bias=BIAS, noise=NOISE):
    """Return cases of a place where answers are off by a bias and twice as noisy as stated."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(55, 10, count)
    ef = truth + bias + rng.normal(0, noise, count)
    return {
        "ef": torch.as_tensor(ef).float(),
        "raw_std": torch.full((count,), 10.0),
        "ef_true": torch.as_tensor(truth).float(),
        "reduced_true": torch.as_tensor(truth <= 40).long(),
        "row": torch.arange(count),
    }


def coverage(task, cases):
    said = task.calibrated_answer(cases)
    inside = (said["ef_lower"] <= cases["ef_true"]) & (cases["ef_true"] <= said["ef_upper"])
    return int(inside.sum()), len(inside)


@pytest.mark.parametrize("correction", ["none", "shift", "line"])
def test_a_biased_regressor_with_half_the_right_sd_gets_its_coverage_back(correction):
    task, new = regressor(), place(4000, 1)
    assert proportion_interval(*coverage(task, new))[1] < 0.7
    held = [coverage(recalibrated(task, place(100, 10 + n), correction), new) for n in range(40)]
    # Coverage of one calibration follows Beta(k, n + 1 - k); here is the mean of forty.
    k, n = int(np.ceil(0.9 * 101)), 100
    expected = beta(k, n + 1 - k)
    assert np.mean([c / t for c, t in held]) == pytest.approx(
        expected.mean(), abs=4 * expected.std() / np.sqrt(40)
    )
    inside, total = coverage(recalibrated(task, place(100_000, 2), correction), new)
    lower, upper = proportion_interval(inside, total, level=0.999)
    assert lower < 0.9 < upper


def test_recalibration_leaves_the_task_that_was_given_as_it_is():
    task, cases = regressor(), place(50, 3)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    twin = recalibrated(task, cases, "shift")
    after = task.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    assert twin.head is task.head, "weights are shared"
    assert float(twin.calibration.offset) == pytest.approx(-BIAS, abs=3.5)
    assert float(twin.calibration.std_factor) > 1.5 * float(task.calibration.std_factor)
    again = recalibrated(twin, cases, "none")
    assert float(again.calibration.offset) == 0, "every recalibration begins with the answers"


def test_a_fit_forgets_the_shift():
    twin = recalibrated(regressor(), place(50, 3), "line")
    assert float(twin.calibration.slope) != 1
    twin.calibration.forget()
    assert (float(twin.calibration.slope), float(twin.calibration.offset)) == (1, 0)


def test_a_shift_within_its_own_chance_is_left_and_a_sure_one_taken(rng):
    truth = rng.normal(55, 10, 20)
    noise = rng.normal(0, 5, 20)
    noise -= noise.mean()
    small = noise.std(ddof=1) / np.sqrt(20) * 0.9
    assert learn_correction(truth + noise + small, truth, "shift").offset == 0
    sure = learn_correction(truth + noise + 10, truth, "shift")
    assert -10 < sure.offset < -9
    # As of James & Stein: times 1 - variance / square.
    assert sure.offset == pytest.approx(-10 * (1 - noise.var(ddof=1) / 20 / 100))
    assert learn_correction(truth + 10, truth, "none").offset == 0
    line = learn_correction(0.5 * truth + 20, truth, "line")
    np.testing.assert_allclose(line(0.5 * truth + 20), truth, atol=1e-6)


def test_shrinking_a_shift_does_less_harm_where_there_is_no_bias(rng):
    harm = {"shift": [], "mean": []}
    for _ in range(300):
        truth = rng.normal(55, 10, 20)
        ef = truth + rng.normal(0, 6, 20)
        harm["shift"].append(learn_correction(ef, truth, "shift").offset ** 2)
        harm["mean"].append((truth - ef).mean() ** 2)
    assert np.mean(harm["shift"]) < 0.6 * np.mean(harm["mean"])


def test_errors_of_cases_that_taught_are_too_small(rng):
    truth = rng.normal(55, 10, 15)
    ef = truth + rng.normal(4, 6, 15)
    inside = abs(learn_correction(ef, truth, "line")(ef) - truth).mean()
    assert abs(out_of_fold(ef, truth, "line") - truth).mean() > inside
    assert np.array_equal(out_of_fold(ef, truth, "none"), ef)


def test_intervals_hold_of_clips_and_of_beats(rng):
    clips, beats = rng.random(30), 3 * rng.random(30)
    both = scores_of_both(clips, beats)
    for level in (0.5, 0.8, 0.9):
        wanted = max(conformal_quantile(clips, level), conformal_quantile(beats, level))
        assert conformal_quantile(both, level) == wanted
    task, cases = regressor(), place(60, 4)
    cases |= {"ef_spread": torch.full((60,), 3.0), "beat_ef": cases["ef"] + 20,
              "beat_raw_std": cases["raw_std"]}  # fmt: skip
    alone = {name: value for name, value in cases.items() if not name.startswith("beat")}
    wide, narrow = recalibrated(task, cases), recalibrated(task, alone)
    assert float(wide.calibration.scores[54]) > float(narrow.calibration.scores[54])
    # A clip's own deviation holds the spread besides, so that fewer of them are reached for.
    plain = {name: value for name, value in alone.items() if name != "ef_spread"}
    ratio = recalibrated(task, plain).calibration.scores / narrow.calibration.scores
    std = float(narrow.calibration.std_factor) * 10
    np.testing.assert_allclose(ratio, np.hypot(std, 3) / std, rtol=1e-5)


def classifier(count=400, seed=0):
    rng = np.random.default_rng(seed)
    task = EFClassifier(backbone=SMALL)
    truth = rng.random(count) < 0.3
    odds = rng.normal(np.where(truth, 1.5, -1.5), 1)
    task.calibrate({"log_odds": torch.as_tensor(odds).float(),
                    "reduced_true": torch.as_tensor(truth).long()})  # fmt: skip
    return task


def class_cases(count, share, seed=1, shift=1.5):
    rng = np.random.default_rng(seed)
    truth = np.arange(count) < round(share * count)
    odds = rng.normal(np.where(truth, 1.5, -1.5), 1) + shift
    return {"log_odds": torch.as_tensor(odds).float(), "row": torch.arange(count),
            "reduced_true": torch.as_tensor(truth).long(),
            "ef_true": torch.as_tensor(np.where(truth, 30.0, 60.0))}  # fmt: skip


def test_a_classifier_gets_true_risks_and_a_threshold_of_the_place():
    task, new = classifier(), class_cases(4000, 0.1, 2)
    twin = recalibrated(task, class_cases(400, 0.1, 3))
    risk = {name: one.calibrated_answer(new)["p_reduced"] for name, one in
            (("before", task), ("after", twin))}  # fmt: skip
    assert float(risk["before"].sum()) > 3 * 400
    assert float(risk["after"].sum()) == pytest.approx(400, rel=0.15)
    called = [one.calibrated_answer(new)["reduced"] for one in (task, twin)]
    before, after = (balanced_accuracy_score(new["reduced_true"], each) for each in called)
    assert after > before + 0.05


def test_with_few_reduced_cases_the_threshold_stays_at_the_same_log_odds():
    task, few = classifier(), class_cases(40, 0.1, 4)
    twin, new = recalibrated(task, few), class_cases(2000, 0.1, 5)
    assert torch.equal(
        task.calibrated_answer(new)["reduced"], twin.calibrated_answer(new)["reduced"]
    )
    assert float(twin.calibration.intercept) != float(task.calibration.intercept)
    assert any("threshold stays" in line for line in check_cases(task, few))
    assert not check_cases(task, class_cases(400, 0.1, 3))


def test_cases_that_can_teach_nothing_are_refused_in_words():
    task = regressor()
    assert fewest_cases(task) == FEWEST
    task.calibration.level = 0.95
    assert fewest_cases(task) == 19
    with pytest.raises(ConfigurationError, match="and 19 are the fewest"):
        check_cases(task, place(18, 0))
    for share, words in ((0.0, "all 30 clips are normal"), (1.0, "all 30 clips are reduced")):
        with pytest.raises(ConfigurationError, match=words):
            check_cases(classifier(), class_cases(30, share))
    assert "only 19 clips" in check_cases(task, place(19, 0))[0]
    (nine,) = check_cases(classifier(), class_cases(36, 0.25))
    assert "only 9 reduced clips: the threshold stays" in nine
    assert not check_cases(classifier(), class_cases(40, 0.25)), "ten of each class teach both"


def clips_of(count, patients, seed=0):
    rng = np.random.default_rng(seed)
    patient = [f"p{n}" for n in rng.integers(0, patients, count)] if patients else [""] * count
    return pd.DataFrame(
        {
            "video": [f"v{n}" for n in range(count)],
            "ef_true": np.where(np.arange(count) % 8 == 0, 30.0, 60.0),
            "patient": patient,
        }
    )


def test_one_clip_of_each_patient_is_drawn_and_any_of_them_may_be():
    clips = pd.DataFrame(
        {"video": list("abcdefgh"), "patient": ["p", "q", "p", "", "p", "", None, "q"]},
        index=range(10, 18),
    )
    drawn = [one_clip_each(clips, np.random.default_rng(seed)) for seed in range(40)]
    for each in drawn:
        names = each["video"].tolist()
        assert names == sorted(names), "in the order of the table"
        assert {"d", "f", "g"} < set(names), "who is not known stands for themselves"
        assert len(names) == 5
        assert each.equals(clips.loc[each.index])
    found = {name for each in drawn for name in each["video"]}
    assert found == set(clips["video"]), "none is preferred"


def patients_of_clips(patients, each, rng):
    """Return beats of a regressor whose errors are those of the patient, and little beside."""
    patient = np.repeat(np.arange(patients), each)
    of_patient, truth = rng.normal(0, 8, patients), rng.normal(55, 10, patients)
    count = patients * each
    table = pd.DataFrame(
        {"video": [f"v{n}" for n in range(count)], "ef_true": truth[patient],
         "patient": [f"p{n}" for n in patient], "reason": ""}
    )  # fmt: skip
    ef = truth[patient] + of_patient[patient] + rng.normal(0, 1, count)
    raw = {"row": torch.arange(count), "ef": torch.as_tensor(ef).float(),
           "raw_std": torch.full((count,), 10.0)}  # fmt: skip
    return LabelledBeats(table, raw)


def test_what_the_reach_promises_holds_of_new_patients_however_many_clips_each_has():
    """The law of conformal prediction counts patients: coverage is Beta(k, n + 1 - k)."""
    new = patients_of_clips(2000, 1, np.random.default_rng(0))
    judged = new.cases(new.table["video"])
    task, held = regressor(), {"a patient": [], "all": []}
    for seed in range(50):
        rng = np.random.default_rng(1000 + seed)
        beats = patients_of_clips(12, 10, rng)
        for name, clips in (("a patient", one_clip_each(beats.usable, rng)), ("all", beats.usable)):
            twin = recalibrated(task, beats.cases(clips["video"]))
            inside, total = coverage(twin, judged)
            held[name].append(inside / total)
    law = beta(12, 1)
    assert kstest(held["a patient"], law.cdf).pvalue > 0.05
    assert kstest(held["all"], law.cdf).pvalue < 1e-3
    promised = worst_coverage(12)
    assert promised == pytest.approx(law.ppf(0.05))
    assert np.mean(np.array(held["a patient"]) < promised) < 0.15
    said = np.mean(np.array(held["all"]) < worst_coverage(120))
    assert said > 0.2, "12 patients keep what 120 clips would promise far less often than 95 %"


def test_a_file_says_how_many_patients_it_rests_on(tmp_path):
    table = pd.DataFrame(
        {"video": list("abcd"), "split": "TEST", "ef_true": [30.0, 50.0, 60.0, 70.0],
         "patient": ["p", "p", "q", ""]}
    )  # fmt: skip
    (tmp_path / "Videos").mkdir()
    (tmp_path / "FileList.csv").touch()
    (tmp_path / "VolumeTracings.csv").touch()
    folder = LabelFolder(tmp_path, table, table.iloc[:0])
    facts = folder_facts(folder, table, table.iloc[[0, 2, 3]], 5, "TEST")
    assert (facts["cases"], facts["patients"], facts["clips"]) == (3, 3, 4)
    assert (facts["reduced"], facts["refused"], facts["split"]) == (1, 5, "TEST")
    assert format_cases(facts) == "3 clips, one of each of 3 patients (4 clips could be used)"
    unknown = table.assign(patient="")
    facts = folder_facts(folder, unknown, unknown, 0, "all")
    assert (facts["cases"], facts["patients"], facts["clips"]) == (4, None, 4)
    assert format_cases(facts) == "4 clips"


@pytest.mark.parametrize("patients", [0, 40])
def test_local_cases_are_drawn_by_patient_and_some_are_reduced(patients):
    clips = clips_of(160, patients)
    of = clips.set_index("video")
    for seed in range(20):
        drawing = draw_cases(clips, 20, np.random.default_rng(seed))
        assert len(drawing.drawn) == len(set(drawing.drawn)) == 20
        assert not set(drawing.drawn) & set(drawing.held_out)
        if patients:
            people = of.loc[drawing.drawn, "patient"]
            assert len(set(people)) == 20, "one clip of each"
            others = ~of["patient"].isin(people)
            assert drawing.held_out == of.index[others].tolist(), "whoever was not drawn"
        else:
            assert len(drawing.held_out) == 140
            reduced = (of.loc[drawing.drawn, "ef_true"] <= 40).sum()
            assert reduced == 2, "a share of one in eight, as in the folder"
    one = draw_cases(clips, 20, np.random.default_rng(1)).drawn
    assert one == draw_cases(clips, 20, np.random.default_rng(1)).drawn
    assert one != draw_cases(clips, 20, np.random.default_rng(2)).drawn


def test_measures_are_those_of_their_words(rng):
    truth = rng.normal(50, 12, 80)
    ef = truth + rng.normal(1, 6, 80)
    clips = pd.DataFrame(
        {"ef": ef, "ef_true": truth, "ef_lower": ef - 8, "ef_upper": ef + 8,
         "p_reduced": 1 / (1 + np.exp((ef - 40) / 3)), "reduced": (ef <= 40).astype(float),
         "review": (abs(ef - 40) < 8).astype(float)}
    )  # fmt: skip
    found = measures(clips, None, refused=0.25)
    error = abs(ef - truth)
    assert found["coverage"] == pytest.approx((error <= 8).mean())
    assert found["width"] == pytest.approx(16)
    assert found["right_all"] == pytest.approx((error <= 10).sum() / 100)
    flags = abs(ef - 40) < 8
    assert found["mae_flagged"] == pytest.approx(error[flags].mean())
    assert found["mae_others"] == pytest.approx(error[~flags].mean())
    assert found["wrong_others"] == pytest.approx(((ef <= 40) != (truth <= 40))[~flags].mean())
    whole = with_intervals(clips, None, 20, None)
    assert whole["right_all"]["value"] == pytest.approx(found["right_all"])
    ends = proportion_interval(int((error <= 10).sum()), 100)
    assert (whole["right_all"]["lower"], whole["right_all"]["upper"]) == pytest.approx(ends)
    assert whole["mae"]["lower"] < whole["mae"]["value"] < whole["mae"]["upper"]
    called = measures(clips, 0.5)
    assert called["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(truth <= 40, ef <= 40)
    )
    assert "mae" not in called


def test_shares_of_clips_have_the_interval_of_what_they_count(rng):
    truth = rng.normal(45, 12, 80)
    ef = truth + rng.normal(0, 6, 80)
    reduced, said = truth <= 40, ef <= 42
    clips = pd.DataFrame({"ef_true": truth, "p_reduced": 1 / (1 + np.exp((ef - 40) / 3)),
                          "reduced": said.astype(float), "review": 0.0})  # fmt: skip
    whole = with_intervals(clips, 1 / (1 + np.exp(2 / 3)), 0, None)
    for name, of, hit in (("recall", reduced, said), ("specificity", ~reduced, ~said)):
        ends = proportion_interval(int((of & hit).sum()), int(of.sum()))
        assert (whole[name]["lower"], whole[name]["upper"]) == pytest.approx(ends)
        assert whole[name]["value"] == pytest.approx((of & hit).sum() / of.sum())
    # Twice the same clips of the same patients tell no more than once.
    twice = pd.concat([clips, clips], ignore_index=True)
    again = with_intervals(twice, 1 / (1 + np.exp(2 / 3)), 0, np.tile(np.arange(80), 2))
    for end in ("lower", "upper"):
        assert again["specificity"][end] == pytest.approx(whole["specificity"][end], abs=0.01)


def test_what_drawings_gave_is_told_with_the_sign_of_the_change():
    rows = [
        {"k": 20, "drawing": drawing, "said": SAID[way], "drawn_reduced": 3, "held_out": 60,
         "mae": mae - drawing / 100}
        for way, mae in (("before", 8.0), ("shift", 6.0))
        for drawing in range(21)
    ]  # fmt: skip
    rows[-1]["mae"] = 9.0  # one drawing in which the shift is worse
    (of_k,) = external_summary(pd.DataFrame(rows))
    change = of_k["ways"][SAID["shift"]]["mae"]["change"]
    assert change["mean"] == pytest.approx((20 * -2 + (9 - 7.8)) / 21)
    assert of_k["better"][SAID["shift"]] == pytest.approx(20 / 21)
    before = of_k["ways"][SAID["before"]]["mae"]
    assert (before["lower"], before["mean"], before["upper"]) == pytest.approx((7.81, 7.9, 7.99))
    facts = {
        "phantom": False, "title": "", "note": "", "trained_on": "", "recalibrated_before": {},
        "num_cases": 80, "patients": None, "num_reduced": 9, "refused": 0, "kind": "regression",
        "repeats": 21, "level": 0.9, "all": {}, "k": [of_k],
    }  # fmt: skip
    assert "better on average, better in 20 of 21 drawings" in format_external(facts)
    assert "no better" not in format_external(facts)


def test_a_checkpoint_says_who_recalibrated_it_and_forgets_the_fit():
    task = regressor()
    said = {"data": {"is_phantom": True}, "patients": False, "figures": {"val/mae": 1.0}}
    fitted = {"lvef": said, "optimizer_states": [1], "loops": {}, "epoch": 3}
    for phantom in (True, False):
        new = recalibrated_checkpoint(fitted, task, {"phantom": phantom, "cases": 50})
        assert set(new) == {"lvef", "state_dict", "epoch"}
        assert new["lvef"]["figures"] == {}, "they were those of before"
        assert new["lvef"]["patients"] is not phantom, "whose clips took part"
        assert new["lvef"]["recalibrated"]["cases"] == 50


def test_a_folder_that_taught_is_refused_whichever_split_overlaps():
    table = pd.DataFrame({"video": ["a", "b", "c"], "split": ["TRAIN", "TRAIN", "TEST"]})
    folder = LabelFolder(Path("place"), table, table.iloc[:0])
    own = Folds().facts(table[:2], 2)
    taught = [{"train_part": own}, {"train_part": {}, "backbone_taught_by": [{}, own]}]
    for said in taught:
        for split in ("TRAIN", "all"):
            with pytest.raises(ConfigurationError, match="was fitted to TRAIN"):
                refuse_taught(said, folder, split, "a.ckpt")
        refuse_taught(said, folder, "TEST", "a.ckpt")
    mark = {"names_and_sizes": "here"}
    for earlier, now, refused in (
        ("all", "TEST", True), ("TEST", "all", True), ("TEST", "TEST", True), ("VAL", "TEST", False)
    ):  # fmt: skip
        said = {"recalibrated": {"data": mark, "split": earlier}}
        if refused:
            with pytest.raises(ConfigurationError, match="was recalibrated on these clips"):
                refuse_taught(said, folder, now, "a.ckpt", mark)
        else:
            refuse_taught(said, folder, now, "a.ckpt", mark)
        refuse_taught(said, folder, now, "a.ckpt", {"names_and_sizes": "elsewhere"})


def test_unreadable_clips_are_those_of_the_split():
    aside = pd.DataFrame(
        {"video": ["a", "b", "c"], "split": ["TEST", "VAL", "TEST"],
         "reason": ["unreadable video: x", "unreadable video: y", "no EF"]}
    )  # fmt: skip
    folder = LabelFolder(Path("place"), aside, aside)
    assert unreadable(folder, "TEST")["video"].tolist() == ["a"]
    assert unreadable(folder, "all")["video"].tolist() == ["a", "b"]


def test_the_figure_of_another_place_marks_what_is_aimed_at():
    rows = [
        {"k": k, "drawing": 0, "said": way, "mae": 5.0, "bias": 1.0, "coverage": 0.8, "width": 20.0}
        for k, ways in ((0, ["as it is"]), (20, ["as it is", "intervals anew"]))
        for way in ways
    ]
    figure = external_figure(pd.DataFrame(rows), "regression", "PHANTOM", 0.9)
    of_coverage = figure.axes[2]
    assert of_coverage.get_ylabel() == "coverage of the 90 % interval"
    assert [0.9, 0.9] in [list(line.get_ydata()) for line in of_coverage.lines]
    assert of_coverage.lines[0].get_xdata()[0] == 0, "of no local clips there is one, in its place"
    assert [text.get_text() for text in figure.legends[0].texts] == ["as it is", "intervals anew"]


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (regressor, "ef_mean", [math.nan, -1.0, 101.0]),
        (regressor, "ef_scale", [math.nan, 0.0, math.inf]),
        (regressor, "calibration.std_factor", [math.nan, 0.0, -1.0, math.inf]),
        (regressor, "calibration.review_std", [math.nan, -1.0, math.inf]),
        (regressor, "calibration.rmse", [-1.0, math.inf]),
        (regressor, "calibration.slope", [math.nan, math.inf]),
        (regressor, "calibration.offset", [math.nan, -math.inf]),
        (regressor, "calibration.scores", [math.nan, -0.1, math.inf]),
        (regressor, "calibration.normal_risks", [math.nan, -0.1, 1.1]),
        (classifier, "threshold", [math.nan, -0.1, 1.1]),
        (classifier, "calibration.temperature", [math.nan, 0.0, -1.0, math.inf]),
        (classifier, "calibration.intercept", [math.nan, math.inf]),
        (classifier, "calibration.review_doubt", [-1.0, math.inf]),
        (classifier, "calibration.normal_scores", [math.nan, -0.1, 1.1]),
        (classifier, "calibration.reduced_scores", [math.nan, -0.1, 1.1]),
    ],
)
def test_a_damaged_constant_of_a_checkpoint_is_refused(make, name, values):
    task = make()
    state = task.state_dict()
    task.load_state_dict(state)
    for value in values:
        changed = state[name].clone()
        changed.view(-1)[-1] = value
        with pytest.raises(CheckpointError, match="which no calibration makes"):
            task.load_state_dict({**state, name: changed})


def test_a_damaged_checkpoint_is_told_by_its_name_and_one_without_a_fit_is_loaded(tmp_path):
    for task in (EFRegressor(backbone=SMALL), EFClassifier(backbone=SMALL)):
        task.load_state_dict(task.state_dict())
    task, path = regressor(), tmp_path / "damaged.ckpt"
    state = {**task.state_dict(), "calibration.std_factor": torch.tensor(math.nan)}
    said = {"task": "EFRegressor", "class_path": EFRegressor.class_path(),
            "hparams": {"backbone": {"weights": None}}, "data": {}}  # fmt: skip
    torch.save({"lvef": said, "state_dict": state}, path)
    with pytest.raises(CheckpointError, match=r"damaged.ckpt: damaged, as its factor of the"):
        load_task(path)


def test_drawn_patients_are_of_both_kinds_and_any_of_their_clips_is_drawn():
    patient = [f"p{n}" for n in range(30) for _ in range(3)]
    for rare, common in ((30.0, 60.0), (60.0, 30.0)):
        ef = np.where(np.arange(90) < 3, rare, common)  # one patient of thirty is of a kind
        clips = pd.DataFrame({"video": [f"v{n:02d}" for n in range(90)], "ef_true": ef,
                              "patient": patient})  # fmt: skip
        for seed in range(10):
            drawn = draw_cases(clips, 12, np.random.default_rng(seed)).drawn
            assert len(set(drawn) & {"v00", "v01", "v02"}) == 1, "of each kind one at least"
    many = [draw_cases(clips, 20, np.random.default_rng(seed)).drawn for seed in range(10)]
    assert {int(video[1:]) % 3 for drawn in many for video in drawn} == {0, 1, 2}
    # Ten patients of two clips, one of them reduced, and twenty of a normal one.
    mixed = pd.DataFrame({"video": [f"v{n:02d}" for n in range(40)],
                          "ef_true": [30.0, 60.0] * 10 + [60.0] * 20,
                          "patient": [f"p{n // 2}" for n in range(20)]
                          + [f"q{n}" for n in range(20)]})  # fmt: skip
    for seed in range(10):
        drawn = draw_cases(mixed, 12, np.random.default_rng(seed)).drawn
        assert sum(int(video[1:]) < 20 for video in drawn) == 4, "a third of the patients"


def test_measures_say_how_their_intervals_were_made(rng):
    truth = rng.normal(45, 12, 80)
    ef = truth + rng.normal(0, 6, 80)
    width = rng.uniform(4, 30, 80)
    flags = rng.random(80) < 0.3
    clips = pd.DataFrame(
        {"ef": ef, "ef_true": truth, "ef_lower": ef - width / 2, "ef_upper": ef + width / 2,
         "p_reduced": 1 / (1 + np.exp((ef - 40) / 3)), "reduced": (ef <= 40).astype(float),
         "review": flags.astype(float)}
    )  # fmt: skip
    found = measures(clips, None)
    wrong = (ef <= 40) != (truth <= 40)
    assert found["width"] == pytest.approx(width.mean())
    assert found["flagged"] == pytest.approx(flags.mean())
    assert found["wrong_flagged"] == pytest.approx(wrong[flags].mean())
    assert {"calibration_slope", "calibration_intercept", "observed_expected", "ece"} < set(found)
    alone = with_intervals(clips, 0.5, 0, None)
    half = [(alone["recall"][end] + alone["specificity"][end]) / 2 for end in ("lower", "upper")]
    inner = alone["balanced_accuracy"]
    assert inner["method"] == "MOVER"
    assert half[0] < inner["lower"] < inner["value"] < inner["upper"] < half[1]
    of_both = mean_of_proportions(*(
        (alone[name]["value"], (alone[name]["lower"], alone[name]["upper"]))
        for name in ("recall", "specificity")
    ))  # fmt: skip
    assert (inner["lower"], inner["upper"]) == pytest.approx(of_both)
    assert "BCa" not in alone["roc_auc"]["method"]
    assert alone["ece"]["method"] == "BCa bootstrap"
    pairs = with_intervals(clips, 0.5, 0, np.arange(80) // 8)
    assert pairs["roc_auc"]["method"] == pairs["ece"]["method"] == "BCa bootstrap of patients"
    assert (pairs["ece"]["lower"], pairs["ece"]["upper"]) != (
        alone["ece"]["lower"], alone["ece"]["upper"]
    )  # fmt: skip
