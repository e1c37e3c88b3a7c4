"""What the table says of rows whose answers are known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import is_drawn
from scipy.special import expit
from scipy.stats import binomtest, spearmanr

from lvef.cardiac import is_reduced
from lvef.evaluation.sharpness import promise_report, uncertainty_report, worst_coverage
from lvef.evaluation.summary import summarise_classification, summarise_regression
from lvef.evaluation.uncertainty import LEVELS, normal_reach
from lvef.experiments.shares import share_of
from lvef.experiments.table_bounds import MAJORITY, MEAN, MEDIAN, Bounds, given, table_bounds
from lvef.experiments.table_calls import calls_of, format_calls
from lvef.experiments.table_differences import MAE
from lvef.experiments.table_experiments import seed_words
from lvef.experiments.table_markdown import cell
from lvef.experiments.table_report import write_report
from lvef.experiments.table_rows import Rows
from lvef.experiments.table_seeds import format_seeds, seeds_of
from lvef.experiments.table_sharpness import format_sharpness

MARGINS = {"mae": 0.5, "roc_auc": 0.02}


@pytest.fixture(scope="module")
def labels() -> pd.DataFrame:
    """Labels of 900 hearts: dilated ones pump badly, and EF has a long tail downwards."""
    rng = np.random.default_rng(3)
    ef = 66 - 11 * rng.exponential(size=900)
    ef = np.clip(ef + rng.normal(0, 4, 900), 8, 85)
    edv = np.exp(4.6 - 0.012 * (ef - 55) + rng.normal(0, 0.3, 900))
    return pd.DataFrame(
        {
            "video": [f"PHANTOM{i:04d}" for i in range(900)],
            "split": np.repeat(["TRAIN", "VAL", "TEST"], [500, 150, 250]),
            "ef_true": ef, "edv": edv, "esv": edv * (1 - ef / 100),
        }
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads only wait for each other where a thousand resamples are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bounds(labels: pd.DataFrame) -> Bounds:
    """What the rows stand beside."""
    return table_bounds([labels])


def regressor(
    folder: Path, test: pd.DataFrame, ef: np.ndarray, std: float, other_seed: int
) -> dict:
    """Return a row of a regressor, and write its cases."""
    truth = test["ef_true"].to_numpy()
    ends = [ef[:, None] + side * std * normal_reach(LEVELS) for side in (-1, 1)]
    p_reduced = expit((40 - ef) / std * 1.7)
    cases = {
        "video": test["video"], "ef": ef, "ef_true": truth, "ef_std": std,
        "p_reduced": p_reduced, "reduced": ef <= 40, "reduced_true": is_reduced(truth),
        "review": abs(ef - 40) < 1.645 * std,
    }  # fmt: skip
    spread = (np.full(len(ef), std), *ends)
    metrics = {} if other_seed else summarise_regression(ef, truth, 55.0, 12.0, spread)
    inside = abs(ef - truth) < 1.645 * std
    said = uncertainty_report(ef, truth, cases["ef_std"] * np.ones(len(ef)), inside, std / 3, 6.0)
    made = row(folder, cases, metrics, "regression", "mae", 0.5)
    promise = promise_report({"all": 150}, 0.9, apart=True)
    return {**made, "uncertainty": said, "calibration": promise}


def classifier(
    folder: Path, test: pd.DataFrame, odds: np.ndarray, threshold: float, other_seed: int
) -> dict:
    """Return a row of a classifier, and write its cases."""
    truth, p_reduced = test["ef_true"].to_numpy(), expit(odds)
    cases = {
        "video": test["video"], "ef_true": truth, "p_reduced": p_reduced,
        "reduced": p_reduced >= threshold, "reduced_true": is_reduced(truth),
        "review": abs(odds) < 0.5,
    }  # fmt: skip
    reduced = is_reduced(truth).astype(int)
    metrics = {} if other_seed else summarise_classification(p_reduced, reduced, threshold)
    return row(folder, cases, metrics, "classification", "roc_auc", threshold)


def row(folder: Path, cases: dict, metrics: dict, kind: str, metric: str, threshold: float) -> dict:
    folder.mkdir(parents=True)
    pd.DataFrame(cases).astype({"reduced": float, "reduced_true": int, "review": float}).to_csv(
        folder / "cases.csv", index=False
    )
    return {
        "kind": kind, "cases": str(folder / "cases.csv"), "metrics": metrics, "minutes": 1.0,
        "threshold": threshold, "num_cases": len(cases["video"]), "baseline": "-",
        "checkpoint": str(folder / "checkpoints" / "best.ckpt"),
        "val": {"metric": f"val/{metric}", "value": 0.5},
    }  # fmt: skip


def rows_of(folder: Path, labels: pd.DataFrame, seed: int) -> Rows:
    """Rows of one training: a pair that knows EF, two views of ES as good, an ED that guesses."""
    test = labels[labels["split"] == "TEST"]
    truth, rng = test["ef_true"].to_numpy(), np.random.default_rng(20 + seed)
    shared = np.random.default_rng(5).normal(0, 6, len(truth))  # what every training gets wrong
    noise = {"esf_mlp": shared, "esf_gpr": shared, "edf_esf_mlp": 0.4 * shared}
    rows = {
        name: regressor(
            folder / name, test, truth + error + rng.normal(0, 0.5, len(truth)), 6.0, seed
        )
        for name, error in noise.items()
    }
    guess = 57 + rng.normal(0, 1, len(truth))
    return {
        "esf_cls": classifier(folder / "esf_cls", test, (45 - truth - shared) / 4, 0.4, seed),
        "edf_cls": classifier(folder / "edf_cls", test, (50 - truth + 2 * shared) / 9, 0.45, seed),
        "edf_mlp": regressor(folder / "edf_mlp", test, guess, 11.0, seed),
        **rows,
    }


@pytest.fixture(scope="module")
def written(labels: pd.DataFrame, bounds: Bounds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a table of three trainings."""
    folder = tmp_path_factory.mktemp("table")
    seeds = {seed: rows_of(folder / str(seed), labels, seed) for seed in range(3)}
    write_report(folder, seeds, [labels], bounds, MARGINS, phantom=True)
    return folder


def test_constant_answers_and_volumes_are_judged_by_their_own_loss(labels, bounds):
    bounds = {name: bound["metrics"] for name, bound in bounds.items()}
    test = labels.loc[labels["split"] == "TEST", "ef_true"]
    train = labels.loc[labels["split"] == "TRAIN", "ef_true"]
    assert bounds[MEDIAN]["mae"]["value"] == pytest.approx(abs(test - train.median()).mean())
    assert bounds[MEDIAN]["mae"]["value"] < bounds[MEAN]["mae"]["value"]
    assert bounds[MEAN]["coverage_90"]["upper"] <= 1
    for volume in ("EDV", "ESV"):
        median, mean = bounds[given(volume, "median")], bounds[given(volume, "mean")]
        assert median["mae"]["value"] < bounds[MEDIAN]["mae"]["value"]
        assert mean["r2"]["value"] > 0
        for metric in ("mae", "rmse", "r2"):
            assert median[metric]["lower"] < median[metric]["value"] < median[metric]["upper"]


def test_a_given_volume_calls_at_a_threshold_of_val_as_classifiers_do(labels, bounds):
    bound = bounds["given the true ESV, threshold of VAL"]
    test = labels[labels["split"] == "TEST"]
    truth, called = is_reduced(test["ef_true"]), test["esv"] > bound["threshold_ml"]
    assert bound["metrics"]["recall"]["value"] == pytest.approx(called[truth].mean())
    assert bound["metrics"]["specificity"]["value"] == pytest.approx((~called[~truth]).mean())
    # The EF that a volume suggests is seldom as low as 40: calls made there are of no use.
    fitted = bounds[given("EDV", "mean")]
    assert fitted["kind"] == "regression"
    assert bound["metrics"]["balanced_accuracy"]["value"] > 0.85
    assert bounds[MAJORITY]["metrics"]["balanced_accuracy"]["value"] == 0.5
    assert "ece" not in bound["metrics"], "a volume states no probability"


def test_every_figure_of_a_table_has_its_interval(written):
    text = (written / "table.md").read_text()
    for heading in ("Reduced EF", "EF in percent", "How true", "Calls", "Flagged"):
        section = text[text.index(f"## PHANTOM: {heading}") :].split("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
        assert len(lines) >= 3
        for line in lines:
            cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
            figures = [c for c in cells if re.match(r"-?\d", c) and not re.fullmatch(r"\d\.\d", c)]
            assert figures
            assert all(re.search(r"\[(-?[\d.]+, -?[\d.]+|none)\]", c) for c in figures), line
    assert text.count("Intervals of 95 %: ") == 3
    assert "resamples" in text


def test_what_standard_deviations_are_worth_stands_in_the_table(written):
    text = (written / "table.md").read_text()
    section = text[text.index("## PHANTOM: What the standard dev") :].split("\n## ")[0]
    lines = {
        line.split("`")[1]: [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    }
    assert sorted(lines) == ["edf_esf_mlp", "edf_mlp", "esf_gpr", "esf_mlp"]
    assert lines["esf_mlp"][1] == "2.00", "the factor, six by three"
    assert lines["esf_mlp"][4:7] == ["-", "-", "-"], "one SD for all says nothing of a case"
    assert lines["esf_mlp"][9:] == ["150", f"{100 * worst_coverage(150):.1f} %"]
    assert "`edf_mlp`" in section.split("**Standard deviations too small")[1]


def test_a_standard_deviation_that_tells_large_errors_has_its_figures(rng):
    std = rng.uniform(2, 9, 300)
    error = rng.normal(0, std)
    truth = rng.uniform(20, 70, 300)
    report = uncertainty_report(truth + error, truth, std, abs(error) < 1.645 * std, 1.2, 5.0, 3.0)
    report = {**report, "backbone_learned_from": "other cases"}
    promise = promise_report({"all": 5}, 0.9, apart=False)
    rows = {"a": {"uncertainty": report, "calibration": promise}, "old": {"metrics": {}}}
    [line] = [line for line in format_sharpness(rows, "") if line.startswith("| `")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["`a`", "1.200", "3.00", "5.00"]
    assert cells[4].startswith(f"{spearmanr(std, abs(error)).statistic:.3f} [")
    assert cells[6].startswith(f"{100 * np.mean(abs(error) < 1.6448536 * std / 1.2):.2f} [")
    assert re.fullmatch(r"\d+ / \d+ / \d+", cells[7])
    assert cells[8:] == ["other cases", "5", "-"], "five cases promise nothing at 90 %"
    both = {
        "cases": {"normal": 50, "reduced": 9},
        "coverage_worst": {"normal": 0.83, "reduced": 0.7},
    }
    [line] = format_sharpness({"a": {**rows["a"], "calibration": both}}, "")[4:5]
    assert line.endswith("| 50 / 9 | 70.0 % |"), "the worse of two"
    assert "too small" not in "\n".join(format_sharpness(rows, ""))
    assert format_sharpness({"old": {"metrics": {}}}, "") == []


def test_a_call_that_is_worth_no_more_than_a_constant_says_so(written, labels):
    text = (written / "table.md").read_text()
    calls = json.loads((written / "table.json").read_text())["calls"]
    guess = calls["edf_mlp"]
    assert guess["sensitivity"]["value"] == 0
    assert guess["error_rate"]["value"] == guess["always_the_majority"]["value"]
    assert guess["errors"] == "not fewer"
    assert calls["edf_esf_mlp"]["errors"] == "fewer"
    assert re.search(r"of the errors of [^.]*`edf_mlp`[^.]* holds the constant call's rate", text)
    truth = is_reduced(labels.loc[labels["split"] == "TEST", "ef_true"])
    ends = binomtest(int(truth.sum()), len(truth)).proportion_ci(method="exact")
    trivial = guess["always_the_majority"]
    assert (trivial["lower"], trivial["upper"]) == pytest.approx((ends.low, ends.high))


def test_errors_are_fewer_only_where_their_interval_says_so():
    truth = np.repeat([1, 0], [50, 350])
    cases = pd.DataFrame({"ef_true": 60.0 - 30 * truth, "p_reduced": 0.5, "review": 0})
    for caught, said in ((5, "not fewer"), (45, "fewer")):
        called = np.where(np.arange(400) < caught, 1, 0)
        found = calls_of(cases.assign(reduced=called, reduced_true=truth), 0.5, 0)
        assert found["error_rate"]["value"] < found["always_the_majority"]["value"]
        assert found["errors"] == said
    over = calls_of(cases.assign(reduced=1, reduced_true=truth), 0.5, 0)
    assert over["errors"] == "more"


def test_as_many_cases_are_flagged_by_nearness():
    ef = np.array([39.0, 41, 50, 60, 30, 45])
    cases = pd.DataFrame(
        {
            "ef": ef, "ef_true": [41.0, 39, 35, 61, 31, 46], "p_reduced": expit(40 - ef),
            "reduced": ef <= 40, "reduced_true": [0, 1, 1, 0, 1, 0],
            "review": [0, 0, 1, 1, 0, 0],
        }
    )  # fmt: skip
    found = calls_of(cases, 0.5, 0)
    assert found["flagged"]["value"] == 0.5
    assert found["others"]["value"] == 0.5
    assert found["by_nearness"]["flagged"]["value"] == 1
    assert found["by_nearness"]["others"]["value"] == 0.25
    assert found["by_nearness"]["share_flagged"]["cases"] == 6
    assert found["borderline"]["of_mistakes"]["value"] == pytest.approx(2 / 3)
    classifier = cases.drop(columns="ef").assign(p_reduced=[0.11, 0.12, 0.01, 0.01, 0.5, 0.02])
    near = calls_of(classifier, 0.115, 0)["by_nearness"]
    assert near["flagged"]["value"] == 1, "the two nearest to the threshold, not to one half"
    none = calls_of(cases.assign(review=0), 0.5, 0)
    assert none["flagged"]["cases"] == 0
    assert "| - |" in "\n".join(
        format_calls({"none": {**none, "sensitivity": none["flagged"]}}, "")
    )


def test_rows_are_better_worse_or_equivalent(written):
    about = json.loads((written / "table.json").read_text())
    rows = about["differences"]["mae"]
    assert rows["esf_gpr"]["esf_mlp"]["verdict"] == "equivalent"
    assert rows["edf_esf_mlp"]["esf_mlp"]["verdict"] == "better"
    assert rows["edf_mlp"]["esf_mlp"]["verdict"] == "worse"
    assert about["differences"]["roc_auc"]["edf_cls"]["esf_cls"]["verdict"] == "worse"
    text = (written / "table.md").read_text()
    assert "uncorrected, and these are 6 comparisons" in text
    assert "uncorrected, and this is one comparison." in text


def test_seeds_part_what_training_changes_from_what_is_real(written):
    found = json.loads((written / "table.json").read_text())["seeds"]
    assert found["numbers"] == [0, 1, 2]
    row = found["mae"]["rows"]["esf_mlp"]
    assert row["mean"] == pytest.approx(np.mean(row["values"]))
    assert row["sd"] == pytest.approx(np.std(row["values"], ddof=1))
    assert row["sd_lower"] < row["sd"] < row["sd_upper"]
    assert row["sd"] < row["sd_test"], "only half a point of noise is the training's"
    pairs = found["mae"]["pairs"]
    assert not pairs["esf_gpr"]["esf_mlp"]["beyond_chance"]
    assert pairs["edf_esf_mlp"]["esf_mlp"]["beyond_chance"]
    assert pairs["edf_esf_mlp"]["esf_mlp"]["difference"] < 0
    text = (written / "table.md").read_text()
    assert "over 3 trainings (seeds)" in text
    assert "Differences within chance: " in text


def test_what_one_lucky_seed_shows_is_chance(labels):
    """Two rows that differ by their seeds alone: one seed's p is tiny, three say chance."""
    truth = labels.loc[labels["split"] == "TEST", "ef_true"].to_numpy()
    video = labels.loc[labels["split"] == "TEST", "video"]
    error = np.random.default_rng(1).normal(0, 5, len(truth))

    def frame(scale: float) -> pd.DataFrame:
        return pd.DataFrame({"video": video, "ef": truth + scale * error, "ef_true": truth})

    cases = [
        {"one": frame(one), "other": frame(other)}
        for one, other in ((1.0, 1.3), (1.0, 1.05), (1.2, 1.25))
    ]
    found = seeds_of(MAE, cases)
    pair = found["pairs"]["other"]["one"]
    assert pair["lower"] < 0 < pair["upper"]
    assert pair["difference"] > 3 * pair["sd_test"], "the cases alone would call it real"
    assert not pair["beyond_chance"]
    assert found["rows"]["one"]["sd"] > found["rows"]["one"]["sd_test"]
    text = "\n".join(format_seeds({"mae": found}, [0, 1, 2], ""))
    assert "Training's chance is the larger for `one`" in text
    assert seeds_of(MAE, cases[:1]) == {}


def test_another_seed_is_counted_from_what_the_configs_say(tmp_path):
    own, overlay = tmp_path / "own.yaml", tmp_path / "overlay.yaml"
    own.write_text("seed_everything: 7\n")
    overlay.write_text("data: {}\n")
    assert seed_words([own, overlay], 0) == []
    assert seed_words([own, overlay], 2) == ["--seed_everything", "9"]
    overlay.write_text("seed_everything: 40\n")
    assert seed_words([own, overlay], 1) == ["--seed_everything", "41"]
    overlay.write_text("seed_everything: true\n")
    assert seed_words([overlay], 1) == ["--seed_everything", "1"]


def test_figures_of_phantoms_do_not_stand_beside_published_ones(written):
    text = (written / "table.md").read_text()
    measured, published = text.split("## Published")
    assert "CoReEcho" not in measured
    assert "PHANTOM" not in published.split("![")[0].split("|")[0]
    assert "may be read beside these" in published
    for plot in ("mae", "roc_auc", "coverage", "error_rejection"):
        assert is_drawn(written / f"{plot}.png")


def test_what_never_varies_has_no_interval_and_says_so():
    assert cell({"value": 19.736, "lower": float("nan"), "upper": float("nan")}) == "19.74 [none]"
    assert cell({"value": 0.5, "lower": None, "upper": None}) == "0.500 [none]"
    assert cell({"value": -0.0001, "lower": -0.5, "upper": 0.1}) == "0.000 [-0.500, 0.100]"
    assert cell({"value": None, "lower": None, "upper": None}) == cell(None) == "-"


def test_a_refused_clip_counts_as_failed():
    answered, everyone = share_of([True, True, False]), share_of([True, True, False], refused=5)
    assert answered["value"] == pytest.approx(2 / 3)
    assert everyone["value"] == pytest.approx(2 / 8)
    ends = binomtest(2, 8).proportion_ci(method="exact")
    assert (everyone["lower"], everyone["upper"]) == pytest.approx((ends.low, ends.high))
    assert share_of([], refused=3)["value"] == 0
    assert np.isnan(share_of([])["value"])
